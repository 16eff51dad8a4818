"""Entry point of the Lambda that drills on a schedule.

Configured by the environment: `BACKUP_BUCKET`, the bucket that holds the copies; `BUCKET_OWNER`,
the account id that must own all buckets; `SCRATCH_BUCKET`, where objects are restored to for a
moment. Which sources to drill is in the event.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, TypeGuard

from handler import clients, log
from handler.asking import Asking
from handler.failures import Failed
from handler.requests import S3Error

from .drilling import FAULTS, Drill, Tried
from .driver import AsyncDriver
from .errors import BackupctlError
from .metrics import DRILL_COMPLETED, DRILL_FINDINGS, embedded
from .restoration import Destination
from .results import DRILL, record
from .sampling import Sampler
from .stack import Source
from .threaded_s3 import ThreadedS3

MAX_SAMPLE = 1000
GRACE_MINUTES = 15
"""What is younger may not be backed up yet."""
RESERVE_SECONDS = 60.0
"""For cleaning up and for the results, however long it took to drill."""
RESERVED_SHARE = 0.2
"""Of a shorter time."""
SAMPLING_SHARE = 0.3
"""Of a source's time may go into choosing objects."""


class UnknownEvent(ValueError):
    """The event does not say what to drill."""


class DrillFailed(Exception):
    """At least one source could not be drilled; the others were."""


@dataclass(frozen=True)
class Wanted:
    """What an event asks for."""

    sources: tuple[Source, ...]
    sample: int
    """Objects of each."""
    grace: timedelta


@dataclass(frozen=True)
class _Place:
    """What the environment says."""

    backup_bucket: str
    owner: str
    scratch_bucket: str

    @classmethod
    def of_environment(cls) -> "_Place":
        return cls(
            os.environ["BACKUP_BUCKET"], os.environ["BUCKET_OWNER"], os.environ["SCRATCH_BUCKET"]
        )


def handler(event: object, context: Any) -> dict[str, int]:  # noqa: ANN401 - Lambda's own class
    """Drill every source that the event names, each in its share of the time.

    :param event: ``{"sources": {NAME: {"prefix": [...], "suffix": [...]}}, "sample": 20}``, the
        constant input of the schedule's target; prefix, suffix and ``graceMinutes`` may be missing.
    :param context: Lambda's context object.
    :returns: faults found, by source.
    :raises UnknownEvent: if the event is anything else.
    :raises DrillFailed: after all sources, if one could not be drilled.
    """
    wanted = parse(event)
    left = _clock(context.get_remaining_time_in_millis() / 1000)
    return asyncio.run(_all(wanted, _Place.of_environment(), left))


def parse(event: object) -> Wanted:
    """Read an event.

    :raises UnknownEvent: in one line, if it is none.
    """
    if not isinstance(event, Mapping):
        raise UnknownEvent(f"the event is no object but {type(event).__name__}; {_CURE}")
    fields: Mapping[str, Any] = event
    unknown = sorted(fields.keys() - {"sources", "sample", "graceMinutes"})
    if unknown:
        raise UnknownEvent(f"the event has an unknown field {unknown[0]!r}; {_CURE}")
    sources, sample = fields.get("sources"), fields.get("sample")
    if not isinstance(sources, Mapping) or not sources:
        raise UnknownEvent(f"the event's sources are no object with names of buckets; {_CURE}")
    if not _is_number(sample) or not 1 <= sample <= MAX_SAMPLE:
        raise UnknownEvent(f"the event's sample is no number from 1 to {MAX_SAMPLE:,}; {_CURE}")
    grace = fields.get("graceMinutes", GRACE_MINUTES)
    if not _is_number(grace) or grace < 0:
        raise UnknownEvent(f"the event's graceMinutes are no number from 0; {_CURE}")
    named: Mapping[str, Any] = sources
    return Wanted(
        tuple(_source(name, filters) for name, filters in named.items()),
        sample,
        timedelta(minutes=grace),
    )


_CURE = 'write it as {"sources": {"BUCKET": {}}, "sample": 20}'


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _source(name: str, filters: object) -> Source:
    problem = f"the event's source {name!r} has other filters than lists of prefix and suffix"
    if not isinstance(filters, Mapping) or filters.keys() - {"prefix", "suffix"}:
        raise UnknownEvent(f"{problem}; {_CURE}")
    known: Mapping[str, Any] = filters
    for texts in known.values():
        if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
            raise UnknownEvent(f"{problem}; {_CURE}")
    return Source(name, tuple(known.get("prefix", ("",))), tuple(known.get("suffix", ("",))))


def _clock(seconds: float) -> Callable[[], float]:
    """Seconds that are left of so many from now on, less what is kept for the end."""
    end = monotonic() + seconds - min(RESERVE_SECONDS, seconds * RESERVED_SHARE)
    return lambda: end - monotonic()


async def _all(wanted: Wanted, place: _Place, left: Callable[[], float]) -> dict[str, int]:
    faults: dict[str, int] = {}
    failed: list[str] = []
    for number, source in enumerate(wanted.sources):
        share = left() / (len(wanted.sources) - number)
        end = monotonic() + share
        try:
            faults[source.name] = await _one(wanted, source, place, end, share)
        except (BackupctlError, Failed, S3Error) as error:
            failed.append(source.name)
            log.note("ERROR", {"bucket": source.name, "problem": f"not drilled: {error}"})
    if failed:
        raise DrillFailed(f"not drilled: {', '.join(failed)}; the lines before say why")
    return faults


async def _one(wanted: Wanted, source: Source, place: _Place, end: float, share: float) -> int:
    """Drill one source until its time is up, tell and record what came of it."""
    started = datetime.now(UTC)
    cutoff = started - wanted.grace

    def left() -> float:
        return end - monotonic()

    def tell(tried: Tried) -> None:
        if tried.verdict in FAULTS:
            log.note("ERROR", tried.described(source.name))

    asking = Asking(place.backup_bucket, place.owner, left)
    async with ThreadedS3(clients.driver()) as s3:
        sampler = Sampler(
            s3,
            source,
            lambda listed: listed.modified <= cutoff,
            go_on=lambda: left() > share * (1 - SAMPLING_SHARE),
        )
        sample = await sampler.sample(wanted.sample)
        run = Drill(s3, asking, source.name, Destination(place.scratch_bucket, ""))
        tally = await run.run(sample, tell)
        tried = tally.verdicts.total()
        if sample and not tried:
            raise BackupctlError(
                f"the time sufficed for none of {len(sample):,} objects; "
                "drill fewer sources or a smaller sample"
            )
        log.write(
            embedded(
                datetime.now(UTC),
                source.name,
                {DRILL_COMPLETED: 1, DRILL_FINDINGS: tally.faults},
            )
        )
        result = {**tally.result(started), "untried": len(sample) - tried}
        log.note("ERROR" if tally.faults else "INFO", {"bucket": source.name, **result})
        # It is kept even if time is up.
        keeping = Asking(place.backup_bucket, place.owner)
        await AsyncDriver(s3).run(record(keeping, DRILL, source.name, result))
    return tally.faults


clients.prepare()
