"""What a backfill has to copy, as the listings of a source and of its backup tell."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

from handler import backup_keys

from .histories import digest_of
from .joined import HasKey, joined
from .s3.listing import Listed, ListedVersion
from .spool import Kind, Spool
from .stack import Source

E = TypeVar("E", bound=HasKey)


class Reason(StrEnum):
    """Why something is to be copied."""

    MISSING = "missing"
    """It is not in the backup."""
    STALE = "stale"
    """The source's is newer than the backup's, or of another size."""
    VERSION = "version"
    """It is one of several versions: no listing tells which of them the backup has."""
    NAMED = "named"
    """Somebody named it: a finding, or a person."""


class Wanted(NamedTuple):
    """One version to copy."""

    version_id: str | None
    """None for the current one."""
    reason: Reason
    size: int | None = None
    """Bytes, if known."""
    deleted: str | None = None
    """If it is a delete marker: when it was put, in ISO 8601."""
    again: bool = False
    """Whether to copy it even if it is there: what is there has other bytes."""


class Task(NamedTuple):
    """What is to be copied of one key; one after the other."""

    bucket: str
    key: str
    versions: tuple[Wanted, ...]
    """The oldest first."""


class Batch(NamedTuple):
    """What was selected of a piece of the listings."""

    tasks: list[Task]
    until: str
    """The last key of that piece, selected or not."""
    in_place: int
    """How many of its objects, or versions, need nothing."""


@dataclass
class Seen:
    """What the listings had."""

    objects: int = 0
    """Objects, or versions, that should be in the backup."""
    size: int = 0
    """Their bytes."""
    in_place: int = 0
    """Of these, how many are there, as far as listings tell."""
    excluded: int = 0
    """Others, which the stack does not back up."""


class Lists(Protocol):
    """Whatever lists buckets, page by page, in the order of the keys' UTF-8."""

    def objects(self, bucket: str, prefix: str, start_after: str) -> AsyncGenerator[list[Listed]]:
        """The objects whose keys begin so and come after that one."""
        ...

    def versions(
        self, bucket: str, prefix: str, start_after: str
    ) -> AsyncGenerator[list[ListedVersion]]:
        """All versions of such keys, each key's newest first."""
        ...


class Group(NamedTuple):
    """The versions and delete markers of one key."""

    key: str
    versions: list[ListedVersion]
    """The newest first."""


@dataclass
class Selection:
    """Chooses from the listings of one source.

    :param lists: whoever lists buckets.
    :param source: name and filters.
    :param backup_bucket: name.
    :param start_after: only keys beyond this one; what comes before is done.
    :param everything: choose also what seems to be in place.
    :param deletions: choose also delete markers, where all versions are chosen.
    """

    lists: Lists
    source: Source
    backup_bucket: str
    start_after: str = ""
    everything: bool = False
    deletions: bool = False
    seen: Seen = field(default_factory=Seen)

    async def current(self) -> AsyncGenerator[Batch]:
        """Objects whose backup is missing or stale, in the order of their keys, some at a time."""
        async with aclosing(self._chosen(self.lists.objects, self._of_object)) as chosen:
            async for batch in chosen:
                yield batch

    async def versions(self) -> AsyncGenerator[Batch]:
        """All versions, in the order of their keys, some at a time.

        Where a key has only one, and that seems to be in place, it is left out.
        """

        def groups(bucket: str, prefix: str, start_after: str) -> AsyncGenerator[list[Group]]:
            return grouped(self.lists.versions(bucket, prefix, start_after))

        async with aclosing(self._chosen(groups, self._of_versions)) as chosen:
            async for batch in chosen:
                yield batch

    async def _chosen(
        self,
        listing: Callable[[str, str, str], AsyncGenerator[list[E]]],
        choose: Callable[[E, Listed | None], tuple[Wanted, ...]],
    ) -> AsyncGenerator[Batch]:
        name, after = self.source.name, self.start_after
        owner = f"{name}/"
        with Spool() as long:
            await self._spool_long(long)
            for prefix in sorted(self.source.prefixes):
                pairs = joined(
                    listing(name, prefix, after),
                    self.lists.objects(
                        self.backup_bucket, owner + prefix, owner + after if after else ""
                    ),
                    len(owner),
                )
                async with aclosing(pairs) as batches:
                    async for batch in batches:
                        tasks: list[Task] = []
                        until, in_place = "", self.seen.in_place
                        for entry, listed in batch:
                            if entry is None:
                                continue
                            until = entry.key
                            if not self.source.includes(entry.key):
                                self.seen.excluded += 1
                                continue
                            wanted = choose(entry, listed or _long_copy(long, entry.key))
                            if wanted:
                                tasks.append(Task(name, entry.key, wanted))
                        yield Batch(tasks, until, self.seen.in_place - in_place)

    def _of_object(self, entry: Listed, backup: Listed | None) -> tuple[Wanted, ...]:
        self._saw(entry.size)
        reason = self._reason(entry, backup)
        if reason is None:
            self.seen.in_place += 1
            return ()
        return (Wanted(None, reason, entry.size),)

    def _of_versions(self, group: Group, backup: Listed | None) -> tuple[Wanted, ...]:
        versions = [version for version in group.versions if not version.is_marker]
        for version in versions:
            self._saw(version.size)
        if len(versions) == len(group.versions) == 1:
            reason = self._reason(versions[0], backup)
            if reason is None:
                self.seen.in_place += 1
                return ()
        else:
            reason = Reason.MISSING if backup is None else Reason.VERSION
        # A marker may be all that is left, and is not recorded while its key's copy is shown.
        if not versions and not (self.deletions and backup is not None):
            return ()
        return tuple(
            Wanted(
                version.version_id,
                reason,
                None if version.is_marker else version.size,
                version.modified.isoformat() if version.is_marker else None,
            )
            for version in reversed(group.versions)
            if self.deletions or not version.is_marker
        )

    def _saw(self, size: int) -> None:
        self.seen.objects += 1
        self.seen.size += size

    def _reason(self, entry: Listed | ListedVersion, backup: Listed | None) -> Reason | None:
        if backup is None:
            return Reason.MISSING
        # A copy is never older than what it is of.
        if backup.modified < entry.modified or backup.size != entry.size:
            return Reason.STALE
        return Reason.NAMED if self.everything else None

    async def _spool_long(self, long: Spool) -> None:
        """Copies whose keys are too long to be part of theirs are listed in another order."""
        prefix = f"{backup_keys.RESERVED}long/{self.source.name}/"
        async for page in self.lists.objects(self.backup_bucket, prefix, ""):
            entries = [
                (entry.key[len(prefix) :], ListedVersion(entry.key, "", True, False, *entry[1:]))
                for entry in page
            ]
            long.add(Kind.LONG, entries)


async def grouped(pages: AsyncGenerator[list[ListedVersion]]) -> AsyncGenerator[list[Group]]:
    """A listing of versions by key; a key's versions are together even if a page ends there."""
    last: Group | None = None
    async with aclosing(pages) as source:
        async for page in source:
            groups: list[Group] = []
            for version in page:
                if last is None or last.key != version.key:
                    if last is not None:
                        groups.append(last)
                    last = Group(version.key, [])
                last.versions.append(version)
            yield groups
    if last is not None:
        yield [last]


def _long_copy(long: Spool, key: str) -> Listed | None:
    if not len(long):
        return None
    found = long.take(digest_of(key))
    if not found:
        return None
    entry = found[0].entry
    return Listed(entry.key, entry.etag, entry.size, entry.modified, entry.storage_class)
