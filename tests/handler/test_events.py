"""What S3 sends becomes records, one by one, with the key decoded exactly once."""

from datetime import UTC, datetime
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler import events
from handler.events import Damaged, UnknownEvent
from handler.records import ObjectVersion
from tests.events import changed, event


def parse(payload: object) -> list[ObjectVersion | Damaged]:
    return [item for _, item in events.parse(payload)]


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
        ({"eventSource": "aws:sqs"}, "eventSource is 'aws:sqs', not 'aws:s3'"),
        ({"eventVersion": "3.0"}, "eventVersion is '3.0', not 2.x"),
        (
            {"eventName": "ObjectRemoved:Delete"},
            "eventName is 'ObjectRemoved:Delete', not 'ObjectCreated:...'",
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
    assert [raw for raw, _ in events.parse(whole)] == whole["Records"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_failure_record_is_the_event_that_failed(times: int) -> None:
    payload = event("s3_put_versioned")
    for _ in range(times):
        payload = {**event("lambda_failure_record"), "requestPayload": payload}
    assert parse(payload) == parse(event("s3_put_versioned"))


def test_a_failure_record_of_something_foreign_is_an_error() -> None:
    with pytest.raises(UnknownEvent, match="not an S3 notification"):
        parse({**event("lambda_failure_record"), "requestPayload": {"hello": "world"}})
