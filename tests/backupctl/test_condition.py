"""What in a stack needs a person."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backupctl.condition import (
    Amount,
    Condition,
    Limits,
    SourceCondition,
    Waiting,
    duration,
    findings,
)
from backupctl.notifications import Notification
from backupctl.results import DRILL, VERIFICATION

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LIMITS = Limits(timedelta(minutes=15), timedelta(days=31), timedelta(days=93))
OFF = Limits(timedelta(), timedelta(), timedelta())
NO_FAILURES = Waiting("failures", 0, None)
IN_PLACE = Notification((), (), (), 1)


def result(days: float = 1, faults: Any = 0) -> dict[str, Any]:
    return {"finished": (NOW - timedelta(days=days)).isoformat(), "faults": faults}


def source(**more: Any) -> SourceCondition:
    results = {VERIFICATION: result(), DRILL: result()}
    wanted: dict[str, Any] = {"notification": IN_PLACE, "results": results}
    return SourceCondition("photos", **(wanted | more))


def told(
    one: SourceCondition | None = None,
    failures: Waiting = NO_FAILURES,
    *events: Waiting,
    limits: Limits = LIMITS,
) -> list[tuple[str, str]]:
    condition = Condition("backups", Amount(), [one or source()], list(events), failures)
    found = findings(condition, limits, NOW, "backupctl")
    assert all(finding.cure for finding in found)
    return [(finding.about, finding.problem) for finding in found]


def test_a_stack_without_trouble_needs_nobody() -> None:
    assert told() == []
    assert told(None, Waiting("f", 0, None), Waiting("q", 9, timedelta(minutes=15))) == []


def test_failures_and_late_events_need_somebody() -> None:
    assert told(None, Waiting("f", 3, timedelta(hours=2))) == [
        ("f", "3 failures wait, the oldest for 2 h 0 min; after 14 days they are gone")
    ]
    late = Waiting("q", None, timedelta(minutes=16))
    assert told(None, Waiting("f", 0, None), late) == [("q", "events wait for 16 min")]
    assert told(None, Waiting("f", 0, None), late, limits=OFF) == []


@pytest.mark.parametrize(
    ("notification", "problem"),
    [
        ((("", ""),), "what is written here is not announced to the stack, and so not backed up"),
        (
            (("a/", ".jpg"), ("b/", "")),
            "a/*.jpg, b/* is not announced to the stack, and so not backed up",
        ),
    ],
)
def test_a_source_that_announces_nothing_needs_somebody(notification: Any, problem: str) -> None:
    one = source(notification=Notification(notification, (), (), 0))
    assert told(one) == [("photos", problem)]
    assert told(source(notification=None, problem="there is no such bucket")) == [
        ("photos", "there is no such bucket")
    ]


@pytest.mark.parametrize("kind", [VERIFICATION, DRILL])
def test_a_result_that_is_missing_old_bad_or_damaged_needs_somebody(kind: str) -> None:
    def told_of(last: Any, limits: Limits = LIMITS) -> list[str]:
        results = {VERIFICATION: result(), DRILL: result(), kind: last}
        return [problem for _, problem in told(source(results=results), limits=limits)]

    assert told_of(None) == [f"there was no {kind} yet"]
    assert told_of(None, OFF) == []
    assert told_of(result(100)) == [f"the last {kind} was 100 days ago"]
    assert told_of(result(100), OFF) == []
    faults = f"the last {kind}, 2 days ago, found 7 faults"
    assert told_of(result(2, 7)) == told_of(result(2, 7), OFF) == [faults]
    for damaged in ({}, {"finished": 7, "faults": 0}, {"finished": "?"}, result(1, None)):
        assert told_of(damaged) == [f"the record of the last {kind} is damaged"]


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=-5), "0 min"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(minutes=61), "1 h 1 min"),
        (timedelta(hours=25), "1 day 1 h"),
        (timedelta(days=9, hours=3), "9 days"),
    ],
)
def test_ages_are_told_in_words(age: timedelta, text: str) -> None:
    assert duration(age) == text
