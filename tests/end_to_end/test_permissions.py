"""Each permission of the function's role is needed, and nothing beyond them is possible.

What the local AWS does not enforce is listed here, shown to be unenforced, and compared word by
word in tests/components instead.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from handler.failures import Failed
from handler.records import ObjectVersion, Outcome
from handler.units import MIB
from sandbox import demo, samples
from sandbox.aliases import Client
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for

from .local_stack import LocalStack

SOURCE, UNLISTED = "perm-source", "perm-unlisted"

ENFORCED = (
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionTagging",
    "s3:PutObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
# What copying does not take, but giving an event up.
FOR_FAILURES = ("sqs:SendMessage",)
# MiniStack: tags are not a permission of their own when an object is copied or an upload begins,
# a missing key is 404 with or without ListBucket, and writing logs asks for no rights of the role.
NOT_ENFORCED = (
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "s3:ListBucket",
    "s3:PutObjectTagging",
)


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    deployed = LocalStack.deploy(
        ministack,
        {
            "backupBucket": "perm-backups",
            # What is not under live/ is left to the tests themselves.
            "buckets": [
                {"name": SOURCE, "prefix": "live/"},
                {"name": UNLISTED, "backup": False},
            ],
            "objectLock": {"mode": "GOVERNANCE", "days": 1},
        },
    )
    deployed.s3.put_bucket_versioning(Bucket=SOURCE, VersioningConfiguration={"Status": "Enabled"})
    return deployed


def copies(stack: LocalStack, s3: Client) -> list[str]:
    """Do all that the function ever does, as somebody; returns what was denied."""
    large = samples.Sample("large", samples.large("", 7 * MIB).body, tags={"a": "b"})
    big, small = demo_put(stack, large), demo_put(stack, SMALL)
    sources = {
        "small, by version": small,
        "small, current": replace(small, version_id=None),
        "large, by version": big,
        "large, current": replace(big, version_id=None),
        "gone": ObjectVersion(SOURCE, "never-was"),
    }
    interrupted = demo_put(stack, samples.Sample("interrupted", large.body))
    stack.interrupt(interrupted, stack.as_the_function(), part_size=5 * MIB, requests=7)
    sources["interrupted"] = interrupted
    copied = {Outcome.COPIED, Outcome.DUPLICATE}
    # Beside the copy of S3's own event, a version without an id may seem to be another one.
    unnamed = copied | {Outcome.SUPERSEDED}
    expected = {"gone": {Outcome.GONE}, "small, current": unnamed, "large, current": unnamed}
    denied = []
    for name, source in sources.items():
        try:
            backup = stack.copy(source, s3, part_size=5 * MIB)
            assert backup.outcome in expected.get(name, copied)
        except Failed as failure:
            denied.append(f"{name}: {failure.kind}")
    try:
        upload = s3.create_multipart_upload(Bucket=stack.backup_bucket, Key=f"{SOURCE}/given up")
        del upload["ResponseMetadata"]
        s3.abort_multipart_upload(
            Bucket=upload["Bucket"], Key=upload["Key"], UploadId=upload["UploadId"]
        )
    except ClientError as error:
        denied.append(f"giving up: {error.response['Error']['Code']}")
    return denied


SMALL = samples.Sample("small", b"small", tags={"a": "b"})


def demo_put(stack: LocalStack, sample: samples.Sample) -> ObjectVersion:
    demo.put(stack.s3, SOURCE, sample)
    head = stack.s3.head_object(Bucket=SOURCE, Key=sample.key)
    return ObjectVersion(SOURCE, sample.key, head["VersionId"], head["ETag"].strip('"'))


def test_the_lists_are_all_permissions_that_the_role_has(stack: LocalStack) -> None:
    actions: set[str] = set()
    for document in stack.policies().values():
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow"
            listed = statement["Action"]
            actions |= {listed} if isinstance(listed, str) else set(listed)
    assert actions == {*ENFORCED, *FOR_FAILURES, *NOT_ENFORCED}


def test_with_all_permissions_everything_works(stack: LocalStack) -> None:
    assert copies(stack, stack.as_the_function()) == []


@pytest.mark.parametrize("action", ENFORCED)
def test_without_one_permission_something_is_denied(stack: LocalStack, action: str) -> None:
    denied = copies(stack, stack.as_the_function(without=action))
    assert denied
    assert all(denial.endswith((": 403", ": AccessDenied")) for denial in denied), denied


@pytest.mark.parametrize("action", NOT_ENFORCED)
def test_what_the_local_aws_does_not_enforce_is_known(stack: LocalStack, action: str) -> None:
    assert copies(stack, stack.as_the_function(without=action)) == []


@pytest.mark.parametrize("action", ["s3:GetObjectVersion", "s3:PutObject"])
def test_a_failed_copy_arrives_in_the_failure_queue_with_its_event(
    stack: LocalStack, action: str
) -> None:
    key = f"live/fails without {action[3:]}"
    with stack.without(action):
        version = stack.put(SOURCE, key)["VersionId"]
        [message] = wait_for(lambda: stack.failures(key.replace(" ", "+")), f"failure of {key!r}")
    [record] = message["requestPayload"]["Records"]
    assert record["s3"]["bucket"]["name"] == SOURCE
    assert record["s3"]["object"]["key"] == key.replace(" ", "+")
    assert record["s3"]["object"]["versionId"] == version
    assert message["requestContext"]["condition"] == "Permanent"
    assert "the function's role may not do this" in message["responsePayload"]["errorMessage"]
    assert [line["outcome"] for line in stack.outcomes(key)] == ["failed"]
    assert stack.backup_versions(f"{SOURCE}/{key}") == []


def test_after_a_failure_the_next_object_is_backed_up(stack: LocalStack) -> None:
    stack.put(SOURCE, "live/next")
    wait_for(lambda: stack.backup_versions(f"{SOURCE}/live/next"), "the next copy")


@pytest.fixture(scope="module")
def copied(stack: LocalStack) -> dict[str, str]:
    """An object in the backup bucket, with its version."""
    stack.put(SOURCE, "kept")
    stack.copy(ObjectVersion(SOURCE, "kept"), stack.as_the_function())
    key = f"{SOURCE}/kept"
    return {"Key": key, "VersionId": stack.backup_versions(key)[0]["VersionId"]}


Attempt = Callable[[Client, dict[str, Any]], object]
FORBIDDEN: dict[str, Attempt] = {
    "delete a version": lambda s3, at: s3.delete_object(**at),
    "delete an object": lambda s3, at: s3.delete_object(Bucket=at["Bucket"], Key=at["Key"]),
    "bypass retention": lambda s3, at: s3.delete_object(**at, BypassGovernanceRetention=True),
    "shorten retention": lambda s3, at: s3.put_object_retention(
        **at, Retention={}, BypassGovernanceRetention=True
    ),
    "read an overwritten version": lambda s3, at: s3.get_object(**at),
    "list the backups": lambda s3, at: s3.list_objects_v2(Bucket=at["Bucket"]),
    "change the policy": lambda s3, at: s3.put_bucket_policy(Bucket=at["Bucket"], Policy="{}"),
    "remove the policy": lambda s3, at: s3.delete_bucket_policy(Bucket=at["Bucket"]),
    "stop versioning": lambda s3, at: s3.put_bucket_versioning(
        Bucket=at["Bucket"], VersioningConfiguration={"Status": "Suspended"}
    ),
    "expire everything": lambda s3, at: s3.delete_bucket_lifecycle(Bucket=at["Bucket"]),
    "lift the lock": lambda s3, at: s3.put_object_lock_configuration(
        Bucket=at["Bucket"], ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
    ),
    "open to the public": lambda s3, at: s3.delete_public_access_block(Bucket=at["Bucket"]),
    "delete the bucket": lambda s3, at: s3.delete_bucket(Bucket=at["Bucket"]),
    "write to a source": lambda s3, at: s3.put_object(Bucket=SOURCE, Key="forged", Body=b""),
    "delete from a source": lambda s3, at: s3.delete_object(Bucket=SOURCE, Key="kept"),
    "silence a source": lambda s3, at: s3.put_bucket_notification_configuration(
        Bucket=SOURCE, NotificationConfiguration={}
    ),
    "read another bucket": lambda s3, at: s3.get_object(Bucket=UNLISTED, Key="secret"),
    "list another bucket": lambda s3, at: s3.list_objects_v2(Bucket=UNLISTED),
    "write to another bucket": lambda s3, at: s3.put_object(Bucket=UNLISTED, Key="k", Body=b""),
    "list all buckets": lambda s3, at: s3.list_buckets(),
}


@pytest.mark.parametrize("attempt", FORBIDDEN)
def test_the_function_can_do_no_harm(
    stack: LocalStack, copied: dict[str, str], attempt: str
) -> None:
    stack.put(UNLISTED, "secret")
    at = {"Bucket": stack.backup_bucket, **copied}
    with pytest.raises(ClientError, match=r"AccessDenied|403"):
        FORBIDDEN[attempt](stack.as_the_function("s3:ListBucket"), at)
    assert stack.s3.head_object(**at)["ContentLength"] == 7


def test_only_lambda_may_assume_the_role(stack: LocalStack) -> None:
    role = stack.deployment.find("aws:iam/role:Role", "backup-role").outputs["arn"]
    other = stack.role_of_ours("other", {})
    allowed = [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [role, other]}]
    intruder = stack.assume(stack.role_of_ours("intruder", {"assume": allowed}))
    sts = stack.ministack.client("sts", intruder)
    sts.assume_role(RoleArn=other, RoleSessionName="control")
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=role, RoleSessionName="intruder")
