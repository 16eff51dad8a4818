"""Failures raise the alarm that is theirs, and no other, and whoever subscribed hears of it."""

import json
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components import alarms, policies
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for
from tests.events import changed

from .cloudwatch import CloudWatch, Point, decide
from .local_stack import LocalStack

SOURCE = "alarms-source"
QUIET = f"backup-quiet-{SOURCE}"


@pytest.fixture(scope="module")
def inbox(ministack: MiniStack) -> str:
    """URL of a queue that hears of every alarm."""
    sqs = ministack.client("sqs")
    return sqs.create_queue(QueueName=f"inbox-{secrets.token_hex(4)}")["QueueUrl"]


@pytest.fixture(scope="module")
def stack(ministack: MiniStack, inbox: str) -> LocalStack:
    where = f"{ministack.region}:{ministack.account_id}"
    arn = f"arn:aws:sqs:{where}:{inbox.rpartition('/')[2]}"
    document = policies.document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:sns:{where}:*"}},
        }
    )
    ministack.client("sqs").set_queue_attributes(
        QueueUrl=inbox, Attributes={"Policy": json.dumps(document)}
    )
    return LocalStack.deploy(
        ministack,
        {
            "backupBucket": "alarms-backups",
            "buckets": [{"name": SOURCE, "quietHours": 26}],
            "alarms": {"subscriptions": [{"protocol": "sqs", "endpoint": arn}]},
        },
    )


@pytest.fixture
def cloudwatch(stack: LocalStack, inbox: str) -> CloudWatch:
    """Calm: nothing failed yet, no alarm is raised, nobody has heard of any."""
    sqs = stack.ministack.client("sqs")
    sqs.purge_queue(QueueUrl=stack.deployment.outputs["failureQueueUrl"])
    declared = stack.deployment.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    names = {alarm.outputs["name"]: alarm.name for alarm in declared}
    assert QUIET in names.values()
    calm = CloudWatch(stack.ministack, names, since=datetime.now(UTC))
    collect(stack, calm)
    assert raised(calm.states()) == []
    sqs.purge_queue(QueueUrl=inbox)
    return calm


def collect(stack: LocalStack, cloudwatch: CloudWatch) -> None:
    outputs = stack.deployment.outputs
    group = stack.deployment.find("aws:cloudwatch/logGroup:LogGroup", "backup-logs")
    cloudwatch.collect(
        [group.outputs["name"]], [outputs["failureQueueUrl"]], [outputs["functionName"]]
    )


def raised(states: dict[str, str]) -> list[str]:
    """Without the one on the quiet bucket, which depends on what other tests did before."""
    return sorted(n for n, state in states.items() if state == "ALARM" and n != QUIET)


def messages(stack: LocalStack, inbox: str, alarm: str, state: str) -> list[dict[str, Any]]:
    """Wait for what the subscriber hears of an alarm, and take it."""
    sqs = stack.ministack.client("sqs")

    def look() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for message in sqs.receive_message(QueueUrl=inbox, MaxNumberOfMessages=10).get(
            "Messages", []
        ):
            sqs.delete_message(QueueUrl=inbox, ReceiptHandle=message["ReceiptHandle"])
            told = json.loads(json.loads(message["Body"])["Message"])
            if told["AlarmName"].startswith(alarm) and told["NewStateValue"] == state:
                found.append(told)
        return found

    return wait_for(look, f"{alarm} {state}", 10)


def redrive(stack: LocalStack) -> None:
    """As docs/outcomes.md says."""
    url = stack.deployment.outputs["failureQueueUrl"]
    sqs = stack.ministack.client("sqs")

    def take() -> list[dict[str, Any]]:
        return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])

    for message in wait_for(take, "a message in the failure queue"):
        answer = stack.ministack.client("lambda").invoke(
            FunctionName=stack.deployment.outputs["functionName"], Payload=message["Body"]
        )
        assert "FunctionError" not in answer
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_a_backup_raises_nothing_and_a_day_without_one_does(
    stack: LocalStack, cloudwatch: CloudWatch
) -> None:
    assert cloudwatch.states()[QUIET] == "ALARM"
    stack.put(SOURCE, "fine")

    def counted() -> bool:
        collect(stack, cloudwatch)
        return {"BackedUp", "Bytes", "Lag"} <= {point.metric for point in cloudwatch.points}

    wait_for(counted, "the metrics of the backup")
    states = cloudwatch.states()
    assert (raised(states), states[QUIET]) == ([], "OK")
    later = cloudwatch.states(datetime.now(UTC) + timedelta(hours=27))
    assert (raised(later), later[QUIET]) == ([], "ALARM")


def test_an_object_that_can_never_be_copied_waits_raises_an_alarm_and_redriving_ends_it(
    stack: LocalStack, cloudwatch: CloudWatch, inbox: str
) -> None:
    with stack.without("s3:GetObject"):
        stack.put(SOURCE, "denied")
        wait_for(lambda: stack.failures("denied"), "the failure")

    def seen() -> bool:
        collect(stack, cloudwatch)
        waiting = [p.value for p in cloudwatch.points if p.namespace == "AWS/SQS"]
        return max(waiting) > 0

    wait_for(seen, "the message to be visible again")
    # It failed for good at once: no retry, so no failed invocation either, and time was left.
    assert raised(cloudwatch.states()) == ["backup-failures-waiting"]
    [told] = messages(stack, inbox, "backup-failures-waiting", "ALARM")
    assert told["AlarmDescription"] == (f"alarms-backups: {alarms.FAILURES_WAITING.description}")
    assert "`backupctl redrive`" in told["AlarmDescription"]

    redrive(stack)
    assert stack.backup_versions(f"{SOURCE}/denied")
    collect(stack, cloudwatch)
    assert raised(cloudwatch.states()) == []
    assert messages(stack, inbox, "backup-failures-waiting", "OK")


def test_a_copy_long_after_its_event_is_late(
    stack: LocalStack, cloudwatch: CloudWatch, inbox: str
) -> None:
    stack.put(SOURCE, "later")
    wait_for(lambda: stack.outcomes("later"), "the outcome")
    head = stack.s3.head_object(Bucket=SOURCE, Key="later")
    stack.s3.delete_object(Bucket=stack.backup_bucket, Key=f"{SOURCE}/later")
    then = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    event = changed(key="later", eTag=head["ETag"].strip('"'), eventTime=then)
    event["Records"][0]["s3"]["bucket"]["name"] = SOURCE
    del event["Records"][0]["s3"]["object"]["versionId"]
    stack.ministack.client("lambda").invoke(
        FunctionName=stack.deployment.outputs["functionName"], Payload=json.dumps(event)
    )

    def late() -> list[str]:
        collect(stack, cloudwatch)
        return raised(cloudwatch.states())

    assert wait_for(late, "an alarm") == ["backup-copies-late"]
    [told] = messages(stack, inbox, "backup-copies-late", "ALARM")
    assert "more than 3,600 seconds after its event" in told["AlarmDescription"]
    # Five minutes later it is history.
    assert raised(cloudwatch.states(datetime.now(UTC) + timedelta(minutes=6))) == []


@pytest.mark.parametrize("metric", ["Errors", "Throttles", "DestinationDeliveryFailures"])
def test_what_lambda_counts_raises_the_alarm_of_that_function(
    stack: LocalStack, cloudwatch: CloudWatch, metric: str
) -> None:
    [alarm] = [a for a in alarms.STANDARD if a.metric == metric]
    name = stack.deployment.outputs["functionName"]
    now = datetime.now(UTC)
    one = Point("AWS/Lambda", metric, {"FunctionName": name}, now, 1)
    apart = timedelta(seconds=alarm.period)
    points = [replace(one, time=now - number * apart) for number in range(alarm.periods)]

    def of_lambda() -> list[str]:
        mine = {f"backup-{a.name}" for a in alarms.STANDARD if a.namespace == alarms.LAMBDA}
        return [name for name in raised(cloudwatch.states(now)) if name in mine]

    cloudwatch.points = points[1:]
    assert of_lambda() == []
    cloudwatch.points = [replace(point, dimensions={"FunctionName": "other"}) for point in points]
    assert of_lambda() == []
    cloudwatch.points = points
    assert of_lambda() == [f"backup-{alarm.name}"]


def test_failed_invocations_are_counted_and_raise_the_alarm_when_they_go_on(
    stack: LocalStack, cloudwatch: CloudWatch
) -> None:
    stack.ministack.client("lambda").invoke(
        FunctionName=stack.deployment.outputs["functionName"], Payload=b'{"hello": "world"}'
    )

    def errors() -> list[Point]:
        collect(stack, cloudwatch)
        return [p for p in cloudwatch.points if p.metric == "Errors" and p.value > 0]

    found = wait_for(errors, "an error")
    now = max(point.time for point in found) + timedelta(minutes=1)
    before = [replace(p, time=p.time - timedelta(minutes=m)) for p in found for m in (5, 10)]
    assert "backup-errors" not in raised(cloudwatch.states(now))
    cloudwatch.points += before
    assert "backup-errors" in raised(cloudwatch.states(now))


def test_missing_data_keeps_the_state_where_it_shall() -> None:
    alarm = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [],
        "Statistic": "Maximum",
        "Period": 300,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0,
        "TreatMissingData": "ignore",
        "StateValue": "ALARM",
    }
    assert decide(alarm, [], datetime.now(UTC)) == "ALARM"
    assert decide({**alarm, "TreatMissingData": "notBreaching"}, [], datetime.now(UTC)) == "OK"
