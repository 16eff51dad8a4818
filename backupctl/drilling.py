"""Restores a few objects to a scratch place and compares them with their source, byte by byte.

What a backup is worth shows when it is restored. This does it before it has to be done.
"""

import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from handler.asking import ANSWER_SECONDS, OUT_OF_TIME, Asking
from handler.failures import Failed
from handler.records import ObjectVersion
from handler.requests import S3Error, Steps

from . import likeness
from .driver import AsyncDriver
from .histories import Known, history, known_key
from .moments import shown
from .parallel import Patience, for_each
from .protocols import S3
from .restoration import Destination, Restorer, Result, Verb
from .s3.listing import Listed

SCRATCH = "s3-backup-drill/"
"""What a drill writes lies under this prefix, and only until it ends."""
LEFTOVER_AGE = timedelta(days=1)
"""What lies there longer was left by a drill that was killed."""
CLOCK_SKEW = timedelta(minutes=5)
"""So much the clock here may be behind that of S3."""
MAX_CHUNKS = 16
"""Of 8 MiB each. Of a larger object so many are compared, chosen at random."""


class Verdict(StrEnum):
    """How the drill of one object ended."""

    SAME = "same"
    """It came back as it is in the source."""
    DIFFERENT = "different"
    """It came back otherwise; the detail says how."""
    LOST = "lost"
    """It did not come back; the detail says why."""
    CHANGED = "changed"
    """Somebody changed it in the source meanwhile: no fault."""


FAULTS = frozenset({Verdict.DIFFERENT, Verdict.LOST})


@dataclass(frozen=True, slots=True)
class Tried:
    """One object of a drill."""

    key: str
    verdict: Verdict
    size: int
    """Bytes."""
    detail: str = ""

    def described(self, source: str) -> dict[str, Any]:
        """What becomes a line of JSON.

        :param source: name of the source bucket.
        """
        line = {"bucket": source, "key": self.key, "verdict": self.verdict, "size": self.size}
        return {**line, "detail": self.detail} if self.detail else line


@dataclass
class Tally:
    """All of them."""

    verdicts: Counter[Verdict] = field(default_factory=Counter[Verdict])
    size: int = 0
    """Bytes restored."""

    @property
    def faults(self) -> int:
        """How many did not come back as they are."""
        return sum(self.verdicts[verdict] for verdict in FAULTS)

    @property
    def summary(self) -> dict[str, Any]:
        """What becomes JSON."""
        return {
            "sampled": self.verdicts.total(),
            "bytes": self.size,
            "verdicts": {verdict: self.verdicts[verdict] for verdict in Verdict},
            "faults": self.faults,
        }

    @property
    def numbers(self) -> dict[str, int]:
        """What a person wants to see of it."""
        verdicts = {verdict.value: self.verdicts[verdict] for verdict in Verdict}
        return {"sampled": self.verdicts.total(), **verdicts, "bytes": self.size}

    def result(self, started: datetime) -> dict[str, Any]:
        """What is recorded of a drill that ends now.

        :param started: when it began (UTC).
        """
        return {"started": shown(started), "finished": shown(datetime.now(UTC)), **self.summary}


class Drill:
    """Tries objects of one source.

    :param s3: whom to ask.
    :param asking: how S3 is asked about the backup bucket. What its time does not suffice for is
        not tried: no fault.
    :param source: name of the source bucket.
    :param destination: where the scratch prefix is; never the backup bucket.
    :param width: how many objects to work on at a time.
    """

    def __init__(
        self, s3: S3, asking: Asking, source: str, destination: Destination, *, width: int = 8
    ) -> None:
        self._s3 = s3
        self._driver = AsyncDriver(s3)
        self._asking = asking
        # Cleaning up is done even if time is up.
        self._cleaning = Asking(asking.backup_bucket, asking.owner)
        self._source = source
        self._destination = destination
        self._scratch = f"{destination.prefix}{SCRATCH}"
        # Keys of any length have to fit behind it.
        self._run = f"{self._scratch}{secrets.token_hex(4)}/"
        self._width = width
        self._patience = Patience()
        self._random = random.SystemRandom()

    async def run(self, sample: Sequence[Listed], tell: Callable[[Tried], None]) -> Tally:
        """Restore, compare and clean up.

        :param sample: objects as the source has them.
        :param tell: told of each, in no order.
        :raises BackupctlError: if S3 refuses what everything needs.
        """
        tally = Tally()

        async def work(numbered: tuple[int, Listed]) -> None:
            number, listed = numbered
            tried = await self._try(listed, f"{self._run}{number}")
            if tried is None:
                return
            tally.verdicts[tried.verdict] += 1
            tally.size += tried.size if tried.verdict is not Verdict.LOST else 0
            tell(tried)

        await for_each(_each(sample), work, self._width)
        return tally

    async def clean(self) -> int:
        """Remove what a drill left behind that was killed; returns how many objects."""
        removed = 0
        cutoff = datetime.now(UTC) - LEFTOVER_AGE
        async for page in self._s3.list_versions(self._destination.bucket, self._scratch):
            for entry in page:
                if entry.modified < cutoff:
                    await self._driver.run(self._remove(entry.key, entry.version_id))
                    removed += 1
        return removed

    async def _try(self, listed: Listed, target: str) -> Tried | None:
        """Try one object; None if the time does not suffice."""
        if self._asking.seconds_left() <= 0:
            return None
        tried = Tried(listed.key, Verdict.LOST, listed.size)
        try:
            known = await known_key(self._s3, self._asking.backup_bucket, self._source, listed.key)
            try:
                result = await self._driver.run(self._tried(listed, known, target))
            finally:
                await self._driver.run(self._cleaned(target))
        except (S3Error, Failed) as error:
            if self._out_of_time(error):
                return None
            self._patience.failed(error)
            return replace(tried, detail=str(error))
        self._patience.succeeded()
        return result

    def _out_of_time(self, error: S3Error | Failed) -> bool:
        """Whether it is for the end of the time that something failed."""
        if isinstance(error, Failed):
            return error.kind == OUT_OF_TIME
        # It is waited for an answer as long as there is time, and no longer.
        return error.status == 0 and self._asking.seconds_left() < ANSWER_SECONDS

    def _tried(self, listed: Listed, known: Known, target: str) -> Steps[Tried]:
        key, asking = listed.key, self._asking
        tried = Tried(key, Verdict.LOST, listed.size)
        place = self._destination.bucket
        restorer = Restorer(
            asking=asking,
            source=self._source,
            destination=Destination(place),
            at=datetime.now(UTC) + CLOCK_SKEW,
        )
        lore = yield from history(asking, self._source, key, known)
        action = yield from restorer.plan(lore, None)
        if action.verb is Verb.WRITE:
            result = yield from restorer.carry_out(replace(action, target=target))
            if result is not Result.RESTORED:
                return replace(tried, detail="somebody else wrote to the scratch place")
        source = asking.in_source(ObjectVersion(self._source, key))
        here: dict[str, Any] = {**source, "IfMatch": listed.etag}
        try:
            yield from asking.ask("HeadObject", **here)
            if action.verb is not Verb.WRITE:
                return replace(tried, detail=action.reason or "the backup does not have it")
            difference = yield from self._difference(here, target, listed.size)
        except S3Error as error:
            if error.status not in {404, 412}:
                raise
            return replace(tried, verdict=Verdict.CHANGED)
        verdict = Verdict.DIFFERENT if difference else Verdict.SAME
        return replace(tried, verdict=verdict, detail=difference)

    def _difference(self, here: Mapping[str, Any], target: str, size: int) -> Steps[str]:
        """How what was restored differs from the source; empty if it does not.

        :raises S3Error: 404 or 412 if the source has changed.
        """
        asking, there = self._asking, self._there(target)
        mine = yield from asking.ask("HeadObject", **here)
        others = yield from asking.ask("HeadObject", **there)
        if mine["ContentLength"] != others["ContentLength"]:
            return f"it has {others['ContentLength']:,} bytes instead of {mine['ContentLength']:,}"
        if not likeness.same_description(mine, others):
            return "its headers or metadata differ"
        bare = {name: value for name, value in here.items() if name != "IfMatch"}
        if not (yield from likeness.same_tags(asking, bare, there)):
            return "its tags differ"
        chunks = range(likeness.chunks_of(size))
        if len(chunks) > MAX_CHUNKS:
            chunks = sorted(self._random.sample(chunks, MAX_CHUNKS))
        same = yield from likeness.same_bytes(asking, here, there, size, chunks)
        return "" if same else "its bytes differ"

    def _cleaned(self, target: str) -> Steps[None]:
        """Remove what was restored, in all versions."""
        try:
            head = yield from self._cleaning.ask("HeadObject", **self._there(target))
        except S3Error as error:
            if error.status == 404:
                return
            raise
        yield from self._remove(target, head.get("VersionId"))

    def _remove(self, target: str, version_id: str | None) -> Steps[None]:
        which: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        yield from self._cleaning.ask("DeleteObject", **self._there(target), **which)

    def _there(self, target: str) -> dict[str, Any]:
        owner = self._asking.owner
        return {"Bucket": self._destination.bucket, "Key": target, "ExpectedBucketOwner": owner}


async def _each(sample: Sequence[Listed]) -> AsyncIterator[tuple[int, Listed]]:
    for numbered in enumerate(sample):
        yield numbered
