"""Keys with control characters, which S3 takes and MiniStack stumbles over.

Listings of versions. MiniStack does not encode their keys where the request asks for it, and XML
has no way to write most control characters.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html (EncodingType)

Policies. MiniStack's `*` and `?` do not match a line feed; IAM's match any character.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

import html
import re
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import s3

_list_versions: Any = s3._list_object_versions  # noqa: SLF001
_encoded: Any = s3._url_encode  # noqa: SLF001
_compile: Any = iam_evaluator._fnmatch_compile  # noqa: SLF001

_NAMES = re.compile(
    r"(?s)<(Delimiter|Key|KeyMarker|NextKeyMarker|Prefix)>(.*?)</\1>",
)


def install() -> None:
    """Put this in MiniStack's place."""
    s3._list_object_versions = _list_versions_encoded  # noqa: SLF001
    iam_evaluator._fnmatch_compile = _compile_for_all  # noqa: SLF001


def _list_versions_encoded(bucket_name: str, query: dict[str, Any]) -> Any:
    status, headers, body = _list_versions(bucket_name, query)
    if status == 200 and query.get("encoding-type") in ("url", ["url"]):
        text = _NAMES.sub(
            lambda found: f"<{found[1]}>{_encoded(html.unescape(found[2]))}</{found[1]}>",
            body.decode(),
        )
        said = "<EncodingType>url</EncodingType></ListVersionsResult>"
        body = text.replace("</ListVersionsResult>", said).encode()
    return status, headers, body


def _compile_for_all(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    compiled: re.Pattern[str] = _compile(pattern, ignore_case)
    return re.compile(rf"{compiled.pattern[:-1]}\Z", compiled.flags | re.DOTALL)
