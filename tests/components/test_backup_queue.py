"""The queue and everything around it: who may send, who receives, how batches are made."""

from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components import BackupQueue, BackupQueueArgs
from tests.recorder import ACCOUNT, KEY_ARN, REGION, Recording, policy, record

ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:events-0000000"
URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/events-0000000"
CHILDREN = [
    ("aws:iam/rolePolicy:RolePolicy", "events-receive"),
    ("aws:lambda/eventSourceMapping:EventSourceMapping", "events-mapping"),
    ("aws:sqs/queue:Queue", "events"),
    ("aws:sqs/queuePolicy:QueuePolicy", "events-senders"),
]


def args(**more: Any) -> BackupQueueArgs:
    given: dict[str, Any] = {
        "bucket_names": ["photos", "videos"],
        "function_name": "copier",
        "function_timeout": 900,
        "role_id": "copier-role",
    }
    return BackupQueueArgs(**{**given, **more})


def queue(**more: Any) -> Recording:
    """A queue called events, and nothing else."""
    return record(lambda: BackupQueue("events", args(**more)))


def test_a_queue_has_senders_a_receiver_and_a_mapping() -> None:
    recording = queue()
    assert recording.children(recording.one("index:BackupQueue")) == CHILDREN
    assert len(recording.deployment.resources) == len(CHILDREN) + 2


@pytest.mark.parametrize(
    ("key", "encryption"),
    [
        ({}, {"sqsManagedSseEnabled": True}),
        ({"kms_key_arn": KEY_ARN}, {"kmsMasterKeyId": KEY_ARN}),
    ],
)
def test_the_queue_is_encrypted_and_keeps_events_for_14_days(
    key: dict[str, str], encryption: dict[str, Any]
) -> None:
    assert queue(**key, tags={"a": "b"}).one("sqs/queue:Queue").inputs == {
        "messageRetentionSeconds": 1_209_600,
        "visibilityTimeoutSeconds": 5400,
        "tags": {"a": "b"},
        **encryption,
    }


@pytest.mark.parametrize(
    ("timeout", "window", "visibility"),
    [(900, 0, 5400), (900, 300, 5700), (1, 0, 6), (10, 5, 65), (10.0, 5.0, 65)],
)
def test_a_message_stays_hidden_for_six_timeouts_and_the_window(
    timeout: float, window: float, visibility: int
) -> None:
    recording = queue(function_timeout=timeout, batch_window=window)
    assert recording.one("sqs/queue:Queue").inputs["visibilityTimeoutSeconds"] == visibility


def test_only_these_buckets_may_send() -> None:
    senders = queue().one("sqs/queuePolicy:QueuePolicy")
    buckets = ["arn:aws:s3:::photos", "arn:aws:s3:::videos"]
    assert {**senders.inputs, "policy": policy(senders)} == {
        "queueUrl": URL,
        "policy": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "AllowBuckets",
                    "Effect": "Allow",
                    "Principal": {"Service": "s3.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": ARN,
                    "Condition": {
                        "ArnEquals": {"aws:SourceArn": buckets},
                        "StringEquals": {"aws:SourceAccount": ACCOUNT},
                    },
                },
                {
                    "Sid": "DenyOtherSenders",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sqs:SendMessage",
                    "Resource": ARN,
                    "Condition": {"ArnNotEquals": {"aws:SourceArn": buckets}},
                },
                {
                    "Sid": "DenyInsecureTransport",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sqs:*",
                    "Resource": ARN,
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
            ],
        },
    }


@pytest.mark.parametrize("key", [{}, {"kms_key_arn": KEY_ARN}])
def test_the_functions_role_may_receive_from_this_queue_only(key: dict[str, str]) -> None:
    receive = queue(**key).one("iam/rolePolicy:RolePolicy")
    assert {**receive.inputs, "policy": policy(receive)} == {
        "role": "copier-role",
        "policy": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": [
                        "sqs:DeleteMessage",
                        "sqs:GetQueueAttributes",
                        "sqs:ReceiveMessage",
                    ],
                    "Resource": ARN,
                }
            ],
        },
    }


MAPPING = {
    "eventSourceArn": ARN,
    "functionName": "copier",
    "batchSize": 10,
    "maximumBatchingWindowInSeconds": 0,
    "functionResponseTypes": ["ReportBatchItemFailures"],
}


@pytest.mark.parametrize(
    ("more", "inputs"),
    [
        ({}, {}),
        ({"batch_size": 500, "batch_window": 7}, {"batchSize": 500}),
        ({"max_concurrency": 2}, {"scalingConfig": {"maximumConcurrency": 2}}),
        ({"tags": {"a": "b"}}, {"tags": {"a": "b"}}),
    ],
)
def test_the_function_gets_batches_and_names_what_failed(
    more: dict[str, Any], inputs: dict[str, Any]
) -> None:
    recording = queue(**more)
    mapping = recording.one("EventSourceMapping")
    window = more.get("batch_window", 0)
    assert mapping.inputs == {**MAPPING, "maximumBatchingWindowInSeconds": window, **inputs}
    assert "events-receive" in recording.waits_for(mapping)


@pytest.mark.parametrize(
    ("more", "protected"), [({}, []), ({"protect_messages": True}, ["events"])]
)
def test_what_waits_can_be_protected_without_anything_else(
    more: dict[str, bool], protected: list[str]
) -> None:
    resources = queue(**more).deployment.resources
    assert [r.name for r in resources if r.protect] == protected
    assert [r.name for r in resources if r.retain_on_delete] == []


def test_whoever_sends_waits_for_everything() -> None:
    def program() -> None:
        aws.s3.BucketNotification(
            "user",
            bucket="photos",
            queues=[
                {
                    "queue_arn": BackupQueue("events", args()).queue_arn,
                    "events": ["s3:ObjectCreated:*"],
                }
            ],
        )

    recording = record(program)
    user = recording.one("BucketNotification")
    assert user.inputs["queues"][0]["queueArn"] == ARN
    assert recording.waits_for(user) == {name for _, name in CHILDREN}


def test_the_outputs_are_arn_and_url() -> None:
    assert queue().one("index:BackupQueue").outputs == {"queue_arn": ARN, "queue_url": URL}


def test_two_queues_share_no_name() -> None:
    def program() -> None:
        BackupQueue("one", args())
        BackupQueue("two", args())

    recording = record(program)
    urns = [resource.urn for resource in recording.deployment.resources]
    assert len(set(urns)) == len(urns) == 1 + 2 * (len(CHILDREN) + 1)


def test_names_may_come_from_other_resources() -> None:
    # An output belongs to the loop that it is made in, so it is made where the program runs.
    recording = record(
        lambda: BackupQueue("events", args(bucket_names=[pulumi.Output.from_input("later")]))
    )
    content = policy(recording.one("sqs/queuePolicy:QueuePolicy"))
    assert content["Statement"][0]["Condition"]["ArnEquals"] == {
        "aws:SourceArn": ["arn:aws:s3:::later"]
    }
