"""A whole source compared with its backup."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupctl.copying import Result, copy_all
from backupctl.driver import AsyncDriver
from backupctl.errors import BackupctlError
from backupctl.findings import named
from backupctl.recording import Recorder
from backupctl.selection import Task
from backupctl.stack import Source
from backupctl.timeline import History, Timeline
from backupctl.verification import Depth, Finding, Kind, Tally
from backupctl.verifying import Verification
from handler import backup_keys
from handler.deletions import Deletions
from handler.records import Outcome
from handler.requests import S3Error
from tests.handler.fake_s3 import Versioning, When, drive

from .fake_client import FakeClient, listed
from .test_verification import FAULTS, Comparison
from .world import ASKING, AWKWARD, LONG_KEY, TRACKING


async def no_sleep(_seconds: float) -> None:
    await asyncio.sleep(0)


def verify(
    world: Comparison, depth: Depth = Depth.LISTING, page_size: int = 3, **more: Any
) -> tuple[list[Finding], Tally]:
    world.s3.requests.clear()
    told: list[Finding] = []
    counted: list[int] = []
    run = Verification(
        FakeClient(world.s3, page_size),
        world.judge(depth, **more),
        told.append,
        counted.append,
        width=3,
        now=lambda: world.s3.now,
        sleep=no_sleep,
    )
    tally = asyncio.run(run.run())
    assert sum(tally.findings.values()) == len(told)
    assert sum(counted) <= 2 * len(world.source.keys) + len(world.backup.keys)
    return told, tally


async def mend(world: Comparison, lines: list[str]) -> list[Outcome | None]:
    """Do what the lines name; returns what became of it."""
    done: list[Outcome | None] = []

    async def tasks() -> AsyncIterator[list[Task]]:
        async for batch in named(lines, "findings"):
            yield batch.tasks

    def report(_: Task, results: Sequence[Result]) -> None:
        done.extend(result.outcome for result in results)

    client = FakeClient(world.s3)
    driver = AsyncDriver(client)
    recorder = Recorder(driver, client, TRACKING)
    await copy_all(driver, TRACKING, recorder, 1, tasks(), report)
    return done


def held(world: Comparison, key: str, at: datetime) -> bool:
    """Whether the source had a key at a time, as a restore would have it."""
    copies = listed(world.backup.keys[backup_keys.backup_key("photos", key)])
    record = world.backup.current(backup_keys.deletion_record("photos", key))
    assert record is not None
    deletions = Deletions.from_json(record.content)
    history = History("photos", key, copies, deletions=deletions)
    return drive(Timeline(ASKING, history).state(at), world.s3).held is not None


def kinds(findings: list[Finding]) -> dict[str, Kind]:
    assert len({finding.key for finding in findings}) == len(findings)
    return {finding.key: finding.kind for finding in findings}


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(AWKWARD), st.sampled_from(sorted(FAULTS))),
    st.sampled_from(Depth),
    st.integers(1, 4),
)
def test_exactly_what_is_wrong_is_found(keys: dict[str, str], depth: Depth, size: int) -> None:
    world = Comparison()
    for key, name in keys.items():
        FAULTS[name].happens(world, key)
    world.later()
    before = world.s3.buckets["backup"].under(""), world.source.under("")
    told, tally = verify(world, depth, size)
    expected = {key: getattr(FAULTS[name], depth) for key, name in keys.items()}
    assert kinds(told) == {key: kind for key, kind in expected.items() if kind}
    assert tally.objects == sum(name != "deleted" for name in keys.values())
    assert (world.s3.buckets["backup"].under(""), world.source.under("")) == before


def test_a_clean_source_of_many_keys_takes_listings_alone() -> None:
    world = Comparison()
    for number in range(50):
        world.copy(world.put(f"{number}", b"x" * number))
    world.later()
    told, tally = verify(world)
    assert (told, tally.objects, tally.faults) == ([], 50, 0)
    assert world.s3.requests == []


def test_filters_and_the_backups_of_other_buckets_are_left_out() -> None:
    world = Comparison()
    for key in ("in/a", "in/b", "out/a", "out/" + LONG_KEY[4:]):
        world.put(key)
    world.copy(world.put("in/" + LONG_KEY[3:]))
    # Copied under a filter that was changed since.
    world.copy(world.put("out/b" + LONG_KEY[5:]))
    world.s3.delete("photos", "out/b" + LONG_KEY[5:])
    for name in ("photos2/in/c", f".s3-backup/long/photos2/{'0' * 64}"):
        world.s3.write("backup", name)
    world.later()
    told, tally = verify(world, source=Source("photos", ("in/",)))
    assert kinds(told) == {"in/a": Kind.MISSING, "in/b": Kind.MISSING}
    assert (tally.objects, tally.excluded) == (3, 0)
    told, tally = verify(world, source=Source("photos", ("in/", "none/"), ("a", "k")))
    assert kinds(told) == {"in/a": Kind.MISSING}
    assert (tally.objects, tally.excluded) == (2, 3)


def test_what_moves_while_it_is_looked_at_is_not_counted() -> None:
    world = Comparison()
    world.copy(world.put("cat"))
    world.later()
    changed: list[bool] = []

    def change(_: object) -> None:
        if not changed:
            changed.append(True)
            world.put("cat", b"newer")

    world.s3.fault = change
    told, tally = verify(world, Depth.CHECKSUM)
    assert told == []
    assert (tally.objects, tally.size, tally.recent, tally.examined) == (0, 0, 1, 0)


@pytest.mark.parametrize("versioning", [Versioning.ENABLED, Versioning.NEVER])
@pytest.mark.parametrize("key", ["cat", LONG_KEY])
def test_a_deletion_that_does_not_show_is_found_and_recorded(
    key: str, versioning: Versioning
) -> None:
    world = Comparison(versioning=versioning)
    for name in (key, key[:-1], f"{key}s", "dog"):
        world.copy(world.put(name))
    world.s3.tick(2)
    deleted = world.s3.now
    world.s3.delete("photos", key)
    assert kinds(verify(world)[0]) == {}, "too recent, and no fault"
    world.later()
    [told], tally = verify(world)
    assert (told.kind, told.fault, tally.faults) == (Kind.ORPHANED, False, 0)
    [told], tally = verify(world, deletions_tracked=True)
    assert (told.key, told.kind, tally.faults) == (key, Kind.ORPHANED, 1)
    versioned = versioning is Versioning.ENABLED
    assert told.deleted == (deleted if versioned else world.s3.now)
    assert (told.marker is not None) == versioned

    line = json.dumps(told.to_json())
    assert asyncio.run(mend(world, [line])) == [Outcome.REMOVED]
    assert told.deleted is not None
    assert held(world, key, told.deleted - timedelta(seconds=1))
    assert not held(world, key, told.deleted)
    assert verify(world, deletions_tracked=True)[0] == []
    world.later()
    world.copy(world.put(key, b"again"), engine=TRACKING)
    world.later()
    assert verify(world, deletions_tracked=True)[0] == []


def test_of_what_was_just_deleted_nothing_is_said() -> None:
    world = Comparison()
    world.copy(world.put("cat"))
    world.later()
    world.s3.delete("photos", "cat")
    told, tally = verify(world, deletions_tracked=True)
    assert (told, tally.recent, tally.faults) == ([], 1, 0)


def test_an_orphan_that_cannot_be_looked_at_is_found() -> None:
    world = Comparison()
    FAULTS["deleted"].happens(world, "cat")
    world.later()
    world.s3.fault = lambda _: (When.BEFORE, S3Error("HeadObject", "403", 403, ""))
    [told], tally = verify(world, deletions_tracked=True)
    assert (told.key, told.kind, told.detail) == ("cat", Kind.UNREADABLE, "HeadObject: 403")
    assert tally.faults == 1


@pytest.mark.parametrize("recorded", [True, False])
def test_a_second_look_convicts_orphans_too(*, recorded: bool) -> None:
    world = Comparison()
    FAULTS["deleted"].happens(world, "cat")
    world.later()
    if recorded:
        world.s3.delete("backup", "photos/cat")
    told: list[Finding] = []
    judge = world.judge(deletions_tracked=True)
    run = Verification(FakeClient(world.s3), judge, told.append, sleep=no_sleep)

    async def keys() -> AsyncIterator[str]:
        yield "cat"

    assert asyncio.run(run.look_again(keys())) == len(told) == (not recorded)
    assert [finding.deleted is not None for finding in told] == [True] * len(told)


def test_what_does_not_belong_under_a_digest_is_passed_over() -> None:
    world = Comparison()
    for name in ("x", "0" * 64):
        world.s3.write("backup", f".s3-backup/long/photos/{name}")
    world.later()
    assert verify(world)[0] == []


def test_what_cannot_be_looked_at_is_found_until_it_is_everything() -> None:
    world = Comparison()
    for number in range(120):
        world.copy(world.put(f"{number:03}"))
    world.later()
    denied = S3Error("HeadObject", "403", 403, "")
    world.s3.fault = lambda request: (
        (When.BEFORE, denied) if request.parameters["Key"][-1] in "13579" else None
    )
    told, tally = verify(world, Depth.CHECKSUM)
    assert set(kinds(told).values()) == {Kind.UNREADABLE}
    assert (len(told), tally.faults, tally.examined) == (60, 60, 120)
    world.s3.fault = lambda request: (When.BEFORE, denied)
    with pytest.raises(BackupctlError, match=r"gave up after 50 failures in a row.*403"):
        verify(world, Depth.CHECKSUM)
    down = S3Error("HeadObject", "SlowDown", 503, "")
    world.s3.fault = lambda request: (When.BEFORE, down)
    with pytest.raises(BackupctlError, match=r"gave up after 50 failures in a row.*SlowDown"):
        verify(world, Depth.CHECKSUM)
    world.s3.fault = lambda request: (
        (When.BEFORE, down)
        if request.parameters["Key"] == backup_keys.backup_key("photos", "007")
        else None
    )
    told, _ = verify(world, Depth.CHECKSUM)
    assert kinds(told) == {"007": Kind.UNREADABLE}
    assert "SlowDown" in told[0].detail
