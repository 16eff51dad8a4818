"""The stub's listings are those of S3: every key once, in order, page by page."""

from collections.abc import Generator
from typing import Any

import boto3
import pytest

from benchmarks.listings import BACKUPS, NEWER, OLDER, SOURCE, key
from benchmarks.stub import ETAG, SIZE, Stub

OBJECTS, COPIES = 2345, 1200
KEYS = [key(number) for number in range(OBJECTS)]


@pytest.fixture(scope="module")
def s3() -> Generator[Any]:
    with Stub(objects=OBJECTS, copies=COPIES) as stub:
        yield boto3.client(
            "s3",
            region_name="eu-central-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            endpoint_url=stub.url,
        )


def listed(s3: Any, operation: str, **asked: Any) -> list[dict[str, Any]]:
    pages = s3.get_paginator(operation).paginate(**asked)
    entries = "Versions" if operation == "list_object_versions" else "Contents"
    return [entry for page in pages for entry in page.get(entries, [])]


def keys(s3: Any, **asked: Any) -> list[str]:
    return [entry["Key"] for entry in listed(s3, "list_objects_v2", **asked)]


def test_every_key_is_listed_once_and_in_order(s3: Any) -> None:
    assert keys(s3, Bucket=SOURCE) == sorted(KEYS)
    assert keys(s3, Bucket=BACKUPS) == [f"photos/{name}" for name in KEYS[:COPIES]]
    assert keys(s3, Bucket=BACKUPS, Prefix=".s3-backup/long/") == []
    assert keys(s3, Bucket="attic") == []
    assert keys(s3, Bucket=SOURCE, StartAfter=KEYS[99]) == KEYS[100:]
    assert keys(s3, Bucket=SOURCE, StartAfter="0001/") == KEYS[1000:]
    assert keys(s3, Bucket=SOURCE, Prefix="0001/") == KEYS[1000:2000]
    assert keys(s3, Bucket=BACKUPS, StartAfter=f"photos/{KEYS[1199]}") == []


def test_objects_are_those_that_the_stub_has(s3: Any) -> None:
    [one, *_] = listed(s3, "list_objects_v2", Bucket=SOURCE)
    [copy, *_] = listed(s3, "list_objects_v2", Bucket=BACKUPS)
    assert (one["ETag"], one["Size"]) == (copy["ETag"], copy["Size"]) == (f'"{ETAG}"', SIZE)
    # A copy is never older than what it is of.
    assert one["LastModified"] < copy["LastModified"]


def test_folders_are_rolled_up(s3: Any) -> None:
    page = s3.list_objects_v2(Bucket=BACKUPS, Prefix="photos/", Delimiter="/")
    assert page["CommonPrefixes"] == [{"Prefix": "photos/0000/"}, {"Prefix": "photos/0001/"}]
    assert "Contents" not in page


def test_every_key_has_two_versions_the_newer_first(s3: Any) -> None:
    versions = listed(s3, "list_object_versions", Bucket=BACKUPS, Prefix="photos/")
    assert [version["Key"] for version in versions[::2]] == [f"photos/{k}" for k in KEYS[:COPIES]]
    assert versions[::2] != versions[1::2]
    for version, name, when in zip(versions, ("newer", "older"), (NEWER, OLDER), strict=False):
        assert version["VersionId"] == name
        assert version["LastModified"].isoformat() == when[:19] + "+00:00"
        head = s3.head_object(Bucket=BACKUPS, Key=version["Key"], VersionId=name)
        assert head["Metadata"]["s3-backup-modified"] == f"{when[:19]}Z"
