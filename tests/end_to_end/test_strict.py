"""A stack with what is off by default: signed code, a VPC, traces, a cold storage class."""

import pytest

from sandbox.ministack import MiniStack
from sandbox.observation import wait_for

from .local_stack import LocalStack

SOURCE = "strict-source"


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    ec2 = ministack.client("ec2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    [group, *_] = ec2.describe_security_groups()["SecurityGroups"]
    return LocalStack.deploy(
        ministack,
        {
            "backupBucket": "strict-backups",
            "buckets": [SOURCE],
            "vpc": {"subnetIds": subnets[:2], "securityGroupIds": [group["GroupId"]]},
            "codeSigning": True,
            "tracing": True,
            "storageClass": "DEEP_ARCHIVE",
        },
    )


def copies(stack: LocalStack, prefix: str) -> list[str]:
    """The storage classes of what is under a prefix of the backup bucket."""
    found = stack.s3.list_object_versions(Bucket=stack.backup_bucket, Prefix=prefix)
    return [version["StorageClass"] for version in found.get("Versions", [])]


def test_objects_are_backed_up(stack: LocalStack) -> None:
    stack.put(SOURCE, "photo")
    assert len(wait_for(lambda: stack.backup_versions(f"{SOURCE}/photo"), "a copy")) == 1


@pytest.mark.timeout(120)
def test_only_backups_are_of_the_storage_class_and_are_replaced_in_it(stack: LocalStack) -> None:
    long = "k" * 1020
    for number, key in enumerate(("cold", "cold", long)):
        stack.put(SOURCE, key, bytes([number]))
        if number == 0:
            wait_for(lambda: copies(stack, f"{SOURCE}/cold"), "the first version")
    wait_for(lambda: len(copies(stack, f"{SOURCE}/cold")) == 2, "both versions")
    wait_for(lambda: copies(stack, ".s3-backup/long/"), "the one with the long key")
    backups = [*copies(stack, f"{SOURCE}/cold"), *copies(stack, ".s3-backup/long/")]
    assert backups == ["DEEP_ARCHIVE"] * 3
    assert copies(stack, ".s3-backup/keys/") == ["STANDARD"]


def test_the_function_runs_the_signed_package_in_the_vpc_and_is_traced(stack: LocalStack) -> None:
    function = stack.deployment.outputs["functionName"]
    made = stack.ministack.client("lambda").get_function(FunctionName=function)
    assert made["Code"]["RepositoryType"] == "S3"
    assert len(made["Configuration"]["VpcConfig"]["SubnetIds"]) == 2
    assert made["Configuration"]["TracingConfig"] == {"Mode": "Active"}
    [job] = stack.ministack.client("signer").list_signing_jobs(status="Succeeded")["jobs"]
    assert job["platformId"] == "AWSLambda-SHA384-ECDSA"
