"""S3 -> SQS -> Lambda on a real stack: what arrives, what comes again, and who may not send.

Time is what makes such tests slow: a message comes again when its visibility timeout is over, which
is six times the function's timeout. So that timeout is short here, and the queue's visibility
shorter than the program would have it, yet longer than a busy machine needs for a batch.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.aliases import Client
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for

from .fault_proxy import Call, Fault, FaultProxy
from .local_stack import LocalStack

SOURCE = "queue-source"
VISIBILITY = 30
CONFIG = {
    "backupBucket": "queue-backups",
    "buckets": [SOURCE],
    "delivery": "queue",
    # Long enough for the function to give up what S3 is too busy for.
    "timeout": 20,
    # A batch of its own is a process of its own here.
    "queueMaxConcurrency": 2,
}


@dataclass(frozen=True)
class QueueStack:
    """A stack with a queue, whose function reaches S3 through a proxy."""

    stack: LocalStack
    proxy: FaultProxy
    busy: set[str]
    """Keys of backups for which S3 is too busy."""

    @property
    def sqs(self) -> Client:
        """As the account's root."""
        return self.stack.ministack.client("sqs")

    @property
    def url(self) -> str:
        [url] = self.stack.deployment.outputs["queueUrls"]
        return url

    def attributes(self) -> dict[str, str]:
        return self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])[
            "Attributes"
        ]

    def waiting(self) -> int:
        """Messages that are not handled yet."""
        found = self.attributes()
        return sum(
            int(found[f"ApproximateNumberOfMessages{kind}"])
            for kind in ("", "NotVisible", "Delayed")
        )

    @contextmanager
    def paused(self) -> Generator[None]:
        """Let messages gather, so that they become one batch."""
        client = self.stack.ministack.client("lambda")
        mapping = self.stack.deployment.find(
            "aws:lambda/eventSourceMapping:EventSourceMapping", "backup-queue-mapping"
        ).id
        wait_for(lambda: self.waiting() == 0, "an empty queue")
        client.update_event_source_mapping(UUID=mapping, Enabled=False)
        try:
            yield
        finally:
            client.update_event_source_mapping(UUID=mapping, Enabled=True)

    @contextmanager
    def open_to_all(self) -> Generator[None]:
        """Let anybody who has the right send, as the queue's own policy never would."""
        policy = self.attributes()["Policy"]
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": ""})
        try:
            yield
        finally:
            self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})

    def let_the_function_use(self, endpoint: str) -> None:
        """Send its requests to S3 somewhere else."""
        client, name = (
            self.stack.ministack.client("lambda"),
            self.stack.deployment.outputs["functionName"],
        )
        environment = client.get_function_configuration(FunctionName=name)["Environment"]
        environment["Variables"]["AWS_ENDPOINT_URL_S3"] = endpoint
        client.update_function_configuration(FunctionName=name, Environment=environment)

    def outcomes(self, key: str) -> list[str]:
        """How the tries of a key ended, oldest first."""
        return [line["outcome"] for line in self.stack.outcomes(key)]


@pytest.fixture(scope="module")
def queued(ministack: MiniStack) -> Generator[QueueStack]:
    busy: set[str] = set()

    def fault(call: Call) -> Fault | None:
        return Fault.SLOW_DOWN if call.key in busy else None

    with FaultProxy(ministack, fault) as proxy:
        found = QueueStack(LocalStack.deploy(ministack, CONFIG), proxy, busy)
        # S3's test event must not be on its way while the function changes.
        wait_for(lambda: found.waiting() == 0, "an empty queue")
        found.sqs.set_queue_attributes(
            QueueUrl=found.url, Attributes={"VisibilityTimeout": str(VISIBILITY)}
        )
        found.let_the_function_use(proxy.endpoint)
        yield found


def test_uploads_arrive_once_each(queued: QueueStack) -> None:
    stack = queued.stack
    keys = [f"arrives/{number} a+b/é" for number in range(12)]
    for key in keys:
        stack.put(SOURCE, key, key.encode())
    for key in keys:
        wait_for(lambda key=key: stack.backup_versions(f"{SOURCE}/{key}"), f"backup of {key!r}")
    wait_for(lambda: queued.waiting() == 0, "an empty queue")
    assert {key: len(stack.backup_versions(f"{SOURCE}/{key}")) for key in keys} == dict.fromkeys(
        keys, 1
    )
    body = stack.s3.get_object(Bucket=stack.backup_bucket, Key=f"{SOURCE}/{keys[0]}")["Body"]
    assert body.read() == keys[0].encode()


def test_of_a_batch_only_what_failed_comes_again(queued: QueueStack) -> None:
    stack, keys = queued.stack, ["batch/a", "batch/slow", "batch/b"]
    queued.busy.add(f"{SOURCE}/batch/slow")
    with queued.paused():
        for key in keys:
            stack.put(SOURCE, key)
    wait_for(lambda: queued.outcomes("batch/slow"), "the first try")
    queued.busy.clear()
    # While it is hidden it is nowhere else.
    assert stack.failures("batch/slow") == []
    wait_for(lambda: len(queued.outcomes("batch/slow")) > 1, "the second try", VISIBILITY + 60)
    assert {key: queued.outcomes(key) for key in keys} == {
        "batch/a": ["copied"],
        "batch/slow": ["failed", "copied"],
        "batch/b": ["copied"],
    }
    [first, _] = stack.outcomes("batch/slow")
    assert (first["kind"], first["retryable"]) == ("SlowDown", True)
    wait_for(lambda: queued.waiting() == 0, "an empty queue")
    assert stack.failures("batch/slow") == []


def test_what_no_retry_can_help_is_in_the_failure_queue_with_its_reason(
    queued: QueueStack,
) -> None:
    stack = queued.stack
    with stack.without("s3:GetObject"):
        stack.put(SOURCE, "denied")
        [message] = wait_for(lambda: stack.failures("denied"), "the failure")
    [record] = message["requestPayload"]["Records"]
    assert (record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]) == (SOURCE, "denied")
    assert message["requestContext"]["condition"] == "Permanent"
    assert "the function's role may not do this" in message["responsePayload"]["errorMessage"]
    wait_for(lambda: queued.waiting() == 0, "an empty queue")
    assert queued.outcomes("denied") == ["failed"]


def test_an_unreadable_message_is_in_the_failure_queue_and_hides_no_other(
    queued: QueueStack,
) -> None:
    stack = queued.stack
    with queued.paused():
        with queued.open_to_all():
            queued.sqs.send_message(QueueUrl=queued.url, MessageBody="unreadable nonsense")
        stack.put(SOURCE, "beside nonsense")
    wait_for(lambda: stack.backup_versions(f"{SOURCE}/beside nonsense"), "the neighbour's backup")
    [message] = wait_for(lambda: stack.failures("unreadable nonsense"), "the failure")
    [record] = message["requestPayload"]["Records"]
    assert (record["eventSource"], record["body"]) == ("aws:sqs", "unreadable nonsense")
    assert message["responsePayload"]["errorType"] == "DamagedRecord"
    assert "unreadable message: JSONDecodeError" in message["responsePayload"]["errorMessage"]
    wait_for(lambda: queued.waiting() == 0, "an empty queue")


def test_what_the_function_never_finishes_is_moved_by_sqs_and_can_be_redriven(
    queued: QueueStack,
) -> None:
    stack = queued.stack
    with queued.paused():
        stack.put(SOURCE, "never finished")
        for _ in range(5):
            received = wait_for(
                lambda: queued.sqs.receive_message(QueueUrl=queued.url, VisibilityTimeout=0).get(
                    "Messages"
                ),
                "the message",
            )
            assert "never+finished" in received[0]["Body"]
        assert stack.failures("never+finished") == []
        assert "Messages" not in queued.sqs.receive_message(QueueUrl=queued.url)
        [moved] = wait_for(lambda: stack.failures("never+finished"), "the moved message")
    assert moved["Records"][0]["s3"]["object"]["key"] == "never+finished"
    answer = stack.ministack.client("lambda").invoke(
        FunctionName=stack.deployment.outputs["functionName"], Payload=json.dumps(moved)
    )
    assert "FunctionError" not in answer
    assert len(stack.backup_versions(f"{SOURCE}/never finished")) == 1


def test_the_role_may_receive_delete_and_look_at_its_queue_and_no_other(
    queued: QueueStack,
) -> None:
    statements = [
        statement
        for document in queued.stack.policies().values()
        for statement in document["Statement"]
        if "sqs:" in str(statement["Action"])
    ]
    failures = queued.sqs.get_queue_attributes(
        QueueUrl=queued.stack.deployment.outputs["failureQueueUrl"], AttributeNames=["QueueArn"]
    )
    found = {statement["Resource"]: statement["Action"] for statement in statements}
    assert found == {
        queued.attributes()["QueueArn"]: [
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        ],
        failures["Attributes"]["QueueArn"]: "sqs:SendMessage",
    }
    assert len(statements) == 2


def test_nobody_but_s3_may_send_whatever_iam_allows(queued: QueueStack) -> None:
    stack = queued.stack
    everything = {"Effect": "Allow", "Action": ["sqs:*", "kms:*"], "Resource": "*"}
    role = stack.role_of_ours("forger", {"everything": [everything]})
    forger = stack.ministack.client("sqs", stack.assume(role))
    forged: dict[str, Any] = {"QueueUrl": queued.url, "MessageBody": '{"Event": "s3:TestEvent"}'}
    with pytest.raises(ClientError, match="AccessDenied"):
        forger.send_message(**forged)
    with pytest.raises(ClientError, match="AccessDenied"):
        queued.sqs.send_message(**forged)
    with queued.open_to_all():
        forger.send_message(**forged)


def test_no_other_bucket_may_send(queued: QueueStack) -> None:
    s3 = queued.stack.s3
    other = "queue-another-bucket"
    location = {"LocationConstraint": queued.stack.ministack.region}
    s3.create_bucket(Bucket=other, CreateBucketConfiguration=location)
    target = {"QueueArn": queued.attributes()["QueueArn"], "Events": ["s3:ObjectCreated:*"]}

    def notify(bucket: str) -> None:
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [target]}
        )

    with pytest.raises(ClientError, match="Unable to validate the following destination"):
        notify(other)
    notify(SOURCE)
