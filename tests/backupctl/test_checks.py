"""What the doctor finds where the local AWS cannot show it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backupctl.aws import Aws
from backupctl.checks import clock, delivery, quotas, storage
from backupctl.checks.patient import Patient
from backupctl.notifications import Entry
from backupctl.stack import Function, Source, Stack

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:backup"
ROLE = "arn:aws:iam::123456789012:role/backup-role"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


class NotFoundError(Exception):
    """Of a client."""


def patient(
    services: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    key: str | None = None,
    queues: tuple[str, ...] = (),
) -> Patient:
    """A stack whose services answer as told: operation to what it answers with."""

    def client(name: str) -> Any:
        operations = (services or {}).get(name, {})
        answers = {
            operation: lambda answer=answer, **_asked: answer
            for operation, answer in operations.items()
        }
        exceptions = SimpleNamespace(ResourceNotFoundException=NotFoundError)
        return SimpleNamespace(**answers, exceptions=exceptions)

    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/failures"
    stack = Stack(
        "backups",
        (Function("backup", ARN),),
        url,
        {"photos": Source("photos")},
        "STANDARD",
        {},
        kms_key_arn=key,
        queue_urls=queues,
    )
    found = Patient(
        cast(Aws, SimpleNamespace(client=client)), stack, list(stack.sources.values()), NOW
    )
    found.configurations = {ARN: {"Role": ROLE}}
    found.entries = {"photos": [Entry(ARN, ("s3:ObjectCreated:*",))], "backups": []}
    found.encryption = {}
    found.mappings = {arn: [] for arn in stack.queue_arns}
    return found


@pytest.mark.parametrize(
    ("seconds", "way"), [(0, None), (-20, None), (100, "behind"), (-100, "ahead of")]
)
def test_a_wrong_clock_is_told(seconds: int, way: str | None) -> None:
    theirs = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds))
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": theirs}}}
    found = list(clock.clock(patient({"sts": {"get_caller_identity": answer}})))
    assert [finding.problem.partition(" seconds ")[2] for finding in found] == (
        [f"{way} AWS's"] if way else []
    )


@pytest.mark.parametrize(("used", "found"), [(18_431, 0), (18_432, 1)])
def test_a_function_policy_that_is_nearly_full_is_told(used: int, found: int) -> None:
    answer = {"Policy": "x" * used}
    findings = list(quotas.function_policies(patient({"lambda": {"get_policy": answer}})))
    assert [finding.problem for finding in findings] == [
        "18,432 of 20,480 bytes of function policy are used"
    ] * found


@pytest.mark.parametrize(("used", "found"), [(89, 0), (90, 1)])
def test_notification_entries_that_are_nearly_used_up_are_told(used: int, found: int) -> None:
    sick = patient()
    sick.entries = {"photos": [Entry(ARN)] * used + [Entry("EventBridge")]}
    findings = list(quotas.notification_entries(sick))
    assert [(finding.about, finding.problem) for finding in findings] == [
        ("photos", "90 of 100 notification entries are used")
    ] * found


@pytest.mark.parametrize(("used", "reserved", "found"), [(89, {}, 0), (90, {}, 1), (99, 5, 0)])
def test_concurrency_that_is_nearly_used_up_is_told(used: int, reserved: Any, found: int) -> None:
    result = {"Id": "m0", "Timestamps": [NOW], "Values": [float(used)]}
    pages = SimpleNamespace(paginate=lambda **_asked: [{"MetricDataResults": [result]}])
    concurrency = {"ReservedConcurrentExecutions": reserved} if reserved else {}
    limits = {"AccountLimit": {"UnreservedConcurrentExecutions": 100}}
    sick = patient(
        {
            "lambda": {
                "get_account_settings": limits,
                "get_function_concurrency": concurrency,
            }
        }
    )
    client = sick.aws.client

    def with_pages(name: str) -> Any:
        if name == "cloudwatch":
            return SimpleNamespace(get_paginator=lambda _operation: pages)
        return client(name)

    sick.aws = cast(Aws, SimpleNamespace(client=with_pages))
    assert len(list(quotas.concurrency(sick))) == found


def test_a_loop_is_told() -> None:
    sick = patient()
    sick.entries = {**sick.entries, "backups": [Entry(ARN, ("s3:ObjectCreated:*",))]}
    [finding] = delivery.announcements(sick)
    assert finding.problem == f"the backup bucket announces its own copies to {ARN}"


def test_what_is_missing_is_told() -> None:
    sick = patient(queues=("https://sqs/events",))
    sick.configurations, sick.entries = {}, {}
    findings = [
        *delivery.functions(sick),
        *delivery.queues(sick),
        *delivery.announcements(sick),
        *storage.backup_bucket(sick),
    ]
    assert [(finding.about, finding.problem) for finding in findings] == [
        ("backup", "there is no such function"),
        ("events", "no function takes events from this queue"),
        ("photos", "there is no such bucket"),
        ("backups", "there is no such bucket"),
    ]


def test_another_key_than_the_stacks_is_told() -> None:
    versioned = {"get_bucket_versioning": {"Status": "Enabled"}}
    sick = patient({"s3": versioned}, key=KEY)
    assert [finding.problem for finding in storage.backup_bucket(sick)] == [
        "there is no default encryption"
    ]
    sick.encryption = {"backups": {"SSEAlgorithm": "AES256"}}
    [finding] = storage.backup_bucket(sick)
    assert finding.problem == f"copies are encrypted with AES256, not with the stack's key {KEY}"
    sick.encryption = {"backups": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}}
    assert list(storage.backup_bucket(sick)) == []


def test_a_key_about_to_be_deleted_is_told_with_the_day() -> None:
    answer = {"KeyMetadata": {"KeyState": "PendingDeletion", "DeletionDate": NOW}}
    sick = patient({"kms": {"describe_key": answer}})
    sick.encryption = {"backups": {"KMSMasterKeyID": KEY}, "photos": {"KMSMasterKeyID": KEY}}
    [finding] = storage.keys(sick)
    assert finding.problem.startswith("the key is PendingDeletion until 2026-03-04: ")
    assert "cancel-key-deletion" in finding.cure
