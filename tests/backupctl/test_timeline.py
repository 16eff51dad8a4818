"""The state at a moment, told from a backup, against a recorded history of the source."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupctl.timeline import Timeline
from handler import backup_keys
from handler.deletions import Deletions
from handler.requests import S3Error
from tests.handler.fake_s3 import Versioning, When, drive

from .world import ASKING, ENGINE, TRACKING, World, lives, moments

# One key's life, whatever order its events come in


@settings(max_examples=400, deadline=None)
@given(lives())
def test_every_moment_of_a_versioned_source_is_told(world: World) -> None:
    for at in moments(world):
        assert world.content(at) == world.expected(at), at


@settings(max_examples=200, deadline=None)
@given(lives(ENGINE))
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
            world.deliver(
                world.delete("null" if data.draw(st.booleans()) else None), engine=TRACKING
            )
        else:
            # Nothing keeps what is overwritten before it is copied.
            world.deliver(world.write(str(number).encode()), engine=TRACKING)
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


def test_late_copies_made_before_what_is_held_was_written_are_not_looked_at() -> None:
    world = World()
    first, second = world.write(b"1"), world.write(b"2")
    world.deliver(second)
    world.deliver(first)
    world.s3.tick()
    third = world.write(b"3")
    then = world.s3.now
    world.s3.tick()
    world.deliver(third, world.write(b"4"))
    (late,) = world.history().late
    assert world.content(then) == b"3"
    looked_at = {asked.parameters["VersionId"] for asked in world.s3.requests}
    assert late.version_id not in looked_at


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
    assert state.held.version_id == by_hand.version_id
    seen = drive(Timeline(ASKING, world.history()).look(state.held), world.s3)
    assert seen is not None
    assert seen.provenance is None
    assert seen.dated.modified == by_hand.modified
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
    assert state.held == history.copies[1]
    assert drive(timeline.look(history.copies[0]), world.s3) is None


def test_what_was_deleted_is_told_beside_nothing() -> None:
    world = World()
    world.deliver(world.write(b"1"))
    world.s3.tick()
    world.deliver(world.delete(), engine=TRACKING)
    state = world.state(world.s3.now)
    assert state.held is None
    assert state.deleted is not None
    assert state.deleted == world.history().copies[-1]
    assert world.content(world.s3.now, tracked=False) == b"1"


def test_what_lay_under_a_marker_counts_as_deleted_and_not_what_was_removed_before() -> None:
    world = World()
    first, second = world.write(b"1"), world.write(b"2")
    world.deliver(first, second)
    world.deliver(world.delete(second.version_id), world.delete(), engine=TRACKING)
    state = world.state(world.s3.now)
    assert state.held is None
    assert state.deleted == world.history().copies[-1]
    # Where all versions were removed for good, the last of them would be there.
    world.deliver(world.delete(first.version_id), engine=TRACKING)
    state = world.state(world.s3.now)
    assert state.deleted is not None
    assert state.deleted.etag == next(
        stored.etag for stored in world.backup.keys["photos/cat"] if stored.content == b"2"
    )


def test_a_record_that_was_cut_short_makes_earlier_moments_uncertain() -> None:
    world = World()
    world.deliver(world.write(b"1"))
    then = world.s3.now
    history = replace(world.history(), deletions=Deletions("cat", since=then))
    for seconds, certain in ((-1, False), (0, False), (1, True)):
        state = drive(Timeline(ASKING, history).state(then + timedelta(seconds=seconds)), world.s3)
        assert state.certain is certain


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
