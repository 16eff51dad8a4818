"""A stack with an audit trail, on the local AWS."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.aliases import Client
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for

from .local_stack import LocalStack

SOURCE, BACKUP = "audited-source", "audited-backups"
TRAIL = f"s3-backup-{BACKUP}"
EVERYTHING = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    return LocalStack.deploy(
        ministack, {"backupBucket": BACKUP, "buckets": [SOURCE], "audit": True}
    )


@pytest.fixture(scope="module")
def records(stack: LocalStack) -> str:
    """Name of the bucket that receives the records."""
    return stack.deployment.outputs["auditBucketName"]


def test_objects_are_backed_up(stack: LocalStack) -> None:
    stack.put(SOURCE, "photo")
    assert len(wait_for(lambda: stack.backup_versions(f"{SOURCE}/photo"), "a copy")) == 1


def test_the_trail_is_on_for_all_regions_validated_and_encrypted(
    stack: LocalStack, records: str
) -> None:
    cloudtrail = stack.ministack.client("cloudtrail")
    trail = cloudtrail.get_trail(Name=TRAIL)["Trail"]
    key = stack.deployment.find("aws:kms/key:Key", "backup-key").outputs["arn"]
    assert cloudtrail.get_trail_status(Name=TRAIL)["IsLogging"]
    assert trail["IsMultiRegionTrail"]
    assert trail["IncludeGlobalServiceEvents"]
    assert trail["LogFileValidationEnabled"]
    assert (trail["S3BucketName"], trail["KmsKeyId"]) == (records, key)


def test_what_is_recorded_is_every_object_and_every_invocation(stack: LocalStack) -> None:
    cloudtrail = stack.ministack.client("cloudtrail")
    [management, objects, functions] = cloudtrail.get_event_selectors(TrailName=TRAIL)[
        "AdvancedEventSelectors"
    ]
    assert fields(management) == {"eventCategory": {"Equals": ["Management"]}}
    buckets = [f"arn:aws:s3:::{name}/" for name in (BACKUP, SOURCE)]
    assert fields(objects) == {
        "eventCategory": {"Equals": ["Data"]},
        "resources.type": {"Equals": ["AWS::S3::Object"]},
        "resources.ARN": {"StartsWith": buckets},
    }
    assert fields(functions) == {
        "eventCategory": {"Equals": ["Data"]},
        "resources.type": {"Equals": ["AWS::Lambda::Function"]},
        "resources.ARN": {"Equals": [stack.deployment.outputs["functionArn"]]},
    }


def fields(selector: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    return {
        field["Field"]: {name: value for name, value in field.items() if name != "Field"}
        for field in selector["FieldSelectors"]
    }


Attempt = Callable[[Client, dict[str, str]], object]
REMOVALS: dict[str, Attempt] = {
    "hide a record": lambda s3, at: s3.delete_object(Bucket=at["Bucket"], Key=at["Key"]),
    "delete a record": lambda s3, at: s3.delete_object(**at),
}


@pytest.mark.parametrize("attempt", REMOVALS)
def test_an_administrator_cannot_remove_a_record(
    stack: LocalStack, records: str, attempt: str
) -> None:
    key = f"AWSLogs/{stack.ministack.account_id}/CloudTrail/one.json.gz"
    at = {"Bucket": records, "Key": key, "VersionId": stack.put(records, key)["VersionId"]}
    role = stack.role_of_ours("administrator", {"everything": EVERYTHING})
    administrator = stack.ministack.client("s3", stack.assume(role))
    assert administrator.head_object(**at)["ContentLength"] == 7
    with pytest.raises(ClientError, match="AccessDenied"):
        REMOVALS[attempt](administrator, at)
    assert stack.s3.head_object(**at)["ContentLength"] == 7
