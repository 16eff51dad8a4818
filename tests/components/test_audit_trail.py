"""The trail: what it records, how its records are kept, and that only it may write them."""

from typing import Any

import pulumi
import pytest

from components import AuditTrail, AuditTrailArgs, policies
from tests.recorder import ACCOUNT, KEY_ARN, REGION, Recording, policy, record

BUCKET = "arn:aws:s3:::audit-0000000"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:backup"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/break-glass"


def trail(opts: pulumi.ResourceOptions | None = None, **more: Any) -> Recording:
    args = AuditTrailArgs(
        trail_name="the-trail",
        bucket_arns=["arn:aws:s3:::backups", "arn:aws:s3:::photos"],
        function_arns=[FUNCTION],
        **more,
    )
    return record(lambda: AuditTrail("audit", args, opts))


def test_it_records_all_management_and_who_touches_these_objects_and_functions() -> None:
    inputs = trail(kms_key_arn=KEY_ARN, tags={"a": "b"}).one("cloudtrail/trail:Trail").inputs
    data = {"field": "eventCategory", "equals": ["Data"]}
    assert inputs == {
        "name": "the-trail",
        "s3BucketName": "audit-0000000",
        "isMultiRegionTrail": True,
        "includeGlobalServiceEvents": True,
        "enableLogFileValidation": True,
        "kmsKeyId": KEY_ARN,
        "tags": {"a": "b"},
        "advancedEventSelectors": [
            {
                "name": "management",
                "fieldSelectors": [{"field": "eventCategory", "equals": ["Management"]}],
            },
            {
                "name": "objects",
                "fieldSelectors": [
                    data,
                    {"field": "resources.type", "equals": ["AWS::S3::Object"]},
                    {
                        "field": "resources.ARN",
                        "startsWiths": ["arn:aws:s3:::backups/", "arn:aws:s3:::photos/"],
                    },
                ],
            },
            {
                "name": "functions",
                "fieldSelectors": [
                    data,
                    {"field": "resources.type", "equals": ["AWS::Lambda::Function"]},
                    {"field": "resources.ARN", "equals": [FUNCTION]},
                ],
            },
        ],
    }


@pytest.mark.parametrize(
    ("chosen", "roles"),
    [
        ({}, (None,)),
        ({"break_glass_role_arn": ROLE}, (ROLE,)),
        ({"break_glass_role_arn": ROLE, "deployer_role_arns": ["d"]}, (ROLE, ["d"])),
    ],
)
def test_only_the_trail_writes_and_nobody_removes(chosen: dict[str, Any], roles: Any) -> None:
    caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/session"
    assert policy(trail(**chosen).one("BucketPolicy")) == policies.document(
        *policies.tls_only_statements(BUCKET),
        *policies.trail_statements(BUCKET, caller, REGION, "the-trail"),
        *policies.evidence_statements(BUCKET, *roles),
    )


def test_the_trail_waits_until_its_bucket_lets_it_write() -> None:
    recording = trail(access_log_bucket="logs")
    assert recording.waits_for(recording.one("cloudtrail/trail:Trail")) == {
        "audit",
        "audit-access-log",
        "audit-encryption",
        "audit-lifecycle",
        "audit-ownership",
        "audit-policy",
        "audit-public-access",
        "audit-versioning",
    }


@pytest.mark.parametrize(("chosen", "days"), [({}, 365), ({"retention_days": 30}, 30)])
def test_records_end_after_their_time(chosen: dict[str, Any], days: int) -> None:
    [rule] = trail(**chosen).one("BucketLifecycleConfiguration").inputs["rules"]
    assert rule["expiration"] == {"days": days}


def test_records_can_outlive_the_trail() -> None:
    recording = trail(pulumi.ResourceOptions(retain_on_delete=True))
    assert recording.one("s3/bucket:Bucket").retain_on_delete
    assert not recording.one("cloudtrail/trail:Trail").retain_on_delete


def test_the_outputs_are_trail_and_bucket() -> None:
    assert trail().one("index:AuditTrail").outputs == {
        "trail_arn": f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/the-trail",
        "bucket_name": "audit-0000000",
    }
