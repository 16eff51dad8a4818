"""Whoever subscribes to the event bus hears of backups, failures, findings and drills."""

import json
import secrets
from collections.abc import Generator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from backupctl import permissions
from backupctl.cli import main
from components import policies
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for
from tests.events_schema import check

from .local_stack import LocalStack

SOURCE = "events-source"
NAME = "events-backups"


@pytest.fixture(scope="module")
def bus(ministack: MiniStack) -> str:
    """Name of a bus."""
    name = f"security-{secrets.token_hex(4)}"
    ministack.client("events").create_event_bus(Name=name)
    return name


def queue(ministack: MiniStack, name: str) -> tuple[str, str]:
    """URL and ARN of a new queue."""
    sqs = ministack.client("sqs")
    url = sqs.create_queue(QueueName=f"{name}-{secrets.token_hex(4)}")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, attributes["Attributes"]["QueueArn"]


@pytest.fixture(scope="module")
def siem(ministack: MiniStack, bus: str) -> str:
    """URL of a queue that subscribes to all there is."""
    url, arn = queue(ministack, "siem")
    events = ministack.client("events")
    pattern = json.dumps({"source": ["s3-backup"]})
    events.put_rule(Name="siem", EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule="siem", EventBusName=bus, Targets=[{"Id": "siem", "Arn": arn}])
    return url


@pytest.fixture(scope="module")
def pager(ministack: MiniStack) -> tuple[str, str]:
    """ARN of a topic, and URL of the queue where what it is told arrives."""
    url, arn = queue(ministack, "pager")
    allowed = policies.document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
        }
    )
    ministack.client("sqs").set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": json.dumps(allowed)}
    )
    sns = ministack.client("sns")
    topic = sns.create_topic(Name=f"pager-{secrets.token_hex(4)}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return topic, url


@pytest.fixture(scope="module")
def stack(ministack: MiniStack, bus: str, siem: str, pager: tuple[str, str]) -> LocalStack:
    assert siem
    return LocalStack.deploy(
        ministack,
        {
            "backupBucket": NAME,
            "buckets": [SOURCE],
            "events": {"bus": bus, "success": True, "failureTargets": pager[0]},
        },
    )


@pytest.fixture(autouse=True)
def nothing_waits(stack: LocalStack, siem: str) -> Generator[None]:
    yield
    stack.ministack.client("sqs").purge_queue(QueueUrl=siem)


def heard(stack: LocalStack, siem: str, detail_type: str, **wanted: object) -> dict[str, Any]:
    """Wait for the detail of an event of that type with these fields, and take it."""
    sqs = stack.ministack.client("sqs")

    def look() -> list[dict[str, Any]]:
        answer = sqs.receive_message(QueueUrl=siem, MaxNumberOfMessages=10)
        found: list[dict[str, Any]] = []
        for message in answer.get("Messages", []):
            sqs.delete_message(QueueUrl=siem, ReceiptHandle=message["ReceiptHandle"])
            event = json.loads(message["Body"])
            assert event["source"] == "s3-backup"
            detail = event["detail"]
            check(event["detail-type"], detail)
            if event["detail-type"] == detail_type and wanted.items() <= detail.items():
                found.append(detail)
        return found

    return wait_for(look, f"{detail_type} {wanted}")[0]


def test_a_backup_is_announced(stack: LocalStack, siem: str) -> None:
    key = "a b/\u00fc+%.jpg"
    stack.put(SOURCE, key, b"seven!!")
    detail = heard(stack, siem, "Object Backed Up", key=key)
    assert detail["bytes"] == 7
    [version] = stack.backup_versions(detail["backupKey"])
    assert (version["Size"], detail["backupBucket"]) == (7, NAME)


def test_a_failure_is_announced_paged_and_in_the_queue(
    stack: LocalStack, siem: str, pager: tuple[str, str]
) -> None:
    with stack.without("s3:GetObject"):
        stack.put(SOURCE, "denied")
        detail = heard(stack, siem, "Backup Failed", key="denied")
    assert detail["retryable"] is False
    assert wait_for(lambda: stack.failures("denied"), "the failure in the queue")
    sqs = stack.ministack.client("sqs")

    def paged() -> list[Any]:
        return sqs.receive_message(QueueUrl=pager[1], MaxNumberOfMessages=10).get("Messages", [])

    [message, *_] = wait_for(paged, "the message of the topic")
    told = json.loads(json.loads(message["Body"])["Message"])
    assert (told["detail-type"], told["detail"]["key"]) == ("Backup Failed", "denied")


def test_a_bus_that_refuses_costs_no_backup(stack: LocalStack) -> None:
    with stack.without("events:PutEvents"):
        stack.put(SOURCE, "quietly")
        [line] = wait_for(lambda: stack.outcomes("quietly"), "the outcome")
    assert line["outcome"] == "copied"
    assert stack.backup_versions(f"{SOURCE}/quietly")
    group = stack.deployment.find("aws:cloudwatch/logGroup:LogGroup", "backup-logs")

    def counted() -> list[dict[str, Any]]:
        answer = stack.ministack.client("logs").filter_log_events(
            logGroupName=group.outputs["name"]
        )
        lines = [event["message"] for event in answer["events"]]
        return [json.loads(text) for text in lines if '"EventsNotSent":' in text]

    [metric, *_] = wait_for(counted, "the count")
    assert (metric["BackupBucket"], metric["EventsNotSent"]) == (NAME, 1)


def test_findings_and_drills_are_announced(
    stack: LocalStack, siem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ministack = stack.ministack
    scratch = ministack.client("s3")
    scratch.create_bucket(
        Bucket="events-scratch",
        CreateBucketConfiguration={"LocationConstraint": ministack.region},
    )
    stack.put(SOURCE, "lost")
    backed_up = heard(stack, siem, "Object Backed Up", key="lost")
    stack.s3.delete_object(Bucket=NAME, Key=backed_up["backupKey"])
    for name, value in ministack.environment().items():
        monkeypatch.setenv(name, value)
    assert main(["--stack", NAME, "verify", "--grace", "0", "--event"]) == 1
    finding = heard(stack, siem, "Verification Finding", key="lost")
    assert (finding["finding"], finding["bucket"]) == ("missing", SOURCE)
    stack.put(SOURCE, "kept")
    assert heard(stack, siem, "Object Backed Up", key="kept")
    drill = ["drill", "--to", "events-scratch", "--sample", "1000", "--grace", "0", "--event"]
    code = main(["--stack", NAME, *drill])
    result = heard(stack, siem, "Drill Result", bucket=SOURCE)
    assert result["passed"] is (code == 0)
    assert (result["sampled"], result["bytes"]) >= (1, 1)


def test_function_and_operator_may_announce_on_this_bus_in_this_name_only(
    stack: LocalStack, bus: str
) -> None:
    arn = stack.ministack.client("events").describe_event_bus(Name=bus)["Arn"]
    [of_function] = [
        document["Statement"]
        for name, document in stack.policies().items()
        if name.startswith("backup-announce")
    ]
    entry = {"Source": "s3-backup", "DetailType": "Drill Result", "Detail": "{}"}
    for who, statements in (
        ("function", of_function),
        ("operator", permissions.announce(arn)),
    ):
        role = stack.role_of_ours(f"as-{who}", {"announce": statements})
        client = stack.ministack.client("events", stack.assume(role))
        right = {**entry, "EventBusName": arn}
        assert client.put_events(Entries=[right])["FailedEntryCount"] == 0
        for wrong in (
            {**entry, "EventBusName": "default"},
            {**right, "Source": "payroll"},
        ):
            with pytest.raises(ClientError, match="AccessDenied"):
                client.put_events(Entries=[wrong])
            with pytest.raises(ClientError, match="AccessDenied"):
                client.put_events(Entries=[right, wrong])
