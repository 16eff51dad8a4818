"""`backupctl verify`."""

import json
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import click
from botocore.exceptions import ClientError

from backupctl.announcing import MOST_FINDINGS, announce, bus_of
from backupctl.aws import Aws
from backupctl.backfill import Job
from backupctl.errors import DONE, PROBLEM, WrongUse, one_line
from backupctl.filling import check_versioning, fill
from backupctl.keeping import keep
from backupctl.loops import run
from backupctl.metrics import VERIFICATION_COMPLETED, VERIFICATION_FINDINGS, publish
from backupctl.moments import shown
from backupctl.options import Command, Settings
from backupctl.progress import Progress
from backupctl.results import VERIFICATION
from backupctl.s3 import S3Client
from backupctl.tables import show
from backupctl.verification import Depth, Finding, Judge, Kind, Tally
from backupctl.verifying import Verification
from handler import event_bus
from handler.asking import Asking
from handler.copy import Engine

_EXAMPLE = "backupctl --stack prod verify --checksum --output findings.jsonl"


@click.command(cls=Command, example=_EXAMPLE)
@click.argument("buckets", nargs=-1)
@click.option(
    "--checksum",
    is_flag=True,
    help="Also ask about each object whose ETag proves nothing: what its copy says it is of, and "
    "the checksums of both.",
)
@click.option("--deep", is_flag=True, help="Also read and compare all bytes.")
@click.option("--prefix", multiple=True, help="Only keys that start so; instead of the stack's.")
@click.option("--suffix", multiple=True, help="Only keys that end so; instead of the stack's.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=15,
    show_default=True,
    metavar="MINUTES",
    help="Do not judge what is younger.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True),
    help="Write the findings, as JSON lines, to this file instead of stdout.",
)
@click.option(
    "--fix",
    is_flag=True,
    help="Copy what is missing, stale, different or unproven, as backfill does, and record what "
    "was deleted; then look at each of these again.",
)
@click.option(
    "--track-deletes",
    is_flag=True,
    help="Deletions are tracked; needed only without --stack, which tells.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON too.")
@click.option("--metric", is_flag=True, help="Publish the result in CloudWatch.")
@click.option("--event", is_flag=True, help="Announce faults on the stack's event bus.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1024),
    default=64,
    show_default=True,
    help="Objects to look at at a time.",
)
@click.pass_obj
def verify(settings: Settings, buckets: tuple[str, ...], **options: Any) -> int:  # noqa: ANN401 - click's
    """Compare BUCKETS, or all of a stack's, with their backup.

    Prints each finding as a line of JSON on stdout, and a summary. The exit code is 1 if anything
    is at fault. With --fix, what cannot be copied and what remains are lines too, and the exit
    code is about what remains.
    """
    if options["event"]:
        bus_of(settings)
    sources = [
        replace(
            source,
            prefixes=options["prefix"] or source.prefixes,
            suffixes=options["suffix"] or source.suffixes,
        )
        for source in settings.sources(buckets)
    ]
    tracked = settings.stack.track_deletes if settings.stack else options["track_deletes"]
    depth = Depth.LISTING
    if options["checksum"]:
        depth = Depth.CHECKSUM
    if options["deep"]:
        depth = Depth.DEEP
    asking = Asking(settings.backup_bucket, settings.owner)
    if options["fix"]:
        check_versioning(settings.aws, settings.backup_bucket)
    looks: list[_Look] = []
    with ExitStack() as stack:
        findings = sys.stdout
        if options["output"]:
            findings = stack.enter_context(_opened(options["output"]))
        faults = _Faults(stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")))
        for source in sources:
            started = datetime.now(UTC)
            judge = Judge(
                source,
                asking,
                cutoff=started - timedelta(minutes=options["grace"]),
                depth=depth,
                etags_tell=_etags_tell(settings.aws, source.name, settings.backup_bucket),
                deletions_tracked=tracked,
            )
            look = _Look(settings.aws, judge, findings, options["concurrency"], started)
            told: list[Finding] = []
            run(look.at_everything(_collector(faults if options["fix"] else None, told)))
            looks.append(look)
            if options["event"]:
                announce(settings, event_bus.FINDING, [fault.to_json() for fault in told])
        if options["fix"] and faults:
            engine = settings.engine(track_deletes=tracked)
            _fix(settings, engine, looks, faults, options["concurrency"])
    tallies = {look.judge.source.name: look.tally for look in looks}
    for look in looks:
        run(look.record())
    to = sys.stdout if options["as_json"] or options["output"] else sys.stderr
    if options["as_json"]:
        print(json.dumps({"summary": {name: _summary(tallies[name]) for name in tallies}}))
    else:
        _show(tallies, to)
    if options["metric"]:
        _publish(settings.aws, tallies)
    return PROBLEM if any(tally.faults for tally in tallies.values()) else DONE


@dataclass
class _Look:
    """A look at one source."""

    aws: Aws
    judge: Judge
    findings: TextIO
    width: int
    started: datetime
    tally: Tally = field(default_factory=Tally)

    async def at_everything(self, also: Callable[[Finding], None]) -> None:
        """Compare all of it.

        :param also: told of each finding too.
        """

        def tell(finding: Finding) -> None:
            print(json.dumps(finding.to_json()), file=self.findings)
            also(finding)

        async with self._verification("verifying", tell) as verification:
            self.tally = await verification.run()

    async def again(self, faults: "_Faults") -> None:
        """See what is left of the faults."""

        def tell(finding: Finding) -> None:
            print(json.dumps({**finding.to_json(), "remains": True}), file=self.findings)

        keys = faults.keys(self.judge.source.name)
        async with self._verification("looking again", tell) as verification:
            remaining = await verification.look_again(keys)
        self.tally.fixed = self.tally.faults - remaining
        self.tally.faults = remaining

    @asynccontextmanager
    async def _verification(
        self, what: str, tell: Callable[[Finding], None]
    ) -> AsyncGenerator[Verification]:
        name = one_line(self.judge.source.name)
        with Progress(f"{what} {name}", unit="keys") as progress:
            async with S3Client(self.aws, self.width) as s3:
                yield Verification(s3, self.judge, tell, progress.advance, width=self.width)

    async def record(self) -> None:
        """Leave the result where `status` looks for it."""
        result = {
            "started": shown(self.started),
            "finished": shown(datetime.now(UTC)),
            "depth": self.judge.depth,
            **_summary(self.tally),
        }
        await keep(self.aws, self.judge.asking, VERIFICATION, self.judge.source.name, result)


class _Faults:
    """What is at fault, on the disk: it may be everything.

    :param file: empty, to be written and read.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, finding: Finding) -> None:
        """One more, if it is one."""
        if finding.fault:
            self._count += 1
            print(json.dumps(finding.to_json()), file=self._file)

    def lines(self) -> Iterator[str]:
        """All of them, as backfill takes them."""
        # Written out now: what is still in memory when processes are split is in all of them.
        self._file.seek(0)
        return self._file

    async def keys(self, source: str) -> AsyncGenerator[str]:
        """Those of one source."""
        for line in self.lines():
            finding = json.loads(line)
            if finding["bucket"] == source:
                yield finding["key"]


def _collector(faults: _Faults | None, told: list[Finding]) -> Callable[[Finding], None]:
    """Keep all faults where they are wanted, and the first ones to be announced."""

    def keep(finding: Finding) -> None:
        if faults is not None:
            faults.add(finding)
        if finding.fault and len(told) < MOST_FINDINGS:
            told.append(finding)

    return keep


def _fix(
    settings: Settings, engine: Engine, looks: Sequence[_Look], faults: _Faults, width: int
) -> None:
    """Mend what can be, and find out what is at fault after that."""
    fill(
        settings.aws,
        engine,
        Job(
            settings.backup_bucket,
            [look.judge.source for look in looks],
            lines=faults.lines(),
            name="the findings",
        ),
        lambda failure: print(json.dumps(failure)),
        concurrency=width,
    )
    for look in looks:
        if look.tally.faults:
            run(look.again(faults))


def _opened(path: str) -> TextIO:
    try:
        return Path(path).open("w", encoding="utf-8")
    except OSError as error:
        raise WrongUse(f"--output {path} cannot be written: {error.strerror}") from error


def _etags_tell(aws: Aws, *buckets: str) -> bool:
    """Whether all of these encrypt with keys of S3 by default."""
    for bucket in buckets:
        try:
            answer = aws.client("s3").get_bucket_encryption(Bucket=bucket)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ServerSideEncryptionConfigurationNotFoundError":
                continue
            # Only a hint is lost.
            return False
        (rule, *_) = answer["ServerSideEncryptionConfiguration"]["Rules"]
        if rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] != "AES256":
            return False
    return True


def _publish(aws: Aws, tallies: dict[str, Tally]) -> None:
    for source, tally in tallies.items():
        publish(aws, source, {VERIFICATION_COMPLETED: 1, VERIFICATION_FINDINGS: tally.faults})


def _summary(tally: Tally) -> dict[str, Any]:
    return {
        "objects": tally.objects,
        "bytes": tally.size,
        "sameEtag": tally.same_etag,
        "bySizeAndTime": tally.plausible,
        "examined": tally.examined,
        "recent": tally.recent,
        "excluded": tally.excluded,
        "findings": {kind: tally.findings.get(kind, 0) for kind in Kind},
        **({} if tally.fixed is None else {"fixed": tally.fixed}),
        "faults": tally.faults,
    }


def _show(tallies: dict[str, Tally], to: TextIO) -> None:
    seen = [kind for kind in Kind if any(tally.findings.get(kind) for tally in tallies.values())]
    fixing = any(tally.fixed is not None for tally in tallies.values())
    show({name: _numbers(tally, seen, fixing=fixing) for name, tally in tallies.items()}, to)
    for name, tally in tallies.items():
        said = [f"{tally.same_etag:,} have the ETag of their copy", f"{tally.examined:,} examined"]
        if tally.plausible:
            said.append(f"{tally.plausible:,} compared by size and time alone (see --checksum)")
        if tally.recent:
            said.append(f"{tally.recent:,} too recent to judge")
        if tally.excluded:
            said.append(f"{tally.excluded:,} not backed up by this stack")
        print(one_line(f"{name}: {', '.join(said)}"), file=to)


def _numbers(tally: Tally, seen: Sequence[Kind], *, fixing: bool) -> dict[str, int]:
    found = {kind.value: tally.findings.get(kind, 0) for kind in seen}
    ends = {"fixed": tally.fixed or 0, "remaining": tally.faults}
    return {
        "objects": tally.objects,
        "bytes": tally.size,
        **found,
        **(ends if fixing else {"faults": tally.faults}),
    }
