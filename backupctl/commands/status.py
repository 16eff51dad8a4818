"""`backupctl status`."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from backupctl.aws import Aws
from backupctl.condition import (
    Amount,
    Condition,
    Finding,
    Limits,
    SourceCondition,
    Waiting,
    duration,
    findings,
    finish,
)
from backupctl.counting import count
from backupctl.driver import AsyncDriver
from backupctl.errors import DONE, PROBLEM, WrongUse, one_line
from backupctl.explanations import explain, whole_answers
from backupctl.inspection import Inspection
from backupctl.options import Command, Settings
from backupctl.progress import Progress
from backupctl.results import DRILL, VERIFICATION, last
from backupctl.s3 import S3Client
from backupctl.stack import Source, Stack
from handler.asking import Asking
from handler.requests import S3Error

_EXAMPLE = "backupctl --stack prod status --json"


@click.command(cls=Command, example=_EXAMPLE)
@click.argument("buckets", nargs=-1)
@click.option(
    "--count",
    "counted",
    is_flag=True,
    help="List sources and backup, instead of taking what CloudWatch was told a day ago.",
)
@click.option(
    "--late",
    type=click.FloatRange(min=0),
    default=15,
    show_default=True,
    metavar="MINUTES",
    help="Events that wait longer need a person; 0 for never.",
)
@click.option(
    "--verified-within",
    type=click.FloatRange(min=0),
    default=31,
    show_default=True,
    metavar="DAYS",
    help="How old a source's last verification may be; 0 for any age.",
)
@click.option(
    "--drilled-within",
    type=click.FloatRange(min=0),
    default=93,
    show_default=True,
    metavar="DAYS",
    help="How old a source's last drill may be; 0 for any age.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def status(settings: Settings, buckets: tuple[str, ...], **options: Any) -> int:  # noqa: ANN401 - click's
    """Show how BUCKETS, or all of a stack's, and their backups are.

    The exit code is 1 if anything needs a person; what, and what to do, is said in the end.
    """
    if settings.stack is None:
        raise WrongUse("which stack? set --stack; its SSM parameter tells what belongs together")
    sources, now = settings.sources(buckets), datetime.now(UTC)
    with Progress("status", unit="questions") as progress:
        look = Inspection(settings.aws, settings.stack, sources, now, progress.advance)
        with whole_answers():
            condition = look.run()
    asyncio.run(_ask_s3(settings.aws, settings.stack, sources, condition, options["counted"]))
    limits = Limits(
        timedelta(minutes=options["late"]),
        timedelta(days=options["verified_within"]),
        timedelta(days=options["drilled_within"]),
    )
    found = findings(condition, limits, now, f"backupctl --stack {settings.stack_name}")
    if options["as_json"]:
        print(json.dumps(_described(condition, found)))
    else:
        _show(condition, found, now, counted=options["counted"])
    return PROBLEM if found else DONE


async def _ask_s3(
    aws: Aws, stack: Stack, sources: Sequence[Source], condition: Condition, counted: bool
) -> None:
    """What only S3 knows: results, and with `counted` what there is."""
    asking = Asking(stack.backup_bucket, stack.account_id)
    with Progress("counting") as progress:
        async with S3Client(aws) as s3:
            for source, of_source in zip(sources, condition.sources, strict=True):
                of_source.results = {
                    kind: await _last(s3, asking, kind, source.name)
                    for kind in (VERIFICATION, DRILL)
                }
                if counted and of_source.notification is not None:
                    here, there = await count(s3, source, stack.backup_bucket, progress.advance)
                    at = datetime.now(UTC)
                    of_source.amount, of_source.backup = here.amount(at), there.amount(at)
                    of_source.newest_backup = there.newest


async def _last(s3: S3Client, asking: Asking, kind: str, source: str) -> Mapping[str, Any] | None:
    try:
        return await AsyncDriver(s3).run(last(asking, kind, source))
    except S3Error as error:
        raise explain(error, f"the last {kind} of {source}") from error


def _described(condition: Condition, found: Sequence[Finding]) -> dict[str, Any]:
    return {
        "backupBucket": {"name": condition.backup_bucket, **condition.backup.to_json()},
        "sources": [source.to_json() for source in condition.sources],
        "events": [waiting.to_json() for waiting in condition.events],
        "failures": condition.failures.to_json(),
        "findings": [finding.to_json() for finding in found],
    }


def _show(condition: Condition, found: Sequence[Finding], now: datetime, *, counted: bool) -> None:
    for source in condition.sources:
        for line in _about(source, now):
            print(one_line(line))
    print(one_line(f"backup bucket {condition.backup_bucket}: {_amount(condition.backup, now)}"))
    for waiting in (*condition.events, condition.failures):
        print(one_line(f"{waiting.name}: {_waiting(waiting)}"))
    if not counted:
        click.echo(
            "objects and bytes are those of CloudWatch, of all versions, up to two days old; "
            "--count lists what there is now",
            err=True,
        )
    for finding in found:
        print(one_line(f"! {finding.about}: {finding.problem}; {finding.cure}"))


def _about(source: SourceCondition, now: datetime) -> list[str]:
    there = source.notification
    in_place = "in place" if there and there.in_place else "NOT in place"
    newest = "unknown"
    if source.newest_backup is not None:
        newest = f"{duration(now - source.newest_backup)} ago"
    lines = [
        f"{source.name}",
        f"    notification: {in_place}",
        f"    source: {_amount(source.amount, now)}",
    ]
    if source.backup is not None:
        lines.append(f"    backup: {_amount(source.backup, now)}")
    return [
        *lines,
        f"    newest backup: {newest}",
        f"    last verification: {_result(source.results.get(VERIFICATION), now)}",
        f"    last drill: {_result(source.results.get(DRILL), now)}",
    ]


def _amount(amount: Amount, now: datetime) -> str:
    if amount.at is None:
        return "not measured yet"
    objects = "?" if amount.objects is None else f"{amount.objects:,}"
    size = "?" if amount.size is None else f"{amount.size:,}"
    age = now - amount.at
    ago = f", {duration(age)} ago" if age > timedelta(minutes=1) else ""
    return f"{objects} objects, {size} bytes{ago}"


def _waiting(waiting: Waiting) -> str:
    age = "unknown" if waiting.oldest is None else duration(waiting.oldest)
    if waiting.events is None:
        return "no events lately" if waiting.oldest is None else f"events wait for up to {age}"
    return f"{waiting.events:,} waiting, the oldest for {age}" if waiting.events else "empty"


def _result(result: Mapping[str, Any] | None, now: datetime) -> str:
    if result is None:
        return "never"
    finished = finish(result)
    ago = "at an unknown time" if finished is None else f"{duration(now - finished)} ago"
    return f"{ago}, {result.get('faults')} faults"
