"""Listings in parts: the same entries in the same order, side by side, with bounded memory."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupctl.errors import BackupctlError
from backupctl.s3 import S3Client, sharding
from backupctl.s3.sharding import find_cuts, listed_in_parts, objects_in_parts, versions_in_parts
from sandbox.ministack import MiniStack
from tests.backupctl.local import aws

KEYS = st.text(st.sampled_from("ab/\u00e9\uffff\U0001f600"), min_size=1, max_size=6)


class Entry(NamedTuple):
    key: str


class Bucket:
    """Lists its keys in pages of two."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = sorted(keys)
        self.at_once = self.most_at_once = 0
        self.given = 0

    async def pages(self, after: str) -> AsyncGenerator[list[Entry]]:
        wanted = [Entry(key) for key in self.keys if key > after]
        for start in range(0, len(wanted), 2):
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(0)
            self.at_once -= 1
            page = wanted[start : start + 2]
            self.given += len(page)
            yield page


@given(keys=st.sets(KEYS), cuts=st.lists(KEYS, unique=True), after=st.just("") | KEYS)
def test_whatever_the_cuts_every_entry_comes_once_and_in_order(
    keys: set[str], cuts: list[str], after: str
) -> None:
    async def main() -> list[str]:
        bucket = Bucket(keys)
        parts = listed_in_parts(bucket.pages, sorted(cuts), after)
        return [entry.key async for page in parts for entry in page]

    found = asyncio.run(main())
    assert found == sorted(key for key in keys if key > after)
    # The order of characters is the order of their UTF-8, which is S3's.
    assert all(one.encode() < two.encode() for one, two in pairwise(found))


def test_parts_are_listed_side_by_side_and_only_so_far_ahead() -> None:
    keys = {f"{part:02}/{number:03}" for part in range(20) for number in range(100)}

    async def main() -> None:
        bucket = Bucket(keys)
        cuts = [f"{part:02}/" for part in range(20)]
        async for _ in listed_in_parts(bucket.pages, cuts):
            break
        for _ in range(1000):
            await asyncio.sleep(0)
        assert bucket.most_at_once == sharding.AT_ONCE
        # Per part: what is ready, what waits for room, and what the consumer has.
        assert bucket.given <= sharding.AT_ONCE * (sharding._PAGES_AHEAD + 2) * 2

    asyncio.run(main())


def test_a_listing_that_fails_in_one_part_fails_and_leaves_nothing_running() -> None:
    async def pages(after: str) -> AsyncGenerator[list[Entry]]:
        yield [Entry(f"{after}1")]
        if after == "b":
            raise BackupctlError("no")

    found: list[str] = []

    async def read() -> None:
        async for page in listed_in_parts(pages, ["a", "b", "c"]):
            found.extend(entry.key for entry in page)

    async def main() -> None:
        with pytest.raises(BackupctlError, match="no"):
            await read()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert found == ["1", "a1", "b1"]


@pytest.fixture(scope="module")
def bucket(ministack: MiniStack) -> str:
    s3 = ministack.client("s3")
    name = "sharding"
    where: Any = {"LocationConstraint": ministack.region}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for folder in range(6):
        for number in range(7):
            s3.put_object(Bucket=name, Key=f"data/{folder}/{number}", Body=b"")
        s3.put_object(Bucket=name, Key=f"data/{folder}/", Body=b"")
    s3.put_object(Bucket=name, Key="data/0/0", Body=b"again")
    return name


def test_cuts_are_found_where_the_folders_are(ministack: MiniStack, bucket: str) -> None:
    async def main() -> list[list[str]]:
        async with S3Client(aws(ministack)) as s3:
            return [
                await find_cuts(s3, bucket, ""),
                await find_cuts(s3, bucket, "data/"),
                await find_cuts(s3, bucket, "data/1/"),
                await find_cuts(s3, bucket, "", wanted=3),
            ]

    folders = [f"data/{folder}/" for folder in range(6)]
    assert asyncio.run(main()) == [folders, folders, [], folders[::2]]


def test_a_real_bucket_is_listed_alike_in_parts(
    ministack: MiniStack, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = S3Client.list_page

    async def small_pages(self: S3Client, operation: str, bucket: str, wanted: Any) -> Any:
        return await original(self, operation, bucket, {"MaxKeys": 2, **wanted})

    monkeypatch.setattr(S3Client, "list_page", small_pages)

    async def main() -> None:
        async with S3Client(aws(ministack)) as s3:
            plain = [entry async for page in s3.list_objects(bucket) for entry in page]
            assert len(plain) == 48
            in_parts = [entry async for page in objects_in_parts(s3, bucket) for entry in page]
            assert in_parts == plain
            after = objects_in_parts(s3, bucket, "data/", "data/2/3")
            assert [entry async for page in after for entry in page] == [
                entry for entry in plain if entry.key > "data/2/3"
            ]
            versions = [entry async for page in s3.list_versions(bucket) for entry in page]
            assert len(versions) == 49
            in_parts = [entry async for page in versions_in_parts(s3, bucket) for entry in page]
            assert in_parts == versions

    asyncio.run(main())
