"""Each way to fail: which alarm it raises, where it ends, and which command clears it.

What Lambda and CloudWatch do over minutes is decided on the metrics that were emitted, moved in
time where an alarm wants something to go on.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backupctl import permissions
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for
from tests.backupctl.place import Ran, run

from .cloudwatch import CloudWatch, Point
from .local_stack import LocalStack

DIRECT = {"backupBucket": "drills-backups", "buckets": ["drills-source"]}
QUEUED = {
    "backupBucket": "queue-drills-backups",
    "buckets": ["queue-drills-source"],
    "delivery": "queue",
    "timeout": 20,
}


@dataclass(frozen=True)
class Place:
    """A stack, its alarms, and its operator."""

    stack: LocalStack
    source: str
    environment: dict[str, str]
    cloudwatch: CloudWatch

    @classmethod
    def of(cls, ministack: MiniStack, config: dict[str, Any]) -> "Place":
        """A new stack."""
        stack = LocalStack.deploy(ministack, config)
        [source] = config["buckets"]
        key = stack.deployment.find("aws:kms/key:Key", "backup-key").outputs["arn"]
        queue = stack.deployment.find("aws:sqs/queue:Queue", "backup-failures").outputs["arn"]
        may = [
            *permissions.redrive(stack.backup_bucket, [source], queue, [key]),
            *permissions.verify(stack.backup_bucket, [source], [key]),
            *permissions.backfill(stack.backup_bucket, [source], [key]),
        ]
        declared = stack.deployment.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
        names = {alarm.outputs["name"]: alarm.name.removeprefix("backup-") for alarm in declared}
        watch = CloudWatch(ministack, names, since=datetime.now(UTC))
        return cls(stack, source, stack.operator("operator", may), watch)

    def collect(self) -> list[Point]:
        """Read the metrics."""
        outputs = self.stack.deployment.outputs
        group = self.stack.deployment.find("aws:cloudwatch/logGroup:LogGroup", "backup-logs")
        queues = [outputs["failureQueueUrl"], *outputs["queueUrls"]]
        self.cloudwatch.collect([group.outputs["name"]], queues, [outputs["functionName"]])
        return self.cloudwatch.points

    def raised(self, at: datetime | None = None) -> set[str]:
        """Names of the alarms that are raised."""
        return {name for name, state in self.cloudwatch.states(at).items() if state == "ALARM"}

    def raises(self, *alarms: str) -> bool:
        """Whether exactly these are, by what there is now."""
        self.collect()
        return self.raised() == set(alarms)

    def counted(self, metric: str) -> list[Point]:
        """Values of a metric above 0."""
        return [point for point in self.collect() if point.metric == metric and point.value > 0]

    def backupctl(self, *arguments: str) -> Ran:
        """Run a command as the operator."""
        return run(self.environment, "--stack", self.stack.name, *arguments)

    def redrive(self, *arguments: str) -> Ran:
        """Redrive what is visible, once there is something: who looks hides it for a moment."""

        def look() -> Ran | None:
            ran = self.backupctl("redrive", "--json", "--yes", *arguments)
            assert "backupctl: " not in ran.err, ran
            return ran if '"summary"' in ran.out else None

        ran = wait_for(look, "messages to redrive")
        assert ran is not None
        return ran

    @contextmanager
    def refused_to_all(self, key: str) -> Generator[None]:
        """Let nobody read an object, whatever their role may do."""
        s3 = self.stack.s3
        before = s3.get_bucket_policy(Bucket=self.source)["Policy"]
        document = json.loads(before)
        document["Statement"].append(
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["s3:GetObject", "s3:GetObjectVersion"],
                "Resource": f"arn:aws:s3:::{self.source}/{key}",
            }
        )
        s3.put_bucket_policy(Bucket=self.source, Policy=json.dumps(document))
        try:
            yield
        finally:
            s3.put_bucket_policy(Bucket=self.source, Policy=before)


@pytest.fixture(scope="module")
def direct(ministack: MiniStack) -> Place:
    return Place.of(ministack, DIRECT)


@pytest.fixture(scope="module")
def queued(ministack: MiniStack) -> Place:
    return Place.of(ministack, QUEUED)


@pytest.fixture(autouse=True)
def calm(request: pytest.FixtureRequest) -> None:
    """Nothing is raised, and what was counted before is not looked at."""
    name = "queued" if "queued" in request.fixturenames else "direct"
    place: Place = request.getfixturevalue(name)
    # Lambda's metrics are by the minute, and shared by tests within it.
    place.cloudwatch.since = datetime.now(UTC)
    place.cloudwatch.points = []
    place.raised()


def test_an_object_that_fails_for_good_waits_until_its_cause_is_mended(direct: Place) -> None:
    stack, key = direct.stack, f"{direct.source}/forbidden"
    with direct.refused_to_all("forbidden"):
        stack.put(direct.source, "forbidden", b"content")
        wait_for(lambda: stack.failures("forbidden"), "the failure")
        wait_for(lambda: "failures-waiting" in (direct.collect(), direct.raised())[1], "the alarm")
        # Redriving before the cause is mended loses nothing and calms nobody.
        assert direct.redrive().code == 1
        assert stack.shown(key) is None
        wait_for(lambda: stack.failures("forbidden"), "the failure again")
        wait_for(lambda: "failures-waiting" in (direct.collect(), direct.raised())[1], "the alarm")
    ran = direct.redrive()
    assert (ran.code, ran.summary["redriven"], ran.summary["left"]) == (0, 1, 0)
    assert stack.shown(key) == b"content"
    assert stack.failures("forbidden") == []
    direct.collect()
    assert "failures-waiting" not in direct.raised()


def test_a_throttled_function_loses_nothing_and_catches_up(direct: Place) -> None:
    stack = direct.stack
    client, name = stack.ministack.client("lambda"), stack.deployment.outputs["functionName"]
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        stack.put(direct.source, "held")
        throttled = wait_for(lambda: direct.counted("Throttles"), "throttles")
        now = max(point.time for point in throttled) + timedelta(minutes=1)
        assert "throttles" not in direct.raised(now)
        # So it went on for a quarter of an hour.
        minutes = timedelta(minutes=1)
        direct.cloudwatch.points = [
            replace(p, time=p.time - n * minutes) for p in throttled for n in (0, 5, 10)
        ]
        assert direct.raised(now) == {"throttles"}
        assert stack.outcomes("held") == []
        assert stack.failures("held") == []
    finally:
        client.delete_function_concurrency(FunctionName=name)
    [line] = wait_for(lambda: stack.outcomes("held"), "the backup")
    assert line["outcome"] == "copied"
    direct.collect()
    assert "throttles" not in direct.raised(datetime.now(UTC) + timedelta(minutes=15))


def test_what_no_destination_takes_raises_an_alarm_and_is_found_by_a_verification(
    direct: Place,
) -> None:
    stack = direct.stack
    with direct.refused_to_all("lost"), stack.without("sqs:SendMessage"):
        stack.put(direct.source, "lost", b"content")
        wait_for(lambda: direct.counted("DestinationDeliveryFailures"), "a failed delivery")
        assert "events-lost" in direct.raised(datetime.now(UTC) + timedelta(minutes=1))
    assert stack.failures("lost") == []
    ran = direct.backupctl("verify", "--grace", "0")
    assert ran.code == 1
    [finding] = [line for line in ran.lines if line["key"] == "lost"]
    assert finding["finding"] == "missing"
    assert direct.backupctl("backfill", "--processes", "1").code == 0
    assert stack.shown(f"{direct.source}/lost") == b"content"
    assert direct.backupctl("verify", "--grace", "0").code == 0
    direct.collect()
    assert "events-lost" not in direct.raised(datetime.now(UTC) + timedelta(minutes=10))


def test_a_poisoned_message_harms_no_other_and_is_discarded_by_name(queued: Place) -> None:
    stack = queued.stack
    sqs, [url] = stack.ministack.client("sqs"), stack.deployment.outputs["queueUrls"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    sqs.set_queue_attributes(QueueUrl=url, Attributes=policy)
    stack.put(queued.source, "healthy", b"content")
    wait_for(lambda: stack.shown(f"{queued.source}/healthy") == b"content", "the healthy backup")
    [failure] = wait_for(lambda: stack.failures("poison"), "the poison in the failure queue")
    assert failure["responsePayload"]["errorType"] == "DamagedRecord"
    wait_for(lambda: queued.raises("failures-waiting"), "the alarm, and no other")

    ran = queued.redrive()
    assert (ran.code, ran.summary["redriven"], ran.summary["left"]) == (1, 0, 1)
    [message_id] = [id_ for line in ran.lines for id_ in line.get("group", {}).get("damaged", ())]
    discarded = queued.redrive("--discard", message_id)
    assert (discarded.code, discarded.summary["discarded"]) == (0, 1)
    assert stack.failures("poison") == []
    assert queued.raises()
