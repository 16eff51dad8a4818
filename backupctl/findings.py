"""What to copy, named in lines of JSON: findings of a verification, or failures of a backfill."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from .errors import WrongUse
from .json_text import loads
from .object_names import ImpossibleName, check_key, check_version_id
from .selection import Batch, Reason, Task, Wanted
from .verification import REPAIRABLE, Kind

_TASKS_AT_ONCE = 100


async def named(
    lines: Iterable[str], name: str, sources: Iterable[str] | None = None
) -> AsyncGenerator[Batch]:
    """What the lines name, in their order, some at a time; never a key twice at once.

    A line is an object with `bucket`, `key` and, if not the current version is meant,
    `version_id`; with `deleted`, a time, it is a deletion that is meant. A `finding` that neither
    copying nor recording a deletion can repair is passed over.

    :param lines: as they are read.
    :param name: of the file, for messages.
    :param sources: names of the buckets that may be named; None for any.
    :raises WrongUse: for a line that is something else, with its number.
    """
    allowed = None if sources is None else set(sources)
    batch: dict[tuple[str, str], Task] = {}
    async for number, line in _numbered(iter(lines), name):
        if not line.strip():
            continue
        try:
            task = _task(loads(line))
        except ImpossibleName as error:
            raise WrongUse(f"{name}, line {number}: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise WrongUse(
                f'{name}, line {number}: not an object with texts "bucket" and "key" '
                f"({type(error).__name__}: {error})"
            ) from error
        if task is None:
            continue
        if allowed is not None and task.bucket not in allowed:
            raise WrongUse(
                f"{name}, line {number}: the bucket {task.bucket!r} is none of "
                f"{', '.join(sorted(allowed))}"
            )
        if (task.bucket, task.key) in batch or len(batch) == _TASKS_AT_ONCE:
            yield Batch(list(batch.values()), "", 0)
            batch = {}
        batch[task.bucket, task.key] = task
    yield Batch(list(batch.values()), "", 0)


async def _numbered(lines: Iterator[str], name: str) -> AsyncGenerator[tuple[int, str]]:
    number = 0
    while True:
        try:
            # Whoever writes the lines may be slow; what is under way must not wait for that.
            some = await asyncio.to_thread(list, islice(lines, _TASKS_AT_ONCE))
        except UnicodeDecodeError as error:
            raise WrongUse(f"{name}, after line {number}: not UTF-8 ({error})") from error
        if not some:
            return
        for line in some:
            number += 1
            yield number, line


def _task(line: Mapping[str, Any]) -> Task | None:
    bucket, key, version = line["bucket"], line["key"], line.get("version_id")
    if not (isinstance(bucket, str) and isinstance(key, str) and isinstance(version, str | None)):
        raise TypeError("one of them is no text")
    if not bucket or not key:
        raise ValueError("one of them is empty")
    check_key(key)
    if version is not None:
        check_version_id(version)
    finding, deleted = line.get("finding"), line.get("deleted")
    if finding is not None and Kind(finding) not in REPAIRABLE and deleted is None:
        return None
    if deleted is not None:
        _check_time(deleted)
    again = finding == Kind.DIFFERENT
    wanted = Wanted(version, Reason.NAMED, deleted=deleted, again=again)
    return Task(bucket, key, (wanted,))


def _check_time(deleted: str) -> None:
    time = datetime.fromisoformat(deleted)
    if time.tzinfo is None:
        raise ValueError(f'"deleted" has no time zone: {deleted}')
    try:
        time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f'"deleted" is out of range: {deleted}') from error
