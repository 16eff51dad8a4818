"""How much there is of a source and of its backup, by listing both."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

from handler.backup_keys import RESERVED

from .condition import Amount
from .protocols import Lists
from .s3.listing import Listed
from .stack import Source


@dataclass
class Count:
    """Of some objects."""

    objects: int = 0
    size: int = 0
    """Bytes."""
    newest: datetime | None = None
    """When the last of them was written."""

    def add(self, listed: Listed) -> None:
        """One more."""
        self.objects += 1
        self.size += listed.size
        self.newest = listed.modified if self.newest is None else max(self.newest, listed.modified)

    def amount(self, at: datetime) -> Amount:
        """The same as an amount at a time."""
        return Amount(self.objects, self.size, at)


async def count(
    s3: Lists, source: Source, backup_bucket: str, advance: Callable[[int], None]
) -> tuple[Count, Count]:
    """Count the current versions.

    :param advance: told how many objects were listed since it was told last.
    :returns: of the source what the stack backs up, and of the backup all that is of this source.
    """
    here, there = Count(), Count()
    async for listed in _listed(s3, source.name, "", advance):
        if source.includes(listed.key):
            here.add(listed)
    for prefix in (f"{source.name}/", f"{RESERVED}long/{source.name}/"):
        async for listed in _listed(s3, backup_bucket, prefix, advance):
            there.add(listed)
    return here, there


async def _listed(
    s3: Lists, bucket: str, prefix: str, advance: Callable[[int], None]
) -> AsyncIterator[Listed]:
    async for page in s3.list_objects(bucket, prefix):
        for listed in page:
            yield listed
        advance(len(page))
