"""Deletions that no event told of: found, recorded if that is still so, and told by restores."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupctl.copying import Result, copy_all
from backupctl.driver import AsyncDriver
from backupctl.findings import named
from backupctl.recording import SETTLED, Recorder
from backupctl.selection import Task
from backupctl.stack import Source
from backupctl.verification import Finding, Judge
from backupctl.verifying import Verification
from handler.deletion_records import DeletionRecords
from handler.records import Backup, ObjectVersion, Outcome, Removal
from handler.requests import S3Error
from tests.handler.fake_s3 import Versioning, When, drive

from .fake_client import FakeClient
from .world import ASKING, LONG_KEY, TRACKING, World, moments


def find(world: World) -> list[str]:
    """Verify without any grace; returns the lines of what is at fault."""
    told: list[Finding] = []
    judge = Judge(Source("photos"), ASKING, world.s3.now, deletions_tracked=True)
    run = Verification(FakeClient(world.s3), judge, told.append, now=lambda: world.s3.now)
    asyncio.run(run.run())
    return [json.dumps(finding.to_json()) for finding in told if finding.fault]


def hand(world: World, lines: Sequence[str]) -> list[Result]:
    """Do what the lines name; returns what became of it."""
    done: list[Result] = []

    async def sleep(seconds: float) -> None:
        world.s3.tick(seconds)

    async def tasks() -> AsyncIterator[list[Task]]:
        async for batch in named(lines, "findings"):
            yield batch.tasks

    client = FakeClient(world.s3)
    driver = AsyncDriver(client)
    recorder = Recorder(driver, client, TRACKING, now=lambda: world.s3.now, sleep=sleep)

    def report(_: Task, results: Sequence[Result]) -> None:
        done.extend(results)

    asyncio.run(copy_all(driver, TRACKING, recorder, 1, tasks(), report))
    return done


def unheard(
    versioning: Versioning = Versioning.ENABLED, key: str = "cat", *, marked: bool = False
) -> World:
    """A key whose copy is shown, and which is deleted in the source for an hour."""
    world = World(versioning, key)
    event = world.write(b"one")
    world.deliver(event, engine=TRACKING)
    world.s3.tick(3600)
    world.delete(None if marked else event.version_id)
    world.s3.tick(3600)
    return world


# When


@pytest.mark.parametrize("versioning", [Versioning.ENABLED, Versioning.NEVER])
@pytest.mark.parametrize("key", ["cat", LONG_KEY])
@pytest.mark.parametrize("heard", [True, False])
def test_what_nothing_tells_the_time_of_was_deleted_when_it_was_found_gone(
    versioning: Versioning, key: str, *, heard: bool
) -> None:
    world = World(versioning, key)
    event = world.write(b"one")
    world.deliver(event, engine=TRACKING)
    world.s3.tick(3600)
    alive = world.s3.now
    world.s3.tick(1)
    removal = world.delete(event.version_id)
    gone = world.s3.now
    world.s3.tick(2)
    found = world.s3.now
    [done] = hand(world, find(world))
    assert done.outcome is Outcome.REMOVED
    assert [world.content(at) for at in (alive, found)] == [b"one", None]
    assert world.content(found - timedelta(seconds=1)) == b"one", "nobody knows better"
    # The copy of what is written as soon as it is recorded.
    again = world.write(b"two")
    world.deliver(again, engine=TRACKING)
    assert world.content(world.s3.now) == b"two"
    assert world.content(found) is None
    if heard:
        world.deliver(removal, engine=TRACKING)
        assert [world.content(at) for at in (alive, gone, found)] == [b"one", None, None]
        assert world.content(world.s3.now) == b"two"


def test_what_is_recorded_is_so_old_that_what_is_written_then_is_of_a_later_second() -> None:
    world = World(Versioning.NEVER)
    world.deliver(world.write(b"one"), engine=TRACKING)
    world.s3.tick(1)
    world.delete()
    found = world.s3.now
    [done] = hand(world, find(world))
    assert (done.outcome, world.s3.now) == (Outcome.REMOVED, found + SETTLED)


# What came back


def hidden(key: str = "cat") -> tuple[World, Removal]:
    """A key that was deleted for an hour, and came back without anybody hearing of that."""
    world = World(Versioning.ENABLED, key)
    world.deliver(world.write(b"one"), engine=TRACKING)
    world.s3.tick(3600)
    world.deliver(world.delete(), engine=TRACKING)
    world.s3.tick(3600)
    return world, world.delete(world.markers[-1])


@pytest.mark.parametrize("key", ["cat", LONG_KEY])
@pytest.mark.parametrize("heard", [True, False])
def test_a_key_whose_marker_is_no_more_is_shown_again(key: str, *, heard: bool) -> None:
    world, undelete = hidden(key)
    back = world.s3.now
    world.s3.tick(60)
    found = world.s3.now
    lines = find(world)
    assert [json.loads(line)["finding"] for line in lines] == ["missing"]
    [done] = hand(world, lines)
    assert (done.outcome, done.kind) == (Outcome.REMOVED, "")
    assert find(world) == []
    deleted = back - timedelta(minutes=30)
    assert [world.content(at) for at in (deleted, found)] == [None, b"one"]
    assert world.content(back) is None, "nobody knows better"
    if heard:
        world.deliver(undelete, engine=TRACKING)
        assert [world.content(at) for at in (deleted, found)] == [None, b"one"]
    world.s3.tick(60)
    world.deliver(world.delete(), engine=TRACKING)
    assert world.content(world.s3.now) is None


def show_again(world: World, client: FakeClient) -> Backup | None:
    """What becomes of a key that somebody misses."""
    recorder = Recorder(AsyncDriver(client), client, TRACKING, now=lambda: world.s3.now)
    return asyncio.run(recorder.show_again(Task("photos", world.key, ())))


def test_nothing_is_shown_that_the_source_does_not_show() -> None:
    world, _ = hidden()
    world.s3.tick(60)
    world.delete()
    before = world.backup.under("")
    assert show_again(world, FakeClient(world.s3)) is None
    assert world.backup.under("") == before


def test_markers_that_the_source_still_has_stay_on_record() -> None:
    world = World(Versioning.ENABLED)
    for content in (b"one", b"two"):
        world.deliver(world.write(content), engine=TRACKING)
        world.s3.tick(60)
        world.deliver(world.delete(), engine=TRACKING)
        world.s3.tick(60)
    undeleted = world.markers[-1]
    world.delete(undeleted)
    [done] = hand(world, find(world))
    assert done.outcome is Outcome.REMOVED
    assert world.content(world.s3.now) == b"two"
    place = ObjectVersion("photos", world.key)
    recorded = drive(DeletionRecords(ASKING).read(place), world.s3).deletions.entries
    assert [one.version_id for one in recorded if not one.marker] == [undeleted]


def test_what_is_on_show_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    world, undelete = hidden()
    world.deliver(undelete, engine=TRACKING)
    # Nobody needs to list it.
    monkeypatch.delattr(FakeClient, "list_versions")
    assert show_again(world, FakeClient(world.s3)) is None


# What does not hold any more


def _written(world: World) -> ObjectVersion:
    return world.write(b"two")


def _undeleted(world: World) -> Removal:
    return world.delete(world.markers[-1])


def _deleted_again(world: World) -> Removal:
    return world.delete()


CHANGES = {"written": _written, "undeleted": _undeleted, "deleted again": _deleted_again}
MARKER = "is not the latest of its key in the source"


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    ("versioning", "marked", "change", "why"),
    [
        (Versioning.ENABLED, True, "written", MARKER),
        (Versioning.ENABLED, True, "undeleted", MARKER),
        (Versioning.ENABLED, True, "deleted again", MARKER),
        (Versioning.SUSPENDED, True, "written", MARKER),
        (Versioning.SUSPENDED, True, "deleted again", MARKER),
        (Versioning.ENABLED, False, "written", "the source has its key"),
        (Versioning.ENABLED, False, "deleted again", "the source has its key"),
        (Versioning.NEVER, False, "written", "the source has its key"),
    ],
)
def test_a_line_that_does_not_hold_any_more_changes_nothing(
    versioning: Versioning, change: str, why: str, *, marked: bool, told: bool
) -> None:
    world = unheard(versioning, marked=marked)
    [line] = find(world)
    assert ("version_id" in json.loads(line)) == marked
    world.s3.tick(60)
    event = CHANGES[change](world)
    if told and change != "deleted again":
        world.deliver(event, engine=TRACKING)
        why = why if marked else "its key was copied since"
    world.s3.tick(60)
    before = world.backup.under("")
    [done] = hand(world, [line])
    assert (done.outcome, done.kind, done.retryable) == (None, "Outdated", False)
    assert done.problem.startswith("nothing is recorded, for the line is outdated: ")
    assert done.problem.endswith(why)
    assert done.cure == "verify again, and use what that finds"
    assert world.backup.under("") == before
    hand(world, find(world))
    assert find(world) == []
    held = world.state(world.s3.now).held
    assert (held is not None) == (change != "deleted again")


def test_what_was_written_and_deleted_again_since_is_another_deletion() -> None:
    world = unheard(Versioning.NEVER)
    [line] = find(world)
    world.s3.tick(60)
    world.deliver(world.write(b"two"), engine=TRACKING)
    world.s3.tick(60)
    heard = world.delete()
    before = world.backup.under("")
    [done] = hand(world, [line])
    assert done.problem.endswith("its key was copied since")
    assert world.backup.under("") == before
    world.deliver(heard, engine=TRACKING)
    before = world.backup.under("")
    assert [done.outcome for done in hand(world, [line])] == [Outcome.DUPLICATE]
    assert world.backup.under("") == before


def test_what_is_recorded_already_is_not_recorded_again() -> None:
    for marked in (True, False):
        world = unheard(marked=marked)
        [line] = find(world)
        outcomes = [done.outcome for done in hand(world, [line, line])]
        assert outcomes == [Outcome.REMOVED, Outcome.DUPLICATE]
        recorded = world.history().deletions
        assert recorded is not None
        assert len(recorded.entries) == 1


@pytest.mark.parametrize("time", ["2999-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_nothing_was_found_in_times_to_come(time: str) -> None:
    world = unheard()
    line = {"bucket": "photos", "key": "cat", "deleted": time}
    [done] = hand(world, [json.dumps(line)])
    assert done.kind == "Outdated"
    assert done.problem.endswith("its time is still to come")
    assert world.history().deletions is None


def test_a_refused_look_at_the_backup_is_a_failure_of_its_line() -> None:
    world = unheard()
    [line] = find(world)
    world.s3.fault = lambda _: (When.BEFORE, S3Error("HeadObject", "403", 403, ""))
    [done] = hand(world, [line])
    assert (done.outcome, done.kind) == (None, "403")
    assert "these credentials may not do this" in done.cure
    assert world.history().deletions is None


# Whatever happens


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([Versioning.ENABLED, Versioning.NEVER]))
def test_restores_miss_nothing_and_late_events_make_them_exact(
    data: st.DataObject, versioning: Versioning
) -> None:
    """Written and undeleted is what the backup hears of; deletions it hears of at the very end."""
    world = World(versioning)
    late: list[ObjectVersion | Removal] = []
    lines: list[str] = []
    world.deliver(world.write(b"first"), engine=TRACKING)
    actions = ["write", "delete", "erase", "undelete", "find", "find", "hand", "hand"]
    for number in range(data.draw(st.integers(4, 16))):
        world.s3.tick(data.draw(st.sampled_from([0, 0.4, 1, 2])))
        action = data.draw(st.sampled_from(actions))
        there = world.source.keys.get(world.key, [])
        if action == "write":
            world.deliver(world.write(b"%d" % number), engine=TRACKING)
        elif action == "delete" and world.source.current(world.key):
            late.append(world.delete())
        elif action == "erase" and versioning is Versioning.ENABLED:
            late += [world.delete(one.version_id) for one in reversed(list(there))]
        elif action == "undelete" and there and there[-1].is_delete_marker:
            world.deliver(world.delete(there[-1].version_id), engine=TRACKING)
        elif action == "find":
            lines += find(world)
        elif action == "hand" and lines:
            hand(world, [data.draw(st.sampled_from(lines))])
    world.s3.tick()
    hand(world, find(world))
    assert find(world) == []
    assert world.content(world.s3.now) == world.expected(world.s3.now)
    for at in moments(world):
        end = at.replace(microsecond=999_999)
        assert world.content(at) == world.expected(end) or world.expected(end) is None, at
    for event in data.draw(st.permutations(late)):
        world.deliver(event, engine=TRACKING)
    for at in moments(world):
        end = at.replace(microsecond=999_999)
        assert world.content(at) == world.expected(end), at
