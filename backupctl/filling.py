"""Copies a job's versions in one or several processes, and shows how far it is."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from handler.copy import Engine

from .aws import Aws
from .backfill import Following, Job, Tally
from .checkpoint import Checkpoint
from .copying import Report, copy_all
from .driver import AsyncDriver
from .errors import BackupctlError
from .loops import run
from .processes import Copy, Processes, sensible
from .progress import QUIET_SECONDS, Progress
from .recording import Recorder
from .s3 import S3Client
from .s3.sharding import InParts
from .selection import Task


def check_versioning(aws: Aws, bucket: str) -> None:
    """See to it that copies do not destroy each other.

    :param bucket: name of the backup bucket.
    :raises BackupctlError: if it keeps no versions.
    """
    answer = aws.client("s3").get_bucket_versioning(Bucket=bucket)
    if answer.get("Status") != "Enabled":
        raise BackupctlError(
            f"the bucket {bucket} keeps no versions, so copies would destroy each other; name the "
            "stack's backup bucket, or run pulumi up"
        )


def fill(
    aws: Aws,
    engine: Engine,
    job: Job,
    tell: Callable[[dict[str, Any]], None],
    *,
    concurrency: int,
    processes: int | None = None,
    checkpoint: Checkpoint | None = None,
    done: Callable[[dict[str, Tally]], None] = lambda _tallies: None,
) -> dict[str, Tally]:
    """Do a job. To be called where no event loop runs.

    :param tell: told of each failure: a structure that becomes one line of JSON.
    :param concurrency: how many keys at a time.
    :param processes: how many share the work; None for what is sensible here.
    :param checkpoint: where to keep how far it is.
    :param done: told, however it ends, what became of each source's versions.
    :returns: the same.
    :raises BackupctlError: if nothing more can be done at all.
    """
    count = min(processes or sensible(), concurrency)
    width = concurrency // count
    copy = partial(_copy_here, aws, engine, width)
    with Progress("backfill", unit="versions" if job.all_versions else "objects") as progress:
        following = Following(tell, progress.advance, checkpoint)
        try:
            if count == 1:
                run(_follow(aws, job, following, copy, checkpoint, progress))
            else:
                with Processes(count, width, copy) as children:
                    run(_follow(aws, job, following, children.copy_all, checkpoint, progress))
        finally:
            if checkpoint is not None:
                checkpoint.write()
            done(following.tallies)
    return following.tallies


async def _copy_here(
    aws: Aws, engine: Engine, width: int, batches: AsyncIterator[Sequence[Task]], report: Report
) -> None:
    async with S3Client(aws, width) as s3:
        driver = AsyncDriver(s3)
        recorder = Recorder(driver, s3, engine)
        await copy_all(driver, engine, recorder, width, batches, report)


async def _follow(
    aws: Aws,
    job: Job,
    following: Following,
    copy: Copy,
    checkpoint: Checkpoint | None,
    progress: Progress,
) -> None:
    async with S3Client(aws) as s3:
        lists = InParts(s3)
        counting = asyncio.create_task(_count(job, lists, progress))
        try:
            async with aclosing(job.tasks(lists, following, checkpoint)) as tasks:
                await copy(tasks, following.report)
        finally:
            counting.cancel()
            with suppress(asyncio.CancelledError):
                await counting


async def _count(job: Job, lists: InParts, progress: Progress) -> None:
    """What takes long is worth a second listing, to tell how long."""
    await asyncio.sleep(QUIET_SECONDS)
    # Without it there is no ETA; whatever is wrong, the work itself will tell.
    with suppress(BackupctlError):
        progress.total = await job.count(lists)
