"""The drills that a stack runs on a schedule, invoked as the schedule does, and no harm by them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox import demo, samples
from sandbox.aliases import Client
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for

from .cloudwatch import Point, embedded
from .local_stack import LocalStack

SOURCE, OTHER, UNLISTED = "drill-source", "drill-other", "drill-unlisted"
KEYS = ("cat", 'a//caf\u00e9 b+%41,"q".txt', "multi", "k" * 1000)
SAMPLE = samples.Sample("", b"", metadata={"of": "mine"}, tags={"a": "b"})


@dataclass(frozen=True)
class Drilled:
    """What an invocation came to."""

    answer: Any
    error: str | None
    lines: list[dict[str, Any]]
    """What it logged."""

    @property
    def points(self) -> set[tuple[str, str, float]]:
        """Source, metric, value."""
        found: list[Point] = []
        for line in self.lines:
            if "_aws" in line:
                found += embedded(line)
        assert {point.namespace for point in found} <= {"S3Backup"}
        assert all(point.dimensions.keys() == {"SourceBucket"} for point in found)
        return {(point.dimensions["SourceBucket"], point.metric, point.value) for point in found}


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    deployed = LocalStack.deploy(
        ministack,
        {
            "backupBucket": "drill-backups",
            "buckets": [SOURCE, OTHER, {"name": UNLISTED, "backup": False}],
            "drill": {"days": 3, "sample": 50},
        },
    )
    for source in (SOURCE, OTHER):
        for key in KEYS if source == SOURCE else KEYS[:1]:
            demo.put(deployed.s3, source, replace(SAMPLE, key=key, body=key.encode()))
    for key in KEYS:
        wait_for(lambda key=key: copies(deployed, key), f"the backup of {key!r}")
    wait_for(lambda: deployed.backup_versions(f"{OTHER}/cat"), "the backup of the other's")
    return replace(deployed, function="drill")


def copies(stack: LocalStack, key: str) -> list[Any]:
    if len(f"{SOURCE}/{key}".encode()) <= 1024:
        return stack.backup_versions(f"{SOURCE}/{key}")
    prefix = f".s3-backup/long/{SOURCE}/"
    return stack.s3.list_objects_v2(Bucket=stack.backup_bucket, Prefix=prefix).get("Contents", [])


def scheduled(stack: LocalStack) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rule and its only target, as EventBridge has them."""
    events = stack.ministack.client("events")
    name = stack.deployment.find("aws:cloudwatch/eventRule:EventRule", "drill-schedule").id
    [target] = events.list_targets_by_rule(Rule=name)["Targets"]
    return events.describe_rule(Name=name), target


def drill(stack: LocalStack, **changes: Any) -> Drilled:
    """Invoke the function as the schedule does, but for objects of any age."""
    _, target = scheduled(stack)
    logs = stack.ministack.client("logs")
    group = stack.deployment.find("aws:cloudwatch/logGroup:LogGroup", "drill-logs").outputs["name"]

    def lines() -> list[dict[str, Any]]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        messages = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(text) for text in messages if text.startswith("{")]

    before = len(lines())
    event = {**json.loads(target["Input"]), "graceMinutes": 0, **changes}
    answer = stack.ministack.client("lambda").invoke(
        FunctionName=target["Arn"], Payload=json.dumps(event).encode()
    )
    result = json.loads(answer["Payload"].read())
    failed = result["errorMessage"] if "FunctionError" in answer else None
    return Drilled(result, failed, lines()[before:])


def result(stack: LocalStack, source: str) -> Mapping[str, Any]:
    key = f".s3-backup/results/drill/{source}.json"
    return json.loads(stack.s3.get_object(Bucket=stack.backup_bucket, Key=key)["Body"].read())


def scratch_versions(stack: LocalStack) -> list[Any]:
    bucket = stack.deployment.outputs["drillBucketName"]
    found = stack.s3.list_object_versions(Bucket=bucket)
    return [*found.get("Versions", []), *found.get("DeleteMarkers", [])]


def test_the_schedule_may_invoke_the_function_and_nothing_else_may(stack: LocalStack) -> None:
    rule, target = scheduled(stack)
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(3 days)", "ENABLED")
    assert json.loads(target["Input"]) == {"sources": {SOURCE: {}, OTHER: {}}, "sample": 50}
    policy = stack.ministack.client("lambda").get_policy(FunctionName=target["Arn"])["Policy"]
    [statement] = json.loads(policy)["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert list(statement["Condition"].values()) == [{"AWS:SourceArn": rule["Arn"]}]


def test_everything_comes_back_and_nothing_stays_but_the_result(stack: LocalStack) -> None:
    done = drill(stack)
    assert (done.answer, done.error) == ({SOURCE: 0, OTHER: 0}, None)
    assert done.points == {
        (source, metric, value)
        for source in (SOURCE, OTHER)
        for metric, value in (("DrillCompleted", 1), ("DrillFindings", 0))
    }
    assert result(stack, SOURCE)["verdicts"]["same"] == len(KEYS)
    assert result(stack, OTHER)["sampled"] == 1
    assert scratch_versions(stack) == []


def test_what_is_too_young_is_left_alone(stack: LocalStack) -> None:
    done = drill(stack, graceMinutes=15)
    assert done.answer == {SOURCE: 0, OTHER: 0}
    assert result(stack, SOURCE)["sampled"] == 0


def test_a_damaged_backup_is_found(stack: LocalStack) -> None:
    place = {"Bucket": stack.backup_bucket, "Key": f"{SOURCE}/cat"}
    whole = stack.s3.head_object(**place)["VersionId"]
    stack.s3.put_object(**place, Body=b"dog")
    try:
        done = drill(stack)
    finally:
        stack.s3.copy_object(**place, CopySource={**place, "VersionId": whole})
    assert done.answer == {SOURCE: 1, OTHER: 0}
    assert (SOURCE, "DrillFindings", 1) in done.points
    assert (OTHER, "DrillFindings", 0) in done.points
    assert result(stack, SOURCE)["faults"] == 1
    faults = [line for line in done.lines if line.get("key") == "cat"]
    assert [(line["level"], line["verdict"]) for line in faults] == [("ERROR", "different")]
    assert scratch_versions(stack) == []


def test_one_source_that_cannot_be_drilled_stops_no_other(stack: LocalStack) -> None:
    done = drill(stack, sources={UNLISTED: {}, OTHER: {}})
    assert done.error == f"not drilled: {UNLISTED}; the lines before say why"
    assert {source for source, _, _ in done.points} == {OTHER}
    [line] = [line for line in done.lines if line.get("bucket") == UNLISTED]
    assert "AccessDenied" in line["problem"]


def test_a_wrong_event_is_one_clear_error(stack: LocalStack) -> None:
    done = drill(stack, sample=0)
    assert done.error is not None
    assert "sample is no number from 1 to 1,000" in done.error
    assert done.points == set()


NEEDED = (
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "s3:DeleteObjectVersion",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:ListBucketVersions",
    "s3:PutObject",
)


@pytest.mark.parametrize("action", NEEDED)
def test_without_one_permission_it_does_not_work(stack: LocalStack, action: str) -> None:
    with stack.without(action):
        done = drill(stack, sources={OTHER: {}})
    # What it could not remove is left to the lifecycle.
    for version in scratch_versions(stack):
        place = {name: version[name] for name in ("Key", "VersionId")}
        stack.s3.delete_object(Bucket=stack.deployment.outputs["drillBucketName"], **place)
    assert done.error is not None or done.answer[OTHER] > 0


Attempt = Callable[[Client, str], object]
FORBIDDEN: dict[str, Attempt] = {
    "write a backup": lambda s3, at: s3.put_object(Bucket=at, Key=f"{SOURCE}/cat", Body=b""),
    "write a record": lambda s3, at: s3.put_object(Bucket=at, Key=".s3-backup/keys/x", Body=b""),
    "write another result": lambda s3, at: s3.put_object(
        Bucket=at, Key=".s3-backup/results/verification/x", Body=b""
    ),
    "delete a backup": lambda s3, at: s3.delete_object(Bucket=at, Key=f"{SOURCE}/cat"),
    "delete a version": lambda s3, at: s3.delete_object(
        Bucket=at,
        Key=f"{SOURCE}/cat",
        VersionId=s3.head_object(Bucket=at, Key=f"{SOURCE}/cat")["VersionId"],
    ),
    "delete a result": lambda s3, at: s3.delete_object(
        Bucket=at, Key=f".s3-backup/results/drill/{SOURCE}.json"
    ),
    "write to a source": lambda s3, _: s3.put_object(Bucket=SOURCE, Key="forged", Body=b""),
    "delete from a source": lambda s3, _: s3.delete_object(Bucket=SOURCE, Key="cat"),
    "read another bucket": lambda s3, _: s3.get_object(Bucket=UNLISTED, Key="secret"),
    "list another bucket": lambda s3, _: s3.list_objects_v2(Bucket=UNLISTED),
    "write to another bucket": lambda s3, _: s3.put_object(Bucket=UNLISTED, Key="k", Body=b""),
    "change the policy": lambda s3, at: s3.delete_bucket_policy(Bucket=at),
    "list all buckets": lambda s3, _: s3.list_buckets(),
}


@pytest.mark.parametrize("attempt", FORBIDDEN)
def test_the_function_can_do_no_harm(stack: LocalStack, attempt: str) -> None:
    stack.put(UNLISTED, "secret")
    with pytest.raises(ClientError, match=r"AccessDenied|403"):
        FORBIDDEN[attempt](stack.as_the_function(), stack.backup_bucket)


def test_in_the_scratch_bucket_it_may_write_under_its_prefix_only(stack: LocalStack) -> None:
    s3, bucket = stack.as_the_function(), stack.deployment.outputs["drillBucketName"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=bucket, Key="elsewhere", Body=b"")
    version = s3.put_object(Bucket=bucket, Key="s3-backup-drill/x", Body=b"")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="s3-backup-drill/x", VersionId=version)
    assert scratch_versions(stack) == []
