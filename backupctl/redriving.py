"""What is in the failure queue, and its way into the backup after all."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from handler.copy import Engine
from handler.events import Damaged
from handler.failures import Failed
from handler.records import Backup, ObjectVersion, Outcome, Removal
from handler.requests import Steps

from .driver import AsyncDriver
from .errors import BackupctlError
from .failed_events import FailedEvent, Record
from .failure_queue import FailureQueue
from .moments import shown
from .parallel import Patience, for_each
from .reasons import DAMAGED, NOT_A_SOURCE, OF_ALL, UNEXPECTED, cure, told

_EXAMPLES = 3


@dataclass
class Group:
    """Messages that failed for the same reason."""

    reason: str
    oldest: datetime
    messages: int = 0
    records: int = 0
    problem: str = ""
    """What was said of one of them."""
    examples: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Bucket and key of some."""
    damaged: list[str] = field(default_factory=list[str])
    """Ids of those that nobody can read."""

    def add(self, event: FailedEvent) -> None:
        """One more."""
        self.messages += 1
        self.records += len(event.records)
        self.oldest = min(self.oldest, event.since)
        self.problem = self.problem or event.problem
        for one in event.records:
            if isinstance(one, Damaged):
                self.problem = self.problem or one.problem
            elif len(self.examples) < _EXAMPLES:
                self.examples.append((one.bucket, one.key))
        if event.damaged:
            self.damaged.append(event.id)

    def to_json(self) -> dict[str, Any]:
        """The same as what becomes JSON."""
        return {
            "reason": self.reason,
            "cure": cure(self.reason),
            "messages": self.messages,
            "records": self.records,
            "oldest": shown(self.oldest),
            "problem": self.problem,
            "examples": [{"bucket": bucket, "key": key} for bucket, key in self.examples],
            **({"damaged": self.damaged} if self.damaged else {}),
        }


@dataclass(frozen=True)
class Wanted:
    """Which messages.

    :param reasons: empty for all.
    :param buckets: names of source buckets of which a message has a record; empty for all.
    :param ids: None for all.
    """

    reasons: Collection[str] = ()
    buckets: Collection[str] = ()
    ids: Collection[str] | None = None

    def __contains__(self, event: FailedEvent) -> bool:
        return (
            (not self.reasons or event.reason in self.reasons)
            and (not self.buckets or not event.buckets.isdisjoint(self.buckets))
            and (self.ids is None or event.id in self.ids)
        )


@dataclass
class Look:
    """What is in the queue."""

    groups: dict[str, Group] = field(default_factory=dict[str, Group])
    """Of the wanted messages, by reason."""
    ids: set[str] = field(default_factory=set[str])
    """Of the wanted messages."""
    damaged: set[str] = field(default_factory=set[str])
    """Ids of the wanted messages with something that nobody can read."""
    others: int = 0
    """Messages that are not wanted."""

    @property
    def records(self) -> int:
        """In all wanted messages together."""
        return sum(group.records for group in self.groups.values())


async def look(
    queue: FailureQueue, wanted: Wanted, advance: Callable[[int], None] = lambda _count: None
) -> Look:
    """Look at all messages.

    :param advance: told how many were looked at since it was told last.
    """
    found = Look()
    async with aclosing(queue.events()) as batches:
        async for batch in batches:
            for event in batch:
                if event not in wanted:
                    found.others += 1
                    continue
                found.ids.add(event.id)
                if event.damaged:
                    found.damaged.add(event.id)
                new = Group(event.reason, event.since)
                found.groups.setdefault(event.reason, new).add(event)
            advance(len(batch))
    return found


class Problem(NamedTuple):
    """Why a record is not in the backup."""

    message_id: str
    record: Record
    kind: str
    text: str

    def to_json(self) -> dict[str, Any]:
        """The same as what becomes JSON."""
        record = self.record
        name: dict[str, Any] = {}
        if not isinstance(record, Damaged):
            name = {"bucket": record.bucket, "key": record.key, "version_id": record.version_id}
        return {
            "message": self.message_id,
            **name,
            "kind": self.kind,
            "problem": self.text,
            "cure": cure(self.kind),
        }


@dataclass
class Tally:
    """What became of the messages."""

    removed: int = 0
    """Messages that are not in the queue any more."""
    outcomes: dict[Outcome, int] = field(default_factory=dict[Outcome, int])
    """How their records ended."""
    size: int = 0
    """Bytes copied."""
    discarded: int = 0
    """Records that nobody can read, given up."""
    problems: int = 0


class Redrive:
    """Takes messages out of the queue by doing what they ask for.

    A message goes when all its records are done: what was copied is looked at once more before.

    :param driver: asks S3 for the engine.
    :param sources: names of the buckets whose events may be handled; None for any.
    :param discard: whether records that nobody can read are given up.
    :param on_discard: told of each message of which something is given up, before it goes.
    :param tally: counts what becomes of the messages.
    :param tell: told of every problem.
    :param advance: told how many messages are done with since it was told last.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        engine: Engine,
        queue: FailureQueue,
        tell: Callable[[Problem], None],
        advance: Callable[[int], None] = lambda _count: None,
        *,
        sources: Collection[str] | None = None,
        discard: bool = False,
        on_discard: Callable[[FailedEvent], None] = lambda _event: None,
        tally: Tally | None = None,
    ) -> None:
        self._driver = driver
        self._engine = engine
        self._queue = queue
        self._tell = tell
        self._advance = advance
        self._sources = sources
        self._discard = discard
        self._on_discard = on_discard
        self._patience = Patience()
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self.tally = tally or Tally()

    async def run(self, ids: Collection[str], width: int) -> None:
        """Redrive these messages.

        :param ids: of the messages.
        :param width: how many at a time.
        :raises BackupctlError: if nothing succeeds any more.
        """
        hiding = asyncio.create_task(self._queue.keep_hidden())
        async with aclosing(self._events(ids)) as events:
            working = asyncio.create_task(for_each(events, self._redrive, width))
            try:
                await asyncio.wait((hiding, working), return_when=asyncio.FIRST_COMPLETED)
                # Hiding ends only if it fails.
                await (working if working.done() else hiding)
            finally:
                for task in (hiding, working):
                    task.cancel()
                    with suppress(asyncio.CancelledError, Exception):
                        await task

    async def _events(self, ids: Collection[str]) -> AsyncGenerator[FailedEvent]:
        left = set(ids)
        async with aclosing(self._queue.events()) as batches:
            async for batch in batches:
                chosen = [event for event in batch if event.id in left]
                # All of them wait for a hand from now on.
                for event in chosen:
                    self._queue.keep(event)
                for event in chosen:
                    left.discard(event.id)
                    yield event
                if not left:
                    return

    async def _redrive(self, event: FailedEvent) -> None:
        problems = [
            problem
            for record in event.records
            if (problem := await self._handle(event, record)) is not None
        ]
        for problem in problems:
            self._tell(problem)
        self.tally.problems += len(problems)
        if problems:
            self._queue.let_go(event)
        else:
            if event.damaged:
                self._on_discard(event)
            await self._queue.remove(event)
            self.tally.removed += 1
        self._advance(1)

    async def _handle(self, event: FailedEvent, record: Record) -> Problem | None:
        if isinstance(record, Damaged):
            if self._discard:
                self.tally.discarded += 1
                return None
            return Problem(event.id, record, DAMAGED, record.problem)
        if self._sources is not None and record.bucket not in self._sources:
            return Problem(event.id, record, NOT_A_SOURCE, f"{record.bucket} is no source")
        # Others of the same key would only get into each other's way.
        lock = self._locks.setdefault((record.bucket, record.key), asyncio.Lock())
        async with lock:
            try:
                backup = await self._driver.run(verified(self._engine, record))
            except Failed as failure:
                if failure.retryable or failure.kind in OF_ALL:
                    self._patience.failed(failure)
                return Problem(event.id, record, failure.kind, told(failure))
            except BackupctlError:
                raise
            except Exception as error:
                # Whatever is wrong with one record, the others are still redriven.
                text = f"{type(error).__name__}: {error}"
                return Problem(event.id, record, UNEXPECTED, text)
        self._patience.succeeded()
        self.tally.outcomes[backup.outcome] = self.tally.outcomes.get(backup.outcome, 0) + 1
        self.tally.size += backup.size
        return None


def verified(engine: Engine, record: ObjectVersion | Removal) -> Steps[Backup]:
    """Handle a record, and have the engine find what it copied.

    Every other outcome is what the engine saw in the first place.

    :raises Failed: if it could not be handled, or what was copied is not there.
    """
    if isinstance(record, Removal):
        return (yield from engine.remove(record))
    backup = yield from engine.copy(record)
    if backup.outcome is Outcome.COPIED:
        again = yield from engine.copy(record)
        if again.outcome is Outcome.COPIED:
            raise Failed(
                "the copy was gone when it was looked at; redrive the event",
                kind="Contention",
                retryable=True,
            )
    return backup


def summary(tally: Tally, selected: int) -> dict[str, Any]:
    """The numbers, by name."""
    return {
        "selected": selected,
        "redriven": tally.removed,
        "left": selected - tally.removed,
        "records": {outcome.value: tally.outcomes.get(outcome, 0) for outcome in Outcome},
        "bytes": tally.size,
        "discarded": tally.discarded,
        "problems": tally.problems,
    }


def ordered(groups: Iterable[Group]) -> list[Group]:
    """The largest first."""
    return sorted(groups, key=lambda group: (-group.messages, group.reason))
