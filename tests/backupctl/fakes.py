"""The fake S3 as backupctl sees it: asked asynchronously, and listed."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from backupctl.s3 import Listed, ListedVersion
from handler.requests import Request
from tests.handler.fake_s3 import FakeS3, Stored


class AsyncFakeS3:
    """Answers requests, and lists in pages.

    :param s3: the fake.
    :param page: entries per page.
    """

    def __init__(self, s3: FakeS3, page: int = 3) -> None:
        self.s3 = s3
        self.page = page

    async def ask(self, request: Request) -> Mapping[str, Any]:
        """Answer, after others had their turn."""
        await asyncio.sleep(0)
        return self.s3.answer(request)

    async def objects(
        self, bucket: str, prefix: str = "", start_after: str = ""
    ) -> AsyncGenerator[list[Listed]]:
        """The objects that S3 shows."""
        there = self.s3.buckets[bucket]
        current = [there.current(key) for key in sorted(there.keys)]
        entries = [
            Listed(one.key, one.etag, one.size, one.modified, one.storage_class)
            for one in current
            if one is not None and one.key.startswith(prefix) and one.key > start_after
        ]
        async for page in self._pages(entries):
            yield page

    async def versions(
        self, bucket: str, prefix: str = "", start_after: str = ""
    ) -> AsyncGenerator[list[ListedVersion]]:
        """All versions and delete markers."""
        there = self.s3.buckets[bucket]
        entries = [
            _listed(one, is_latest=one is there.keys[key][-1])
            for key in sorted(there.keys)
            if key.startswith(prefix) and key > start_after
            for one in reversed(there.keys[key])
        ]
        async for page in self._pages(entries):
            yield page

    async def list_objects(self, bucket: str, prefix: str = "") -> AsyncGenerator[list[Listed]]:
        """The same, as clients have it."""
        async for page in self.objects(bucket, prefix):
            yield page

    async def list_versions(
        self, bucket: str, prefix: str = ""
    ) -> AsyncGenerator[list[ListedVersion]]:
        """The same, as clients have it."""
        async for page in self.versions(bucket, prefix):
            yield page

    async def _pages(self, entries: list[Any]) -> AsyncGenerator[list[Any]]:
        for start in range(0, max(1, len(entries)), self.page):
            await asyncio.sleep(0)
            yield entries[start : start + self.page]


def _listed(one: Stored, *, is_latest: bool) -> ListedVersion:
    return ListedVersion(
        one.key,
        one.version_id,
        is_latest,
        one.is_delete_marker,
        one.etag,
        one.size,
        one.modified,
        one.storage_class,
    )
