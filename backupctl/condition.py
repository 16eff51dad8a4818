"""The condition that a stack is in, and what in it needs a person. Makes no AWS calls."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from .moments import shown
from .notifications import Notification
from .results import DRILL, VERIFICATION


class Finding(NamedTuple):
    """Something that needs a person."""

    about: str
    """Name of the bucket, queue or function."""
    problem: str
    cure: str

    def to_json(self) -> dict[str, str]:
        """The same as what becomes JSON."""
        return self._asdict()


@dataclass(frozen=True)
class Amount:
    """How much there is."""

    objects: int | None = None
    size: int | None = None
    """Bytes."""
    at: datetime | None = None
    """When that was so."""

    def to_json(self) -> dict[str, Any]:
        """The same as what becomes JSON."""
        at = None if self.at is None else shown(self.at)
        return {"objects": self.objects, "bytes": self.size, "at": at}


@dataclass
class SourceCondition:
    """One source bucket, and its backup."""

    name: str
    notification: Notification | None = None
    """None if the bucket cannot be asked."""
    problem: str = ""
    """Why it cannot."""
    amount: Amount = field(default_factory=Amount)
    backup: Amount | None = None
    """Of its part of the backup bucket; None if nobody counted."""
    newest_backup: datetime | None = None
    results: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict[str, Any])
    """What the last verification and the last drill found, by kind."""

    def to_json(self) -> dict[str, Any]:
        """The same as what becomes JSON."""
        there = self.notification
        return {
            "name": self.name,
            "notification": None
            if there is None
            else {
                "inPlace": there.in_place,
                "missing": [
                    {"prefix": prefix, "suffix": suffix} for prefix, suffix in there.missing
                ],
                "foreign": [entry.target for entry in there.foreign],
            },
            "source": self.amount.to_json(),
            "backup": None if self.backup is None else self.backup.to_json(),
            "newestBackup": None if self.newest_backup is None else shown(self.newest_backup),
            "lastVerification": self.results.get(VERIFICATION),
            "lastDrill": self.results.get(DRILL),
        }


@dataclass(frozen=True)
class Waiting:
    """Where events wait."""

    name: str
    """Of the queue or the function."""
    events: int | None
    """How many; None for a function, whose queue is Lambda's own and tells no number."""
    oldest: timedelta | None
    """Age of the oldest; None if nothing waits or nobody knows."""

    def to_json(self) -> dict[str, Any]:
        """The same as what becomes JSON."""
        oldest = None if self.oldest is None else round(self.oldest.total_seconds())
        return {"name": self.name, "events": self.events, "oldestSeconds": oldest}


@dataclass
class Condition:
    """A stack."""

    backup_bucket: str
    backup: Amount
    """All of the backup bucket: older versions and our own records too."""
    sources: list[SourceCondition]
    events: list[Waiting]
    """What nobody has handled yet."""
    failures: Waiting


@dataclass(frozen=True)
class Limits:
    """From when on something needs a person; zero for never."""

    late: timedelta
    """Age of an event that nobody has handled."""
    verification: timedelta
    """Age of the last verification."""
    drill: timedelta
    """Age of the last drill."""


def findings(condition: Condition, limits: Limits, now: datetime, command: str) -> list[Finding]:
    """What needs a person.

    :param command: how to call this program for the stack.
    """
    return [
        *_failures(condition.failures, command),
        *_late(condition.events, limits.late, command),
        *(
            finding
            for source in condition.sources
            for finding in _of_source(source, limits, now, command)
        ),
    ]


def _failures(failures: Waiting, command: str) -> Iterator[Finding]:
    if not failures.events:
        return
    age = "" if failures.oldest is None else f", the oldest for {duration(failures.oldest)}"
    yield Finding(
        failures.name,
        f"{failures.events:,} failures wait{age}; after 14 days they are gone",
        f"{command} redrive --dry-run shows the reasons; mend them, then {command} redrive",
    )


def _late(events: list[Waiting], limit: timedelta, command: str) -> Iterator[Finding]:
    for waiting in events:
        if limit and waiting.oldest is not None and waiting.oldest > limit:
            yield Finding(
                waiting.name,
                f"events wait for {duration(waiting.oldest)}",
                f"look for errors and throttles in the function's log; {command} doctor compares "
                "with the quotas",
            )


def _of_source(
    source: SourceCondition, limits: Limits, now: datetime, command: str
) -> Iterator[Finding]:
    if source.notification is None:
        yield Finding(source.name, source.problem, "run pulumi up, or mend the bucket's policy")
    elif not source.notification.in_place:
        parts = source.notification.missing
        what = "what is written here"
        if parts != (("", ""),):
            what = ", ".join(f"{prefix}*{suffix}" for prefix, suffix in parts)
        yield Finding(
            source.name,
            f"{what} is not announced to the stack, and so not backed up",
            f"pulumi up --refresh, then {command} verify --fix {source.name} copies the rest",
        )
    yield from _result(
        source, VERIFICATION, limits.verification, now, f"{command} verify {source.name}"
    )
    yield from _result(source, DRILL, limits.drill, now, f"{command} drill {source.name}")


def _result(
    source: SourceCondition, kind: str, limit: timedelta, now: datetime, command: str
) -> Iterator[Finding]:
    result = source.results.get(kind)
    if result is None:
        if limit:
            yield Finding(source.name, f"there was no {kind} yet", f"run {command}")
        return
    faults, finished = result.get("faults"), finish(result)
    if finished is None or not isinstance(faults, int):
        yield Finding(source.name, f"the record of the last {kind} is damaged", f"run {command}")
        return
    if faults:
        yield Finding(
            source.name,
            f"the last {kind}, {duration(now - finished)} ago, found {faults:,} faults",
            f"mend them, then run {command}",
        )
    if limit and now - finished > limit:
        yield Finding(
            source.name, f"the last {kind} was {duration(now - finished)} ago", f"run {command}"
        )


def finish(result: Mapping[str, Any]) -> datetime | None:
    """When a verification or a drill was finished; None if its record does not say."""
    try:
        moment = datetime.fromisoformat(result["finished"])
    except (KeyError, TypeError, ValueError):
        return None
    return moment.astimezone(UTC)


def duration(age: timedelta) -> str:
    """For people: two units at most."""
    minutes = max(0, int(age.total_seconds())) // 60
    hours, days = minutes // 60, minutes // 60 // 24
    if days:
        return f"{days} days" if days > 1 else f"1 day {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
