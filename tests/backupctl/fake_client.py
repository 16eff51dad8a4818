"""The fake S3 as the asynchronous client shows S3."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from backupctl.s3.listing import Listed, ListedVersion
from handler.backup_keys import MAX_KEY_BYTES
from handler.requests import Request
from tests.handler.fake_s3 import FakeS3, Stored


class FakeClient:
    """Answers and lists.

    :param s3: the buckets.
    :param page_size: entries of a page.
    """

    def __init__(self, s3: FakeS3, page_size: int = 3) -> None:
        self.s3 = s3
        self.page_size = page_size

    async def ask(self, request: Request) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        return self.s3.answer(request)

    async def list_objects(self, bucket: str, prefix: str = "") -> AsyncGenerator[list[Listed]]:
        there = self.s3.buckets[bucket]
        current = [there.current(key) for key in self._keys(bucket, prefix)]
        entries = [
            Listed(found.key, found.etag, found.size, found.modified, found.storage_class)
            for found in current
            if found is not None
        ]
        for first in range(0, len(entries), self.page_size):
            await asyncio.sleep(0)
            yield entries[first : first + self.page_size]

    async def list_versions(
        self, bucket: str, prefix: str = ""
    ) -> AsyncGenerator[list[ListedVersion]]:
        entries = [
            entry
            for key in self._keys(bucket, prefix)
            for entry in listed(self.s3.buckets[bucket].keys[key])
        ]
        for first in range(0, len(entries), self.page_size):
            await asyncio.sleep(0)
            yield entries[first : first + self.page_size]

    def _keys(self, bucket: str, prefix: str) -> list[str]:
        # Of what is longer no key can begin with it, and who asks should have known.
        assert len(prefix.encode()) <= MAX_KEY_BYTES
        keys = self.s3.buckets[bucket].keys
        return sorted((key for key in keys if key.startswith(prefix)), key=str.encode)


def listed(versions: list[Stored]) -> list[ListedVersion]:
    """As S3 lists versions of one key, given the oldest first."""
    return [
        ListedVersion(
            version.key,
            version.version_id,
            number == 0,
            version.is_delete_marker,
            version.etag,
            version.size,
            version.modified,
            version.storage_class,
        )
        for number, version in enumerate(reversed(versions))
    ]
