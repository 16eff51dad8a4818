"""What there is of one key."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from .protocols import Lists
from .s3.listing import ListedVersion


async def latest(lists: Lists, bucket: str, key: str) -> ListedVersion | None:
    """The latest of a key's versions and delete markers; None if there are none.

    :raises BackupctlError: if S3 refuses.
    """
    async with aclosing(versions(lists, bucket, key)) as those:
        async for one in those:
            if one.is_latest:
                return one
    return None


async def versions(lists: Lists, bucket: str, key: str) -> AsyncGenerator[ListedVersion]:
    """A key's versions and delete markers.

    :raises BackupctlError: if S3 refuses.
    """
    async with aclosing(lists.list_versions(bucket, key)) as pages:
        async for page in pages:
            for one in page:
                # Keys that go on where this one ends come after it.
                if one.key != key:
                    return
                yield one
