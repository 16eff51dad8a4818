"""The entry point: one log line per record, all records tried, failure if any failed."""

import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handler import main
from handler.events import UnknownEvent
from handler.main import BackupFailed, handler
from handler.records import Backup, ObjectVersion, Outcome
from tests.events import changed, event


class Engine:
    """Stands in for the copy engine: answers per key, remembers what it was asked."""

    def __init__(self, **answers: Backup | Exception) -> None:
        self.answers = answers
        self.asked: list[ObjectVersion] = []

    def copy(self, source: ObjectVersion) -> Backup:
        self.asked.append(source)
        answer = self.answers.get(source.key, Backup(Outcome.COPIED, 7))
        if isinstance(answer, Exception):
            raise answer
        return answer


def run(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, payload: object
) -> tuple[list[dict[str, Any]], Exception | None]:
    """Invoke the handler; returns its log lines and what it raised."""
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr(main, "_copier", lambda: engine)
    failure = None
    try:
        handler(payload, None)
    except Exception as error:
        failure = error
    return [json.loads(line) for line in out.getvalue().splitlines()], failure


def records(*keys: str) -> dict[str, Any]:
    return {"Records": [changed(key=key)["Records"][0] for key in keys]}


def test_a_backed_up_record_is_one_log_line(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = changed(eventTime=(datetime.now(UTC) - timedelta(seconds=90)).isoformat())
    [line], failure = run(monkeypatch, Engine(), payload)
    assert failure is None
    assert line.pop("milliseconds") >= 0
    assert 90 <= line.pop("secondsSinceEvent") < 100
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is UTC
    assert line == {
        "level": "INFO",
        "bucket": "photos",
        "key": "summer 2026/café + 100%.jpg",
        "version": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
        "outcome": "copied",
        "bytes": 7,
    }


@pytest.mark.parametrize("outcome", [Outcome.GONE, Outcome.SUPERSEDED])
def test_nothing_left_to_copy_is_a_success(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    [line], failure = run(monkeypatch, Engine(a=Backup(outcome)), records("a"))
    assert failure is None
    assert (line["outcome"], line["bytes"]) == (outcome.value, None)


def test_all_records_are_tried_and_one_failure_fails_the_invocation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine(b=RuntimeError("no luck"))
    payload = {"Records": [*records("a", "b")["Records"], "nonsense", *records("c")["Records"]]}
    lines, failure = run(monkeypatch, engine, payload)
    assert [source.key for source in engine.asked] == ["a", "b", "c"]
    assert [line["outcome"] for line in lines] == ["copied", "failed", "failed", "copied"]
    assert isinstance(failure, BackupFailed)
    assert str(failure) == (
        "photos/b: RuntimeError: no luck; Refused: unreadable record: "
        "TypeError: string indices must be integers, not 'str'"
    )


def test_a_failed_record_says_why_in_its_log_line(monkeypatch: pytest.MonkeyPatch) -> None:
    [line], _ = run(monkeypatch, Engine(a=RuntimeError("no luck")), records("a"))
    assert (line["level"], line["problem"]) == ("ERROR", "RuntimeError: no luck")


def test_a_log_line_stays_one_line_whatever_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    [line], failure = run(monkeypatch, Engine(), records("a%0Ab%E2%80%A8c"))
    assert failure is None
    assert line["key"] == "a\nb\u2028c"


def test_the_test_event_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    assert run(monkeypatch, engine, event("s3_test_event")) == ([], None)
    assert engine.asked == []


def test_an_unknown_event_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, failure = run(monkeypatch, Engine(), {"hello": "world"})
    assert lines == []
    assert isinstance(failure, UnknownEvent)


def test_the_engine_is_configured_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKUP_BUCKET", "photos")
    monkeypatch.setenv("BUCKET_OWNER", "123456789012")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    main._copier.cache_clear()
    assert main._copier()._s3.meta.config.read_timeout >= 900
    with pytest.raises(BackupFailed, match=re.escape("Refused: the backup bucket is no source")):
        handler(event("s3_put_versioned"), None)
    main._copier.cache_clear()
