"""The plan that checkov reads says what the program declares."""

import json
from typing import Any

import pytest

from .shapes import SHAPES, recorded
from .terraform_plan import plan, resource_type


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("aws:s3/bucket:Bucket", "aws_s3_bucket"),
        (
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "aws_s3_bucket_server_side_encryption_configuration",
        ),
        (
            "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
            "aws_lambda_function_event_invoke_config",
        ),
        ("aws:s3/bucketObjectv2:BucketObjectv2", "aws_s3_object"),
        ("aws:cloudtrail/trail:Trail", "aws_cloudtrail"),
    ],
)
def test_types_have_terraforms_names(token: str, expected: str) -> None:
    assert resource_type(token) == expected


def test_other_providers_are_refused() -> None:
    with pytest.raises(ValueError, match="random:index/randomId:RandomId is not a resource type"):
        resource_type("random:index/randomId:RandomId")


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    return plan({"locked": recorded("locked").deployment.resources})


def values(rendered: dict[str, Any], address: str) -> Any:
    [found] = [
        r["values"]
        for r in rendered["planned_values"]["root_module"]["resources"]
        if r["address"] == address
    ]
    return found


def test_an_object_is_a_block_and_a_list_of_objects_has_a_singular_name(
    rendered: dict[str, Any],
) -> None:
    encryption = "aws_s3_bucket_server_side_encryption_configuration.locked--photos-encryption"
    [rule] = values(rendered, encryption)["rule"]
    assert rule["bucket_key_enabled"] is True
    assert rule["blocked_encryption_types"] == ["SSE-C"]
    [default] = rule["apply_server_side_encryption_by_default"]
    assert default["sse_algorithm"] == "aws:kms"
    notification = values(rendered, "aws_s3_bucket_notification.locked--photos-notification")
    assert [entry["filter_prefix"] for entry in notification["lambda_function"]] == ["a/", "b/"]


def test_names_of_the_users_own_stay_as_they_are(rendered: dict[str, Any]) -> None:
    function = values(rendered, "aws_lambda_function.locked--backup")
    [environment] = function["environment"]
    assert environment["variables"]["BACKUP_BUCKET"] == "the-backups"
    assert function["tags"] == {"Project": "s3-backup", "Stack": "test"}
    assert function["filename"] == "package.zip"


def test_a_setting_refers_to_its_bucket(rendered: dict[str, Any]) -> None:
    [configured] = [
        r["expressions"]
        for r in rendered["configuration"]["root_module"]["resources"]
        if r["address"] == "aws_s3_bucket_versioning.locked--the-backups-versioning"
    ]
    bucket = "aws_s3_bucket.locked--the-backups"
    assert configured == {"bucket": {"references": [f"{bucket}.id", bucket]}}


def test_every_resource_of_the_program_is_in_the_plan_once() -> None:
    stacks = {shape: recorded(shape).deployment.resources for shape in SHAPES}
    rendered = json.loads(json.dumps(plan(stacks)))
    planned = [r["address"] for r in rendered["planned_values"]["root_module"]["resources"]]
    assert len(set(planned)) == len(planned)
    assert len(planned) == sum(r.custom for found in stacks.values() for r in found)
    assert sorted(planned) == sorted(r["address"] for r in rendered["resource_changes"])
