"""Records deletions of which no event told; those that a line of a file claims, if that holds.

An event is a fact. A line may be old: the key may be back since, and then the backup would go on
showing it while every restore left it out. So the source is looked at once more, right before.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TypeVar

from handler import backup_keys
from handler.asking import Asking
from handler.copy import Engine
from handler.deletion_records import DeletionRecords
from handler.deletions import UNVERSIONED
from handler.failures import Failed
from handler.records import Backup, ObjectVersion, Outcome, Removal
from handler.requests import S3Error, Steps

from .driver import AsyncDriver
from .latest import latest, versions
from .moments import second
from .protocols import Lists
from .selection import Reason, Task, Wanted

T = TypeVar("T")

SETTLED = timedelta(seconds=5)
"""The look comes so much later than what is recorded. What has no sequencer is the last of its
second, so what is written after the look must be of a later one; and clocks differ a little."""


class Recorder:
    """Records deletions.

    :param driver: asks S3.
    :param lists: lists the sources.
    :param engine: knows how to record one.
    :param now: the time (UTC).
    """

    def __init__(
        self,
        driver: AsyncDriver,
        lists: Lists,
        engine: Engine,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._driver = driver
        self._lists = lists
        self._engine = engine
        self._asking = Asking(engine.backup_bucket, engine.owner)
        self._now = now
        self._sleep = sleep

    async def record(self, task: Task, wanted: Wanted, deleted: str) -> Backup:
        """Record one.

        :param deleted: when that was, in ISO 8601.
        :returns: what became of it.
        :raises Failed: if it could not be recorded, or a line claims it and it does not hold.
        :raises BackupctlError: if the source cannot be listed.
        """
        time = datetime.fromisoformat(deleted).astimezone(UTC)
        if wanted.reason is Reason.NAMED and self._engine.track_deletes:
            await self._let_pass(time)
            if wanted.version_id is not None:
                await self._check_marker(task, wanted.version_id, time)
            elif not await self._is_to_be_recorded(task, time):
                return Backup(Outcome.DUPLICATE)
        removal = Removal(task.bucket, task.key, wanted.version_id, True, time)
        return await self._driver.run(self._engine.remove(removal))

    async def show_again(self, task: Task) -> Backup | None:
        """Record which delete markers the source has no more, if the backup hides what it shows.

        :returns: what became of it; None if that is not so.
        :raises Failed: if it could not be recorded.
        :raises BackupctlError: if the source cannot be listed.
        """
        if not self._engine.track_deletes:
            return None
        place = ObjectVersion(task.bucket, task.key)
        if await self._ask(self._copied(task)) is not None:
            return None
        recorded = await self._ask(DeletionRecords(self._asking).read(place))
        # The name "null" may be another's by now, and then what counts is that one's write.
        markers = [one.version_id for one in recorded.deletions.entries if one.marker]
        gone = dict.fromkeys(name for name in markers if name not in {None, UNVERSIONED})
        top = None
        async with aclosing(versions(self._lists, task.bucket, task.key)) as there:
            async for one in there:
                top = one if one.is_latest else top
                gone.pop(one.version_id, None)
        backup = None
        if top is not None and not top.is_marker:
            for name in gone:
                removal = Removal(task.bucket, task.key, name, False, self._now())
                backup = await self._driver.run(self._engine.remove(removal))
        return backup

    async def _let_pass(self, time: datetime) -> None:
        ahead = time - self._now()
        if ahead > SETTLED:
            raise _outdated("its time is still to come")
        if ahead > -SETTLED:
            await self._sleep((ahead + SETTLED).total_seconds())

    async def _check_marker(self, task: Task, marker: str, time: datetime) -> None:
        top = await latest(self._lists, task.bucket, task.key)
        # Another marker may have the name "null" by now.
        if top is None or (top.is_marker, top.version_id, top.modified) != (True, marker, time):
            raise _outdated(
                f"the delete marker {marker} is not the latest of its key in the source"
            )

    async def _is_to_be_recorded(self, task: Task, time: datetime) -> bool:
        """Whether the backup shows a copy of what was gone from the source at that time."""
        copied = await self._ask(self._copied(task))
        if copied is not None and second(copied) >= second(time):
            raise _outdated("its key was copied since")
        if await latest(self._lists, task.bucket, task.key) is not None:
            raise _outdated("the source has its key")
        return copied is not None

    async def _ask(self, steps: Steps[T]) -> T:
        try:
            return await self._driver.run(steps)
        except S3Error as error:
            raise Failed.of(error) from error

    def _copied(self, task: Task) -> Steps[datetime | None]:
        """When the copy on show was made; None if there is none."""
        shown = self._asking.in_backup(backup_keys.backup_key(task.bucket, task.key))
        try:
            return (yield from self._asking.ask("HeadObject", **shown))["LastModified"]
        except S3Error as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise


def _outdated(why: str) -> Failed:
    return Failed(
        f"nothing is recorded, for the line is outdated: {why}; verify again, and use what that "
        "finds",
        kind="Outdated",
        retryable=False,
    )
