"""The bucket for access logs: who may write there, and that nobody removes what is written."""

from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components import AccessLogBucket, AccessLogBucketArgs, policies
from tests.recorder import ACCOUNT, Recording, policy, record

ARN = "arn:aws:s3:::logs-0000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/break-glass"
SETTINGS = {
    "logs-encryption",
    "logs-lifecycle",
    "logs-ownership",
    "logs-policy",
    "logs-public-access",
    "logs-versioning",
}


def logs(opts: pulumi.ResourceOptions | None = None, **more: Any) -> Recording:
    args = AccessLogBucketArgs(source_names=["photos", "videos"], **more)
    return record(lambda: AccessLogBucket("logs", args, opts))


def test_it_has_every_setting_but_a_log_of_its_own() -> None:
    recording = logs(tags={"a": "b"})
    children = recording.children(recording.one("index:AccessLogBucket"))
    assert {name for _, name in children} == {"logs", *SETTINGS}
    assert recording.one("s3/bucket:Bucket").inputs == {"forceDestroy": False, "tags": {"a": "b"}}


def test_it_is_encrypted_with_keys_that_log_delivery_can_use() -> None:
    [rule] = logs().one("BucketServerSideEncryptionConfiguration").inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}


@pytest.mark.parametrize(("chosen", "days"), [({}, 365), ({"retention_days": 30}, 30)])
def test_logs_end_after_their_time(chosen: dict[str, Any], days: int) -> None:
    assert logs(**chosen).one("BucketLifecycleConfiguration").inputs["rules"] == [
        {
            "id": "remove-what-is-old",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "expiration": {"days": days},
            "noncurrentVersionExpiration": {"noncurrentDays": 1},
            "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
        }
    ]


@pytest.mark.parametrize(
    ("chosen", "roles"),
    [
        ({}, (None,)),
        ({"break_glass_role_arn": ROLE}, (ROLE,)),
        ({"break_glass_role_arn": ROLE, "deployer_role_arns": ["d"]}, (ROLE, ["d"])),
    ],
)
def test_s3_delivers_and_nobody_removes(chosen: dict[str, Any], roles: Any) -> None:
    assert policy(logs(**chosen).one("BucketPolicy")) == policies.document(
        *policies.tls_only_statements(ARN),
        *policies.log_delivery_statements(ARN, ACCOUNT, ["photos", "videos"]),
        *policies.evidence_statements(ARN, *roles),
    )


def test_whoever_sends_logs_waits_until_they_are_taken() -> None:
    def program() -> None:
        bucket = AccessLogBucket("logs", {"source_names": ["photos"]})
        aws.s3.BucketLogging(
            "user", bucket="photos", target_bucket=bucket.bucket_name, target_prefix="photos/"
        )

    recording = record(program)
    assert recording.waits_for(recording.one("BucketLogging")) == {"logs", *SETTINGS}


def test_the_output_is_the_name() -> None:
    assert logs().one("index:AccessLogBucket").outputs == {"bucket_name": "logs-0000000"}


def test_logs_can_outlive_the_stack() -> None:
    recording = logs(pulumi.ResourceOptions(retain_on_delete=True))
    owner = recording.one("index:AccessLogBucket")
    below = [r for r in recording.deployment.resources if r.parent == owner.urn]
    assert {r.retain_on_delete for r in below} == {True}
