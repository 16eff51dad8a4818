"""The entry point: one log line per record, all records tried, each failure on its way."""

import io
import json
import socket
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.session import Session

from handler import attempts, clients, concurrency, metrics
from handler.copy import Engine
from handler.events import UnknownEvent
from handler.failures import Failed
from handler.main import BackupFailed, handler
from handler.records import Backup, ObjectVersion, Outcome, Removal
from handler.requests import Request, S3Error
from tests.events import changed, event, messages

ENGINE_COPY = Engine.copy
CONTEXT = SimpleNamespace(
    function_name="backup-1",
    aws_request_id="request-1",
    invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:backup-1",
    get_remaining_time_in_millis=lambda: 900_000,
)
THROTTLED = Failed("CopyObject: SlowDown", kind="SlowDown", retryable=True)
DENIED = Failed("CopyObject: AccessDenied; ask", kind="AccessDenied", retryable=False)


@dataclass
class Lambda:
    """What the function sees and does, with the engine's decisions given."""

    answers: dict[str, Backup | Exception] = field(default_factory=dict)
    asked: list[ObjectVersion] = field(default_factory=list)
    engines: list[Engine] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    queue_works: bool = True
    lines: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)

    def copy(self, engine: Engine, source: ObjectVersion) -> Generator[Any, Any, Backup]:
        self.asked.append(source)
        self.engines.append(engine)
        answer = self.answers.get(source.key, Backup(Outcome.COPIED, 7))
        if isinstance(answer, Exception):
            raise answer
        return answer
        yield

    def send_message(self, **message: Any) -> None:
        if not self.queue_works:
            raise EndpointConnectionError(endpoint_url="https://sqs")
        self.sent.append(message)


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Lambda:
    function = Lambda()
    monkeypatch.setenv("BACKUP_BUCKET", "backups")
    monkeypatch.setenv("BUCKET_OWNER", "123456789012")
    monkeypatch.setenv("FAILURE_QUEUE_URL", "https://sqs/failures")
    monkeypatch.setenv("MAX_RECEIVES", "5")
    monkeypatch.delenv("BUCKET_METRICS", raising=False)
    monkeypatch.delenv("STORAGE_CLASS", raising=False)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "backup-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    # A plain function, so that the engine becomes its first argument.
    monkeypatch.setattr(Engine, "copy", lambda engine, source: function.copy(engine, source))  # noqa: PLW0108
    real = Session.create_client

    def client(session: Session, name: str, **more: Any) -> Any:
        return function if name == "sqs" else real(session, name, **more)

    monkeypatch.setattr(Session, "create_client", client)
    clients._driver.cache_clear()
    clients._sqs.cache_clear()
    return function


def invoke(
    function: Lambda, payload: object, monkeypatch: pytest.MonkeyPatch, context: object = CONTEXT
) -> dict[str, Any] | None:
    out = io.StringIO()
    try:
        with monkeypatch.context() as during:
            during.setattr("sys.stdout", out)
            return handler(payload, context)
    finally:
        for line in map(json.loads, out.getvalue().splitlines()):
            (function.metrics if "_aws" in line else function.lines).append(line)


def records(*keys: str) -> dict[str, Any]:
    return {"Records": [changed(key=key)["Records"][0] for key in keys]}


def outcomes(function: Lambda) -> dict[str | None, str]:
    """The outcome of each key, each of which has one line."""
    found = {line.get("key"): line["outcome"] for line in function.lines}
    assert len(found) == len(function.lines) == len(function.metrics)
    return found


def test_a_backed_up_record_is_one_log_line(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = (datetime.now(UTC) - timedelta(seconds=90)).isoformat()
    assert invoke(function, changed(eventTime=time), monkeypatch) is None
    [line] = function.lines
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is UTC
    assert line.pop("milliseconds") >= 0
    assert 90 <= line.pop("secondsSinceEvent") < 100
    assert line == {
        "level": "INFO",
        "bucket": "photos",
        "key": "summer 2026/caf\u00e9 + 100%.jpg",
        "version": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
        "outcome": "copied",
        "bytes": 7,
    }


@pytest.mark.parametrize(
    ("outcome", "metric"),
    [
        (Outcome.COPIED, "BackedUp"),
        (Outcome.DUPLICATE, "Duplicate"),
        (Outcome.GONE, "Gone"),
        (Outcome.REMOVED, "Removed"),
        (Outcome.SUPERSEDED, "Superseded"),
    ],
)
def test_every_outcome_is_a_success_and_counted(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, metric: str
) -> None:
    size = 5 if outcome in {Outcome.COPIED, Outcome.SUPERSEDED} else 0
    function.answers["a"] = Backup(outcome, size)
    invoke(function, records("a"), monkeypatch)
    assert [line["outcome"] for line in function.lines] == [outcome.value]
    [counted] = function.metrics
    emitted = counted.pop("_aws")
    lag = {"Lag": function.lines[0]["secondsSinceEvent"]} if metric == "BackedUp" else {}
    bytes_ = {"Bytes": 5} if size else {}
    assert counted == {
        "BackupBucket": "backups",
        "FunctionName": "backup-1",
        "SourceBucket": "photos",
        metric: 1,
        **bytes_,
        **lag,
    }
    both = [["BackupBucket"], ["FunctionName", "SourceBucket"]]
    assert dimensions(emitted) == dict.fromkeys((metric, *bytes_, *lag), both)
    assert abs(emitted["Timestamp"] / 1000 - datetime.now(UTC).timestamp()) < 60


def dimensions(emitted: dict[str, Any]) -> dict[str, list[list[str]]]:
    """The sets of dimensions of each metric, none of which may be announced twice."""
    found: dict[str, list[list[str]]] = {}
    for directive in emitted["CloudWatchMetrics"]:
        assert directive["Namespace"] == "S3Backup"
        for metric in directive["Metrics"]:
            assert metric["Name"] not in found
            assert metric["Unit"] == metrics.METRICS[metric["Name"]].unit
            found[metric["Name"]] = directive["Dimensions"]
    return found


@pytest.mark.parametrize("named", ["STANDARD", "DEEP_ARCHIVE"])
def test_copies_are_of_the_storage_class_that_the_environment_names(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    if named != "STANDARD":
        monkeypatch.setenv("STORAGE_CLASS", named)
    invoke(function, records("a"), monkeypatch)
    [engine] = function.engines
    assert engine.storage_class == named


def test_a_deletion_is_recorded_and_logged_like_a_version(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACK_DELETES", "on")
    asked: list[tuple[bool, Removal]] = []

    def remove(engine: Engine, removal: Removal) -> Generator[Any, Any, Backup]:
        asked.append((engine.track_deletes, removal))
        return Backup(Outcome.REMOVED)
        yield

    monkeypatch.setattr(Engine, "remove", remove)
    invoke(function, event("s3_delete_marker"), monkeypatch)
    [(tracked, removal)] = asked
    assert tracked
    assert removal.sequencer == "0055AED6DCD90281E8"
    [line] = function.lines
    assert (line["bucket"], line["key"], line["version"], line["outcome"]) == (
        "photos",
        "summer 2026/caf\u00e9 + 100%.jpg",
        "3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH",
        "removed",
    )
    assert line["secondsSinceEvent"] > 0
    assert [counted["Removed"] for counted in function.metrics] == [1]


def test_without_tracking_a_deletion_goes_to_the_failure_queue_with_a_cure(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = event("s3_delete_marker")
    invoke(function, payload, monkeypatch)
    [message] = function.sent
    body = json.loads(message["MessageBody"])
    assert body["requestPayload"] == payload
    assert body["responsePayload"]["errorType"] == "DeletesNotTracked"
    assert "set trackDeletes" in body["responsePayload"]["errorMessage"]


def test_failures_are_counted_for_the_stack_by_bucket_and_by_kind(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers["a"] = DENIED
    invoke(function, records("a"), monkeypatch)
    [counted] = function.metrics
    assert dimensions(counted.pop("_aws")) == {
        "Failed": [["BackupBucket"], ["FunctionName", "SourceBucket"], ["BackupBucket", "Kind"]]
    }
    assert counted == {
        "BackupBucket": "backups",
        "FunctionName": "backup-1",
        "SourceBucket": "photos",
        "Kind": "AccessDenied",
        "Failed": 1,
    }


def test_an_empty_object_counts_with_its_zero_bytes(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers["a"] = Backup(Outcome.COPIED, 0)
    invoke(function, records("a"), monkeypatch)
    assert function.metrics[0]["Bytes"] == 0


@pytest.mark.parametrize("answer", [Backup(Outcome.COPIED, 7), DENIED])
def test_metrics_by_bucket_can_be_off(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, answer: Backup | Exception
) -> None:
    monkeypatch.setenv("BUCKET_METRICS", "off")
    function.answers["a"] = answer
    invoke(function, records("a"), monkeypatch)
    [counted] = function.metrics
    sets = list(dimensions(counted["_aws"]).values())
    kinds = [["BackupBucket", "Kind"]] if answer is DENIED else []
    assert all(found == [["BackupBucket"], *kinds] for found in sets)
    assert not {"FunctionName", "SourceBucket"} & set(counted)


def test_all_records_are_tried_and_what_may_succeed_later_fails_the_invocation(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers["b"] = THROTTLED
    with pytest.raises(BackupFailed, match=r"^photos/b: CopyObject: SlowDown$"):
        invoke(function, records("a", "b", "c"), monkeypatch)
    assert sorted(source.key for source in function.asked) == ["a", "b", "c"]
    assert outcomes(function) == {"a": "copied", "b": "failed", "c": "copied"}
    assert function.sent == []


def test_what_no_retry_can_help_goes_to_the_queue_alone_and_at_once(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers["b"] = DENIED
    payload = records("a", "b", "c")
    invoke(function, payload, monkeypatch)
    [message] = function.sent
    assert message["QueueUrl"] == "https://sqs/failures"
    body = json.loads(message["MessageBody"])
    assert datetime.fromisoformat(body.pop("timestamp")).tzinfo is UTC
    assert body == {
        "version": "1.0",
        "requestContext": {
            "requestId": "request-1",
            "functionArn": CONTEXT.invoked_function_arn,
            "condition": "Permanent",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"Records": [payload["Records"][1]]},
        "responsePayload": {
            "errorType": "AccessDenied",
            "errorMessage": "CopyObject: AccessDenied; ask",
        },
    }
    [line] = [line for line in function.lines if line["outcome"] == "failed"]
    assert (line["level"], line["kind"], line["retryable"]) == ("ERROR", "AccessDenied", False)
    assert line["problem"] == "CopyObject: AccessDenied; ask"


def test_what_is_in_the_queue_can_be_handled_like_the_event_it_came_from(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers["a"] = DENIED
    invoke(function, records("a"), monkeypatch)
    [message] = function.sent
    del function.answers["a"]
    invoke(function, json.loads(message["MessageBody"]), monkeypatch)
    assert function.asked[0] == function.asked[1]
    assert function.lines[-1]["outcome"] == "copied"


def test_if_the_queue_does_not_take_it_the_invocation_fails_and_neighbours_are_done(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers["a"] = DENIED
    function.queue_works = False
    with pytest.raises(BackupFailed, match=r"^photos/a: CopyObject: AccessDenied; ask$"):
        invoke(function, records("a", "b"), monkeypatch)
    assert sorted(source.key for source in function.asked) == ["a", "b"]
    assert any("the failure queue did not take it" in str(line) for line in function.lines)


def test_a_damaged_record_goes_to_the_queue_and_hides_nobody(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(function, {"Records": ["nonsense", *records("a")["Records"]]}, monkeypatch)
    assert outcomes(function) == {None: "failed", "a": "copied"}
    [message] = function.sent
    assert json.loads(message["MessageBody"])["requestPayload"] == {"Records": ["nonsense"]}
    assert {counted["SourceBucket"] for counted in function.metrics} == {"unknown", "photos"}


def test_what_nobody_foresaw_is_tried_again(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers["a"] = ZeroDivisionError("oops")
    with pytest.raises(BackupFailed, match=r"^photos/a: ZeroDivisionError: oops$"):
        invoke(function, records("a"), monkeypatch)
    assert function.lines[0]["kind"] == "Unexpected"


def test_a_log_line_stays_one_line_whatever_the_key(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(function, records("a%0Ab%E2%80%A8c"), monkeypatch)
    assert [line["key"] for line in function.lines] == ["a\nb\u2028c"]


def test_the_test_event_is_ignored(function: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
    invoke(function, event("s3_test_event"), monkeypatch)
    assert (function.asked, function.lines) == ([], [])


def test_an_unknown_event_is_an_error(function: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownEvent):
        invoke(function, {"hello": "world"}, monkeypatch)


def test_the_engine_is_configured_by_the_environment_and_knows_its_time(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(function, records("a"), monkeypatch)
    [engine] = function.engines
    assert (engine.backup_bucket, engine.owner) == ("backups", "123456789012")
    assert 880 < engine.seconds_left() < 890


@pytest.mark.parametrize(("remaining", "usable"), [(900.0, 890.0), (10.0, 9.0), (1.0, 0.9)])
def test_however_short_the_time_most_of_it_can_be_used(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, remaining: float, usable: float
) -> None:
    monkeypatch.setattr(CONTEXT, "get_remaining_time_in_millis", lambda: int(remaining * 1000))
    invoke(function, records("a"), monkeypatch)
    [engine] = function.engines
    assert usable - 0.5 < engine.seconds_left() <= usable


def again(*ids: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in ids]}


def bodies(*keys: str) -> list[object]:
    return [records(key) for key in keys]


def test_messages_of_a_queue_are_backed_up_and_none_comes_again(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke(function, messages(*bodies("a", "b")), monkeypatch) == again()
    assert outcomes(function) == {"a": "copied", "b": "copied"}


def test_of_a_batch_only_what_may_succeed_later_comes_again(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers |= {"b": THROTTLED, "c": DENIED, "d": ZeroDivisionError("oops")}
    answer = invoke(function, messages(*bodies("a", "b", "c", "d")), monkeypatch)
    assert answer == again("message-1", "message-3")
    [message] = function.sent
    body = json.loads(message["MessageBody"])
    assert body["requestPayload"] == records("c")
    assert body["requestContext"]["condition"] == "Permanent"
    assert outcomes(function) == {"a": "copied", "b": "failed", "c": "failed", "d": "failed"}


def test_a_message_with_several_records_comes_again_once(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers |= {"a": THROTTLED, "b": THROTTLED}
    answer = invoke(function, messages(records("a", "b", "c"), records("d")), monkeypatch)
    assert answer == again("message-0")
    assert outcomes(function) == {"a": "failed", "b": "failed", "c": "copied", "d": "copied"}


@pytest.mark.parametrize(("receives", "last"), [(1, False), (4, False), (5, True), (6, True)])
def test_what_fails_when_it_comes_for_the_last_time_is_kept_with_its_reason(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, receives: int, last: bool
) -> None:
    function.answers["a"] = THROTTLED
    batch = messages(*bodies("a", "b"), receives=receives)
    assert invoke(function, batch, monkeypatch) == (again() if last else again("message-0"))
    kept = [json.loads(message["MessageBody"]) for message in function.sent]
    assert [
        (
            one["requestPayload"],
            one["requestContext"]["condition"],
            one["requestContext"]["approximateInvokeCount"],
            one["responsePayload"],
        )
        for one in kept
    ] == [
        (
            records("a"),
            "RetriesExhausted",
            receives,
            {"errorType": "SlowDown", "errorMessage": "CopyObject: SlowDown"},
        )
    ] * last


def test_what_the_failure_queue_does_not_take_comes_again(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.queue_works = False
    function.answers |= {"b": DENIED, "c": THROTTLED}
    batch = messages("nonsense", *bodies("a", "b", "c"), receives=5)
    assert invoke(function, batch, monkeypatch) == again("message-0", "message-2", "message-3")


def test_a_batch_in_which_everything_is_damaged_is_answered(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = messages("nonsense", {"Records": [7]}, "[")
    assert invoke(function, batch, monkeypatch) == again()
    kept = [json.loads(message["MessageBody"]) for message in function.sent]
    payloads = [one["requestPayload"]["Records"] for one in kept]
    expected = [[batch["Records"][0]], [7], [batch["Records"][2]]]
    assert sorted(map(repr, payloads)) == sorted(map(repr, expected))
    assert {one["responsePayload"]["errorType"] for one in kept} == {"DamagedRecord"}
    assert len(function.lines) == 3


def test_a_batch_of_test_events_is_answered(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = messages(event("s3_test_event"), event("s3_test_event"))
    assert invoke(function, batch, monkeypatch) == again()
    assert (function.asked, function.lines, function.sent) == ([], [], [])


def test_what_no_queue_can_be_told_of_fails_the_whole_batch(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers |= {"a": THROTTLED, "b": THROTTLED}
    batch = messages(*bodies("a", "b", "c"))
    del batch["Records"][0]["messageId"]
    with pytest.raises(BackupFailed, match=r"^photos/a: .*; photos/b: "):
        invoke(function, batch, monkeypatch)
    assert outcomes(function)["c"] == "copied"


def test_a_kept_message_that_fails_again_when_redriven_fails_the_invocation(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers["a"] = THROTTLED
    invoke(function, messages(*bodies("a"), receives=5), monkeypatch)
    [message] = function.sent
    with pytest.raises(BackupFailed, match=r"^photos/a: CopyObject: SlowDown$"):
        invoke(function, json.loads(message["MessageBody"]), monkeypatch)


def test_records_are_handled_at_the_same_time(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody gets through before all three are there.
    together = threading.Barrier(3, timeout=30)

    def copy(_engine: Engine, _source: ObjectVersion) -> Generator[Any, Any, Backup]:
        together.wait()
        return Backup(Outcome.COPIED)
        yield

    monkeypatch.setattr(Engine, "copy", copy)
    invoke(function, records("a", "b", "c"), monkeypatch)
    invoke(function, messages(*bodies("d", "e", "f")), monkeypatch)
    assert outcomes(function) == dict.fromkeys("abcdef", "copied")


def test_versions_of_one_object_are_handled_in_order(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ["0A", "9", "10", "0B", "8"]
    versions = [changed(key="a", sequencer=sequencer) for sequencer in order]
    invoke(function, messages(*versions), monkeypatch)
    assert [source.sequencer for source in function.asked] == ["8", "9", "0A", "0B", "10"]


@dataclass
class Silence:
    """An S3 that does not answer about the keys that begin with "silent" until it is told to."""

    function: Lambda
    over: threading.Event = field(default_factory=threading.Event)

    def copy(self, engine: Engine, source: ObjectVersion) -> Generator[Any, Any, Backup]:
        if source.key.startswith("silent"):
            assert self.over.wait(30)
        return (yield from self.function.copy(engine, source))


@pytest.fixture
def silence(function: Lambda, monkeypatch: pytest.MonkeyPatch) -> Generator[Silence]:
    silence = Silence(function)
    clients.driver()  # Takes long, the first time.
    monkeypatch.setattr(Engine, "copy", lambda engine, source: silence.copy(engine, source))  # noqa: PLW0108
    yield silence
    silence.over.set()


def short(milliseconds: int) -> SimpleNamespace:
    return SimpleNamespace(**{
        **vars(CONTEXT), "get_remaining_time_in_millis": lambda: milliseconds
    })  # fmt: skip


@pytest.mark.parametrize("receives", [1, 5])
def test_when_the_time_is_up_what_s3_has_not_answered_comes_again(
    function: Lambda, silence: Silence, monkeypatch: pytest.MonkeyPatch, receives: int
) -> None:
    monkeypatch.setattr(concurrency, "THREADS", 3)
    threads = set(threading.enumerate())
    # With two of three threads busy the third does all that it can; the last one of the object
    # that hangs never begins.
    keys = ["silent-1", "silent-2", "a", "b", "silent-1"]
    batch = messages(*bodies(*keys), receives=receives)
    answer = invoke(function, batch, monkeypatch, short(2000))
    assert answer == again("message-0", "message-1", "message-4")
    assert function.sent == []
    ends = sorted((line["key"], line["outcome"], line.get("kind")) for line in function.lines)
    assert ends == [
        ("a", "copied", None),
        ("b", "copied", None),
        ("silent-1", "failed", "OutOfTime"),
        ("silent-1", "failed", "OutOfTime"),
        ("silent-2", "failed", "OutOfTime"),
    ]
    # What S3 says after all is of no interest any more.
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    silence.over.set()
    for thread in set(threading.enumerate()) - threads:
        thread.join(30)
    assert out.getvalue() == ""
    assert sorted(source.key for source in function.asked) == ["a", "b", "silent-1", "silent-2"]


def test_when_the_time_is_up_an_event_without_a_queue_fails_in_time(
    function: Lambda, silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with pytest.raises(BackupFailed, match=r"^photos/silent: the time was used up before S3 had"):
        invoke(function, records("silent", "a"), monkeypatch, short(2000))
    assert time.monotonic() - began >= 0.9
    assert outcomes(function) == {"silent": "failed", "a": "copied"}


@pytest.mark.parametrize("size", [None, attempts.QUICK_BYTES + 1])
def test_a_single_copy_that_may_last_is_given_up_in_time(
    function: Lambda, silence: Silence, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    with pytest.raises(BackupFailed, match=r"^photos/silent: the time was used up before S3 had"):
        invoke(function, changed(key="silent", size=size), monkeypatch, short(2000))
    assert outcomes(function) == {"silent": "failed"}


@pytest.mark.timeout(20)
def test_a_single_record_ends_in_time_though_s3_never_answers(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "copy", ENGINE_COPY)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # It takes connections, and leaves it at that.
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        with pytest.raises(BackupFailed, match=r"ReadTimeoutError|no time was left"):
            invoke(function, changed(key="a", size=5), monkeypatch, short(4000))
    [line] = function.lines
    assert (line["outcome"], line["retryable"]) == ("failed", True)
    clients._driver.cache_clear()


def test_clients_are_made_once_and_one_by_one_whoever_needs_them_first(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    making = threading.Lock()
    together = threading.Barrier(8, timeout=30)
    real = Session.create_client

    def client(session: Session, name: str, **more: Any) -> Any:
        assert making.acquire(blocking=False)
        made.append(name)
        time.sleep(0.05)
        making.release()
        return real(session, name, **more)

    def copy(_engine: Engine, source: ObjectVersion) -> Generator[Any, Any, Backup]:
        together.wait()
        if source.key == "a":
            with suppress(S3Error):
                yield Request("HeadObject", {"Key": "not sent without a bucket"})
        raise DENIED

    monkeypatch.setattr(Session, "create_client", client)
    monkeypatch.setattr(Engine, "copy", copy)
    invoke(function, records(*"abcdefgh"), monkeypatch)
    assert sorted(made) == ["s3", "sqs"]
    assert len(function.sent) == 8


class Interruptible(io.StringIO):
    """An output that lets other threads in between any two writes."""

    def write(self, text: str) -> int:
        written = super().write(text)
        time.sleep(0.0005)
        return written


def test_lines_are_whole_however_many_threads_write(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Interruptible()
    keys = [f"key-{number}" for number in range(100)]
    with monkeypatch.context() as during:
        during.setattr("sys.stdout", out)
        handler(records(*keys), CONTEXT)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert sorted(line["key"] for line in lines if "key" in line) == sorted(keys)
    # The metrics of a record follow its outcome.
    assert ["_aws" in line for line in lines] == [False, True] * 100
