"""The state at a moment, told from a backup, against a recorded history of the source."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupctl.listed import ListedVersion
from backupctl.timeline import Deletion, Held, History, State, Timeline
from handler import backup_keys
from handler.asking import Asking
from handler.copy import Engine
from handler.records import ObjectVersion
from handler.requests import S3Error
from tests.handler.fake_s3 import OWNER, Bucket, FakeS3, Stored, Versioning, When, drive

ENGINE = Engine("backup", OWNER, multipart_above=9, part_size=4, jitter=lambda: 1.0)
ASKING = Asking("backup", OWNER, jitter=lambda: 1.0)
LONG_KEY = "k" * 1020


def listed(versions: list[Stored]) -> list[ListedVersion]:
    """As S3 lists versions of one key, given the oldest first."""
    return [
        ListedVersion(
            version.key,
            version.version_id,
            number == 0,
            version.is_delete_marker,
            version.etag,
            version.size,
            version.modified,
            version.storage_class,
        )
        for number, version in enumerate(reversed(versions))
    ]


@dataclass
class World:
    """A source, its backup, and what the source held at the end of each second."""

    versioning: Versioning = Versioning.ENABLED
    key: str = "cat"
    deletions: list[Deletion] = field(default_factory=list[Deletion])
    markers: list[str] = field(default_factory=list[str])
    states: dict[datetime, bytes | None] = field(default_factory=dict[datetime, bytes | None])
    written: list[Stored] = field(default_factory=list[Stored])

    def __post_init__(self) -> None:
        self.source = Bucket("photos", self.versioning, kms=False)
        self.backup = Bucket("backup")
        self.s3 = FakeS3(self.source, self.backup)
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

    def delete(self, version_id: str | None = None) -> None:
        self.s3.delete("photos", self.key, version_id)
        there = self.source.keys.get(self.key, [])
        marker = version_id is None and self.versioning is not Versioning.NEVER
        name = there[-1].version_id if marker else version_id
        self.deletions.append(Deletion(self.s3.now, name, marker, next(self.sequencers)))
        if marker:
            self.markers.append(str(name))
        self.record()

    def deliver(self, event: ObjectVersion) -> None:
        drive(ENGINE.copy(event), self.s3)

    def history(self, *, tracked: bool = True) -> History:
        target = backup_keys.backup_key("photos", self.key)
        late = itertools.groupby(self.backup.under(".s3-backup/late/"), lambda stored: stored.key)
        return History(
            "photos",
            self.key,
            listed(self.backup.keys.get(target, [])),
            [copy for _, versions in late for copy in listed(list(versions))],
            self.deletions if tracked else (),
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
            for version in self.backup.keys[held.copy.key]
            if version.version_id == held.copy.version_id
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
def lives(draw: st.DrawFn) -> World:
    """A versioned source whose every version reached the backup, early or late, some twice."""
    world = World(key=draw(st.sampled_from(["cat", LONG_KEY])))
    waiting: list[ObjectVersion] = []
    written: list[ObjectVersion] = []
    delivered: list[ObjectVersion] = []
    contents = (str(number).encode() * draw(st.integers(1, 12)) for number in itertools.count())
    for _ in range(draw(st.integers(1, 14))):
        action = draw(
            st.sampled_from(
                ["write", "write", "delete", "undelete", "remove", "tick", "deliver", "again"]
            )
        )
        announced = draw(st.booleans())
        if action == "write":
            if not announced:
                # Without sequencers nothing orders what happens within one second.
                world.s3.tick()
            full = draw(st.sampled_from([{}, {"m": "x" * 2040}]))
            event = world.write(next(contents), sequencer=announced, metadata=full)
            waiting.append(event)
            written.append(event)
            if not announced:
                world.s3.tick()
        elif action == "delete":
            world.delete()
        elif action == "undelete" and world.markers:
            world.delete(world.markers.pop(draw(st.integers(0, len(world.markers) - 1))))
        elif action == "remove" and delivered:
            # Versions that are removed before they are copied are lost.
            version = delivered.pop(draw(st.integers(0, len(delivered) - 1))).version_id
            world.delete(version)
        elif action == "tick":
            world.s3.tick(draw(st.integers(1, 3)))
        elif action == "deliver" and waiting:
            delivered.append(waiting.pop(draw(st.integers(0, len(waiting) - 1))))
            world.deliver(delivered[-1])
        elif action == "again" and written:
            world.deliver(draw(st.sampled_from(written)))
    for event in draw(st.permutations(waiting)):
        world.s3.tick(draw(st.integers(0, 1)))
        world.deliver(event)
    return world


def moments(world: World) -> Iterator[datetime]:
    """Twenty or so, from before the first to after the last."""
    first = min(world.states, default=world.s3.now) - timedelta(seconds=1)
    seconds = range(int((world.s3.now - first).total_seconds()) + 2)
    chosen = seconds if len(seconds) <= 20 else random.Random(0).sample(seconds, 20)
    for second in chosen:
        yield first + timedelta(seconds=second, milliseconds=second * 37 % 1000)


@settings(max_examples=400, deadline=None)
@given(lives())
def test_every_moment_of_a_versioned_source_is_told(world: World) -> None:
    for at in moments(world):
        assert world.content(at) == world.expected(at), at


@settings(max_examples=200, deadline=None)
@given(lives())
def test_without_recorded_deletions_the_last_version_counts(world: World) -> None:
    world.states = {}
    for version in world.written:
        world.states[version.modified] = version.content
    for at in moments(world):
        assert world.content(at, tracked=False) == world.expected(at), at


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([Versioning.NEVER, Versioning.SUSPENDED]))
def test_every_moment_of_an_unversioned_source_is_told(
    data: st.DataObject, versioning: Versioning
) -> None:
    world = World(versioning)
    for number in range(data.draw(st.integers(1, 8))):
        if data.draw(st.booleans()):
            world.delete("null" if data.draw(st.booleans()) else None)
        else:
            # Nothing keeps what is overwritten before it is copied.
            world.deliver(world.write(str(number).encode()))
        world.s3.tick(data.draw(st.integers(0, 2)))
    for at in moments(world):
        assert world.content(at) == world.expected(at), at


# How little is asked


def test_copies_made_by_then_need_no_look() -> None:
    world = World()
    for content in (b"1", b"2", b"3"):
        world.deliver(world.write(content))
        world.s3.tick()
    assert world.content(world.s3.now) == b"3"
    assert world.s3.requests == []
    # The second in which the last copy was made: it is all in it.
    assert world.content(world.s3.now - timedelta(seconds=1)) == b"3"
    assert world.s3.requests == []


def test_of_many_later_copies_one_is_looked_at() -> None:
    world = World()
    world.deliver(world.write(b"then"))
    then = world.s3.now
    for content in (b"1", b"2", b"3"):
        world.s3.tick()
        world.deliver(world.write(content))
    assert world.content(then) == b"then"
    assert [asked.parameters["VersionId"] for asked in world.s3.requests] == [
        world.history().copies[2].version_id
    ]


def test_late_copies_are_not_looked_at_where_they_cannot_matter() -> None:
    world = World()
    world.deliver(world.write(b"long ago"))
    world.s3.tick()
    events = [world.write(content) for content in (b"1", b"2", b"3")]
    world.s3.tick()
    then = world.s3.now
    world.deliver(events.pop())
    world.s3.tick()
    for event in events:
        world.deliver(event)
    assert len(world.history().late) == 2
    assert world.content(then) == b"3"
    assert world.s3.requests == []
    # One second earlier it takes a look to tell whether the copy's version was written by then.
    assert world.content(then - timedelta(seconds=1)) == b"3"
    assert world.s3.operations == ["HeadObject"]


# What is odd


def test_a_copy_without_provenance_counts_from_its_own_time_and_says_so() -> None:
    world = World()
    world.deliver(world.write(b"1"))
    world.s3.tick()
    target = backup_keys.backup_key("photos", "cat")
    by_hand = world.s3.write("backup", target, b"by hand")
    world.s3.tick()
    state = world.state(by_hand.modified)
    assert state.held is not None
    assert state.held.copy.version_id == by_hand.version_id
    held = drive(Timeline(ASKING, world.history()).look(state.held), world.s3)
    assert held is not None
    assert held.undated
    assert held.dated.modified == by_hand.modified
    assert world.content(by_hand.modified - timedelta(seconds=1)) == b"1"


def test_a_version_above_a_copy_without_provenance_still_counts_from_the_source() -> None:
    world = World()
    event = world.write(b"written early, copied late")
    then = world.s3.now
    world.s3.tick(9)
    world.s3.write("backup", backup_keys.backup_key("photos", "cat"), b"by hand")
    world.deliver(event)
    assert world.content(then) == b"written early, copied late"


def test_a_copy_that_vanishes_after_the_listing_is_passed_over() -> None:
    world = World()
    early, late = world.write(b"early"), world.write(b"late")
    then = world.s3.now
    world.s3.tick()
    world.deliver(early)
    world.deliver(late)
    history = world.history()
    world.s3.delete("backup", "photos/cat", history.copies[0].version_id)
    timeline = Timeline(ASKING, history)
    state = drive(timeline.state(then), world.s3)
    assert state.held is not None
    assert state.held.copy == history.copies[1]
    assert drive(timeline.look(Held(history.copies[0])), world.s3) is None


def test_what_was_deleted_is_told_beside_nothing() -> None:
    world = World()
    world.deliver(world.write(b"1"))
    world.s3.tick()
    world.delete()
    state = world.state(world.s3.now)
    assert state.held is None
    assert state.deleted is not None
    assert state.deleted.copy.version_id == world.history().copies[0].version_id
    assert world.content(world.s3.now, tracked=False) == b"1"


@pytest.mark.parametrize("status", [403, 400])
def test_a_refused_look_is_an_error_not_a_guess(status: int) -> None:
    world = World()
    event = world.write(b"1")
    world.s3.tick()
    world.deliver(event)
    refusal = S3Error("HeadObject", str(status), status, "")
    world.s3.fault = lambda request: (When.BEFORE, refusal)
    with pytest.raises(S3Error) as raised:
        world.state(world.s3.now - timedelta(seconds=1))
    assert raised.value is refusal
