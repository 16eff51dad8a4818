"""Copies what was selected, many keys at a time and each key's versions in their order."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from handler.copy import Engine
from handler.failures import Failed
from handler.records import Backup, ObjectVersion, Outcome

from .driver import AsyncDriver
from .explanations import explain_failure
from .parallel import for_each_in
from .recording import Recorder
from .selection import Reason, Task, Wanted


class Result(NamedTuple):
    """What became of one version."""

    outcome: Outcome | None
    """None if it failed."""
    size: int = 0
    """Bytes copied."""
    kind: str = ""
    """Of the failure."""
    retryable: bool = False
    """Whether the same may succeed later without anybody doing anything."""
    problem: str = ""
    """What went wrong."""
    cure: str = ""
    """What to do about it."""


Report = Callable[[Task, Sequence[Result]], None]
"""Is told what became of a task: one result for each version."""


async def copy_all(
    driver: AsyncDriver,
    engine: Engine,
    recorder: Recorder,
    width: int,
    batches: AsyncIterator[Sequence[Task]],
    report: Report,
) -> None:
    """Copy.

    :param driver: asks S3 for the engine.
    :param recorder: records what is a deletion.
    :param width: how many keys at a time.
    :param batches: what to copy; the next one is asked for when all of the last one is begun.
    :raises BackupctlError: if nothing more can be done at all.
    """

    async def work(task: Task) -> None:
        report(task, await _results(driver, engine, recorder, task))

    await for_each_in(batches, work, width)


async def _results(
    driver: AsyncDriver, engine: Engine, recorder: Recorder, task: Task
) -> list[Result]:
    results: list[Result] = []
    for wanted in task.versions:
        try:
            backup = await _backup(driver, engine, recorder, task, wanted)
        except Failed as failure:
            # A version that fails keeps no newer one from its backup: the engine puts each where
            # it belongs, whatever the order.
            problem, cure = explain_failure(failure)
            results.append(Result(None, 0, failure.kind, failure.retryable, problem, cure))
        else:
            results.append(Result(backup.outcome, backup.size))
    return results


async def _backup(
    driver: AsyncDriver, engine: Engine, recorder: Recorder, task: Task, wanted: Wanted
) -> Backup:
    if wanted.deleted is not None:
        return await recorder.record(task, wanted, wanted.deleted)
    source = ObjectVersion(task.bucket, task.key, wanted.version_id)
    backup = await driver.run(engine.copy(source, again=wanted.again))
    if backup.outcome is Outcome.DUPLICATE and wanted.reason is Reason.NAMED:
        # Whoever names what is there already may miss it on show.
        return await recorder.show_again(task) or backup
    return backup
