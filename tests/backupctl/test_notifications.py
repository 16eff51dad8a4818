"""A bucket's notification compared with what the stack wants of it."""

from typing import Any

import pytest

from backupctl.notifications import EVENT_BRIDGE, Entry, entries, judge
from backupctl.stack import Source

PHOTOS = Source("photos")
OURS, OTHER = "arn:aws:lambda:r:1:function:backup", "arn:aws:lambda:r:1:function:theirs"
CREATED = ("s3:ObjectCreated:*",)
ALL = (*CREATED, "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")


def missing(*found: Entry, source: Source = PHOTOS, tracked: bool = False) -> Any:
    return judge(found, source, {OURS}, track_deletes=tracked).missing


def test_s3s_answer_is_understood_whatever_the_case_of_its_rules() -> None:
    answer = {
        "ResponseMetadata": {},
        "LambdaFunctionConfigurations": [
            {
                "Id": "1",
                "LambdaFunctionArn": OURS,
                "Events": ["s3:ObjectCreated:*"],
                "Filter": {
                    "Key": {
                        "FilterRules": [
                            {"Name": "Prefix", "Value": "a/"},
                            {"Name": "suffix", "Value": ".jpg"},
                        ]
                    }
                },
            }
        ],
        "QueueConfigurations": [{"QueueArn": "queue", "Events": ["s3:ObjectCreated:Put"]}],
        "TopicConfigurations": [
            {"TopicArn": "topic", "Events": ["s3:ReducedRedundancyLostObject"]}
        ],
        "EventBridgeConfiguration": {},
    }
    assert entries(answer) == [
        Entry(OURS, CREATED, "a/", ".jpg"),
        Entry("queue", ("s3:ObjectCreated:Put",)),
        Entry("topic", ("s3:ReducedRedundancyLostObject",)),
        Entry(EVENT_BRIDGE),
    ]
    assert judge(entries(answer), Source("photos"), {OURS}, track_deletes=False).entries == 3


def test_everything_is_announced_or_it_is_named() -> None:
    assert missing(Entry(OURS, CREATED)) == ()
    assert missing() == (("", ""),)
    assert missing(Entry(OTHER, CREATED)) == (("", ""),)
    assert missing(Entry(OURS, ("s3:ObjectCreated:Put",))) == (("", ""),)
    assert missing(Entry(OURS, ("s3:*",))) == ()
    assert missing(Entry(OURS, CREATED, "a/")) == (("", ""),)
    assert missing(Entry(OURS, CREATED), tracked=True) == (("", ""),)
    assert missing(Entry(OURS, ALL), tracked=True) == ()


def test_each_pair_of_prefix_and_suffix_counts() -> None:
    source = Source("photos", ("a/", "b/"), (".jpg", ".png"))
    found = [Entry(OURS, CREATED, "a/", ".jpg"), Entry(OURS, CREATED, "b/")]
    assert missing(*found, source=source) == (("a/", ".png"),)
    assert missing(Entry(OURS, CREATED), source=source) == ()
    assert missing(Entry(OURS, CREATED, "a/b"), source=Source("photos", ("a/",))) == (("a/", ""),)


@pytest.mark.parametrize(
    ("entry", "overlaps"),
    [
        (Entry(OTHER, CREATED), True),
        (Entry(OTHER, ("s3:ObjectCreated:Put",), "a/b"), True),
        (Entry(OTHER, CREATED, "", "g"), True),
        (Entry(OTHER, CREATED, "", "x.jpg"), True),
        (Entry(OTHER, CREATED, "b/"), False),
        (Entry(OTHER, CREATED, "", ".png"), False),
        (Entry(OTHER, ("s3:ObjectRemoved:*",)), False),
        (Entry(EVENT_BRIDGE), False),
    ],
)
def test_what_a_deployment_removes_is_foreign_and_may_overlap(entry: Entry, overlaps: bool) -> None:
    own = Entry(OURS, CREATED, "a/", ".jpg")
    found = judge([own, entry], Source("p", ("a/",), (".jpg",)), {OURS}, track_deletes=False)
    assert found.in_place
    assert found.foreign == (entry,)
    assert found.overlapping == ((entry,) if overlaps else ())
