"""A running stack is switched between its ways of delivery while objects are written to it.

The engine is the sandbox's, which creates and updates in the order of the dependencies and deletes
last, as Pulumi's does. S3 changes a notification at once here, where AWS takes minutes: that there
is a way for what is still sent the old way is a matter of what exists, which is looked at.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.aliases import Client
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for
from sandbox.redeployment import ProtectedError

from .local_stack import LocalStack

SOURCE = "switch-source"
CONFIG = {
    "backupBucket": "switch-backups",
    "buckets": [SOURCE],
    "timeout": 30,
    # Each of these is a process of its own here.
    "queueMaxConcurrency": 2,
}
# Every upload may start a process too.
PAUSE = 1.0


@dataclass
class Uploads:
    """Writes one object after the other until it is told to stop."""

    s3: Client
    keys: list[str] = field(default_factory=list[str])
    _over: threading.Event = field(default_factory=threading.Event)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _problems: list[Exception] = field(default_factory=list[Exception])

    @contextmanager
    def going_on(self) -> Generator[None]:
        thread = threading.Thread(target=self._write)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(60)
        assert self._problems == []

    def _write(self) -> None:
        try:
            while not self._over.is_set():
                with self._writing:
                    key = f"upload/{len(self.keys):04}"
                    self.s3.put_object(Bucket=SOURCE, Key=key, Body=key.encode())
                    self.keys.append(key)
                time.sleep(PAUSE)
        except Exception as error:
            self._problems.append(error)

    @contextmanager
    def paused(self) -> Generator[None]:
        """Write nothing for a while."""
        with self._writing:
            yield

    def some_more(self, number: int = 3) -> None:
        """Wait until so many more are written."""
        wanted = len(self.keys) + number
        wait_for(lambda: len(self.keys) >= wanted, f"{wanted} uploads")


def destinations(stack: LocalStack) -> list[str]:
    """The kinds of targets that the source notifies."""
    found = stack.s3.get_bucket_notification_configuration(Bucket=SOURCE)
    return sorted(found.keys() - {"ResponseMetadata"})


def may_be_invoked(stack: LocalStack) -> bool:
    """Whether S3 may invoke the function for the source."""
    name = stack.deployment.outputs["functionName"]
    policy = stack.ministack.client("lambda").get_policy(FunctionName=name)["Policy"]
    return any(
        f"arn:aws:s3:::{SOURCE}" in json.dumps(statement)
        for statement in json.loads(policy)["Statement"]
    )


def waiting(stack: LocalStack) -> int:
    """Messages in the stack's queue."""
    [url] = stack.deployment.outputs["queueUrls"]
    found = stack.ministack.client("sqs").get_queue_attributes(
        QueueUrl=url, AttributeNames=["All"]
    )["Attributes"]
    kinds = ("", "NotVisible", "Delayed")
    return sum(int(found[f"ApproximateNumberOfMessages{kind}"]) for kind in kinds)


@contextmanager
def nobody_receives(stack: LocalStack) -> Generator[None]:
    """Let what is sent to the queue stay there."""
    client = stack.ministack.client("lambda")
    mapping = stack.deployment.find(
        "aws:lambda/eventSourceMapping:EventSourceMapping", "backup-queue-mapping"
    ).id
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        yield
    finally:
        client.update_event_source_mapping(UUID=mapping, Enabled=True)


def versions(stack: LocalStack) -> Counter[str]:
    """How many versions each key has in the backup."""
    pages = stack.s3.get_paginator("list_object_versions").paginate(Bucket=stack.backup_bucket)
    found = [version["Key"] for page in pages for version in page.get("Versions", [])]
    return Counter(key.removeprefix(f"{SOURCE}/") for key in found)


@pytest.mark.timeout(300)
def test_nothing_is_lost_while_a_stack_is_switched_there_and_back(ministack: MiniStack) -> None:
    stack = LocalStack.deploy(ministack, CONFIG)
    uploads = Uploads(stack.s3)
    with uploads.going_on():
        uploads.some_more()
        assert destinations(stack) == ["LambdaFunctionConfigurations"]

        stack = stack.redeploy({**CONFIG, "delivery": "queue"})
        assert destinations(stack) == ["QueueConfigurations"]
        assert may_be_invoked(stack)
        uploads.some_more()

        # What waits in the queue when it goes out of use, and what is sent to it until then.
        with nobody_receives(stack):
            wait_for(lambda: waiting(stack) >= 2, "waiting messages")
            # `pulumi up` refuses that in its preview. Here, where there is none, the key is closed
            # to S3 before the notification is moved, and S3 gives up what it cannot send.
            with (
                uploads.paused(),
                pytest.raises(ProtectedError, match="backup-queue cannot be deleted because") as no,
            ):
                stack.redeploy(CONFIG)
            assert waiting(stack) >= 2
            stack = replace(stack, deployment=no.value.state)
            stack = stack.redeploy({**CONFIG, "delivery": "draining"})
            assert destinations(stack) == ["LambdaFunctionConfigurations"]
            uploads.some_more()
            assert waiting(stack) >= 2
        wait_for(lambda: waiting(stack) == 0, "an empty queue", 90)
        [url] = stack.deployment.outputs["queueUrls"]

        stack = stack.redeploy(CONFIG)
        assert stack.deployment.outputs["queueUrls"] == []
        uploads.some_more()

    keys = uploads.keys
    assert len(keys) >= 12
    wait_for(lambda: versions(stack).keys() >= {*keys}, "every backup", 90)
    assert versions(stack) == dict.fromkeys(keys, 1)
    assert stack.failures("upload") == []
    sqs: Any = ministack.client("sqs")
    with pytest.raises(ClientError, match="NonExistentQueue"):
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])


def test_what_is_switched_there_and_back_is_what_it_was(ministack: MiniStack) -> None:
    config = {**CONFIG, "backupBucket": "switch-twice-backups", "buckets": ["switch-twice"]}
    first = LocalStack.deploy(ministack, config)
    stack = first
    for delivery in ("queue", "draining", "direct"):
        stack = stack.redeploy({**config, "delivery": delivery})
    assert _identities(stack) == _identities(first)
    assert stack.deployment.outputs == first.deployment.outputs
    assert stack.policies() == LocalStack.policies(first)


def _identities(stack: LocalStack) -> list[tuple[str, str | None]]:
    """All resources with their ids, but for what is there for one delivery only and made anew."""
    return sorted(
        (r.urn, r.id if "cloudwatch/metricAlarm" not in r.type else None)
        for r in stack.deployment.resources
    )
