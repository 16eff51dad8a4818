"""Whole backfills of a fake S3, and what is kept of them."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from backupctl.backfill import GIVE_UP_AFTER, Following, Job
from backupctl.checkpoint import Checkpoint
from backupctl.copying import copy_all
from backupctl.driver import AsyncDriver
from backupctl.errors import BackupctlError
from backupctl.recording import Recorder
from backupctl.selection import Task
from backupctl.stack import Source
from handler import backup_keys
from handler.copy import Engine
from handler.records import ObjectVersion, Outcome
from handler.requests import Request, S3Error
from tests.backupctl.fakes import AsyncFakeS3
from tests.handler.fake_s3 import OWNER, Bucket, FakeS3, Stored, Versioning, When, drive, refused

LONG = "k" * 1020
PHOTOS = (Source("photos"),)


class World:
    """A source, its backup, and backfills between them."""

    def __init__(self, versioning: Versioning = Versioning.ENABLED, **engine: Any) -> None:
        self.s3 = FakeS3(Bucket("photos", versioning), Bucket("backups"))
        self.engine = Engine("backups", OWNER, jitter=lambda: 0.0, **engine)
        self.lines: list[dict[str, Any]] = []
        self.done = 0

    def write(self, key: str, content: bytes = b"x") -> Stored:
        self.s3.tick()
        return self.s3.write("photos", key, content)

    def backfill(
        self, *, checkpoint: Checkpoint | None = None, width: int = 4, **options: Any
    ) -> Following:
        job = Job("backups", options.pop("sources", PHOTOS), **options)
        self.s3.tick()
        self.s3.requests.clear()
        following = Following(self.lines.append, self._advance, checkpoint)
        fake = AsyncFakeS3(self.s3)

        async def sleep(_seconds: float) -> None:
            await asyncio.sleep(0)

        async def main() -> None:
            async with aclosing(job.tasks(fake, following, checkpoint)) as tasks:
                driver = AsyncDriver(fake, sleep)
                recorder = Recorder(driver, fake, self.engine)
                await copy_all(driver, self.engine, recorder, width, tasks, following.report)

        asyncio.run(main())
        return following

    def _advance(self, count: int) -> None:
        self.done += count

    def current(self, key: str) -> bytes | None:
        found = self.s3.buckets["backups"].current(backup_keys.backup_key("photos", key))
        return None if found is None else found.content

    def fail(self, error: S3Error, when: Callable[[Request], bool]) -> None:
        self.s3.fault = lambda request: (When.BEFORE, error) if when(request) else None


def copies_of(*keys: str) -> Callable[[Request], bool]:
    return lambda request: (
        request.operation == "CopyObject" and request.parameters["CopySource"]["Key"] in keys
    )


@pytest.mark.parametrize("versioning", Versioning)
def test_what_is_missing_or_stale_is_copied_and_nothing_twice(versioning: Versioning) -> None:
    world = World(versioning)
    keys = ["a", "b\n\u00e9", "c//d", LONG]
    for key in keys:
        world.write(key, key.encode())
    first = world.backfill()
    assert [world.current(key) for key in keys] == [key.encode() for key in keys]
    assert first.tallies["photos"].summary() == {
        "listed": 4,
        "bytes": 1020 + 9,
        "inPlace": 0,
        "excluded": 0,
        "copied": 4,
        "duplicate": 0,
        "gone": 0,
        "removed": 0,
        "superseded": 0,
        "bytesCopied": 1020 + 9,
        "failed": 0,
    }
    before = world.s3.buckets["backups"].under("")
    second = world.backfill()
    assert world.s3.operations == []
    assert second.tallies["photos"].seen.in_place == 4
    assert world.s3.buckets["backups"].under("") == before
    world.write("a", b"newer")
    third = world.backfill()
    assert third.tallies["photos"].outcomes == {Outcome.COPIED: 1}
    assert world.current("a") == b"newer"
    assert world.lines == []
    assert world.done == 12


def test_looking_at_everything_recognises_what_is_there() -> None:
    world = World()
    world.write("a")
    world.backfill()
    assert world.backfill(everything=True).tallies["photos"].outcomes == {Outcome.DUPLICATE: 1}


def test_all_versions_are_copied_in_order_and_what_came_before_a_backup_goes_beside_it() -> None:
    world = World()
    versions = [world.write("a", content) for content in (b"1", b"2", b"3")]
    world.write("b", b"only")
    # A live event was faster.
    drive(world.engine.copy(ObjectVersion("photos", "a", versions[1].version_id)), world.s3)
    done = world.backfill(all_versions=True)
    backup = world.s3.buckets["backups"]
    assert [copy.content for copy in backup.under("photos/a")] == [b"2", b"3"]
    assert [copy.content for copy in backup.under(".s3-backup/late/")] == [b"1"]
    assert world.current("b") == b"only"
    assert done.tallies["photos"].outcomes == {
        Outcome.SUPERSEDED: 1,
        Outcome.DUPLICATE: 1,
        Outcome.COPIED: 2,
    }
    before = backup.under("")
    world.backfill(all_versions=True)
    assert backup.under("") == before


def test_versions_of_one_key_are_never_under_way_together() -> None:
    world = World()
    for number in range(20):
        world.write("a", str(number).encode())
    world.backfill(all_versions=True, width=16)
    copies = [copy.content for copy in world.s3.buckets["backups"].under("photos/a")]
    assert copies == [str(number).encode() for number in range(20)]


def test_deletions_are_recorded_where_they_are_tracked() -> None:
    world = World(track_deletes=True)
    world.write("a", b"1")
    world.s3.tick()
    world.s3.delete("photos", "a")
    done = world.backfill(all_versions=True, deletions=True)
    assert world.current("a") is None
    assert [copy.content for copy in world.s3.buckets["backups"].under("photos/a")] == [b"1", b""]
    assert done.tallies["photos"].outcomes == {Outcome.COPIED: 1, Outcome.REMOVED: 1}


def test_what_was_overwritten_since_is_recorded_where_all_versions_are_copied() -> None:
    world = World(track_deletes=True)
    world.write("a", b"1")
    world.s3.tick()
    world.s3.delete("photos", "a")
    world.write("a", b"2")
    done = world.backfill(all_versions=True, deletions=True)
    assert (done.tallies["photos"].failed, world.lines) == (0, [])
    assert world.current("a") == b"2"
    record = world.s3.buckets["backups"].current(backup_keys.deletion_record("photos", "a"))
    assert record is not None
    assert len(json.loads(record.content)["deletions"]) == 1


def test_a_line_of_a_deletion_that_does_not_hold_any_more_is_a_failure() -> None:
    world = World(track_deletes=True)
    for key in ("back", "gone"):
        world.write(key)
    world.backfill()
    world.s3.tick()
    markers = {key: world.s3.delete("photos", key) for key in ("back", "gone")}
    lines = [
        json.dumps(
            {
                "bucket": "photos",
                "key": key,
                "version_id": marker.version_id,
                "deleted": marker.modified.isoformat(),
            }
        )
        for key, marker in markers.items()
        if marker is not None
    ]
    world.s3.tick()
    world.write("back", b"again")
    done = world.backfill(lines=lines)
    assert (done.tallies["photos"].outcomes, done.tallies["photos"].failed) == (
        {Outcome.REMOVED: 1},
        1,
    )
    assert (world.current("back"), world.current("gone")) == (b"x", None)
    [told] = world.lines
    assert told == {**json.loads(lines[0]), **told}
    assert (told["kind"], told["retryable"]) == ("Outdated", False)
    assert told["problem"].startswith("nothing is recorded, for the line is outdated: the delete")
    assert told["cure"] == "verify again, and use what that finds"


def test_a_deletion_that_could_not_be_recorded_is_told_as_a_line_that_records_it() -> None:
    world = World(track_deletes=True)
    world.write("a")
    world.backfill()
    world.s3.tick()
    world.s3.delete("photos", "a")
    refusal = refused("PutObject", "AccessDenied", 403)
    world.fail(refusal, lambda request: request.operation == "PutObject")
    world.backfill(all_versions=True, deletions=True)
    [line] = world.lines
    world.s3.fault = lambda _: None
    assert world.current("a") is not None
    done = world.backfill(lines=[json.dumps(line)])
    assert done.tallies["photos"].outcomes == {Outcome.REMOVED: 1}
    assert world.current("a") is None


def test_failures_are_told_with_a_cure_and_stop_nothing_else() -> None:
    world = World()
    archived, others = world.write("archived"), ["a", "b", "c"]
    for key in others:
        world.write(key)
    world.fail(refused("CopyObject", "InvalidObjectState", 403), copies_of("archived"))
    done = world.backfill(all_versions=True)
    assert [world.current(key) for key in others] == [b"x"] * 3
    assert world.lines == [
        {
            "bucket": "photos",
            "key": "archived",
            "version_id": archived.version_id,
            "kind": "InvalidObjectState",
            "retryable": False,
            "problem": "CopyObject: InvalidObjectState",
            "cure": "the object is archived; restore it (aws s3api restore-object), then run the "
            "command again",
        }
    ]
    assert (done.tallies["photos"].failed, world.done) == (1, 4)


def test_what_cannot_succeed_for_anybody_ends_it() -> None:
    world = World()
    for number in range(GIVE_UP_AFTER + 50):
        world.write(f"{number:03}")
    world.fail(refused("HeadObject", "403", 403), lambda _: True)
    with pytest.raises(BackupctlError, match=r"gave up after 100 failures.*these credentials may"):
        world.backfill()
    assert len(world.lines) < GIVE_UP_AFTER + 5


def test_many_objects_that_are_archived_do_not_end_it() -> None:
    world = World()
    keys = [f"{number:03}" for number in range(GIVE_UP_AFTER + 50)]
    for key in [*keys, "z"]:
        world.write(key)
    world.fail(refused("CopyObject", "InvalidObjectState", 403), copies_of(*keys))
    world.backfill()
    assert len(world.lines) == len(keys)
    assert world.current("z") == b"x"


def test_lines_of_a_file_say_what_to_copy_each_key_in_its_order() -> None:
    world = World()
    versions = [world.write("a", content) for content in (b"1", b"2")]
    world.write("b")
    world.write("c")
    lines = [
        f'{{"bucket": "photos", "key": "a", "version_id": "{v.version_id}"}}' for v in versions
    ]
    lines.append('{"bucket": "photos", "key": "b"}')
    world.backfill(lines=lines, name="-", sources=())
    assert [copy.content for copy in world.s3.buckets["backups"].under("photos/a")] == [b"1", b"2"]
    assert (world.current("b"), world.current("c")) == (b"x", None)


def test_a_run_that_is_stopped_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    world = World()
    keys = [f"{number:02}" for number in range(30)]
    for key in keys:
        world.write(key)
    kept = Checkpoint.open(tmp_path / "state.json", {})
    left = iter(range(12))

    def stop(request: Request) -> bool:
        if request.operation == "CopyObject" and next(left, None) is None:
            raise KeyboardInterrupt
        return False

    world.fail(refused("x", "x", 500), stop)
    with pytest.raises(KeyboardInterrupt):
        world.backfill(checkpoint=kept)
    kept.write()
    there = [key for key in keys if world.current(key)]
    assert len(there) == 12
    reached = Checkpoint.open(kept.path, {}).start_after("photos")
    assert all(world.current(key) for key in keys if key <= reached)
    assert reached > "00"
    world.s3.fault = lambda _: None
    done = world.backfill(checkpoint=Checkpoint.open(kept.path, {}))
    assert all(world.current(key) for key in keys)
    assert done.tallies["photos"].seen.objects == len([key for key in keys if key > reached])
    assert done.tallies["photos"].outcomes == {Outcome.COPIED: 18}


def test_the_checkpoint_stays_before_what_failed(tmp_path: Path) -> None:
    world = World()
    for key in "abcde":
        world.write(key)
    world.fail(refused("CopyObject", "InvalidObjectState", 403), copies_of("c"))
    kept = Checkpoint.open(tmp_path / "state.json", {})
    world.backfill(checkpoint=kept)
    assert kept.start_after("photos") == "b"
    world.s3.fault = lambda _: None
    world.backfill(checkpoint=kept)
    assert world.current("c") == b"x"
    assert kept.start_after("photos") == "e"


def test_a_plan_changes_nothing_and_names_every_version() -> None:
    world = World()
    first, second = world.write("a", b"1"), world.write("a", b"22")
    world.write("b", b"333")
    following = Following(world.lines.append)

    async def plan(*, all_versions: bool) -> list[dict[str, Any]]:
        job = Job("backups", PHOTOS, all_versions=all_versions)
        lines: list[dict[str, Any]] = []
        async for tasks in job.tasks(AsyncFakeS3(world.s3), following):
            lines += [line for task in tasks for line in following.plan(task)]
        return lines

    assert asyncio.run(plan(all_versions=False)) == [
        {"bucket": "photos", "key": "a", "reason": "missing", "size": 2},
        {"bucket": "photos", "key": "b", "reason": "missing", "size": 3},
    ]
    versions = [
        (line["version_id"], line["size"])
        for line in asyncio.run(plan(all_versions=True))
        if line["key"] == "a"
    ]
    assert versions == [(first.version_id, 1), (second.version_id, 2)]
    summary = following.tallies["photos"].summary(planned=True)
    assert (summary["toCopy"], summary["bytesToCopy"]) == (5, 11)
    assert world.s3.requests == []


def test_tasks_wait_for_another_of_the_same_key() -> None:
    async def main() -> None:
        lines = ['{"bucket": "photos", "key": "a"}'] * 2
        following = Following(lambda _: None)
        tasks = Job("backups", (), lines=lines).tasks(AsyncFakeS3(World().s3), following)
        first: Sequence[Task] = await anext(tasks)
        second = asyncio.create_task(anext(tasks))
        await asyncio.sleep(0.05)
        assert not second.done()
        list(following.plan(first[0]))
        assert await second == first

    asyncio.run(main())
