"""S3 Batch Operations: each task is copied like any event, and answered with a result code."""

import io
import json
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from handler import clients
from handler.batch import handler
from handler.copy import Engine
from handler.events import UnknownEvent
from handler.failures import Failed
from handler.records import Backup, ObjectVersion, Outcome
from tests.events import event

CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)
THROTTLED = Failed("CopyObject: SlowDown", kind="SlowDown", retryable=True)
DENIED = Failed("CopyObject: AccessDenied; ask", kind="AccessDenied", retryable=False)
KEY = "summer 2026/caf\u00e9 + 100%.jpg"
ENCODED = "summer%202026/caf%C3%A9%20%2B%20100%25.jpg"


@dataclass
class Lambda:
    """What the function sees and does, with the engine's decisions given by key."""

    answers: dict[str, Backup | Exception] = field(default_factory=dict)
    asked: list[ObjectVersion] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)

    def copy(self, source: ObjectVersion) -> Generator[Any, Any, Backup]:
        self.asked.append(source)
        answer = self.answers.get(source.key, Backup(Outcome.COPIED, 7))
        if isinstance(answer, Exception):
            raise answer
        return answer
        yield

    def invoke(self, payload: object, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        out = io.StringIO()
        with monkeypatch.context() as during:
            during.setattr("sys.stdout", out)
            answer = handler(payload, CONTEXT)
        for line in map(json.loads, out.getvalue().splitlines()):
            (self.metrics if "_aws" in line else self.lines).append(line)
        # Lambda makes JSON of it.
        return json.loads(json.dumps(answer))


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Lambda:
    function = Lambda()
    monkeypatch.setenv("BACKUP_BUCKET", "backups")
    monkeypatch.setenv("BUCKET_OWNER", "123456789012")
    monkeypatch.delenv("FAILURE_QUEUE_URL", raising=False)
    monkeypatch.delenv("BUCKET_METRICS", raising=False)
    monkeypatch.setattr(Engine, "copy", lambda _, source: function.copy(source))
    clients._driver.cache_clear()
    return function


def tasks(*changes: dict[str, Any] | str, schema: str = "1_0") -> dict[str, Any]:
    """An invocation with a task per change; a text is a key."""
    whole = event(f"s3_batch_{schema}")
    [like] = whole["tasks"]
    whole["tasks"] = [
        {**like, "taskId": f"task-{number}", **({"s3Key": c} if isinstance(c, str) else c)}
        for number, c in enumerate(changes)
    ]
    return whole


def codes(answer: dict[str, Any]) -> dict[str, str]:
    return {result["taskId"]: result["resultCode"] for result in answer["results"]}


def test_copies_are_of_the_storage_class_that_the_environment_names(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_CLASS", "GLACIER_IR")
    classes: list[str] = []

    def copy(engine: Engine, source: ObjectVersion) -> Generator[Any, Any, Backup]:
        classes.append(engine.storage_class)
        return function.copy(source)

    monkeypatch.setattr(Engine, "copy", copy)
    function.invoke(tasks("a"), monkeypatch)
    assert classes == ["GLACIER_IR"]


@pytest.mark.parametrize(
    ("schema", "version"), [("1_0", "096fKKXTRTtl3on89fVO.nfljtsv6qko"), ("2_0", None)]
)
def test_a_task_is_copied_logged_counted_and_answered(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, schema: str, version: str | None
) -> None:
    payload = event(f"s3_batch_{schema}")
    assert function.invoke(payload, monkeypatch) == {
        "invocationSchemaVersion": payload["invocationSchemaVersion"],
        "invocationId": payload["invocationId"],
        "treatMissingKeysAs": "PermanentFailure",
        "results": [
            {"taskId": "dGFza2lkZ29lc2hlcmUK", "resultCode": "Succeeded", "resultString": "copied"}
        ],
    }
    assert function.asked == [ObjectVersion("photos", KEY, version)]
    [line], [counted] = function.lines, function.metrics
    assert (line["bucket"], line["key"], line["version"]) == ("photos", KEY, version)
    assert (line["outcome"], line["bytes"], line["level"]) == ("copied", 7, "INFO")
    assert "secondsSinceEvent" not in line
    assert (counted["SourceBucket"], counted["BackedUp"], counted["Bytes"]) == ("photos", 1, 7)
    assert "Lag" not in counted


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_of_the_engine_is_a_success(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    function.answers["a"] = Backup(outcome)
    [result] = function.invoke(tasks("a"), monkeypatch)["results"]
    assert (result["resultCode"], result["resultString"]) == ("Succeeded", outcome.value)


def test_what_may_succeed_later_is_temporary_and_what_cannot_is_permanent(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers |= {"a": THROTTLED, "b": DENIED, "c": ZeroDivisionError("oops")}
    answer = function.invoke(tasks("a", "b", "c", "d"), monkeypatch)
    assert answer["results"] == [
        {
            "taskId": "task-0",
            "resultCode": "TemporaryFailure",
            "resultString": "SlowDown: CopyObject: SlowDown",
        },
        {
            "taskId": "task-1",
            "resultCode": "PermanentFailure",
            "resultString": "AccessDenied: CopyObject: AccessDenied; ask",
        },
        {
            "taskId": "task-2",
            "resultCode": "TemporaryFailure",
            "resultString": "Unexpected: ZeroDivisionError: oops",
        },
        {"taskId": "task-3", "resultCode": "Succeeded", "resultString": "copied"},
    ]
    found = {line["key"]: line["outcome"] for line in function.lines}
    assert found == {"a": "failed", "b": "failed", "c": "failed", "d": "copied"}
    kinds = sorted(counted["Kind"] for counted in function.metrics if "Failed" in counted)
    assert kinds == ["AccessDenied", "SlowDown", "Unexpected"]


@pytest.mark.parametrize(
    ("schema", "task", "problem"),
    [
        ("1_0", {"s3BucketArn": None}, "s3BucketArn is None, not a non-empty text"),
        ("1_0", {"s3BucketArn": "photos"}, "s3BucketArn is 'photos', not the ARN of a bucket"),
        (
            "1_0",
            {"s3BucketArn": "arn:aws:s3:eu-central-1:1:accesspoint/a"},
            "not the ARN of a bucket",
        ),
        ("1_0", {"s3BucketArn": "arn:aws:s3express:::photos"}, "not the ARN of a bucket"),
        ("1_0", {"s3BucketArn": "arn:aws:s3:::"}, "not the ARN of a bucket"),
        ("2_0", {"s3Bucket": ""}, "s3Bucket is '', not a non-empty text"),
        ("1_0", {"s3Key": 7}, "s3Key is 7, not a non-empty text"),
        ("1_0", {"s3Key": ""}, "s3Key is '', not a non-empty text"),
        ("1_0", {"s3Key": "%FF"}, "UnicodeDecodeError"),
        ("1_0", {"s3VersionId": ""}, "s3VersionId is '', not a non-empty text"),
        ("1_0", {"s3VersionId": ["1"]}, "s3VersionId is ['1'], not a non-empty text"),
    ],
)
def test_a_damaged_task_fails_for_good_with_its_reason_and_its_neighbours_are_copied(
    function: Lambda,
    monkeypatch: pytest.MonkeyPatch,
    schema: str,
    task: dict[str, Any],
    problem: str,
) -> None:
    answer = function.invoke(tasks("a", task, "b", schema=schema), monkeypatch)
    assert codes(answer) == {
        "task-0": "Succeeded",
        "task-1": "PermanentFailure",
        "task-2": "Succeeded",
    }
    text = answer["results"][1]["resultString"]
    assert text.startswith("DamagedRecord: unreadable task: ")
    assert problem in text
    assert sorted(source.key for source in function.asked) == ["a", "b"]


@pytest.mark.parametrize("field", ["s3Key", "s3BucketArn"])
def test_a_task_without_a_field_is_damaged(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    payload = tasks("a", "b")
    del payload["tasks"][0][field]
    answer = function.invoke(payload, monkeypatch)
    assert answer["results"][0] == {
        "taskId": "task-0",
        "resultCode": "PermanentFailure",
        "resultString": f"DamagedRecord: unreadable task: KeyError: '{field}'",
    }
    assert codes(answer)["task-1"] == "Succeeded"


@pytest.mark.parametrize("damaged", [{"taskId": 5}, {"taskId": ""}, {"taskId": None}])
def test_a_task_that_cannot_be_answered_is_logged_and_not_copied(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, damaged: dict[str, Any]
) -> None:
    answer = function.invoke(tasks({**damaged, "s3Key": "a"}, "b"), monkeypatch)
    assert codes(answer) == {"task-1": "Succeeded"}
    assert answer["treatMissingKeysAs"] == "PermanentFailure"
    assert [source.key for source in function.asked] == ["b"]
    [problem] = [line["problem"] for line in function.lines if line["outcome"] == "failed"]
    assert problem.startswith("the task has no taskId: {")


def test_a_task_that_is_no_object_is_damaged(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = tasks("a")
    payload["tasks"].insert(0, "nonsense")
    assert codes(function.invoke(payload, monkeypatch)) == {"task-0": "Succeeded"}
    assert any("'nonsense'" in line.get("problem", "") for line in function.lines)


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        (ENCODED, KEY),
        ("summer+2026/caf%C3%A9+%2B+100%25.jpg", KEY),
        ("a%2Bb", "a+b"),
        ("a%252Bb", "a%2Bb"),
        ("%0A%2F%2F..%2F", "\n//../"),
        ("object%20key%20with%20spaces", "object key with spaces"),
    ],
)
def test_keys_are_decoded_once(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, encoded: str, key: str
) -> None:
    function.invoke(tasks(encoded), monkeypatch)
    assert [source.key for source in function.asked] == [key]


@pytest.mark.parametrize("arn", ["arn:aws:s3:::my.photos", "arn:aws:s3:eu-central-1:1:my.photos"])
def test_both_forms_of_a_buckets_arn_name_the_bucket(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, arn: str
) -> None:
    function.invoke(tasks({"s3BucketArn": arn}), monkeypatch)
    assert [source.bucket for source in function.asked] == ["my.photos"]


def test_a_reason_is_one_line_that_fits_a_report(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers["a"] = Failed("first\nsecond\t" + "x" * 5000, kind="Long", retryable=False)
    [result] = function.invoke(tasks("a"), monkeypatch)["results"]
    text = result["resultString"]
    assert text.startswith("Long: first second xxx")
    assert len(text) == 1024
    assert text.endswith("x...")


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (
            {"Records": []},
            "not an invocation by S3 Batch Operations: expected an object with "
            "'invocationSchemaVersion'; create a job that invokes this function",
        ),
        (
            "text",
            "not an invocation by S3 Batch Operations: expected an object with "
            "'invocationSchemaVersion'; create a job that invokes this function",
        ),
        (
            {**event("s3_batch_1_0"), "invocationSchemaVersion": "3.0"},
            "invocationSchemaVersion is '3.0', known here are 1.0 and 2.0; create the job with one "
            "of these",
        ),
        (
            {**event("s3_batch_1_0"), "invocationSchemaVersion": ["1.0"]},
            "invocationSchemaVersion is ['1.0'], known here are 1.0 and 2.0; create the job with "
            "one of these",
        ),
        (
            {**event("s3_batch_1_0"), "tasks": []},
            "not an invocation by S3 Batch Operations: expected a text 'invocationId' and a "
            "non-empty list 'tasks'",
        ),
        (
            {**event("s3_batch_1_0"), "invocationId": None},
            "not an invocation by S3 Batch Operations: expected a text 'invocationId' and a "
            "non-empty list 'tasks'",
        ),
    ],
)
def test_what_is_no_known_invocation_is_one_clear_error(
    function: Lambda, monkeypatch: pytest.MonkeyPatch, payload: Any, message: str
) -> None:
    with pytest.raises(UnknownEvent) as error:
        function.invoke(payload, monkeypatch)
    assert str(error.value) == message
    assert function.asked == []


def test_what_is_not_done_in_time_is_tried_again_by_the_job(
    function: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    real = function.copy

    def copy(_: Engine, source: ObjectVersion) -> Generator[Any, Any, Backup]:
        if source.key == "silent":
            answered.wait(60)
        return (yield from real(source))

    monkeypatch.setattr(Engine, "copy", copy)
    monkeypatch.setattr(CONTEXT, "get_remaining_time_in_millis", lambda: 1000)
    try:
        answer = function.invoke(tasks("silent", "b"), monkeypatch)
    finally:
        answered.set()
    assert codes(answer) == {"task-0": "TemporaryFailure", "task-1": "Succeeded"}
    assert answer["results"][0]["resultString"].startswith("OutOfTime: the time was used up")
