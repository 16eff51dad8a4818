"""Whether two objects are the same, told by as little of them as is enough."""

from collections.abc import Iterable, Mapping
from typing import Any

from handler.asking import Asking
from handler.provenance import without_provenance
from handler.requests import Steps

CHUNK = 8 * 1024**2
"""Bytes of each of two objects that are compared at a time."""

_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "ExpiresString",
    "MissingMeta",
)


def same_content(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """Whether two objects have the same bytes, as far as HeadObject's answers tell.

    :returns: None if they do not tell.
    """
    if one["ContentLength"] != other["ContentLength"]:
        return False
    if one["ETag"].strip('"') == other["ETag"].strip('"'):
        return True
    checksums = same_checksum(one, other)
    if checksums is None and is_md5(one) and is_md5(other):
        return False
    return checksums


def same_checksum(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """Whether two objects have the same bytes by S3's checksums; asked with ChecksumMode.

    :returns: None if there are none to compare.
    """
    for name in sorted(one.keys() & other.keys()):
        if not name.startswith("Checksum") or name == "ChecksumType":
            continue
        if one[name] == other[name]:
            return True
        # A checksum of checksums depends on the parts as well: it ends in their number.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
        if "-" not in one[name] + other[name]:
            return False
    return None


def is_md5(head: Mapping[str, Any]) -> bool:
    """Whether an object's ETag is the MD5 of its bytes.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    plain = head.get("ServerSideEncryption", "AES256") == "AES256"
    return plain and "SSECustomerAlgorithm" not in head and "-" not in head["ETag"]


def same_description(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two objects have the same headers and, provenance aside, the same metadata."""
    return all(one.get(name) == other.get(name) for name in _HEADERS) and (
        without_provenance(one.get("Metadata", {})) == without_provenance(other.get("Metadata", {}))
    )


def same_bytes(
    asking: Asking,
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    size: int,
    chunks: Iterable[int] | None = None,
) -> Steps[bool]:
    """Read and compare two objects of the same size, a chunk at a time.

    :param one, other: what names each, as parameters of GetObject, its ETag as `IfMatch` included.
    :param size: bytes.
    :param chunks: numbers, from 0, of those to compare; None for all.
    :raises S3Error: if S3 refuses; 412 if one has changed meanwhile.
    """
    for number in range(chunks_of(size)) if chunks is None else chunks:
        first = number * CHUNK
        span = f"bytes={first}-{min(first + CHUNK, size) - 1}"
        mine = yield from asking.ask("GetObject", **one, Range=span)
        others = yield from asking.ask("GetObject", **other, Range=span)
        if mine["Body"] != others["Body"]:
            return False
    return True


def chunks_of(size: int) -> int:
    """How many chunks so many bytes are."""
    return -(-size // CHUNK)


def same_tags(asking: Asking, one: Mapping[str, Any], other: Mapping[str, Any]) -> Steps[bool]:
    """Whether two objects have the same tags.

    :param one, other: what names each, as parameters of GetObjectTagging.
    :raises S3Error: if S3 refuses.
    """
    mine = yield from asking.ask("GetObjectTagging", **one)
    others = yield from asking.ask("GetObjectTagging", **other)
    return _tags(mine) == _tags(others)


def _tags(answer: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}
