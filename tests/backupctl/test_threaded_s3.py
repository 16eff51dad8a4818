"""Listings through botocore are those of the client for many objects."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from backupctl.errors import BackupctlError
from backupctl.s3 import S3Client
from backupctl.threaded_s3 import ThreadedS3
from handler.boto import BotoDriver
from handler.requests import Request
from sandbox.ministack import MiniStack

from .local import aws

T = TypeVar("T")

KEYS = ("a b+%41/\u00e9", "a//b", "a/../b", "cat", "cat ", "cat/\U0001f600", "z\u2028")


def driver(ministack: MiniStack) -> BotoDriver:
    local = aws(ministack)
    return BotoDriver(
        lambda config: local.session.create_client(
            "s3", endpoint_url=ministack.endpoint, config=config
        )
    )


async def gathered(pages: AsyncIterator[list[T]]) -> list[T]:
    return [entry async for page in pages for entry in page]


def test_both_clients_list_the_same(ministack: MiniStack) -> None:
    s3, bucket = ministack.client("s3"), "threaded-listings"
    location: Any = {"LocationConstraint": ministack.region}
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in (*KEYS, *KEYS[:2]):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.delete_object(Bucket=bucket, Key="cat")

    async def both() -> None:
        async with S3Client(aws(ministack)) as one, ThreadedS3(driver(ministack)) as other:
            for prefix in ("", "a/", "cat"):
                objects = await gathered(one.list_objects(bucket, prefix))
                assert await gathered(other.list_objects(bucket, prefix)) == objects
                versions = await gathered(one.list_versions(bucket, prefix))
                assert versions
                assert await gathered(other.list_versions(bucket, prefix)) == versions
            with pytest.raises(BackupctlError, match="nowhere-at-all"):
                await gathered(other.list_objects("nowhere-at-all"))

    asyncio.run(both())


class Canned:
    """Answers with pages, in their order."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = list(pages)
        self.asked: list[Mapping[str, Any]] = []

    def answer(self, request: Request) -> Mapping[str, Any]:
        self.asked.append(request.parameters)
        return self.pages.pop(0)


NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def version(key: str, name: str, *, latest: bool = False, **more: Any) -> dict[str, Any]:
    return {"Key": key, "VersionId": name, "IsLatest": latest, "LastModified": NOON, **more}


def test_it_goes_on_where_a_page_ends() -> None:
    entry = {"Key": "k", "ETag": '"e"', "Size": 1, "LastModified": NOON}
    canned = Canned(
        {"IsTruncated": True, "Contents": [entry], "NextContinuationToken": "more"},
        {"IsTruncated": False, "Contents": [{**entry, "Key": "l"}]},
        {"IsTruncated": True, "NextKeyMarker": "k", "NextVersionIdMarker": "1"},
        {"IsTruncated": False, "Versions": [version("k", "2")]},
    )

    async def run() -> tuple[list[str], list[str]]:
        async with ThreadedS3(canned) as s3:
            return (
                [one.key for one in await gathered(s3.list_objects("b"))],
                [one.version_id for one in await gathered(s3.list_versions("b"))],
            )

    assert asyncio.run(run()) == (["k", "l"], ["2"])
    assert canned.asked == [
        {"Bucket": "b", "Prefix": ""},
        {"Bucket": "b", "Prefix": "", "ContinuationToken": "more"},
        {"Bucket": "b", "Prefix": ""},
        {"Bucket": "b", "Prefix": "", "KeyMarker": "k", "VersionIdMarker": "1"},
    ]


def test_what_is_on_top_comes_first_and_versions_keep_their_order() -> None:
    earlier = NOON.replace(hour=1)
    canned = Canned(
        {
            "IsTruncated": False,
            # An upload in parts: dated by its beginning, but newer.
            "Versions": [
                version("a", "2", Size=1, LastModified=earlier),
                version("a", "1", Size=1),
                version("b", "2", latest=True, Size=1),
            ],
            "DeleteMarkers": [version("a", "3", latest=True), version("b", "1")],
        }
    )

    async def run() -> list[tuple[str, str, bool]]:
        async with ThreadedS3(canned) as s3:
            found = await gathered(s3.list_versions("bucket"))
        return [(one.key, one.version_id, one.is_marker) for one in found]

    assert asyncio.run(run()) == [
        ("a", "3", True),
        ("a", "2", False),
        ("a", "1", False),
        ("b", "2", False),
        ("b", "1", True),
    ]
