"""A message leaves the queue only when what it announces is in the backup, and was looked at."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from backupctl.driver import AsyncDriver
from backupctl.errors import BackupctlError
from backupctl.failed_events import FailedEvent
from backupctl.failure_queue import FailureQueue
from backupctl.redriving import Problem, Redrive, Tally
from handler.requests import Request, S3Error
from tests.events import event
from tests.handler.fake_s3 import refused

from .fake_client import FakeClient
from .world import ENGINE, World


class FakeQueue:
    """Hands over messages; notes which are kept, let go and removed."""

    def __init__(self, *events: FailedEvent) -> None:
        self.there = list(events)
        self.kept: set[str] = set()
        self.hiding_fails = False

    async def events(self) -> AsyncGenerator[list[FailedEvent]]:
        for one in list(self.there):
            yield [one]

    def keep(self, one: FailedEvent) -> None:
        self.kept.add(one.id)

    def let_go(self, one: FailedEvent) -> None:
        self.kept.remove(one.id)

    async def remove(self, one: FailedEvent) -> None:
        await asyncio.sleep(0)
        self.kept.remove(one.id)
        self.there.remove(one)

    async def keep_hidden(self) -> None:
        if self.hiding_fails:
            raise BackupctlError("the queue is gone")
        await asyncio.Event().wait()


def failed(message_id: str, *keys: str, bucket: str = "photos", **more: Any) -> FailedEvent:
    [record] = event("s3_put_versioned")["Records"]
    records = [
        {
            **record,
            "s3": {**record["s3"], "bucket": {"name": bucket}, "object": {"key": key, **more}},
        }
        for key in keys
    ]
    body = json.dumps({"Records": records})
    return FailedEvent.of(message_id, "handle", datetime(2026, 3, 4, tzinfo=UTC), body)


def redrive(
    client: Any, queue: FakeQueue, ids: Sequence[str] | None = None, **more: Any
) -> tuple[list[Problem], Tally]:
    told: list[Problem] = []

    async def no_sleep(_seconds: float) -> None:
        await asyncio.sleep(0)

    async def run() -> Tally:
        run = Redrive(
            AsyncDriver(client, no_sleep), ENGINE, cast(FailureQueue, queue), told.append, **more
        )
        wanted = [one.id for one in queue.there] if ids is None else ids
        try:
            await run.run(wanted, 2)
        finally:
            counted.append(run.tally)
        return run.tally

    counted: list[Tally] = []
    return told, asyncio.run(run())


@pytest.fixture
def world() -> World:
    world = World()
    for key in ("cat", "dog"):
        world.key = key
        world.write(b"content")
    return world


def backups(world: World) -> set[str]:
    return {key for key, versions in world.backup.keys.items() if versions}


def test_messages_go_and_only_those_that_were_chosen(world: World) -> None:
    queue = FakeQueue(failed("1", "cat"), failed("2", "dog"), failed("3", "never there"))
    told, tally = redrive(FakeClient(world.s3), queue, ["1", "3"])
    assert (told, tally.removed, tally.outcomes) == ([], 2, {"copied": 1, "gone": 1})
    assert [one.id for one in queue.there] == ["2"]
    assert backups(world) == {"photos/cat"}
    assert queue.kept == set()


def test_a_message_stays_until_all_its_records_are_done(world: World) -> None:
    class Locked(FakeClient):
        async def ask(self, request: Request) -> Mapping[str, Any]:
            if request.parameters["Key"] == "dog":
                raise refused(request.operation, "AccessDenied", 403)
            return await super().ask(request)

    queue = FakeQueue(failed("1", "cat", "dog"))
    told, tally = redrive(Locked(world.s3), queue)
    assert [(one.message_id, one.kind) for one in told] == [("1", "AccessDenied")]
    assert (tally.removed, tally.problems, backups(world)) == (0, 1, {"photos/cat"})
    assert [one.id for one in queue.there] == ["1"]
    told, tally = redrive(FakeClient(world.s3), queue)
    assert (told, tally.outcomes) == ([], {"duplicate": 1, "copied": 1})
    assert queue.there == []


def test_a_copy_that_is_not_there_any_more_keeps_its_message(world: World) -> None:
    class Vanishing(FakeClient):
        async def ask(self, request: Request) -> Mapping[str, Any]:
            answer = await super().ask(request)
            if request.operation == "CopyObject":
                world.backup.keys.clear()
            return answer

    queue = FakeQueue(failed("1", "cat"))
    told, tally = redrive(Vanishing(world.s3), queue)
    assert [(one.kind, one.text) for one in told] == [
        ("Contention", "the copy was gone when it was looked at")
    ]
    assert (tally.removed, len(queue.there)) == (0, 1)


def test_buckets_that_the_stack_does_not_back_up_are_not_touched(world: World) -> None:
    queue = FakeQueue(failed("1", "cat", bucket="backup"), failed("2", "cat"))
    told, tally = redrive(FakeClient(world.s3), queue, sources=["photos"])
    assert [(one.message_id, one.kind, one.text) for one in told] == [
        ("1", "NotASource", "backup is no source")
    ]
    assert tally.removed == 1


def test_without_any_success_it_gives_up(world: World) -> None:
    class Down(FakeClient):
        async def ask(self, request: Request) -> Mapping[str, Any]:
            raise S3Error(request.operation, "SlowDown", 503, "")

    queue = FakeQueue(*(failed(str(number), "cat") for number in range(60)))
    with pytest.raises(BackupctlError, match="gave up after 50 failures in a row"):
        redrive(Down(world.s3), queue)
    assert len(queue.there) == 60


def test_what_cannot_be_kept_hidden_is_not_worked_on(world: World) -> None:
    class Never(FakeClient):
        async def ask(self, request: Request) -> Mapping[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

    queue = FakeQueue(failed("1", "cat"))
    queue.hiding_fails = True
    with pytest.raises(BackupctlError, match="the queue is gone"):
        redrive(Never(world.s3), queue)


def test_versions_of_one_key_are_handled_one_after_the_other(world: World) -> None:
    class Watching(FakeClient):
        busy = 0

        async def ask(self, request: Request) -> Mapping[str, Any]:
            self.busy += 1
            assert self.busy == 1
            await asyncio.sleep(0.001)
            self.busy -= 1
            return await super().ask(request)

    queue = FakeQueue(*(failed(str(number), "cat") for number in range(4)))
    told, tally = redrive(Watching(world.s3), queue)
    assert (told, tally.outcomes) == ([], {"copied": 1, "duplicate": 3})
