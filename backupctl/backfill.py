"""A whole backfill: what was selected goes to whoever copies, and what became of it is kept."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from handler.records import Outcome

from .checkpoint import Checkpoint, Watermark
from .copying import Result
from .errors import BackupctlError
from .findings import named
from .selection import Batch, Lists, Seen, Selection, Task, Wanted
from .stack import Source

GIVE_UP_AFTER = 100
"""So many failures without any success between have one cause."""
_OUTCOMES = tuple(Outcome)
_OF_ALL = {"403", "AccessDenied", "InvalidAccessKeyId", "NoSuchBucket", "SignatureDoesNotMatch"}
"""Kinds of failures that are hardly one object's own."""


@dataclass
class Tally:
    """What became of one source's versions."""

    seen: Seen = field(default_factory=Seen)
    outcomes: dict[Outcome, int] = field(default_factory=dict[Outcome, int])
    size: int = 0
    """Bytes copied."""
    failed: int = 0
    planned: int = 0
    planned_size: int = 0
    """Bytes that would be copied, as far as they are known."""

    def summary(self, *, planned: bool = False) -> dict[str, int]:
        """The numbers, by name.

        :param planned: whether nothing was copied.
        """
        listed = {
            "listed": self.seen.objects,
            "bytes": self.seen.size,
            "inPlace": self.seen.in_place,
            "excluded": self.seen.excluded,
        }
        if planned:
            return {**listed, "toCopy": self.planned, "bytesToCopy": self.planned_size}
        outcomes = {outcome.value: self.outcomes.get(outcome, 0) for outcome in _OUTCOMES}
        return {**listed, **outcomes, "bytesCopied": self.size, "failed": self.failed}


class Following:
    """Follows tasks on their way, of any number of sources.

    :param tell: told of each failure: a structure that becomes one line of JSON.
    :param advance: told how many versions are done since it was told last.
    :param checkpoint: where to keep how far it is.
    """

    def __init__(
        self,
        tell: Callable[[dict[str, Any]], None],
        advance: Callable[[int], None] = lambda _count: None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._tell = tell
        self._advance = advance
        self._checkpoint = checkpoint
        self._watermarks: dict[str, Watermark] = {}
        self._busy: dict[tuple[str, str], int] = {}
        self._done = asyncio.Event()
        self._failures_in_a_row = 0
        self.tallies: dict[str, Tally] = {}

    def tally(self, source: str) -> Tally:
        """What became of a source's versions so far."""
        return self.tallies.setdefault(source, Tally())

    async def of(self, source: str, batches: AsyncIterator[Batch]) -> AsyncGenerator[list[Task]]:
        """The tasks of a source, in their order, as they come."""
        watermark = self._watermarks.setdefault(source, Watermark())
        async for batch in batches:
            async with aclosing(self.named(_alone(batch))) as tasks:
                async for some in tasks:
                    yield some
            if batch.until:
                watermark.end(watermark.begin(batch.until))
                self._keep(source)

    async def named(self, batches: AsyncIterator[Batch]) -> AsyncGenerator[list[Task]]:
        """Tasks of any source; those of one key one after the other."""
        async for batch in batches:
            self._advance(batch.in_place)
            for task in batch.tasks:
                while (task.bucket, task.key) in self._busy:
                    self._done.clear()
                    await self._done.wait()
            for task in batch.tasks:
                watermark = self._watermarks.setdefault(task.bucket, Watermark())
                self._busy[task.bucket, task.key] = watermark.begin(task.key)
            if batch.tasks:
                yield batch.tasks

    def report(self, task: Task, results: Sequence[Result]) -> None:
        """A task is done.

        :raises BackupctlError: if nothing succeeds any more.
        """
        tally = self.tally(task.bucket)
        for wanted, result in zip(task.versions, results, strict=True):
            if result.outcome is None:
                tally.failed += 1
                self._failed(task, wanted, result)
            else:
                self._failures_in_a_row = 0
                tally.outcomes[result.outcome] = tally.outcomes.get(result.outcome, 0) + 1
                tally.size += result.size
        self._end(task, well=all(result.outcome is not None for result in results))

    def plan(self, task: Task) -> Iterator[dict[str, Any]]:
        """A task is only looked at.

        :returns: a structure for each version that would be copied.
        """
        tally = self.tally(task.bucket)
        for wanted in task.versions:
            tally.planned += 1
            tally.planned_size += wanted.size or 0
            yield {
                "bucket": task.bucket,
                "key": task.key,
                **({} if wanted.version_id is None else {"version_id": wanted.version_id}),
                "reason": wanted.reason,
                **({} if wanted.size is None else {"size": wanted.size}),
                **({} if wanted.deleted is None else {"deleted": wanted.deleted}),
            }
        self._end(task, well=True)

    def _end(self, task: Task, *, well: bool) -> None:
        number = self._busy.pop((task.bucket, task.key))
        self._watermarks[task.bucket].end(number, well=well)
        self._keep(task.bucket)
        self._done.set()
        self._advance(len(task.versions))

    def _failed(self, task: Task, wanted: Wanted, result: Result) -> None:
        self._tell(
            {
                "bucket": task.bucket,
                "key": task.key,
                **({} if wanted.version_id is None else {"version_id": wanted.version_id}),
                **({} if wanted.deleted is None else {"deleted": wanted.deleted}),
                "kind": result.kind,
                "retryable": result.retryable,
                "problem": result.problem,
                "cure": result.cure,
            }
        )
        # A thousand archived objects side by side are no reason to leave out all others.
        self._failures_in_a_row += result.retryable or result.kind in _OF_ALL
        if self._failures_in_a_row >= GIVE_UP_AFTER:
            raise BackupctlError(
                f"gave up after {GIVE_UP_AFTER} failures in a row, the last of them: "
                f"{result.problem}; {result.cure}"
            )

    def _keep(self, source: str) -> None:
        key = self._watermarks[source].key
        if self._checkpoint is not None and key:
            self._checkpoint.passed(source, key)


@dataclass(frozen=True)
class Job:
    """What there is to do.

    :param sources: names and filters.
    :param all_versions: whether to copy all versions, not only the current ones.
    :param everything: whether to look also at what seems to be in place.
    :param deletions: whether to record deletions too, where all versions are copied.
    :param lines: of a file that names what to copy, instead of what listings tell.
    :param name: of that file.
    """

    backup_bucket: str
    sources: Sequence[Source]
    all_versions: bool = False
    everything: bool = False
    deletions: bool = False
    lines: Iterable[str] | None = None
    name: str = ""

    async def tasks(
        self, lists: Lists, following: Following, checkpoint: Checkpoint | None = None
    ) -> AsyncGenerator[list[Task]]:
        """All of it, in order, some at a time."""
        if self.lines is not None:
            allowed = [source.name for source in self.sources] or None
            async with aclosing(named(self.lines, self.name, allowed)) as batches:
                async for tasks in following.named(batches):
                    yield tasks
            return
        for source in self.sources:
            selection = Selection(
                lists,
                source,
                self.backup_bucket,
                checkpoint.start_after(source.name) if checkpoint else "",
                self.everything,
                self.deletions,
                following.tally(source.name).seen,
            )
            chosen = selection.versions() if self.all_versions else selection.current()
            async with aclosing(chosen) as batches:
                async for tasks in following.of(source.name, batches):
                    yield tasks

    async def count(self, lists: Lists) -> int | None:
        """How many versions there are in all; None if only copying them will tell."""
        if self.lines is not None:
            return None
        total = 0
        for source in self.sources:
            listing = lists.versions if self.all_versions else lists.objects
            for prefix in source.prefixes:
                async with aclosing(listing(source.name, prefix, "")) as pages:
                    async for page in pages:
                        total += len(page)
        return total


async def _alone(batch: Batch) -> AsyncGenerator[Batch]:
    yield batch
