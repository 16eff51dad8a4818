"""`backupctl drill`."""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from backupctl.announcing import announce, bus_of
from backupctl.drilling import Drill, Tally, Tried, Verdict
from backupctl.errors import DONE, PROBLEM, WrongUse, one_line
from backupctl.keeping import keep
from backupctl.metrics import DRILL_COMPLETED, DRILL_FINDINGS, publish
from backupctl.options import Command, Settings
from backupctl.progress import Progress
from backupctl.restoration import Destination
from backupctl.results import DRILL
from backupctl.s3 import S3Client
from backupctl.s3.listing import Listed
from backupctl.sampling import Sampler
from backupctl.stack import Source
from backupctl.tables import show
from handler import event_bus
from handler.asking import Asking

_EXAMPLE = "backupctl --stack prod drill --to my-scratch-bucket --sample 50 --metric"


@click.command(cls=Command, example=_EXAMPLE)
@click.argument("buckets", nargs=-1)
@click.option(
    "--to",
    metavar="BUCKET[/PREFIX]",
    help="Where to restore to, for a moment. Without it: the bucket that the stack has for this.",
)
@click.option(
    "--sample",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="Objects to restore of each source.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=15,
    show_default=True,
    metavar="MINUTES",
    help="Do not choose what is younger.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, a summary as the last.")
@click.option("--metric", is_flag=True, help="Publish the result in CloudWatch.")
@click.option("--event", is_flag=True, help="Announce the result on the stack's event bus.")
@click.pass_obj
def drill(settings: Settings, buckets: tuple[str, ...], **options: Any) -> int:  # noqa: ANN401 - click's
    """Restore a random sample of BUCKETS, or of all of a stack's, and compare it with the source.

    What is restored goes to a scratch place, is compared in bytes, headers, metadata and tags, and
    is removed again. The exit code is 1 if anything did not come back as it is.
    """
    if options["event"]:
        bus_of(settings)
    sources = settings.sources(buckets)
    there = destination(settings, [source.name for source in sources], options["to"])
    tallies: dict[str, Tally] = {}
    for source in sources:
        started = datetime.now(UTC)
        cutoff = started - timedelta(minutes=options["grace"])
        tally = asyncio.run(_drilled(settings, source, there, cutoff, options))
        tallies[source.name] = tally
        asking = Asking(settings.backup_bucket, settings.owner)
        asyncio.run(keep(settings.aws, asking, DRILL, source.name, tally.result(started)))
        if options["metric"]:
            publish(settings.aws, source.name, {DRILL_COMPLETED: 1, DRILL_FINDINGS: tally.faults})
        if options["event"]:
            result = {"bucket": source.name, "passed": not tally.faults, **tally.summary}
            announce(settings, event_bus.DRILLED, [result])
    if options["as_json"]:
        print(json.dumps({"summary": {name: tallies[name].summary for name in tallies}}))
    else:
        show({name: tally.numbers for name, tally in tallies.items()}, sys.stdout)
    return PROBLEM if any(tally.faults for tally in tallies.values()) else DONE


def destination(settings: Settings, sources: Sequence[str], to: str | None) -> Destination:
    """Where a drill writes.

    :param sources: names of the buckets that are drilled.
    :param to: as the option says it; None for the stack's own bucket.
    :raises WrongUse: if there is none, or a drill must not write there.
    """
    if to is None:
        to = settings.stack.exports.get("drillBucketName") if settings.stack else None
    if to is None:
        raise WrongUse("where to? name a bucket that is not backed up with --to BUCKET[/PREFIX]")
    bucket, prefix = settings.place(to)
    backed_up = set(sources)
    if settings.stack is not None:
        backed_up |= settings.stack.sources.keys()
    if bucket in backed_up:
        raise WrongUse(
            f"{bucket} is backed up, and so would be what the drill writes; choose another --to"
        )
    return Destination(bucket, prefix)


async def _drilled(
    settings: Settings,
    source: Source,
    there: Destination,
    cutoff: datetime,
    options: dict[str, Any],
) -> Tally:
    def old_enough(listed: Listed) -> bool:
        return listed.modified <= cutoff

    def tell(tried: Tried) -> None:
        progress.advance()
        if options["as_json"]:
            print(json.dumps(tried.described(source.name)))
        elif tried.verdict is not Verdict.SAME:
            click.echo(one_line(f"{tried.verdict}: {source.name}/{tried.key}: {tried.detail}"))

    with Progress(f"drilling {one_line(source.name)}", options["sample"]) as progress:
        async with S3Client(settings.aws) as s3:
            asking = Asking(settings.backup_bucket, settings.owner)
            run = Drill(s3, asking, source.name, there)
            await run.clean()
            sample = await Sampler(s3, source, old_enough).sample(options["sample"])
            progress.total = len(sample)
            return await run.run(sample, tell)
