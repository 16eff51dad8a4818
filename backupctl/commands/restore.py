"""`backupctl restore`."""

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from backupctl.aws import Aws
from backupctl.errors import DONE, PROBLEM, WrongUse, one_line
from backupctl.moments import shown
from backupctl.options import Command, Moment, Settings
from backupctl.progress import Progress
from backupctl.restoration import Destination, Restorer, Result, Verb
from backupctl.restoring import Done, Restoration, Summary
from backupctl.s3 import S3Client
from backupctl.stack import Source
from handler.asking import Asking

_EXAMPLE = """\
backupctl --stack prod restore my-photos albums/ --at 2026-03-04T05:06:07Z --dry-run"""

# A clock may be a little ahead of S3's.
_CLOCK_SKEW = timedelta(minutes=5)


@click.command(cls=Command, example=_EXAMPLE)
@click.argument("bucket")
@click.argument("prefix", default="")
@click.option(
    "--at",
    type=Moment(),
    help="Restore the state at this time: ISO 8601, UTC if it names no zone. Without it: now.",
)
@click.option(
    "--to",
    metavar="BUCKET[/PREFIX]",
    help="Where to; PREFIX is put before each key as it is. Without it: where it came from.",
)
@click.option(
    "--version",
    "version_id",
    metavar="ID",
    help="Restore this version of the key PREFIX; ID as in the source or as in the backup.",
)
@click.option("--include-deleted", is_flag=True, help="Also what had been deleted by then.")
@click.option("--exact", is_flag=True, help="Delete what did not exist then.")
@click.option(
    "--delete-for-good",
    is_flag=True,
    help="Let --exact delete where no versions are kept; asked for otherwise.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before writing in place or deleting.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, a summary as the last.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1024),
    default=64,
    show_default=True,
    help="Objects to work on at a time.",
)
@click.pass_obj
def restore(settings: Settings, bucket: str, prefix: str, **options: Any) -> int:  # noqa: ANN401 - click's
    """Bring back what BUCKET held, or what of it begins with PREFIX.

    Only what differs is written. Nothing is deleted without --exact. Run again, it goes on.
    """
    (source,) = settings.sources((bucket,))
    latest = datetime.now(UTC) + _CLOCK_SKEW
    at = options["at"] or latest
    if at > latest:
        raise WrongUse(f"--at {shown(at)} is in the future")
    if options["version_id"] is not None and not prefix:
        raise WrongUse("--version is of one object; name its key after the bucket")
    restorer = Restorer(
        asking=Asking(settings.backup_bucket, settings.owner),
        source=source.name,
        destination=_destination(settings, source, options["to"]),
        at=at,
        version_id=options["version_id"],
        include_deleted=options["include_deleted"],
        exact=options["exact"],
    )
    work = _Work(settings.aws, restorer, source, prefix, options["concurrency"])
    telling = _Telling(as_json=options["as_json"], dry_run=options["dry_run"])
    if not options["dry_run"] and not _agreed(
        work, yes=options["yes"], for_good=options["delete_for_good"]
    ):
        return DONE
    summary = work.run(telling.tell, dry_run=options["dry_run"])
    telling.end(restorer, summary)
    return PROBLEM if summary.problems else DONE


class _Work:
    """What is to be restored, as often as it has to be looked at."""

    def __init__(
        self, aws: Aws, restorer: Restorer, source: Source, prefix: str, width: int
    ) -> None:
        self.aws = aws
        self.restorer = restorer
        self.source = source
        self.prefix = prefix
        self.width = width

    def run(self, tell: Callable[[Done], None], *, dry_run: bool) -> Summary:
        """Plan everything and, unless it is a dry run, do it."""

        async def work() -> Summary:
            what = "planning" if dry_run else "restoring"
            with Progress(f"{what} {one_line(self.source.name)}") as progress:

                def told(done: Done) -> None:
                    progress.advance()
                    tell(done)

                async with S3Client(self.aws, self.width) as s3:
                    run = Restoration(
                        s3,
                        self.restorer,
                        self.source,
                        self.prefix,
                        whole_key=self.restorer.version_id is not None,
                        width=self.width,
                    )
                    return await run.run(told, dry_run=dry_run)

        return asyncio.run(work())


def _destination(settings: Settings, source: Source, to: str | None) -> Destination:
    bucket, prefix = settings.place(source.name if to is None else to)
    answer = settings.aws.client("s3").get_bucket_versioning(
        Bucket=bucket, ExpectedBucketOwner=settings.owner
    )
    return Destination(bucket, prefix, versioned=answer.get("Status") == "Enabled")


def _agreed(work: _Work, *, yes: bool, for_good: bool) -> bool:
    """Ask whether to go on, where that is to be asked.

    :returns: whether there is something to be done, and it may be done.
    """
    restorer = work.restorer
    irrevocable = restorer.exact and not restorer.destination.versioned and not for_good
    if not irrevocable and (yes or not (restorer.in_place or restorer.exact)):
        return True
    if not sys.stdin.isatty():
        missing = "--delete-for-good" if yes else "--yes"
        raise WrongUse(f"nobody can be asked here: look at it with --dry-run, then add {missing}")
    plan = work.run(lambda _done: None, dry_run=True)
    writes, deletes = plan.verbs[Verb.WRITE], plan.verbs[Verb.DELETE]
    for line in _lines(restorer, plan, dry_run=True):
        click.echo(line, err=True)
    if not (writes or deletes):
        return False
    bucket = restorer.destination.bucket
    if not yes and not click.confirm(
        f"Write {writes:,} and delete {deletes:,} objects in {bucket}?", err=True
    ):
        return False
    return not (irrevocable and deletes) or click.confirm(
        f"{bucket} keeps no versions: delete {deletes:,} objects there for good?", err=True
    )


class _Telling:
    """Prints what is done."""

    def __init__(self, *, as_json: bool, dry_run: bool) -> None:
        self._as_json = as_json
        self._dry_run = dry_run

    def tell(self, done: Done) -> None:
        """One key."""
        verb = done.action.verb
        worth = verb in {Verb.WRITE, Verb.DELETE} or (self._dry_run and verb is Verb.LEAVE)
        if self._as_json:
            if worth or done.problem:
                print(json.dumps(_described(done)))
        elif done.problem:
            click.echo(f"backupctl: {one_line(f'{done.action.key}: {done.problem}')}", err=True)
        elif worth and self._dry_run:
            size = f"{done.action.size:>15,}" if verb is Verb.WRITE else " " * 15
            print(f"{verb:<6} {size}  {one_line(done.action.target)}")

    def end(self, restorer: Restorer, summary: Summary) -> None:
        """All keys."""
        if not self._as_json:
            for line in _lines(restorer, summary, dry_run=self._dry_run):
                click.echo(line, err=self._dry_run)
            return
        print(
            json.dumps(
                {
                    "summary": {
                        "at": shown(min(restorer.at, datetime.now(UTC))),
                        "planned": dict(summary.verbs),
                        "results": dict(summary.results),
                        "bytes": summary.size,
                        "undated": summary.undated,
                        "uncertain": summary.uncertain,
                        "problems": summary.problems,
                        "deletionsOnRecord": summary.deletions_on_record,
                    }
                }
            )
        )


def _lines(restorer: Restorer, summary: Summary, *, dry_run: bool) -> list[str]:
    """The summary for people."""
    verbs, results, there = summary.verbs, summary.results, restorer.destination
    place = f"{there.bucket}/{there.prefix}" if there.prefix else there.bucket
    if restorer.version_id is None:
        at = shown(min(restorer.at, datetime.now(UTC)))
        lines = [f"{restorer.source} as of {at}, to {one_line(place)}:"]
    else:
        lines = [f"version {restorer.version_id} of {restorer.source}, to {one_line(place)}:"]
    if dry_run:
        lines.append(f"to write {verbs[Verb.WRITE]:,} objects ({summary.size:,} bytes)")
        lines.append(f"to delete {verbs[Verb.DELETE]:,}; {verbs[Verb.KEEP]:,} are as they were")
    else:
        lines.append(f"wrote {results[Result.RESTORED]:,} objects ({summary.size:,} bytes)")
        lines.append(f"deleted {results[Result.DELETED]:,}; {verbs[Verb.KEEP]:,} were as they were")
    if verbs[Verb.LEAVE]:
        lines.append(f"{verbs[Verb.LEAVE]:,} did not exist then and stay; --exact deletes them")
    if summary.undated:
        lines.append(
            f"{summary.undated:,} copies do not say when the source had them: their own time counts"
        )
    if summary.uncertain:
        lines.append(f"of {summary.uncertain:,} more was deleted by then than is on record")
    if restorer.version_id is None and not summary.deletions_on_record:
        lines.append("no deletion is on record: what had been deleted by then comes back too")
    if summary.problems:
        lines.append(f"{summary.problems:,} problems")
    return lines


def _described(done: Done) -> dict[str, Any]:
    action = done.action
    held, present = action.held, action.present
    line: dict[str, Any] = {"action": action.verb, "key": action.key, "target": action.target}
    if held is not None:
        line |= {
            "size": held.copy.size,
            "modified": shown(held.dated.modified),
            "version": held.dated.version_id,
            "backup": {"key": held.copy.key, "version": held.copy.version_id},
        }
    if present is not None:
        line["replaces"] = {"size": present.size, "modified": shown(present.modified)}
    if done.result is not None:
        line["result"] = done.result
    if done.problem:
        line["problem"] = done.problem
    return line
