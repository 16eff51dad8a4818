"""Which queues give messages up to the failure queue, and that no other may."""

import json

from components import FailureRedrive
from tests.recorder import ACCOUNT, REGION, Recording, record

WHERE = f"{REGION}:{ACCOUNT}"


def arn(name: str) -> str:
    return f"arn:aws:sqs:{WHERE}:{name}"


def url(name: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"


def redrive(*names: str) -> Recording:
    return record(
        lambda: FailureRedrive(
            "redrive",
            {
                "failure_queue": {"arn": arn("failures"), "url": url("failures")},
                "queues": [{"arn": arn(name), "url": url(name)} for name in names],
            },
        )
    )


def test_the_failure_queue_takes_messages_of_these_queues_only() -> None:
    allowed = redrive("one", "two").one("RedriveAllowPolicy", "redrive").inputs
    assert {**allowed, "redriveAllowPolicy": json.loads(allowed["redriveAllowPolicy"])} == {
        "queueUrl": url("failures"),
        "redriveAllowPolicy": {
            "redrivePermission": "byQueue",
            "sourceQueueArns": [arn("one"), arn("two")],
        },
    }


def test_more_queues_than_sqs_can_name_may_be_any() -> None:
    names = [str(number) for number in range(11)]
    allowed = [
        json.loads(redrive(*some).one("RedriveAllowPolicy").inputs["redriveAllowPolicy"])
        for some in (names[:10], names)
    ]
    assert [len(allowed[0]["sourceQueueArns"]), allowed[1]] == [
        10,
        {"redrivePermission": "allowAll"},
    ]


def test_each_queue_gives_a_message_up_after_five_receives() -> None:
    recording = redrive("one", "two")
    given_up = {r.name: r for r in recording.all("sqs/redrivePolicy:RedrivePolicy")}
    assert {name: r.inputs["queueUrl"] for name, r in given_up.items()} == {
        "redrive-1": url("one"),
        "redrive-2": url("two"),
    }
    for policy in given_up.values():
        assert json.loads(policy.inputs["redrivePolicy"]) == {
            "deadLetterTargetArn": arn("failures"),
            "maxReceiveCount": 5,
        }
        # SQS may refuse what the other side does not allow yet.
        assert "redrive" in recording.waits_for(policy)


def test_there_is_nothing_else() -> None:
    recording = redrive("one")
    assert recording.children(recording.one("index:FailureRedrive")) == [
        ("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy", "redrive"),
        ("aws:sqs/redrivePolicy:RedrivePolicy", "redrive-1"),
    ]
    assert len(recording.deployment.resources) == 4
