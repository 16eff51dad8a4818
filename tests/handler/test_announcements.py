"""What the function tells the event bus, and that it never costs a backup."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from handler import clients
from handler.main import BackupFailed
from handler.records import Backup, Outcome
from tests.events import changed
from tests.events_schema import checked
from tests.recorder import ROOT

from .test_main import CONTEXT, DENIED, THROTTLED, Lambda, function, invoke, outcomes, records

__all__ = ["function"]

BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/security"


class Bus:
    """Takes events, unless it is away."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.away = False

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        if self.away:
            raise EndpointConnectionError(endpoint_url="https://events")
        self.taken += [(entry["DetailType"], checked(entry)) for entry in Entries]
        assert {entry["EventBusName"] for entry in Entries} == {BUS}
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}


@pytest.fixture
def bus(function: Lambda, monkeypatch: pytest.MonkeyPatch) -> Bus:
    bus = Bus()
    monkeypatch.setenv("EVENT_BUS", BUS)
    monkeypatch.setenv("EVENT_SUCCESS", "on")
    monkeypatch.setattr(clients, "events", lambda: bus)
    return bus


def told(bus: Bus) -> dict[str, str]:
    return {detail["key"]: kind for kind, detail in bus.taken}


def test_backups_and_failures_are_announced(
    function: Lambda, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.answers = {"denied": DENIED, "there": Backup(Outcome.DUPLICATE)}
    invoke(function, records("a", "denied", "there"), monkeypatch)
    assert told(bus) == {"a": "Object Backed Up", "denied": "Backup Failed"}
    details = {detail["key"]: detail for _, detail in bus.taken}
    about = {
        "version": "1",
        "backupBucket": "backups",
        "sourceBucket": "photos",
        "versionId": changed()["Records"][0]["s3"]["object"]["versionId"],
        "functionArn": CONTEXT.invoked_function_arn,
        "requestId": "request-1",
    }
    for detail in details.values():
        assert detail.pop("eventTime").startswith("20")
    assert details["a"] == {**about, "key": "a", "backupKey": "photos/a", "bytes": 7}
    assert details["denied"] == {
        **about,
        "key": "denied",
        "kind": "AccessDenied",
        "problem": "CopyObject: AccessDenied; ask",
        "retryable": False,
    }
    # The queue is told all the same.
    assert len(function.sent) == 1


def test_without_success_only_failures_are(
    function: Lambda, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVENT_SUCCESS")
    function.answers = {"later": THROTTLED}
    with pytest.raises(BackupFailed):
        invoke(function, records("a", "later"), monkeypatch)
    assert told(bus) == {"later": "Backup Failed"}
    assert bus.taken[0][1]["retryable"] is True


def test_a_damaged_record_is_announced_too(
    function: Lambda, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(function, {"Records": [{"eventSource": "aws:s3"}]}, monkeypatch)
    [(kind, detail)] = bus.taken
    assert (kind, detail["kind"], detail["key"]) == ("Backup Failed", "DamagedRecord", None)


def test_a_bus_that_is_away_costs_no_backup_but_is_counted(
    function: Lambda, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.away = True
    assert invoke(function, records("a", "b"), monkeypatch) is None
    [line] = [line for line in function.lines if "outcome" not in line]
    assert line["level"] == "ERROR"
    assert line["problem"].startswith("2 events were not sent to the bus: EndpointConnectionError")
    [counted] = [line for line in function.metrics if "EventsNotSent" in line]
    assert (counted["BackupBucket"], counted["EventsNotSent"]) == ("backups", 2)
    [directive] = counted["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["BackupBucket"]]
    assert {line["outcome"] for line in function.lines if "outcome" in line} == {"copied"}


def test_no_client_is_no_reason_to_fail_either(
    function: Lambda, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Bus:
        raise ValueError("no such service")

    monkeypatch.setattr(clients, "events", broken)
    assert invoke(function, records("a"), monkeypatch) is None
    assert "ValueError: no such service" in function.lines[-1]["problem"]


def test_nothing_is_sent_when_the_time_is_nearly_over(
    function: Lambda, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([900_000])
    context = SimpleNamespace(
        **{**vars(CONTEXT), "get_remaining_time_in_millis": lambda: next(left, 5_000)}
    )
    assert invoke(function, records("a"), monkeypatch, context) is None
    assert bus.taken == []
    assert "there was no time left" in function.lines[-1]["problem"]


def test_without_a_bus_nothing_about_it_is_loaded() -> None:
    code = "import sys, handler.main; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert "handler.attempts" in loaded
    assert not {"handler.announcements", "handler.event_bus"} & set(loaded)


def test_without_a_bus_nobody_is_told(
    function: Lambda, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVENT_BUS")
    invoke(function, records("a"), monkeypatch)
    assert outcomes(function) == {"a": "copied"}
    assert bus.taken == []
