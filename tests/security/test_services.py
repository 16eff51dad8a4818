"""AWS services may act for this stack and for nobody else: no confused deputies.

The local AWS asks some of these questions too; here they are asked of every service, about what the
program renders, also for requests that only somebody in another account can cause.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.engine import Registered
from tests.recorder import ACCOUNT, KEY_ARN, REGION, Recording, policy

from .evaluation import service_may
from .shapes import recorded

STRANGER = "999999999999"


def source(arn: str, account: str = ACCOUNT) -> dict[str, str]:
    return {"aws:sourcearn": arn, "aws:sourceaccount": account}


# A bucket's ARN does not tell its owner: whoever takes the name of a deleted one has its ARN.
OTHER_BUCKETS = [
    source("arn:aws:s3:::another-bucket"),
    source("arn:aws:s3:::source-0", STRANGER),
    source("arn:aws:s3:::source-0-more"),
    {},
]


def of_our_functions(recording: Recording) -> list[Registered]:
    """The permissions to invoke them; those of failure targets are about somebody else's."""
    found = recording.all("lambda/permission:Permission")
    return [p for p in found if not p.name.startswith("backup-failure-targets-")]


def permission_policy(recording: Recording) -> dict[str, Any]:
    """A function's policy, as Lambda makes it of its permissions.

    https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": permission.inputs["principal"]},
                "Action": permission.inputs["action"],
                "Resource": "*",
                "Condition": {
                    "ArnLike": {"AWS:SourceArn": permission.inputs["sourceArn"]},
                    "StringEquals": {"AWS:SourceAccount": permission.inputs["sourceAccount"]},
                },
            }
            for permission in of_our_functions(recording)
        ],
    }


@pytest.mark.parametrize("shape", ["many", "smallest"])
def test_s3_invokes_the_function_for_listed_buckets_of_this_account_only(shape: str) -> None:
    recording = recorded(shape)
    document = permission_policy(recording)
    listed = [p.inputs["sourceArn"] for p in of_our_functions(recording)]

    def may(context: Mapping[str, str], service: str = "s3.amazonaws.com") -> bool:
        return service_may(document, service, "lambda:InvokeFunction", "function", context)

    assert listed
    assert all(may(source(arn)) for arn in listed)
    assert not any(may(source(arn, STRANGER)) for arn in listed)
    assert not any(may(context) for context in OTHER_BUCKETS)
    assert not may(source(listed[0]), "sns.amazonaws.com")


def test_s3_sends_events_of_listed_buckets_of_this_account_only() -> None:
    recording = recorded("many")
    queue = recording.one("sqs/queue:Queue", "backup-queue").outputs["arn"]
    document = policy(recording.one("sqs/queuePolicy:QueuePolicy", "backup-queue-senders"))

    def may(context: Mapping[str, str], service: str = "s3.amazonaws.com") -> bool:
        return service_may(document, service, "sqs:SendMessage", queue, context)

    assert may(source("arn:aws:s3:::source-0"))
    # It is served by the second function, which has a queue of its own.
    assert not may(source("arn:aws:s3:::source-7"))
    assert not any(may(context) for context in OTHER_BUCKETS)
    assert not may(source("arn:aws:s3:::source-0"), "sns.amazonaws.com")


LOGS = f"logs.{REGION}.amazonaws.com"
GROUP = "kms:encryptioncontext:aws:logs:arn"
TRAIL = "kms:encryptioncontext:aws:cloudtrail:arn"


def group(name: str, account: str = ACCOUNT) -> dict[str, str]:
    return {GROUP: f"arn:aws:logs:{REGION}:{account}:log-group:{name}"}


def trail(name: str, account: str = ACCOUNT) -> dict[str, str]:
    arn = f"arn:aws:cloudtrail:{REGION}:{account}:trail/{name}"
    return {TRAIL: arn, **source(arn, account)}


USES: list[tuple[str, str, dict[str, str], bool]] = [
    (LOGS, "kms:Encrypt", group("backup-logs-0000000"), True),
    (LOGS, "kms:Encrypt", group("backup-logs-0000000", STRANGER), False),
    (LOGS, "kms:Encrypt", group("another-group"), False),
    (LOGS, "kms:Encrypt", {}, False),
    ("logs.us-east-1.amazonaws.com", "kms:Encrypt", group("backup-logs-0000000"), False),
    ("cloudtrail.amazonaws.com", "kms:GenerateDataKey", trail("s3-backup-test"), True),
    ("cloudtrail.amazonaws.com", "kms:GenerateDataKey", trail("s3-backup-test", STRANGER), False),
    ("cloudtrail.amazonaws.com", "kms:GenerateDataKey", trail("another"), False),
    ("cloudtrail.amazonaws.com", "kms:Decrypt", trail("s3-backup-test"), False),
    ("cloudwatch.amazonaws.com", "kms:GenerateDataKey", source("alarm"), True),
    ("cloudwatch.amazonaws.com", "kms:GenerateDataKey", source("alarm", STRANGER), False),
    ("cloudwatch.amazonaws.com", "kms:GenerateDataKey", {}, False),
    # No events go through a queue here.
    ("s3.amazonaws.com", "kms:GenerateDataKey", source("arn:aws:s3:::photos"), False),
    ("lambda.amazonaws.com", "kms:Decrypt", source("function"), False),
    ("cloudwatch.amazonaws.com", "kms:PutKeyPolicy", source("alarm"), False),
]


@pytest.mark.parametrize(("service", "action", "context", "allowed"), USES)
def test_services_use_the_key_for_this_stack_only(
    service: str, action: str, context: dict[str, str], allowed: bool
) -> None:
    document = policy(recorded("strict").one("kms/key:Key"))
    assert service_may(document, service, action, KEY_ARN, context) is allowed


@pytest.mark.parametrize(("account", "allowed"), [(ACCOUNT, True), (STRANGER, False)])
def test_s3_uses_the_key_for_queues_of_this_account_only(account: str, allowed: bool) -> None:
    document = policy(recorded("many").one("kms/key:Key"))
    context = source("arn:aws:s3:::source-0", account)
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        assert service_may(document, "s3.amazonaws.com", action, KEY_ARN, context) is allowed


def test_logs_come_from_the_stacks_buckets_only() -> None:
    recording = recorded("strict")
    document = policy(recording.one("BucketPolicy", "access-logs-policy"))
    bucket = recording.one("s3/bucket:Bucket", "access-logs").outputs["arn"]

    def may(context: Mapping[str, str], service: str = "logging.s3.amazonaws.com") -> bool:
        return service_may(document, service, "s3:PutObject", f"{bucket}/photos/log", context)

    for name in ("photos", "the-backups", "audit-trail-0000000", "signed-code-0000000"):
        assert may(source(f"arn:aws:s3:::{name}"))
        assert not may(source(f"arn:aws:s3:::{name}", STRANGER))
    assert not may(source("arn:aws:s3:::another-bucket"))
    assert not may({})
    assert not may(source("arn:aws:s3:::photos"), "cloudtrail.amazonaws.com")


def test_records_come_from_the_stacks_trail_only() -> None:
    recording = recorded("strict")
    document = policy(recording.one("BucketPolicy", "audit-trail-policy"))
    bucket = recording.one("s3/bucket:Bucket", "audit-trail").outputs["arn"]

    def may(trail_arn: str, key: str, service: str = "cloudtrail.amazonaws.com") -> bool:
        context = {"aws:sourcearn": trail_arn, "s3:x-amz-acl": "bucket-owner-full-control"}
        return service_may(document, service, "s3:PutObject", f"{bucket}/{key}", context)

    ours = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/s3-backup-test"
    records = f"AWSLogs/{ACCOUNT}/CloudTrail/one"
    assert may(ours, records)
    assert not may(ours.replace(ACCOUNT, STRANGER), records)
    assert not may(f"{ours}-2", records)
    assert not may(ours, f"AWSLogs/{STRANGER}/CloudTrail/one")
    assert not may(ours, records, "logging.s3.amazonaws.com")
