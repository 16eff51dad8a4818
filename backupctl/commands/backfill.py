"""`backupctl backfill`."""

import json
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from backupctl.aws import Aws
from backupctl.backfill import Following, Job, Tally
from backupctl.checkpoint import Checkpoint
from backupctl.errors import DONE, PROBLEM, WrongUse
from backupctl.filling import check_versioning, fill
from backupctl.loops import run
from backupctl.options import Command, Settings
from backupctl.progress import Progress
from backupctl.s3 import S3Client
from backupctl.s3.sharding import InParts
from backupctl.stack import Source
from backupctl.tables import show

if TYPE_CHECKING:
    from backupctl.batch_backfill import BatchBackfill
    from backupctl.jobs import Record

_EXAMPLE = """\
backupctl --stack prod backfill --dry-run
backupctl --stack prod backfill invoices --all-versions --checkpoint invoices.json"""
_CONCURRENCY = 128


@click.command(cls=Command, example=_EXAMPLE)
@click.argument("buckets", nargs=-1)
@click.option(
    "--all-versions",
    is_flag=True,
    help="Copy all versions, each key's oldest first, instead of the current ones.",
)
@click.option(
    "--track-deletes",
    is_flag=True,
    help="Deletions are tracked; needed only without --stack, which tells.",
)
@click.option(
    "--storage-class",
    metavar="NAME",
    default="STANDARD",
    show_default=True,
    help="Of the copies; needed only without --stack, which tells.",
)
@click.option(
    "--everything",
    is_flag=True,
    help="Ask also about what seems to be in the backup, by size and time.",
)
@click.option(
    "--from",
    "file",
    metavar="FILE",
    help="Copy what the lines of this file name, findings of verify say; - for stdin.",
)
@click.option("--dry-run", is_flag=True, help="Copy nothing; print what would be copied.")
@click.option(
    "--checkpoint",
    metavar="FILE",
    help="Keep there how far it is; the same command with the same file goes on from there.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 4096),
    default=_CONCURRENCY,
    show_default=True,
    help="Objects to copy at a time.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Processes to share the work. Without it: as many as there are processors, up to 4.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "batch"]),
    default="local",
    show_default=True,
    help="Who copies: this machine, or jobs of S3 Batch Operations, which go on by themselves.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, on stdout.")
@click.pass_obj
def backfill(settings: Settings, buckets: tuple[str, ...], **options: Any) -> int:  # noqa: ANN401 - click's
    """Copy what is not in the backup yet, of BUCKETS or of all of a stack's.

    Looks at the listings of both sides and copies what is missing or stale. Safe beside live
    events, and safe to stop: the next run copies nothing twice. Each failure is a line of JSON on
    stdout, which --from takes; the exit code is 1 if there are any.

    With --engine batch, which needs batchOperations in the stack's config, it writes a list of
    what to copy and creates a job for each source; run again, it follows the jobs under way. What
    no job can do of what --from names is a line too.
    """
    by_jobs = options["engine"] == "batch"
    if by_jobs and options["checkpoint"]:
        raise WrongUse(
            "--checkpoint is for the local engine: jobs keep how far they are by themselves, and "
            "the same command follows them; leave it out"
        )
    if options["file"] is not None and (buckets or options["checkpoint"]):
        raise WrongUse("--from names what to copy; leave BUCKETS and --checkpoint out")
    if by_jobs and not options["dry_run"]:
        return _by_jobs(settings, buckets, options)
    deletions = settings.stack.track_deletes if settings.stack else options["track_deletes"]
    # A job copies; it cannot record a deletion.
    deletions = deletions and not by_jobs
    with _lines(options["file"]) as lines:
        job = Job(
            settings.backup_bucket,
            _sources(settings, buckets, by_file=lines is not None),
            all_versions=options["all_versions"],
            everything=options["everything"],
            deletions=deletions,
            lines=lines,
            name=options["file"] or "",
        )
        check_versioning(settings.aws, job.backup_bucket)
        if options["dry_run"]:
            return _print_plan(settings.aws, job, as_json=options["as_json"], by_jobs=by_jobs)
        return _copy(settings, job, options)


@contextmanager
def _lines(file: str | None) -> Generator[TextIO | None]:
    if file is None:
        yield None
    elif file == "-":
        yield sys.stdin
    else:
        try:
            opened = Path(file).open(encoding="utf-8")  # noqa: SIM115 - closed below
        except OSError as error:
            raise WrongUse(f"--from {file} cannot be read: {error.strerror}") from error
        with opened:
            yield opened


def _sources(settings: Settings, buckets: tuple[str, ...], *, by_file: bool) -> tuple[Source, ...]:
    if by_file and settings.stack is None:
        # The file names them.
        return ()
    return tuple(settings.sources(buckets))


def _print_plan(aws: Aws, job: Job, *, as_json: bool, by_jobs: bool) -> int:
    # Whoever copies here needs nothing of jobs.
    from backupctl.batch_rows import unfit  # noqa: PLC0415

    following = Following(_print_line)
    left = 0

    async def plan() -> None:
        nonlocal left
        async with S3Client(aws) as s3, aclosing(job.tasks(InParts(s3), following)) as batches:
            async for tasks in batches:
                for task in tasks:
                    for line, wanted in zip(following.plan(task), task.versions, strict=True):
                        not_for_jobs = unfit(task, wanted) if by_jobs else None
                        left += not_for_jobs is not None
                        _print_line(not_for_jobs or line)

    try:
        run(plan())
    finally:
        _summarise(following.tallies, as_json=as_json, planned=True)
    return PROBLEM if left else DONE


def _copy(settings: Settings, job: Job, options: dict[str, Any]) -> int:
    checkpoint = _checkpoint(job, options["checkpoint"])
    tallies = fill(
        settings.aws,
        settings.engine(options["storage_class"], track_deletes=job.deletions),
        job,
        _print_line,
        concurrency=options["concurrency"],
        processes=options["processes"],
        checkpoint=checkpoint,
        done=partial(_summarise, as_json=options["as_json"]),
    )
    if any(tally.failed for tally in tallies.values()):
        return PROBLEM
    if checkpoint is not None:
        checkpoint.remove()
    return DONE


def _by_jobs(settings: Settings, buckets: tuple[str, ...], options: dict[str, Any]) -> int:
    # Whoever copies here needs nothing of that.
    from backupctl.batch_backfill import BatchBackfill  # noqa: PLC0415
    from backupctl.jobs import Jobs  # noqa: PLC0415

    batch = settings.stack.batch if settings.stack else None
    if settings.stack is None or batch is None:
        raise WrongUse("--engine batch needs --stack, of a stack with batchOperations: true")
    check_versioning(settings.aws, settings.backup_bucket)
    all_versions = options["all_versions"]
    if all_versions and settings.stack.track_deletes:
        note = "jobs record no deletions; a run with the local engine afterwards does"
        print(f"backupctl: {note}", file=sys.stderr)
    jobs = Jobs(settings.aws, settings.owner, settings.backup_bucket, batch)
    about = {"all_versions": all_versions, "everything": options["everything"]}
    work = BatchBackfill(jobs, about, _print_line)
    sources = settings.sources(buckets)
    with (
        _lines(options["file"]) as lines,
        Progress("manifests", unit="versions" if all_versions else "objects") as progress,
    ):
        if lines is None:
            records = run(_begin(settings.aws, work, sources, progress))
        else:
            records = run(work.begin_named(lines, options["file"], sources, progress))
    try:
        if records:
            with Progress("jobs", unit="tasks") as progress:
                work.follow(records, progress)
    except KeyboardInterrupt:
        print("backupctl: the jobs go on; the same command follows them", file=sys.stderr)
        raise
    finally:
        _summarise_jobs(work, as_json=options["as_json"])
    return PROBLEM if any(outcome.faults for outcome in work.outcomes.values()) else DONE


async def _begin(
    aws: Aws, work: "BatchBackfill", sources: Sequence[Source], progress: Progress
) -> "dict[str, Record]":
    async with S3Client(aws) as s3:
        return await work.begin(InParts(s3), sources, progress)


def _summarise_jobs(work: "BatchBackfill", *, as_json: bool) -> None:
    summary = {name: outcome.summary() for name, outcome in work.outcomes.items()}
    reasons = {name: dict(outcome.kinds) for name, outcome in work.outcomes.items()}
    if as_json:
        print(json.dumps({"summary": summary, "failures": reasons}), flush=True)
        return
    show(summary, sys.stderr)
    kinds = sum((outcome.kinds for outcome in work.outcomes.values()), Counter[str]())
    if kinds:
        show({kind: {"failed": count} for kind, count in kinds.most_common()}, sys.stderr, "reason")


def _checkpoint(job: Job, file: str | None) -> Checkpoint | None:
    if file is None:
        return None
    about = {
        "backup_bucket": job.backup_bucket,
        "all_versions": job.all_versions,
        "everything": job.everything,
    }
    return Checkpoint.open(Path(file), about)


def _print_line(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def _summarise(tallies: dict[str, Tally], *, as_json: bool, planned: bool = False) -> None:
    summary = {name: tally.summary(planned=planned) for name, tally in tallies.items()}
    if as_json:
        print(json.dumps({"summary": summary}), flush=True)
        return
    show(summary, sys.stderr)
