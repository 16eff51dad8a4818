"""Is a backup the same as its source? Compares what a person would miss if it were not."""

import hashlib
from typing import Any

from botocore.exceptions import ClientError

from .aliases import Client
from .samples import Sample

_HEADERS = (
    "ContentLength",
    "ContentType",
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ExpiresString",
    "Metadata",
)

# What a backup's metadata says of its source begins so.
PROVENANCE = "s3-backup-"

# Headers that PutObject and GetObject name differently in boto3.
_READ_AS = {"Expires": "ExpiresString"}


def differences(s3: Client, source: tuple[str, str], backup: tuple[str, str]) -> list[str]:
    """Compare bytes, headers, user metadata, tags and checksums of two objects.

    :param source: bucket and key.
    :param backup: bucket and key.
    :returns: one line per difference, none if the objects are equal.
    """
    try:
        first = _everything(s3, *source)
        second = _everything(s3, *backup)
    except ClientError as error:
        return [f"{error.operation_name}: {error.response['Error']['Code']}"]
    if first["checksum"].get("ChecksumType") != "FULL_OBJECT":
        # One that is made of parts says as much about the parts as about the object.
        del first["checksum"]
    metadata = second["Metadata"]
    second["Metadata"] = {key: metadata[key] for key in metadata if not key.startswith(PROVENANCE)}
    return [
        f"{aspect}: {first[aspect]!r} became {second[aspect]!r}"
        for aspect in first
        if first[aspect] != second[aspect]
    ]


def unlike(s3: Client, bucket: str, key: str, sample: Sample) -> list[str]:
    """Compare an object with what was uploaded, so that a loss on both sides shows too."""
    found = _everything(s3, bucket, key)
    expected: dict[str, Any] = {
        "sha256": hashlib.sha256(sample.body).hexdigest(),
        "Metadata": dict(sample.metadata),
        "tags": dict(sample.tags),
        **{_READ_AS.get(name, name): value for name, value in sample.headers.items()},
    }
    return [
        f"{aspect}: {expected[aspect]!r} was uploaded, {found[aspect]!r} is there"
        for aspect in expected
        if expected[aspect] != found[aspect]
    ]


def _everything(s3: Client, bucket: str, key: str) -> dict[str, Any]:
    answer = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    digest = hashlib.sha256()
    for block in answer["Body"].iter_chunks(1024**2):
        digest.update(block)
    tags = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {
        "sha256": digest.hexdigest(),
        **{header: answer.get(header) for header in _HEADERS},
        "checksum": {name: answer[name] for name in answer if name.startswith("Checksum")},
        "tags": {tag["Key"]: tag["Value"] for tag in tags},
    }
