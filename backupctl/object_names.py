"""What S3 takes, and gives, for the names of objects and versions."""

import re

_MOST_BYTES = 1024
# "URL-ready": all that may stand in a URL, but what divides the fields of CSV.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
_NO_VERSION_ID = re.compile(r"[^A-Za-z0-9._~:/?#\[\]@!$&()*+;=%-]")


class ImpossibleName(ValueError):
    """A name that no object, and no version, of S3 can have."""


def check_key(key: str) -> None:
    """Let no other text pass for a key.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html

    :raises ImpossibleName: which says why.
    """
    _check_size("key", key)


def check_version_id(version_id: str) -> None:
    """Let no other text pass for a version's id.

    :raises ImpossibleName: which says why.
    """
    if not version_id:
        raise ImpossibleName("the version_id is empty; leave it out to name the current version")
    if odd := _NO_VERSION_ID.search(version_id):
        raise ImpossibleName(
            f"the version_id has {odd.group()!r} in it; S3's ids have neither spaces, commas, "
            "quotes nor control characters, but what may stand in a URL as it is"
        )
    _check_size("version_id", version_id)


def _check_size(name: str, text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise ImpossibleName(f"the {name} is not UTF-8 ({error.reason})") from error
    if size > _MOST_BYTES:
        raise ImpossibleName(
            f"the {name} has {size:,} bytes, and one of S3 {_MOST_BYTES:,} at most"
        )
