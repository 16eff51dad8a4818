"""`backupctl redrive`."""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from backupctl.driver import AsyncDriver
from backupctl.errors import DONE, PROBLEM, WrongUse, one_line
from backupctl.failed_events import FailedEvent
from backupctl.failure_queue import FailureQueue
from backupctl.options import Command, Settings
from backupctl.progress import Progress
from backupctl.reasons import cure
from backupctl.redriving import Group, Look, Problem, Redrive, Tally, Wanted, look, ordered, summary
from backupctl.s3 import S3Client
from handler.events import Damaged

_EXAMPLE = """\
backupctl --stack prod redrive --dry-run
backupctl --stack prod redrive --reason AccessDenied --yes"""


@click.command(cls=Command, example=_EXAMPLE)
@click.option("--reason", "reasons", multiple=True, help="Only what failed for this reason.")
@click.option(
    "--bucket", "buckets", multiple=True, metavar="NAME", help="Only events of this source bucket."
)
@click.option(
    "--discard",
    "discarded",
    multiple=True,
    metavar="MESSAGE",
    help="Only this message, by its id: also give up what in it nobody can read.",
)
@click.option("--dry-run", is_flag=True, help="Only show what is in the queue.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON.")
@click.option(
    "--queue-url",
    metavar="URL",
    help="The failure queue. Without it: --stack's.",
)
@click.option("--track-deletes", is_flag=True, help="Deletions are tracked; --stack tells.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1024),
    default=64,
    show_default=True,
    help="Messages to work on at a time.",
)
@click.pass_obj
def redrive(settings: Settings, **options: Any) -> int:  # noqa: ANN401 - click's
    """Show what is in the failure queue, and back it up after all.

    Mend what made it fail first. A message is removed from the queue when everything that it
    announces is in the backup, and that was looked at. Events that are too late by now
    (superseded), or of objects that are gone, are done as well. Whatever is left stays in the
    queue; the exit code is 1 then.
    """
    if options["discarded"] and (options["reasons"] or options["buckets"]):
        raise WrongUse("--discard names its messages; leave out --reason and --bucket")
    if not (options["yes"] or options["dry_run"] or sys.stdin.isatty()):
        raise WrongUse("nobody can be asked here: look at it with --dry-run, then add --yes")
    work = _Work(settings, options)
    wanted = Wanted(options["reasons"], options["buckets"], options["discarded"] or None)
    found = asyncio.run(work.look(wanted))
    work.show(found)
    _check_discarded(options["discarded"], found)
    if not found.ids:
        return DONE
    if options["dry_run"] or not (options["yes"] or _agreed(found, options["discarded"])):
        return PROBLEM
    tally = Tally()
    try:
        asyncio.run(work.run(found, tally))
    finally:
        work.end(summary(tally, len(found.ids)))
    return DONE if tally.removed == len(found.ids) else PROBLEM


class _Work:
    """The queue, and how to talk about it."""

    def __init__(self, settings: Settings, options: dict[str, Any]) -> None:
        stack = settings.stack
        url = options["queue_url"] or (stack and stack.failure_queue_url)
        if not url:
            raise WrongUse("which failure queue? set --stack, or --queue-url")
        self._url = url
        self._aws = settings.aws
        self._sources = None if stack is None else stack.sources
        tracked = stack is not None and stack.track_deletes
        self._engine = settings.engine(track_deletes=tracked or options["track_deletes"])
        self._as_json: bool = options["as_json"]
        self._discard = bool(options["discarded"])
        self._width: int = options["concurrency"]

    async def look(self, wanted: Wanted) -> Look:
        """What there is."""
        with Progress("failure queue", unit="messages") as progress:
            async with FailureQueue(self._aws, self._url) as queue:
                elsewhere = await queue.hidden()
                found = await look(queue, wanted, progress.advance)
        if elsewhere:
            click.echo(
                f"about {elsewhere:,} messages are hidden: somebody else is at work on them, or "
                "was until just now",
                err=True,
            )
        return found

    async def run(self, found: Look, tally: Tally) -> None:
        """Redrive it."""
        with Progress("redriving", len(found.ids), unit="messages") as progress:
            async with (
                S3Client(self._aws, self._width) as s3,
                FailureQueue(self._aws, self._url) as queue,
            ):
                redrive = Redrive(
                    AsyncDriver(s3),
                    self._engine,
                    queue,
                    self.tell,
                    progress.advance,
                    sources=self._sources,
                    discard=self._discard,
                    on_discard=self.discarded,
                    tally=tally,
                )
                await redrive.run(found.ids, self._width)

    def show(self, found: Look) -> None:
        """What was found, for people or machines."""
        groups = ordered(found.groups.values())
        if self._as_json:
            for group in groups:
                print(json.dumps({"group": group.to_json()}))
            return
        for group in groups:
            for line in _described(group):
                print(line)
        if not groups:
            chosen = " of what was asked for" if found.others else ""
            click.echo(f"there is nothing{chosen} in the failure queue", err=True)
        elif found.others:
            click.echo(f"{found.others:,} other messages are there", err=True)

    def tell(self, problem: Problem) -> None:
        """Why something is not in the backup yet."""
        if self._as_json:
            print(json.dumps({"problem": problem.to_json()}), flush=True)
            return
        record = problem.record
        name = "" if isinstance(record, Damaged) else f"{record.bucket}/{record.key}: "
        text = f"{name}{problem.text}; {cure(problem.kind)} (message {problem.message_id})"
        print(one_line(text), flush=True)

    def discarded(self, event: FailedEvent) -> None:
        """A message goes that could not be read: whoever wants to can keep it."""
        print(json.dumps({"discarded": {"message": event.id, "body": event.body}}), flush=True)

    def end(self, numbers: dict[str, Any]) -> None:
        """What became of it."""
        if self._as_json:
            print(json.dumps({"summary": numbers}), flush=True)
            return
        records = {name: count for name, count in numbers["records"].items() if count}
        if numbers["discarded"]:
            records["discarded"] = numbers["discarded"]
        said = ", ".join(f"{count:,} {name}" for name, count in records.items()) or "none"
        print(
            f"redrove {numbers['redriven']:,} of {numbers['selected']:,} messages "
            f"({numbers['bytes']:,} bytes; records: {said}); {numbers['left']:,} stay in the queue"
        )


def _described(group: Group) -> list[str]:
    age = datetime.now(UTC) - group.oldest
    texts = [
        f"{group.reason}: {group.messages:,} messages, the oldest {age.days} days old",
        f"    what to do: {cure(group.reason)}",
    ]
    if group.problem:
        texts.append(f"    for example: {group.problem}")
    texts += [f"    {bucket}/{key}" for bucket, key in group.examples]
    texts += [f"    message {message_id} has what nobody can read" for message_id in group.damaged]
    return [one_line(text) for text in texts]


def _check_discarded(ids: Sequence[str], found: Look) -> None:
    for message_id in ids:
        if message_id not in found.ids:
            raise WrongUse(f"--discard {message_id}: there is no such message in the queue")
        if message_id not in found.damaged:
            raise WrongUse(
                f"--discard {message_id}: that message can be read; redrive it without --discard"
            )


def _agreed(found: Look, discarded: Sequence[str]) -> bool:
    what = f"{len(found.ids):,} messages with {found.records:,} records"
    question = f"Redrive {what}?"
    if discarded:
        question = f"Redrive what can be read of {what}, and delete them for good?"
    return click.confirm(question, err=True)
