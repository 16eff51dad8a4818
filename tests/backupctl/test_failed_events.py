"""What the messages of the failure queue say."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupctl import reasons
from backupctl.failed_events import FailedEvent
from handler.events import Damaged
from handler.records import ObjectVersion, Removal
from tests.events import changed, event, messages
from tests.recorder import ROOT

SINCE = datetime(2026, 3, 4, tzinfo=UTC)


def understood(body: Any) -> FailedEvent:
    text = body if isinstance(body, str) else json.dumps(body)
    return FailedEvent.of("id", "handle", SINCE, text)


def envelope(payload: Any, **response: Any) -> dict[str, Any]:
    return {**event("lambda_failure_record"), "requestPayload": payload, **response}


PUT = event("s3_put_versioned")
KEYS = [("photos", "summer 2026/caf\u00e9 + 100%.jpg")]


@pytest.mark.parametrize(
    ("body", "reason", "problem"),
    [
        (envelope(PUT), "BackupFailed", "photos/summer 2026/cafe.jpg: CopyObject: SlowDown"),
        (envelope(envelope(PUT), responsePayload={"errorType": "Outer"}), "Outer", ""),
        (envelope(PUT, responsePayload={"errorMessage": "Task timed out"}), "RetriesExhausted", ""),
        (envelope(PUT, responsePayload=None), "RetriesExhausted", ""),
        (envelope(PUT, responsePayload=None, requestContext=7), "Unknown", ""),
        (envelope(messages(PUT)), "BackupFailed", "photos/summer 2026/cafe.jpg: CopyObject"),
        (PUT, "NeverFinished", ""),
    ],
)
def test_reason_and_records_are_told_whoever_put_the_message_there(
    body: Any, reason: str, problem: str
) -> None:
    found = understood(body)
    assert found.reason == reason
    assert found.problem.startswith(problem)
    assert [(one.bucket, one.key) for one in found.records if isinstance(one, ObjectVersion)] == (
        KEYS
    )
    assert (found.buckets, found.damaged) == ({"photos"}, False)


def test_records_of_one_key_come_in_the_sources_order() -> None:
    late = changed(sequencer="0055AED6DCD90281E6")["Records"]
    other = changed(key="other", sequencer="01")["Records"]
    removal = event("s3_delete_marker")["Records"]
    found = understood({"Records": [*late, *other, *PUT["Records"], *removal]}).records
    keys = [one.sequencer for one in found if isinstance(one, ObjectVersion)]
    assert keys == ["0055AED6DCD90281E5", "0055AED6DCD90281E6", "01"]
    assert any(isinstance(one, Removal) for one in found)


def test_a_test_event_asks_for_nothing() -> None:
    found = understood(event("s3_test_event"))
    assert (found.records, found.damaged) == ((), False)


@pytest.mark.parametrize(
    "body", ["", "nonsense", "[]", "7", "{}", "[" * 100_000, '"\\ud800"', '{"Records": []}']
)
def test_what_is_no_event_is_damaged(body: str) -> None:
    found = understood(body)
    assert (found.reason, found.damaged, found.body) == ("DamagedRecord", True, body)
    [record] = found.records
    assert isinstance(record, Damaged)
    assert record.problem.startswith("unreadable message: ")


def test_beside_a_damaged_record_the_others_are_read() -> None:
    found = understood({"Records": [{"eventSource": "aws:s3"}, *PUT["Records"]]})
    assert found.damaged
    assert found.buckets == {"photos"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "requestContext", "requestPayload", "responsePayload", "eventSource"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_nothing_that_is_sent_is_an_error(body: Any) -> None:
    assert understood(body).reason


def test_each_kind_that_the_documents_name_has_a_cure_of_its_own() -> None:
    table = (ROOT / "docs" / "outcomes.md").read_text().partition("## Failures")[2]
    named = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    kinds = [kind for cell in named for kind in re.findall(r"`([\w.]+)`", cell)]
    assert len(kinds) > 15
    assert [kind for kind in kinds if kind != "kind" and kind not in reasons.CURES] == []
