"""A whole verification: both listings of a source compared as they come, doubts looked into."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

from handler import backup_keys
from handler.failures import Failed
from handler.requests import S3Error

from .driver import AsyncDriver
from .histories import digest_of, key_of
from .joined import joined
from .latest import latest
from .parallel import Patience, for_each
from .protocols import S3
from .s3.listing import Listed, ListedVersion
from .spool import Kind as Spooling
from .spool import Spool
from .verification import Finding, Judge, Kind, Moved, Tally


class Verification:
    """Compares a source with its backup.

    :param s3: whom to ask.
    :param judge: what is compared, and how deep.
    :param tell: told of every finding, in no order.
    :param advance: told how many keys were compared since it was told last.
    :param width: how many keys to look at at a time.
    :param now: the time (UTC).
    """

    def __init__(
        self,
        s3: S3,
        judge: Judge,
        tell: Callable[[Finding], None],
        advance: Callable[[int], None] = lambda _count: None,
        *,
        width: int = 64,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._s3 = s3
        self._driver = AsyncDriver(s3, sleep)
        self._judge = judge
        self._tell = tell
        self._advance = advance
        self._width = width
        self._now = now
        self._patience = Patience()

    async def run(self) -> Tally:
        """Compare everything.

        :returns: what was seen.
        :raises BackupctlError: if S3 refuses what everything needs.
        """
        tally = Tally()

        def found(finding: Finding) -> None:
            tally.count(finding)
            self._tell(finding)

        async def look(pair: tuple[Listed, Listed] | Finding) -> None:
            if isinstance(pair, Finding):
                orphan = await self._convicted(pair)
                if isinstance(orphan, Moved):
                    tally.recent += 1
                else:
                    found(orphan)
                return
            result = await self._look(*pair)
            if isinstance(result, Moved):
                tally.objects -= 1
                tally.size -= pair[0].size
                tally.recent += 1
                return
            tally.examined += 1
            if result is not None:
                found(result)

        with Spool() as long:
            await self._spool_long(long)
            async with aclosing(self._doubtful(tally, long, found)) as doubtful:
                await for_each(doubtful, look, self._width)
            async with aclosing(self._orphans(long, found)) as suspects:
                await for_each(suspects, look, self._width)
        return tally

    async def look_again(self, keys: AsyncIterator[str]) -> int:
        """Judge some keys as they are now; told is what is found.

        :returns: how many are at fault.
        :raises BackupctlError: if S3 refuses what everything needs.
        """
        faults = 0

        async def look(key: str) -> None:
            nonlocal faults
            try:
                finding = await self._driver.run(self._judge.look_again(key))
                if finding is not None and self._is_suspect(finding):
                    orphan = await self._convicted(finding)
                    finding = None if isinstance(orphan, Moved) else orphan
            except (S3Error, Failed) as error:
                self._patience.failed(error)
                finding = Finding(Kind.UNREADABLE, self._judge.source.name, key, detail=str(error))
            else:
                self._patience.succeeded()
            self._advance(1)
            if finding is not None:
                faults += finding.fault
                self._tell(finding)

        await for_each(keys, look, self._width)
        return faults

    async def _spool_long(self, long: Spool) -> None:
        prefix = self._folder("long")
        async for page in self._s3.list_objects(self._bucket, prefix):
            long.add(
                Spooling.LONG,
                [
                    (
                        entry.key[len(prefix) :],
                        ListedVersion(entry.key, "", True, False, *entry[1:]),
                    )
                    for entry in page
                ],
            )

    async def _doubtful(
        self, tally: Tally, long: Spool, found: Callable[[Finding], None]
    ) -> AsyncGenerator[tuple[Listed, Listed] | Finding]:
        """Judge what the listings tell, and give out what they do not: pairs, and suspects."""
        source = self._judge.source
        prefix = source.prefixes[0] if len(source.prefixes) == 1 else ""
        owner = f"{source.name}/"

        def take(key: str) -> Listed | None:
            return next(map(_listed, long.take(digest_of(key))), None)

        pairs = joined(
            self._s3.list_objects(source.name, prefix),
            self._s3.list_objects(self._bucket, owner + prefix),
            len(owner),
        )
        async with aclosing(pairs) as batches:
            async for batch in batches:
                findings, doubtful = self._judge.sort(batch, tally, take)
                for finding in findings:
                    if self._is_suspect(finding):
                        yield finding
                    else:
                        found(finding)
                for pair in doubtful:
                    yield pair
                self._advance(len(batch))

    async def _orphans(
        self, long: Spool, found: Callable[[Finding], None]
    ) -> AsyncGenerator[Finding]:
        """Judge what is left of the copies of long keys, and give out suspects."""
        asking, source = self._judge.asking, self._judge.source.name
        for digest, (copy, *_) in long.rest():
            key = await self._driver.run(key_of(asking, source, digest))
            if key is not None:
                for orphan in self._judge.orphan(key, _listed(copy)):
                    if self._is_suspect(orphan):
                        yield orphan
                    else:
                        found(orphan)

    def _is_suspect(self, finding: Finding) -> bool:
        return finding.kind is Kind.ORPHANED and self._judge.deletions_tracked

    async def _convicted(self, suspect: Finding) -> Finding | Moved:
        """Look whether a deletion should be recorded by now, and is not."""
        try:
            top = await latest(self._s3, self._judge.source.name, suspect.key)
            result = await self._driver.run(self._judge.convict(suspect, top, self._now()))
        except (S3Error, Failed) as error:
            self._patience.failed(error)
            return replace(suspect, kind=Kind.UNREADABLE, detail=str(error))
        self._patience.succeeded()
        return result

    async def _look(self, one: Listed, copy: Listed) -> Finding | Moved | None:
        try:
            result = await self._driver.run(self._judge.examine(one, copy))
        except (S3Error, Failed) as error:
            self._patience.failed(error)
            name = self._judge.source.name
            return Finding(Kind.UNREADABLE, name, one.key, one, copy, str(error))
        if isinstance(result, Finding) and result.kind is Kind.UNREADABLE:
            self._patience.failed(Exception(result.detail))
        else:
            self._patience.succeeded()
        return result

    @property
    def _bucket(self) -> str:
        return self._judge.asking.backup_bucket

    def _folder(self, kind: str) -> str:
        return f"{backup_keys.RESERVED}{kind}/{self._judge.source.name}/"


def _listed(spooled: tuple[Spooling, ListedVersion]) -> Listed:
    entry = spooled[1]
    return Listed(entry.key, entry.etag, entry.size, entry.modified, entry.storage_class)
