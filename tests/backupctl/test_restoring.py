"""A whole source brought back, and nothing else changed."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from backupctl.errors import BackupctlError
from backupctl.restoration import Destination, Restorer, Result, Verb
from backupctl.restoring import Done, Restoration, Summary
from backupctl.stack import Source
from handler import backup_keys
from handler.requests import Request, S3Error
from tests.handler.fake_s3 import Bucket, FakeS3, Stored, Versioning, When, drive

from .fake_client import FakeClient
from .world import ASKING, AWKWARD, ENGINE, LONG_KEY, World, moments, sources

ATTIC = Destination("attic")


def restore(
    s3: FakeS3, at: datetime, destination: Destination = ATTIC, **more: Any
) -> tuple[Summary, list[Done]]:
    told: list[Done] = []
    own: dict[str, Any] = {"source": Source("photos")}
    own |= {name: more.pop(name) for name in ("source", "prefix", "whole_key") if name in more}
    dry_run = more.pop("dry_run", False)
    restorer = Restorer(
        asking=ASKING,
        source="photos",
        destination=destination,
        at=at,
        multipart_above=9,
        part_size=4,
        **more,
    )
    run = Restoration(FakeClient(s3), restorer, width=3, **own)
    return asyncio.run(run.run(told.append, dry_run=dry_run)), told


def contents(bucket: Bucket) -> dict[str, bytes]:
    current = {key: bucket.current(key) for key in bucket.keys}
    return {key: found.content for key, found in current.items() if found is not None}


def everything(s3: FakeS3) -> dict[str, dict[str, list[Stored]]]:
    return {
        name: {key: list(versions) for key, versions in bucket.keys.items() if versions}
        for name, bucket in s3.buckets.items()
    }


@pytest.fixture
def world() -> World:
    world = World()
    world.s3.buckets["attic"] = Bucket("attic")
    return world


def put(world: World, key: str, content: bytes = b"bytes") -> None:
    world.key = key
    world.deliver(world.write(content))


@settings(max_examples=60, deadline=None)
@given(sources())
def test_every_moment_of_a_source_comes_back(worlds: Sequence[World]) -> None:
    s3 = worlds[0].s3
    s3.buckets["attic"] = Bucket("attic", kms=False)
    before = everything(s3)
    for at in moments(worlds[0]):
        expected = {world.key: world.expected(at) for world in worlds}
        plan, _ = restore(s3, at, exact=True, dry_run=True)
        assert everything(s3) == before | {"attic": everything(s3)["attic"]}
        done, told = restore(s3, at, exact=True)
        assert done.verbs == plan.verbs
        assert (done.problems, [one.problem for one in told if one.problem]) == (0, [])
        found = contents(s3.buckets["attic"])
        assert {world.key: found.get(world.key) for world in worlds} == expected, at
        again, _ = restore(s3, at, exact=True)
        assert set(again.results) <= {Result.UNCHANGED}
    after = everything(s3)
    assert {**after, "attic": None} == {**before, "attic": None}


def test_a_prefix_restores_what_begins_so_and_touches_nothing_else(world: World) -> None:
    for key in (*AWKWARD, "a/b"):
        put(world, key)
        world.s3.write("attic", f"old/{key}"[:1000], b"something else")
    for prefix in ("a", "a/", LONG_KEY, "\u00e9"):
        destination = Destination("attic", f"{len(prefix)} ")
        before = contents(world.s3.buckets["attic"])
        restore(world.s3, world.s3.now, destination, prefix=prefix, exact=True)
        after = contents(world.s3.buckets["attic"])
        expected = {
            destination.prefix + key: b"bytes"
            for key in (*AWKWARD, "a/b")
            if key.startswith(prefix) and len(destination.prefix + key) < 1000
        }
        assert {key: after[key] for key in after.keys() - before.keys()} == {
            key: content for key, content in expected.items() if len(key.encode()) <= 1024
        }
        assert {key: after[key] for key in before} == before


def test_exact_deletes_only_under_the_prefix_and_only_what_was_not_there(world: World) -> None:
    put(world, "then/kept")
    then = world.s3.now
    world.s3.tick()
    put(world, "then/new")
    put(world, "other/new")
    summary, _ = restore(world.s3, then, Destination("photos"), prefix="then/", exact=True)
    assert summary.results == {Result.DELETED: 1, Result.UNCHANGED: 1}
    assert sorted(contents(world.source)) == ["other/new", "then/kept"]


def test_whole_key_means_that_key(world: World) -> None:
    for key in ("cat", "catalogue", "cat/1", LONG_KEY, LONG_KEY[:-1] + "\n"):
        put(world, key)
    for key in ("cat", LONG_KEY):
        summary, told = restore(world.s3, world.s3.now, prefix=key, whole_key=True)
        assert [done.action.key for done in told] == [key]
        assert summary.results == {Result.RESTORED: 1}


def test_what_the_stack_does_not_back_up_is_left_out_of_it(world: World) -> None:
    then = world.s3.now
    world.s3.tick()
    put(world, "in/new")
    world.s3.write("photos", "out/new", b"not backed up")
    only = Source("photos", ("in/",))
    summary, told = restore(world.s3, then, Destination("photos"), exact=True, source=only)
    assert [done.action.key for done in told] == ["in/new"]
    assert summary.problems == 0
    # What an earlier filter let into the backup is restored all the same.
    put(world, "out/old")
    summary, told = restore(world.s3, world.s3.now, source=only)
    assert sorted(done.action.key for done in told) == ["in/new", "out/old"]


def test_only_what_differs_is_written_and_counted(world: World) -> None:
    for number in range(7):
        put(world, f"{number}", b"x" * number)
    restore(world.s3, world.s3.now)
    world.s3.tick()
    world.s3.write("attic", "3", b"damaged")
    world.s3.delete("attic", "5")
    world.s3.requests.clear()
    summary, _ = restore(world.s3, world.s3.now)
    assert summary.verbs == {Verb.KEEP: 5, Verb.WRITE: 2}
    assert summary.results == {Result.UNCHANGED: 5, Result.RESTORED: 2}
    assert (summary.size, summary.undated, summary.problems) == (8, 0, 0)
    assert world.s3.counts["CopyObject"] == 2


def test_a_copy_that_only_its_digest_names_comes_back_too(world: World) -> None:
    # The retention took what lay above a version that came late.
    first, second = world.write(b"first"), world.write(b"second")
    world.deliver(second)
    world.deliver(first)
    del world.backup.keys["photos/cat"]
    _, told = restore(world.s3, world.s3.now)
    assert [done.action.key for done in told] == ["cat"]
    assert contents(world.s3.buckets["attic"]) == {"cat": b"first"}
    assert [one.action.key for one in restore(world.s3, world.s3.now, prefix="d")[1]] == []


@pytest.mark.parametrize("body", [b"another key", b"\xff", None])
def test_a_copy_of_which_nothing_tells_the_key_is_a_problem(
    world: World, body: bytes | None
) -> None:
    put(world, LONG_KEY)
    (record,) = world.backup.under(".s3-backup/keys/")
    if body is None:
        world.s3.delete("backup", record.key)
    else:
        world.s3.write("backup", record.key, body)
    summary, (done,) = restore(world.s3, world.s3.now)
    assert (summary.verbs, summary.problems) == ({Verb.STUCK: 1}, 1)
    assert (done.action.key, done.problem) == (
        backup_keys.backup_key("photos", LONG_KEY).rpartition("/")[2],
        "nothing tells which key this digest is of",
    )
    # It may be another prefix's.
    assert restore(world.s3, world.s3.now, prefix="k")[0] == Summary()
    summary, _ = restore(world.s3, world.s3.now, prefix=LONG_KEY, whole_key=True)
    assert summary.results == {Result.RESTORED: 1}


def test_what_does_not_belong_under_a_digest_is_passed_over(world: World) -> None:
    put(world, "cat")
    for name in ("x", "0" * 63, "0" * 64 + "0"):
        world.s3.write("backup", f".s3-backup/long/photos/{name}", b"?")
    # Those of other buckets as well.
    world.s3.write("backup", f".s3-backup/long/photos2/{'0' * 64}", b"?")
    world.s3.write("backup", "photos2/cat", b"?")
    summary, _ = restore(world.s3, world.s3.now)
    assert summary.verbs == {Verb.WRITE: 1}


def test_a_problem_with_one_key_stops_no_other(world: World) -> None:
    for number in range(5):
        put(world, f"{number}")
    denied = S3Error("CopyObject", "AccessDenied", 403, "no")

    def fault(request: Request) -> tuple[When, S3Error] | None:
        return (When.BEFORE, denied) if request.parameters["Key"] == "photos/3" else None

    world.s3.fault = fault
    summary, told = restore(world.s3, world.s3.now)
    assert (summary.results, summary.problems) == ({Result.RESTORED: 4}, 1)
    assert {done.action.key: done.problem for done in told if done.problem} == {"3": str(denied)}


def test_the_same_failure_over_and_over_ends_it(world: World) -> None:
    for number in range(200):
        put(world, f"{number:03}")
    world.s3.fault = lambda request: (When.BEFORE, S3Error("HeadObject", "403", 403, ""))
    with pytest.raises(BackupctlError, match=r"gave up after 50 failures in a row.*403"):
        restore(world.s3, world.s3.now)


def test_a_conflict_is_a_problem(world: World) -> None:
    put(world, "cat")
    written: list[bool] = []

    def meanwhile(request: Request) -> None:
        if request.operation == "CopyObject" and not written:
            written.append(True)
            world.s3.write("attic", "cat", b"somebody's")

    world.s3.fault = meanwhile
    summary, (done,) = restore(world.s3, world.s3.now)
    assert (summary.results, summary.problems) == ({Result.CONFLICT: 1}, 1)
    assert summary.size == 0
    assert "run this again" in done.problem
    assert contents(world.s3.buckets["attic"]) == {"cat": b"somebody's"}


def test_undated_copies_are_counted(world: World) -> None:
    world.s3.write("backup", backup_keys.backup_key("photos", "cat"), b"by hand")
    summary, _ = restore(world.s3, world.s3.now)
    assert (summary.undated, summary.results) == (1, {Result.RESTORED: 1})


def test_a_source_that_is_gone_can_be_restored_elsewhere(world: World) -> None:
    put(world, "cat")
    world.s3.buckets["photos"].keys.clear()
    summary, _ = restore(world.s3, world.s3.now + timedelta(days=1))
    assert summary.results == {Result.RESTORED: 1}


def test_an_unversioned_source_is_restored_in_place(world: World) -> None:
    world = World(Versioning.NEVER)
    put(world, "cat", b"then")
    then = world.s3.now
    world.s3.tick()
    put(world, "cat", b"now")
    restore(world.s3, then, Destination("photos", versioned=False), exact=True)
    assert contents(world.source) == {"cat": b"then"}
    assert drive(ENGINE.copy(world.write(b"later")), world.s3) is not None
