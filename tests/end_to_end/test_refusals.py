"""What each principal of the threat model must not do is refused, and what it may do works.

The local AWS lets the account's root pass every bucket policy, so everybody here is a role.
"""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.aliases import Client
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for

from .local_stack import LocalStack

SOURCE = "guarded-source"
BACKUP = "guarded-backups"
EVERYTHING = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
REFUSED = r"AccessDenied|403"


def role(ministack: MiniStack, name: str) -> str:
    return f"arn:aws:iam::{ministack.account_id}:role/{BACKUP}-{name}"


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    deployed = LocalStack.deploy(
        ministack,
        {
            "backupBucket": BACKUP,
            "buckets": [SOURCE],
            "objectLock": {"mode": "GOVERNANCE", "days": 1},
            "breakGlassRoleArn": role(ministack, "break-glass"),
            "deployerRoleArns": [role(ministack, "deployer")],
        },
    )
    deployed.put(SOURCE, "kept")
    wait_for(lambda: deployed.backup_versions(f"{SOURCE}/kept"), "a backup")
    return deployed


def somebody(stack: LocalStack, name: str) -> Client:
    """S3 as a role that IAM allows everything."""
    arn = stack.role_of_ours(name, {"everything": EVERYTHING})
    assert arn == role(stack.ministack, name)
    return stack.ministack.client("s3", stack.assume(arn))


@pytest.fixture
def kept(stack: LocalStack) -> dict[str, str]:
    """A version in the backup bucket."""
    key = f"{SOURCE}/kept"
    [version] = stack.backup_versions(key)
    return {"Bucket": BACKUP, "Key": key, "VersionId": version["VersionId"]}


Attempt = Callable[[Client, dict[str, Any]], object]

DESTRUCTION: dict[str, Attempt] = {
    "delete a version": lambda s3, at: s3.delete_object(**at),
    "bypass retention": lambda s3, at: s3.delete_object(**at, BypassGovernanceRetention=True),
    "shorten retention": lambda s3, at: s3.put_object_retention(
        **at, Retention={}, BypassGovernanceRetention=True
    ),
    "lift a legal hold": lambda s3, at: s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"}),
    "untag a version": lambda s3, at: s3.delete_object_tagging(**at),
}
SETTINGS: dict[str, Attempt] = {
    "change the policy": lambda s3, at: s3.put_bucket_policy(Bucket=BACKUP, Policy=POLICY),
    "remove the policy": lambda s3, at: s3.delete_bucket_policy(Bucket=BACKUP),
    "stop versioning": lambda s3, at: s3.put_bucket_versioning(
        Bucket=BACKUP, VersioningConfiguration={"Status": "Suspended"}
    ),
    "expire everything": lambda s3, at: s3.put_bucket_lifecycle_configuration(
        Bucket=BACKUP, LifecycleConfiguration=EXPIRE_SOON
    ),
    "remove the lifecycle": lambda s3, at: s3.delete_bucket_lifecycle(Bucket=BACKUP),
    "lift the lock": lambda s3, at: s3.put_object_lock_configuration(
        Bucket=BACKUP, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
    ),
    "encrypt in another way": lambda s3, at: s3.delete_bucket_encryption(Bucket=BACKUP),
    "open to the public": lambda s3, at: s3.delete_public_access_block(Bucket=BACKUP),
    "bring back access lists": lambda s3, at: s3.delete_bucket_ownership_controls(Bucket=BACKUP),
    "stop the access log": lambda s3, at: s3.put_bucket_logging(
        Bucket=BACKUP, BucketLoggingStatus={}
    ),
    "feed the function its own copies": lambda s3, at: s3.put_bucket_notification_configuration(
        Bucket=BACKUP, NotificationConfiguration={}
    ),
    "delete the bucket": lambda s3, at: s3.delete_bucket(Bucket=BACKUP),
}
POLICY = '{"Version": "2012-10-17", "Statement": []}'
EXPIRE_SOON = {
    "Rules": [
        {"ID": "soon", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    ]
}


def test_what_an_administrator_may_do_elsewhere_works(stack: LocalStack) -> None:
    """The control: the refusals below are the bucket's, not IAM's."""
    s3 = somebody(stack, "administrator")
    version = s3.put_object(Bucket=SOURCE, Key="control", Body=b"")
    s3.delete_object(Bucket=SOURCE, Key="control", VersionId=version.get("VersionId", "null"))
    s3.put_bucket_versioning(Bucket=SOURCE, VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.parametrize("attempt", [*DESTRUCTION, *SETTINGS])
def test_an_administrator_can_neither_destroy_backups_nor_disarm_the_bucket(
    stack: LocalStack, kept: dict[str, str], attempt: str
) -> None:
    with pytest.raises(ClientError, match=REFUSED):
        {**DESTRUCTION, **SETTINGS}[attempt](somebody(stack, "administrator"), kept)
    assert stack.s3.head_object(**kept)["ContentLength"] == 7


@pytest.mark.parametrize("attempt", DESTRUCTION)
def test_a_deployer_cannot_destroy_backups(
    stack: LocalStack, kept: dict[str, str], attempt: str
) -> None:
    with pytest.raises(ClientError, match=REFUSED):
        DESTRUCTION[attempt](somebody(stack, "deployer"), kept)
    assert stack.s3.head_object(**kept)["ContentLength"] == 7


@pytest.mark.parametrize("who", ["deployer", "break-glass"])
def test_whoever_deploys_can_change_settings(stack: LocalStack, who: str) -> None:
    s3 = somebody(stack, who)
    policy = s3.get_bucket_policy(Bucket=BACKUP)["Policy"]
    s3.put_bucket_policy(Bucket=BACKUP, Policy=policy)
    s3.put_bucket_versioning(Bucket=BACKUP, VersioningConfiguration={"Status": "Enabled"})


def test_the_break_glass_role_can_delete_a_version(stack: LocalStack) -> None:
    stack.put(SOURCE, "condemned")
    key = f"{SOURCE}/condemned"
    [version] = wait_for(lambda: stack.backup_versions(key), "a backup to delete")
    at = {"Bucket": BACKUP, "Key": key, "VersionId": version["VersionId"]}
    somebody(stack, "break-glass").delete_object(**at, BypassGovernanceRetention=True)
    assert stack.backup_versions(key) == []


LOGS: dict[str, Attempt] = {
    "delete a log": lambda s3, at: s3.delete_object(Bucket=at["Bucket"], Key=at["Key"]),
    "delete a log's version": lambda s3, at: s3.delete_object(**at),
}


@pytest.mark.parametrize("attempt", LOGS)
@pytest.mark.parametrize("who", ["administrator", "deployer"])
def test_nobody_removes_the_traces(stack: LocalStack, attempt: str, who: str) -> None:
    bucket = stack.deployment.outputs["accessLogBucketName"]
    version = stack.put(bucket, "photos/2026-01-01")["VersionId"]
    at = {"Bucket": bucket, "Key": "photos/2026-01-01", "VersionId": version}
    with pytest.raises(ClientError, match=REFUSED):
        LOGS[attempt](somebody(stack, who), at)
    assert stack.s3.head_object(**at)["ContentLength"] == 7
