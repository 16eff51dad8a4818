"""A thousand records at once: all handled, each logged once, within bounds."""

import contextlib
import io
import json
import threading
import tracemalloc
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from handler import clients, concurrency
from handler.boto import PARTS_IN_FLIGHT
from handler.main import BackupFailed, handler
from handler.requests import Request, Steps
from tests.events import changed, messages
from tests.handler.fake_s3 import OWNER, Bucket, FakeS3, Fault, When, drive, refused

T = TypeVar("T")

RECORDS = 1000
CONTEXT = SimpleNamespace(
    function_name="backup",
    aws_request_id="request-1",
    invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:backup",
    get_remaining_time_in_millis=lambda: 900_000,
)
# Measured: 6 with the direct event, 12 with the messages, which are made meanwhile.
MIB_OF_MEMORY = 16


class Cloud(FakeS3):
    """The fake S3 as a driver that threads share, and a failure queue."""

    def __init__(self) -> None:
        super().__init__(Bucket("photos"), Bucket("backups"))
        self.sent: list[dict[str, Any]] = []
        self.most_threads = 0
        self.fault = failing
        self._busy = threading.Lock()

    def answer(self, request: Request) -> dict[str, Any]:
        with self._busy:
            self.most_threads = max(self.most_threads, threading.active_count())
            return super().answer(request)

    def run(self, steps: Steps[T]) -> T:
        return drive(steps, self)

    def send_message(self, **message: Any) -> None:
        self.sent.append(json.loads(message["MessageBody"]))


def failing(request: Request) -> Fault | None:
    """Every tenth object may not be read, every other tenth meets a busy S3."""
    match request.parameters["Key"].rpartition("-")[2][-1]:
        case "3":
            return When.BEFORE, refused(request.operation, "AccessDenied", 403)
        case "7":
            return When.BEFORE, refused(request.operation, "SlowDown", 503)
        case _:
            return None


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    cloud = Cloud()
    monkeypatch.setattr(clients, "driver", lambda: cloud)
    monkeypatch.setattr(clients, "sqs", lambda: cloud)
    monkeypatch.setenv("BACKUP_BUCKET", "backups")
    monkeypatch.setenv("BUCKET_OWNER", OWNER)
    monkeypatch.setenv("FAILURE_QUEUE_URL", "https://sqs/failures")
    monkeypatch.setenv("MAX_RECEIVES", "5")
    return cloud


@pytest.fixture
def events(cloud: Cloud) -> list[Any]:
    """A thousand events, one for each of a thousand objects."""
    made: list[Any] = []
    for number in range(RECORDS):
        key = f"object-{number}"
        version = cloud.write("photos", key, b"content")
        made.append(
            changed(key=key, versionId=version.version_id, eTag=version.etag, size=version.size)
        )
    return made


@contextlib.contextmanager
def watched(cloud: Cloud) -> Generator[io.StringIO]:
    """Catch the log, and refuse too much of memory or of threads."""
    out = io.StringIO()
    threads = threading.active_count()
    tracemalloc.start()
    try:
        with contextlib.redirect_stdout(out):
            yield out
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert memory < MIB_OF_MEMORY * 1024**2
    assert cloud.most_threads <= threads + concurrency.THREADS + PARTS_IN_FLIGHT


def check(cloud: Cloud, log: io.StringIO) -> None:
    """Everything is backed up but what cannot be, and all of it is logged once."""
    numbers = range(RECORDS)
    denied = {f"object-{number}" for number in numbers if number % 10 == 3}
    busy = {f"object-{number}" for number in numbers if number % 10 == 7}
    copied = {f"object-{number}" for number in numbers} - denied - busy
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    outcomes = [line for line in lines if "outcome" in line]
    assert len(outcomes) == RECORDS
    assert len(lines) == 2 * RECORDS
    assert {line["key"]: line.get("kind") for line in outcomes} == {
        **dict.fromkeys(copied),
        **dict.fromkeys(denied, "AccessDenied"),
        **dict.fromkeys(busy, "SlowDown"),
    }
    assert set(cloud.buckets["backups"].keys) == {f"photos/{key}" for key in copied}
    kept = [record["s3"]["object"]["key"] for one in cloud.sent for record in records_of(one)]
    assert sorted(kept) == sorted(denied)


def records_of(failure: dict[str, Any]) -> list[dict[str, Any]]:
    return failure["requestPayload"]["Records"]


def test_a_direct_event(cloud: Cloud, events: list[Any]) -> None:
    payload = {"Records": [record for event in events for record in event["Records"]]}
    with watched(cloud) as log, pytest.raises(BackupFailed, match=r"photos/object-7: "):
        handler(payload, CONTEXT)
    check(cloud, log)


def test_a_batch_of_messages(cloud: Cloud, events: list[Any]) -> None:
    with watched(cloud) as log:
        answer = handler(messages(*events), CONTEXT)
    check(cloud, log)
    assert answer is not None
    busy = {f"message-{number}" for number in range(7, RECORDS, 10)}
    assert len(answer["batchItemFailures"]) == len(busy)
    assert {failure["itemIdentifier"] for failure in answer["batchItemFailures"]} == busy


def test_a_batch_about_one_object(cloud: Cloud) -> None:
    versions = [cloud.write("photos", "one", str(n).encode()) for n in range(100)]
    events = [
        changed(key="one", versionId=version.version_id, eTag=version.etag, sequencer=f"{n:04X}")
        for n, version in enumerate(versions)
    ]
    with watched(cloud) as log:
        answer = handler(messages(*reversed(events)), CONTEXT)
    assert answer == {"batchItemFailures": []}
    kept = cloud.buckets["backups"].keys["photos/one"]
    assert [version.content for version in kept] == [version.content for version in versions]
    assert log.getvalue().count('"outcome": "copied"') == 100
    # Two for the first and four for each that follows: nothing was in its way.
    assert len(cloud.requests) == 2 + 99 * 4
