"""MiniStack, with the conditions on CopyObject that it ignores on its own.

    hypercorn sandbox/server/conditional_copies.py:app

MiniStack 1.5 honours If-Match and If-None-Match of PutObject and CompleteMultipartUpload only. S3
honours them on CopyObject too, and the order of backups rests on it, so the same check is put
before a copy: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html

Runs in MiniStack's process only, from a folder of its own: whatever lies beside it could be
imported there by accident.
"""

from typing import Any

from ministack.app import app
from ministack.services import s3

__all__ = ["app"]

# Whoever updates MiniStack finds out here, and at once, that these have other names.
_copy: Any = s3._copy_object  # noqa: SLF001
_refusal: Any = s3._check_put_preconditions  # noqa: SLF001
_find_bucket: Any = s3._ensure_bucket  # noqa: SLF001


def _copy_if(bucket_name: str, key: str, headers: dict[str, str]) -> Any:
    bucket = _find_bucket(bucket_name)
    refusal = None if bucket is None else _refusal(headers, bucket.get("objects", {}).get(key))
    return refusal or _copy(bucket_name, key, headers)


s3._copy_object = _copy_if  # noqa: SLF001
