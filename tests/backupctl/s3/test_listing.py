"""Whole listings, page by page."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backupctl.aws import Aws
from backupctl.errors import BackupctlError
from backupctl.s3 import Listed, ListedVersion, S3Client
from sandbox.ministack import MiniStack
from tests.backupctl.local import aws
from tests.backupctl.s3.bodies import AWKWARD, objects_page
from tests.wire import Answer, Sent, Wire, session


async def gathered(pages: AsyncIterator[list[Any]]) -> list[Any]:
    return [entry async for page in pages for entry in page]


def listed(wire: Wire, *arguments: str) -> list[Any]:
    async def main() -> list[Any]:
        async with S3Client(Aws(session(), wire.endpoint)) as s3:
            return await gathered(s3.list_objects("bucket", *arguments))

    return asyncio.run(main())


@pytest.fixture
def wire() -> Any:
    made = Wire()
    yield made
    made.close()


def test_a_listing_goes_on_from_page_to_page(wire: Wire) -> None:
    pages = [(200, {}, objects_page(["a"], "t1")), (200, {}, objects_page([], "t+2"))]
    wire.answers.extend([*pages, (200, {}, objects_page(["b", "c"]))])
    assert [entry.key for entry in listed(wire, "pre+", "after b")] == ["a", "b", "c"]
    asked = [parse_qs(urlsplit(sent.url).query) for sent in wire.requests]
    common = {"list-type": ["2"], "encoding-type": ["url"], "prefix": ["pre+"]}
    common |= {"start-after": ["after b"]}
    assert asked == [
        common,
        {**common, "continuation-token": ["t1"]},
        {**common, "continuation-token": ["t+2"]},
    ]


def test_a_page_that_fails_is_asked_for_again(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handler.asking.FIRST_PAUSE_SECONDS", 0.001)
    slow = (503, {}, b"<Error><Code>SlowDown</Code></Error>")
    half = (200, {}, objects_page(["a"])[:-10])
    wire.answers.extend([slow, half, (200, {}, objects_page(["a"]))])
    assert [entry.key for entry in listed(wire)] == ["a"]
    assert len(wire.requests) == 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            (403, {}, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"),
            "the listing of bucket: ListObjectsV2: AccessDenied: no; these credentials may not",
        ),
        (
            (404, {}, b"<Error><Code>NoSuchBucket</Code></Error>"),
            "the listing of bucket: ListObjectsV2: NoSuchBucket; check the bucket's name",
        ),
        (
            (200, {}, objects_page([], "")),
            "the listing has more pages, but S3 does not say how to go on",
        ),
    ],
    ids=["denied", "no bucket", "no way on"],
)
def test_what_cannot_be_listed_is_one_line(wire: Wire, answer: Answer, message: str) -> None:
    wire.answers.append(answer)
    with pytest.raises(BackupctlError, match=message):
        listed(wire)


class Circular(Wire):
    """Leads back to where it came from."""

    def answer(self, sent: Sent) -> Answer:
        return (200, {}, objects_page(["a"], "t"))


def test_a_listing_that_leads_in_a_circle_ends() -> None:
    wire = Circular()
    with pytest.raises(BackupctlError, match="does not say how to go on"):
        listed(wire)
    assert len(wire.requests) == 2
    wire.close()


def test_listings_of_a_real_bucket(ministack: MiniStack) -> None:
    s3 = ministack.client("s3")
    s3.create_bucket(
        Bucket="listings", CreateBucketConfiguration={"LocationConstraint": ministack.region}
    )
    s3.put_bucket_versioning(Bucket="listings", VersioningConfiguration={"Status": "Enabled"})
    keys = sorted(AWKWARD)
    for key in [*keys, "gone", *keys]:
        s3.put_object(Bucket="listings", Key=key, Body=key.encode())
    s3.delete_object(Bucket="listings", Key="gone")

    async def main() -> tuple[list[Listed], list[ListedVersion], list[Listed]]:
        async with S3Client(aws(ministack)) as client:
            return (
                await gathered(client.list_objects("listings")),
                await gathered(client.list_versions("listings")),
                await gathered(client.list_objects("listings", "a", "a b+c%41")),
            )

    objects, versions, some = asyncio.run(main())
    assert [entry.key for entry in objects] == keys
    assert [entry.size for entry in objects] == [len(key.encode()) for key in keys]
    assert {entry.modified.tzinfo for entry in objects} == {UTC}
    expected = sorted([*keys, *keys, "gone", "gone"])
    assert [version.key for version in versions] == expected
    assert sum(version.is_latest for version in versions) == len(keys) + 1
    [marker] = [version for version in versions if version.is_marker]
    assert (marker.key, marker.is_latest, marker.size) == ("gone", True, 0)
    assert [entry.key for entry in some] == ["a//b/../c/./"]
