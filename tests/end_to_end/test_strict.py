"""A stack with everything that is off by default: signed code, a VPC, traces."""

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
        },
    )


def test_objects_are_backed_up(stack: LocalStack) -> None:
    stack.put(SOURCE, "photo")
    assert len(wait_for(lambda: stack.backup_versions(f"{SOURCE}/photo"), "a copy")) == 1


def test_the_function_runs_the_signed_package_in_the_vpc_and_is_traced(stack: LocalStack) -> None:
    function = stack.deployment.outputs["functionName"]
    made = stack.ministack.client("lambda").get_function(FunctionName=function)
    assert made["Code"]["RepositoryType"] == "S3"
    assert len(made["Configuration"]["VpcConfig"]["SubnetIds"]) == 2
    assert made["Configuration"]["TracingConfig"] == {"Mode": "Active"}
    [job] = stack.ministack.client("signer").list_signing_jobs(status="Succeeded")["jobs"]
    assert job["platformId"] == "AWSLambda-SHA384-ECDSA"
