"""What is on top of one key."""

from contextlib import aclosing

from .protocols import Lists
from .s3.listing import ListedVersion


async def latest(lists: Lists, bucket: str, key: str) -> ListedVersion | None:
    """The latest of a key's versions and delete markers; None if there are none.

    :raises BackupctlError: if S3 refuses.
    """
    # Keys that go on where this one ends come after it.
    async with aclosing(lists.list_versions(bucket, key)) as pages:
        async for page in pages:
            if page:
                return next((one for one in page if one.key == key and one.is_latest), None)
    return None
