"""`backupctl restore --at` at many instants, compared with a record of what the source held."""

import random
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backupctl import permissions
from handler.boto import BotoDriver
from handler.records import ObjectVersion, Removal
from sandbox.ministack import MiniStack
from tests.backupctl.place import Place

KEYS = ("cat", "a//b", "line\nfeed \u00e9", "\x01", "k" * 1015)
STEPS = 60
INSTANTS = 20
BEGINNING = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)


class Clock:
    """The time of S3."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.now = BEGINNING

    def tick(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        told = self.file.with_suffix(".new")
        told.write_text(self.now.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
        told.replace(self.file)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock") / "now")


@pytest.fixture(scope="module")
def past(clock: Clock) -> Generator[MiniStack]:
    """A local AWS whose S3 has that time."""
    with MiniStack(env={"S3_CLOCK_FILE": str(clock.file)}) as running:
        yield running


class History(Place):
    """Random writes and deletions; what is announced of them arrives late and in any order."""

    def __init__(self, ministack: MiniStack, clock: Clock, seed: int, *, tracked: bool) -> None:
        clock.tick(1)
        super().__init__(ministack)
        self.clock = clock
        self.tracked = tracked
        self.engine = replace(self.engine, track_deletes=tracked)
        self.driver = BotoDriver(lambda _config: self.s3)
        self.chance = random.Random(seed)
        self.held: dict[str, bytes] = {}
        self.record: list[tuple[datetime, dict[str, bytes]]] = [(clock.now, {})]
        self.waiting: list[Callable[[], object]] = []

    def live(self) -> None:
        actions = (self.write, self.write, self.delete, self.deliver, self.deliver)
        for step in range(STEPS):
            self.clock.tick(self.chance.choice((0, 0, 1, 1, 2, 5)))
            self.chance.choice(actions)(self.chance.choice(KEYS), step)
            self.record.append((self.clock.now, dict(self.held)))
        while self.waiting:
            self.clock.tick(1)
            self.deliver("", 0)

    def write(self, key: str, step: int) -> None:
        body = f"{step} of {key}".encode()
        version: ObjectVersion = self.put(key, body, Metadata={"step": str(step)})
        self.held[key] = body
        self.waiting.append(lambda: self.copy(version))

    def delete(self, key: str, _step: int) -> None:
        marker = self.s3.delete_object(Bucket=self.source, Key=key)["VersionId"]
        removal = Removal(self.source, key, marker, True, self.clock.now, next(self.sequencers))
        # Whoever does not track deletions is told nothing, and so brings them back.
        if self.tracked:
            self.held.pop(key, None)
            self.waiting.append(lambda: self.driver.run(self.engine.remove(removal)))

    def deliver(self, _key: str, _step: int) -> None:
        if self.waiting:
            self.waiting.pop(self.chance.randrange(len(self.waiting)))()

    def at(self, instant: datetime) -> dict[str, bytes]:
        """What the source held at the end of that second."""
        return next(
            (
                held
                for time, held in reversed(self.record)
                if time <= instant.replace(microsecond=0)
            ),
            {},
        )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("tracked", [True, False])
def test_at_any_instant_comes_what_the_source_held(
    past: MiniStack,
    clock: Clock,
    tracked: bool,
    record_property: Callable[[str, object], None],
) -> None:
    history = History(past, clock, seed=11, tracked=tracked)
    history.live()
    attic = history.bucket("attic")
    operator = history.operator(permissions.restore(history.backup, attic))
    source = history.s3.get_paginator("list_object_versions").paginate(Bucket=history.source)
    versions = sum(len(page.get("Versions", [])) for page in source)
    first, last = history.record[0][0], history.record[-1][0]
    seconds = int((last - first).total_seconds())
    instants = [
        first + timedelta(seconds=history.chance.randint(-1, seconds + 1), milliseconds=999 * half)
        for half in (0, 1)
        for _ in range(INSTANTS // 2)
    ]
    expected = {
        f"{number}/{key}": body
        for number, instant in enumerate(instants)
        for key, body in history.at(instant).items()
    }
    for number, instant in enumerate(instants):
        ran = history.run(
            *("restore", history.source, "--at", instant.isoformat()),
            *("--to", f"{attic}/{number}/"),
            credentials=operator,
        )
        assert (ran.code, "problem" in ran.out) == (0, False), ran
    assert history.contents(attic) == expected
    states = len({tuple(sorted(history.at(instant).items())) for instant in instants})
    assert states > INSTANTS // 3
    record_property(
        "counts",
        f"{STEPS} steps, {versions} versions, {len(instants)} instants, {states} states, "
        f"deletions {'tracked' if tracked else 'not tracked'}",
    )
