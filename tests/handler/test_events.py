"""What S3 sends becomes records, one by one, with the key decoded exactly once."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler import events
from handler.events import Announced, Damaged, Message, UnknownEvent
from handler.records import ObjectVersion, Removal
from tests.events import changed, event, messages


def parse(payload: object) -> list[ObjectVersion | Removal | Damaged]:
    return [announced.item for announced in events.parse(payload)]


def test_a_versioned_put_is_read_whole() -> None:
    assert list(parse(event("s3_put_versioned"))) == [
        ObjectVersion(
            bucket="photos",
            key="summer 2026/café + 100%.jpg",
            version_id="096fKKXTRTtl3on89fVO.nfljtsv6qko",
            etag="d41d8cd98f00b204e9800998ecf8427e",
            size=1024,
            sequencer="0055AED6DCD90281E5",
            event_time=datetime(2026, 3, 4, 5, 6, 7, 89_000, UTC),
        )
    ]


def test_an_unversioned_multipart_upload_has_no_version_and_its_key_is_no_path() -> None:
    [record] = parse(event("s3_multipart_unversioned"))
    assert isinstance(record, ObjectVersion)
    assert record.version_id is None
    assert record.key == "a//b/../%41"
    assert record.size == 6 * 1024**3


@pytest.mark.parametrize(
    ("name", "version_id", "marker", "sequencer"),
    [
        ("s3_delete_unversioned", None, False, "0055AED6DCD90281E6"),
        ("s3_delete_version", "096fKKXTRTtl3on89fVO.nfljtsv6qko", False, "0055AED6DCD90281E7"),
        ("s3_delete_marker", "3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH", True, "0055AED6DCD90281E8"),
        ("s3_lifecycle_expiration", None, False, "0055AED6DCD90281E9"),
    ],
)
def test_a_deletion_is_read_whole(
    name: str, version_id: str | None, marker: bool, sequencer: str
) -> None:
    time = datetime(2026, 3, 4, 5, 6, 7, 89_000, UTC)
    key = "summer 2026/café + 100%.jpg"
    assert parse(event(name)) == [Removal("photos", key, version_id, marker, time, sequencer)]


def test_a_marker_put_by_a_lifecycle_is_a_marker() -> None:
    [removal] = parse(changed(eventName="LifecycleExpiration:DeleteMarkerCreated"))
    assert isinstance(removal, Removal)
    assert removal.marker


@pytest.mark.parametrize(
    "name", ["ObjectRemoved:Delete", "LifecycleExpiration:DeleteMarkerCreated"]
)
@pytest.mark.parametrize("fields", [{"key": ""}, {"versionId": 7}, {"eventTime": "yesterday"}])
def test_a_damaged_deletion_is_damaged(name: str, fields: dict[str, object]) -> None:
    [record] = parse(changed(eventName=name, **fields))
    assert isinstance(record, Damaged)


def test_the_test_event_announces_nothing() -> None:
    assert list(parse(event("s3_test_event"))) == []


@given(st.text(min_size=1).filter(lambda key: len(key.encode("utf-8", "ignore")) > 0))
def test_every_key_survives_the_encoding_of_s3(key: str) -> None:
    try:
        encoded = quote_plus(key, safe="/")
    except UnicodeEncodeError:
        return  # A lone surrogate is no UTF-8, hence no key.
    [record] = parse(changed(key=encoded))
    assert isinstance(record, ObjectVersion)
    assert record.key == key


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        [],
        "text",
        {},
        {"Records": []},
        {"Records": "none"},
        {"Event": "s3:Something"},
        {"source": "aws.s3", "detail-type": "Object Created", "detail": {}},
    ],
)
def test_a_foreign_event_is_an_error(foreign: object) -> None:
    with pytest.raises(UnknownEvent, match="not an S3 notification"):
        list(parse(foreign))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"eventSource": "aws:sns"}, "eventSource is 'aws:sns', not 'aws:s3'"),
        ({"eventVersion": "3.0"}, "eventVersion is '3.0', not 2.x"),
        (
            {"eventName": "ObjectRestore:Post"},
            "eventName is 'ObjectRestore:Post', neither 'ObjectCreated:...' nor a deletion",
        ),
        ({"key": ""}, "key is '', not a non-empty text"),
        ({"key": 5}, "key is 5, not a non-empty text"),
        ({"key": "%FF"}, "invalid start byte"),
        ({"size": -1}, "size is -1, not a number of bytes"),
        ({"size": True}, "size is True, not a number of bytes"),
        ({"versionId": 7}, "versionId is 7, not a non-empty text"),
        ({"versionId": 0}, "versionId is 0, not a non-empty text"),
        ({"versionId": ""}, "versionId is '', not a non-empty text"),
        ({"eTag": False}, "eTag is False, not a non-empty text"),
        ({"key": ["x" * 1000]}, "...xxx"),
        ({"eventTime": "yesterday"}, "Invalid isoformat string: 'yesterday'"),
        ({"eventTime": "2026-03-04T05:06:07"}, "has no time zone"),
        ({"s3": None}, "unreadable record: TypeError"),
    ],
)
def test_a_damaged_record_says_what_is_wrong(fields: dict[str, object], problem: str) -> None:
    [record] = parse(changed(**fields))
    assert isinstance(record, Damaged)
    assert problem in record.problem


def test_not_even_a_bottomless_record_hides_its_neighbours() -> None:
    bottomless: list[object] = []
    for _ in range(100_000):
        bottomless = [bottomless]
    whole = changed(versionId=bottomless)
    whole["Records"] += event("s3_put_versioned")["Records"]
    assert [type(record) for record in parse(whole)] == [Damaged, ObjectVersion]


def test_a_damaged_record_does_not_hide_its_neighbours() -> None:
    whole = event("s3_put_versioned")
    whole["Records"] = [
        *whole["Records"],
        "nonsense",
        *event("s3_multipart_unversioned")["Records"],
    ]
    assert [type(record) for record in parse(whole)] == [ObjectVersion, Damaged, ObjectVersion]


def test_newer_minor_versions_are_understood() -> None:
    [record] = parse(changed(eventVersion="2.99"))
    assert isinstance(record, ObjectVersion)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_makes_the_parser_fail_in_another_way(anything: object) -> None:
    try:
        items = list(parse({"Records": [anything]}))
    except UnknownEvent:
        raise AssertionError("a list with one record is a notification") from None
    assert [type(item) for item in items] == [Damaged]


def test_each_record_comes_with_what_was_understood_of_it() -> None:
    whole = event("s3_put_versioned")
    whole["Records"].append("nonsense")
    assert [announced.raw for announced in events.parse(whole)] == whole["Records"]
    assert {announced.message for announced in events.parse(whole)} == {None}


@pytest.mark.parametrize("times", [1, 2])
def test_a_failure_record_is_the_event_that_failed(times: int) -> None:
    payload = event("s3_put_versioned")
    for _ in range(times):
        payload = {**event("lambda_failure_record"), "requestPayload": payload}
    assert parse(payload) == parse(event("s3_put_versioned"))


def test_a_failure_record_of_something_foreign_is_an_error() -> None:
    with pytest.raises(UnknownEvent, match="not an S3 notification"):
        parse({**event("lambda_failure_record"), "requestPayload": {"hello": "world"}})


def test_messages_of_a_queue_hold_what_s3_would_have_sent_directly() -> None:
    [announced] = events.parse(event("sqs_s3_put"))
    [record] = event("s3_put_versioned")["Records"]
    [directly] = events.parse(event("s3_put_versioned"))
    assert announced == Announced(
        json.loads(event("sqs_s3_put")["Records"][0]["body"])["Records"][0],
        directly.item,
        Message("059f36b4-87a3-44ab-83d2-661975830a7d", receives=1),
    )
    assert announced.raw["s3"]["object"] == record["s3"]["object"]


def test_all_records_of_a_message_belong_to_it() -> None:
    two = {"Records": changed(key="a")["Records"] + changed(key="b")["Records"]}
    found = events.parse(messages(two, changed(key="c"), receives=4))
    assert [(_key(one), one.message) for one in found] == [
        ("a", Message("message-0", 4)),
        ("b", Message("message-0", 4)),
        ("c", Message("message-1", 4)),
    ]


def _key(announced: Announced) -> str:
    assert isinstance(announced.item, ObjectVersion)
    return announced.item.key


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "unreadable message: JSONDecodeError"),
        ("{", "unreadable message: JSONDecodeError"),
        ("null", "unreadable message: UnknownEvent: not an S3 notification"),
        ("[" * 100_000, "unreadable message: RecursionError"),
        ({"Records": []}, "unreadable message: UnknownEvent: not an S3 notification"),
        (
            {"Type": "Notification", "Message": "from SNS"},
            "unreadable message: UnknownEvent: not an S3 notification",
        ),
    ],
)
def test_an_unreadable_message_says_why_and_hides_no_other(body: object, problem: str) -> None:
    batch = messages(body, changed(key="a"))
    damaged, whole = events.parse(batch)
    assert isinstance(damaged.item, Damaged)
    assert damaged.item.problem.startswith(problem)
    assert (damaged.raw, damaged.message) == (batch["Records"][0], Message("message-0", 1))
    assert (_key(whole), whole.message) == ("a", Message("message-1", 1))


def test_a_damaged_record_in_a_message_is_damaged_alone() -> None:
    body = {"Records": ["nonsense", *changed(key="a")["Records"]]}
    damaged, whole = events.parse(messages(body))
    assert isinstance(damaged.item, Damaged)
    assert (damaged.raw, damaged.message) == ("nonsense", Message("message-0", 1))
    assert (_key(whole), whole.message) == ("a", Message("message-0", 1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messageId": None}, None),
        ({"messageId": ""}, None),
        ({"messageId": 5}, None),
        ({"attributes": None}, Message("message-0", 1)),
        ({"attributes": {}}, Message("message-0", 1)),
        ({"attributes": {"ApproximateReceiveCount": "many"}}, Message("message-0", 1)),
    ],
)
def test_a_message_may_lack_what_only_the_queue_needs(
    fields: dict[str, object], message: Message | None
) -> None:
    batch = messages(changed(key="a"))
    batch["Records"][0] |= fields
    [announced] = events.parse(batch)
    assert (_key(announced), announced.message) == ("a", message)


def test_a_message_without_a_body_is_damaged() -> None:
    batch = messages(changed(key="a"))
    del batch["Records"][0]["body"]
    [announced] = events.parse(batch)
    assert announced.item == Damaged("unreadable message: KeyError: 'body'")


def failure_record(payload: object) -> Any:
    return {**event("lambda_failure_record"), "requestPayload": payload}


def test_a_failure_record_in_a_queue_is_the_event_that_failed() -> None:
    [announced] = events.parse(messages(failure_record(changed(key="a"))))
    assert (_key(announced), announced.message) == ("a", Message("message-0", 1))


def test_messages_in_a_failure_record_expect_no_answer_any_more() -> None:
    batch = messages(changed(key="a"), "nonsense", receives=5)
    whole, damaged = events.parse(failure_record(batch))
    assert (_key(whole), whole.message) == ("a", None)
    assert (damaged.raw, damaged.message) == (batch["Records"][1], None)
    # Back in the queue, they belong to the message that brings them now.
    again = events.parse(messages(failure_record(batch)))
    assert [one.message for one in again] == [Message("message-0", 1)] * 2


def test_a_failure_record_of_any_depth_is_read() -> None:
    payload = changed(key="a")
    for _ in range(10_000):
        payload = failure_record(payload)
    [announced] = events.parse(payload)
    assert _key(announced) == "a"


@pytest.mark.parametrize(
    ("payload", "answered"),
    [
        (messages(changed(key="a")), True),
        (messages("nonsense"), True),
        (event("sqs_s3_put"), True),
        (event("s3_put_versioned"), False),
        (event("s3_test_event"), False),
        (failure_record(messages(changed(key="a"))), False),
        ({"Records": []}, False),
        (None, False),
    ],
)
def test_only_a_queue_expects_an_answer(payload: object, answered: bool) -> None:
    assert events.from_queue(payload) is answered
