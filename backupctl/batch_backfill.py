"""A backfill by S3 Batch Operations: one job for each source, which S3 works off by itself."""

import asyncio
import itertools
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from .backfill import Following, Job
from .batch_places import MANIFESTS
from .batch_rows import NamedRows, Row, Rows
from .errors import BackupctlError
from .findings import named
from .jobs import ENDED, Jobs, Record, State
from .manifests import Manifest, ManifestWriter
from .progress import Progress
from .s3.sharding import InParts
from .stack import Source

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 15.0
"""Seconds between two looks at a job."""
_ROWS_AT_ONCE = 1000

Tell = Callable[[dict[str, Any]], None]
"""Is told of each failure: a structure that becomes one line of JSON."""


@dataclass
class Outcome:
    """What became of one source."""

    seen: Mapping[str, int]
    """What the listings, or the file, had."""
    tasks: int = 0
    succeeded: int = 0
    failed: int = 0
    kinds: Counter[str] = field(default_factory=Counter[str])
    """How many failed for which reason."""

    @property
    def faults(self) -> int:
        """How much is not done."""
        return self.failed + self.seen.get("notForJobs", 0)

    def summary(self) -> dict[str, int]:
        """The numbers, by name."""
        done = {"tasks": self.tasks, "succeeded": self.succeeded, "failed": self.failed}
        return {**self.seen, **done}


@dataclass
class BatchBackfill:
    """Goes on where an earlier run ended: with the manifest, with the job, or with its report.

    :param jobs: the stack's.
    :param about: the options that decide what is in a manifest.
    :param tell: told of each failure.
    """

    jobs: Jobs
    about: Mapping[str, bool]
    tell: Tell
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])

    async def begin(
        self, lists: InParts, sources: Sequence[Source], progress: Progress
    ) -> dict[str, Record]:
        """Have a job for each source that needs one.

        :returns: the records of those that have one.
        :raises BackupctlError: if another backfill's job is under way.
        """
        begun: dict[str, Record] = {}
        for source in sources:
            record = await asyncio.to_thread(self._under_way, source.name, self.about)
            if record is None:
                record = await self._listed(lists, source, progress)
            if record is not None:
                begun[source.name] = await asyncio.to_thread(self._created, source.name, record)
        return begun

    async def begin_named(
        self, lines: Iterable[str], name: str, sources: Sequence[Source], progress: Progress
    ) -> dict[str, Record]:
        """Have a job for each source of which lines name something to copy.

        :param lines: as `findings.named` takes them.
        :param name: of the file, for messages.
        :param sources: those that may be named.
        :returns: the records, as `begin` does.
        :raises BackupctlError: if another backfill's job is under way.
        :raises WrongUse: if the lines cannot be understood; then there is no new job.
        """
        begun: dict[str, Record] = {}
        with NamedRows(name, self.tell) as rows:
            allowed = [source.name for source in sources]
            async with aclosing(named(lines, name, allowed)) as batches:
                async for batch in batches:
                    for task in batch.tasks:
                        rows.add(task)
                    progress.advance(len(batch.tasks))
            for source, some in rows.by_source.items():
                about = {"from": some.digest}
                seen = {"named": some.count + some.unfit, "notForJobs": some.unfit}
                record = None
                if some.count:
                    record = await asyncio.to_thread(self._under_way, source, about)
                    record = record or await self._named(source, some, about)
                if record is None:
                    self.outcomes[source] = Outcome(seen)
                else:
                    record.seen = seen
                    begun[source] = await asyncio.to_thread(self._created, source, record)
        return begun

    def _under_way(self, source: str, about: Mapping[str, bool | str]) -> Record | None:
        """The record of a job whose end nobody was told of.

        :raises BackupctlError: if it is a job for something else, and has not ended.
        """
        record = self.jobs.record(source)
        if record is None or record.told:
            return None
        same = record.about == about
        if same and record.job is None:
            return record
        # Without an id, either S3 refused the job, or nobody heard what S3 said.
        job = record.job or self.jobs.find(source, record)
        state = None if job is None else self.jobs.state(job)
        if state is None:
            return None
        if same:
            return record
        if state.status in ENDED:
            return None
        raise BackupctlError(
            f"the job {job} of another backfill is under way for {source}; run "
            f"{_command(source, record.about)} to follow it, or cancel it with aws s3control "
            "update-job-status"
        )

    async def _listed(self, lists: InParts, source: Source, progress: Progress) -> Record | None:
        """Write the manifest of a source; None if everything is in place."""
        following = Following(self.tell, progress.advance)
        job = Job(
            self.jobs.backup_bucket,
            (source,),
            all_versions=self.about["all_versions"],
            everything=self.about["everything"],
        )

        async def rows() -> AsyncGenerator[list[Row]]:
            async with aclosing(job.tasks(lists, following)) as batches:
                async for tasks in batches:
                    yield [
                        (task.key, line.get("version_id"))
                        for task in tasks
                        for line in following.plan(task)
                    ]

        token = uuid.uuid4().hex
        manifest = await self._manifest(source.name, token, rows(), versions=job.all_versions)
        planned = following.tally(source.name).summary(planned=True)
        seen = {name: planned[name] for name in ("listed", "bytes", "inPlace", "excluded")}
        if manifest is None:
            self.outcomes[source.name] = Outcome(seen)
            return None
        return Record(self.about, manifest, seen, token)

    async def _named(
        self, source: str, rows: Rows, about: Mapping[str, bool | str]
    ) -> Record | None:
        """Write the manifest of what a file names; None if none of it is for a job."""

        async def some() -> AsyncGenerator[list[Row]]:
            every = iter(rows)
            while batch := list(itertools.islice(every, _ROWS_AT_ONCE)):
                yield batch

        token = uuid.uuid4().hex
        manifest = await self._manifest(source, token, some(), versions=rows.versions)
        return manifest and Record(about, manifest, {}, token)

    async def _manifest(
        self, source: str, token: str, batches: AsyncGenerator[list[Row]], *, versions: bool
    ) -> Manifest | None:
        """Write a manifest; None if there are no rows."""
        writer = ManifestWriter(
            self.jobs.aws.client("s3"),
            self.jobs.backup_bucket,
            f"{MANIFESTS}{source}/{token}.csv",
            self.jobs.owner,
            versions=versions,
        )
        try:
            async with aclosing(batches) as rows:
                async for batch in rows:
                    for key, version_id in batch:
                        writer.add(source, key, version_id)
                    if writer.is_full:
                        await asyncio.to_thread(writer.send)
            return await asyncio.to_thread(writer.close)
        finally:
            await asyncio.to_thread(writer.give_up)

    def _created(self, source: str, record: Record) -> Record:
        if record.job is None:
            # Before the job: whoever comes after a crash must create the same one.
            self.jobs.keep(source, record)
            record.job = self.jobs.create(source, record)
            self.jobs.keep(source, record)
        return record

    def follow(self, records: Mapping[str, Record], progress: Progress) -> None:
        """Wait for the ends of jobs, and tell what failed.

        :raises BackupctlError: if a job did not come to its regular end.
        """
        progress.total = sum(record.manifest.rows for record in records.values())
        states: dict[str, State] = {}
        wait = _FIRST_WAIT
        while True:
            for source, record in records.items():
                if source not in states or states[source].status not in ENDED:
                    states[source] = self._state(source, record)
            progress.advance(sum(state.done for state in states.values()) - progress.done)
            if all(state.status in ENDED for state in states.values()):
                break
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
        for source, record in records.items():
            self._end(source, record, states[source])
        problems = [
            f"the job {records[source].job} for {source} is {state.status.lower()}"
            + (f": {state.reasons}" if state.reasons else "")
            for source, state in states.items()
            if state.status != "Complete"
        ]
        if problems:
            raise BackupctlError(f"{'; '.join(problems)}; mend it, and run the command again")

    def _state(self, source: str, record: Record) -> State:
        job = record.job or ""
        state = self.jobs.state(job)
        if state is None:
            raise BackupctlError(f"S3 does not know the job {job} for {source} any more")
        if state.status == "Suspended":
            raise BackupctlError(
                f"the job {job} for {source} waits for somebody to confirm it; do so with aws "
                "s3control update-job-status, and run the command again"
            )
        return state

    def _end(self, source: str, record: Record, state: State) -> None:
        outcome = Outcome(record.seen, state.total, state.succeeded, state.failed)
        self.outcomes[source] = outcome
        if state.failed:
            for line in self.jobs.failures(record.job or ""):
                outcome.kinds[line["kind"]] += 1
                self.tell(line)
        # Only now: whoever is interrupted before is told everything by the next run.
        record.told = True
        self.jobs.keep(source, record)


def _command(source: str, about: Mapping[str, bool | str]) -> str:
    """What follows a job that is about this."""
    if "from" in about:
        return "backfill --engine batch --from with the same lines"
    options = [f"--{name.replace('_', '-')}" for name, on in about.items() if on]
    return " ".join(["backfill", source, "--engine batch", *options])
