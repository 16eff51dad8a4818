"""One key of a source, its backup, and a record of what the source held when."""

import hashlib
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from backupctl.timeline import History, State, Timeline
from handler import backup_keys
from handler.asking import Asking
from handler.copy import Engine
from handler.deletions import Deletions
from handler.records import ObjectVersion, Removal
from tests.handler.fake_s3 import OWNER, Bucket, FakeS3, Stored, Versioning, drive

from .fake_client import listed

ENGINE = Engine("backup", OWNER, multipart_above=9, part_size=4, jitter=lambda: 1.0)
TRACKING = replace(ENGINE, track_deletes=True)
ASKING = Asking("backup", OWNER, jitter=lambda: 1.0)
LONG_KEY = "k" * 1020
AWKWARD = (
    *("a", "a/", "a//b", "../a", "/a", "a b+%41", "a\nb", "\x01", "a\u2028b", "\U0001f600"),
    *(LONG_KEY, LONG_KEY[:-1] + "\n", "\u00e9" * 510),
)


@dataclass
class World:
    """A source, its backup, and what the source held at the end of each second."""

    versioning: Versioning = Versioning.ENABLED
    key: str = "cat"
    markers: list[str] = field(default_factory=list[str])
    states: dict[datetime, bytes | None] = field(default_factory=dict[datetime, bytes | None])
    written: list[Stored] = field(default_factory=list[Stored])
    s3: FakeS3 = field(default_factory=FakeS3)
    """Shared by worlds of different keys."""

    def __post_init__(self) -> None:
        new = {"photos": Bucket("photos", self.versioning, kms=False), "backup": Bucket("backup")}
        self.s3.buckets = new | self.s3.buckets
        self.source, self.backup = self.s3.buckets["photos"], self.s3.buckets["backup"]
        # Of growing length: padding matters.
        self.sequencers = (f"{7**power:X}" for power in itertools.count(1))

    def record(self) -> None:
        current = self.source.current(self.key)
        self.states[self.s3.now] = current.content if current else None

    def write(self, content: bytes, *, sequencer: bool = True, **more: Any) -> ObjectVersion:
        stored = self.s3.write("photos", self.key, content, **more)
        self.written.append(stored)
        self.record()
        never = self.versioning is Versioning.NEVER
        number = next(self.sequencers)
        return ObjectVersion(
            "photos",
            self.key,
            None if never else stored.version_id,
            stored.etag,
            stored.size,
            number if sequencer else None,
        )

    def delete(self, version_id: str | None = None) -> Removal:
        marker = self.s3.delete("photos", self.key, version_id)
        name = version_id if marker is None else marker.version_id
        if marker is not None:
            self.markers.append(marker.version_id)
        self.record()
        put = marker is not None
        return Removal("photos", self.key, name, put, self.s3.now, next(self.sequencers))

    def deliver(self, *events: ObjectVersion | Removal, engine: Engine = ENGINE) -> None:
        for event in events:
            steps = engine.remove(event) if isinstance(event, Removal) else engine.copy(event)
            drive(steps, self.s3)

    def history(self, *, tracked: bool = True) -> History:
        target = backup_keys.backup_key("photos", self.key)
        digest = hashlib.sha256(self.key.encode()).hexdigest()
        copies = self.backup.under(f".s3-backup/late/photos/{digest}/")
        late = itertools.groupby(copies, lambda stored: stored.key)
        record = self.backup.current(backup_keys.deletion_record("photos", self.key))
        deletions = Deletions.from_json(record.content) if record else None
        return History(
            "photos",
            self.key,
            listed(self.backup.keys.get(target, [])),
            [copy for _, versions in late for copy in listed(list(versions))],
            deletions if tracked else None,
        )

    def state(self, at: datetime, *, tracked: bool = True) -> State:
        self.s3.requests.clear()
        return drive(Timeline(ASKING, self.history(tracked=tracked)).state(at), self.s3)

    def content(self, at: datetime, *, tracked: bool = True) -> bytes | None:
        held = self.state(at, tracked=tracked).held
        if held is None:
            return None
        (stored,) = (
            version
            for version in self.backup.keys[held.key]
            if version.version_id == held.version_id
        )
        return stored.content

    def expected(self, at: datetime) -> bytes | None:
        return max(
            ((time, content) for time, content in self.states.items() if time <= at),
            key=lambda pair: pair[0],
            default=(at, None),
        )[1]


# One key's life, whatever order its events come in


@st.composite
def lives(draw: st.DrawFn, engine: Engine = TRACKING) -> World:
    """A key of a versioned source."""
    world = World(key=draw(st.sampled_from(["cat", LONG_KEY])))
    live(draw, world, engine)
    return world


@st.composite
def sources(draw: st.DrawFn) -> list[World]:
    """Several keys of one versioned source."""
    keys = draw(st.sets(st.sampled_from(AWKWARD), min_size=1, max_size=4))
    first, *others = (World(key=key) for key in sorted(keys))
    worlds = [first, *(World(key=other.key, s3=first.s3) for other in others)]
    for world in worlds:
        live(draw, world)
    return worlds


def live(draw: st.DrawFn, world: World, engine: Engine = TRACKING) -> None:
    """Let things happen to a key; all reaches the backup, early or late, some of it twice."""
    waiting: list[ObjectVersion | Removal] = []
    delivered: list[ObjectVersion | Removal] = []
    contents = (str(number).encode() * draw(st.integers(1, 12)) for number in itertools.count())
    actions = ("write", "write", "delete", "undelete", "remove", "tick", "deliver", "again")
    for _ in range(draw(st.integers(1, 14))):
        action = draw(st.sampled_from(actions))
        announced = draw(st.booleans())
        if action == "write":
            if not announced:
                # Without sequencers nothing orders what happens within one second.
                world.s3.tick()
            full = draw(st.sampled_from([{}, {"m": "x" * 2040}]))
            waiting.append(world.write(next(contents), sequencer=announced, metadata=full))
            if not announced:
                world.s3.tick()
        elif action == "delete":
            waiting.append(world.delete())
        elif action == "undelete" and world.markers:
            place = draw(st.integers(0, len(world.markers) - 1))
            waiting.append(world.delete(world.markers.pop(place)))
        elif action == "remove":
            # Versions that are removed before they are copied are lost.
            copied = [event for event in delivered if isinstance(event, ObjectVersion)]
            if copied:
                event = draw(st.sampled_from(copied))
                delivered = [other for other in delivered if other is not event]
                waiting.append(world.delete(event.version_id))
        elif action == "tick":
            world.s3.tick(draw(st.integers(0, 3)))
        elif action == "deliver" and waiting:
            delivered.append(waiting.pop(draw(st.integers(0, len(waiting) - 1))))
            _hand_over(world, delivered[-1], engine)
        elif action == "again" and delivered:
            _hand_over(world, draw(st.sampled_from(delivered)), engine)
    for event in draw(st.permutations(waiting)):
        world.s3.tick(draw(st.integers(0, 1)))
        _hand_over(world, event, engine)


def _hand_over(world: World, event: ObjectVersion | Removal, engine: Engine) -> None:
    if engine.track_deletes or isinstance(event, ObjectVersion):
        world.deliver(event, engine=engine)


def moments(world: World) -> Iterator[datetime]:
    """Twenty or so, from before the first to after the last."""
    first = min(world.states, default=world.s3.now) - timedelta(seconds=1)
    seconds = range(int((world.s3.now - first).total_seconds()) + 2)
    chosen = seconds if len(seconds) <= 20 else random.Random(0).sample(seconds, 20)
    for second in chosen:
        yield first + timedelta(seconds=second, milliseconds=second * 37 % 1000)
