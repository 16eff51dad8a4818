"""The bucket, setting by setting, with and without a backup."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components import BackupTarget, StandardBucket, StandardBucketArgs, policies
from sandbox.engine import Registered
from tests.recorder import ACCOUNT, KEY_ARN, Recording, policy, record

FUNCTION_ARN = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:copier"
TLS_ONLY = policies.tls_only_statements("arn:aws:s3:::photos-0000000")
TARGET: BackupTarget = {
    "function_arn": FUNCTION_ARN,
    "function_name": "copier",
    "role_id": "copier-role",
}
SETTINGS = [
    ("aws:s3/bucket:Bucket", "photos"),
    ("aws:s3/bucketOwnershipControls:BucketOwnershipControls", "photos-ownership"),
    ("aws:s3/bucketPolicy:BucketPolicy", "photos-policy"),
    ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "photos-public-access"),
    (
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "photos-encryption",
    ),
]
BACKUP = [
    ("aws:iam/rolePolicy:RolePolicy", "photos-read"),
    ("aws:lambda/permission:Permission", "photos-invoke"),
    ("aws:s3/bucketNotification:BucketNotification", "photos-notification"),
]
OPTIONAL = [
    (
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "photos-lifecycle",
    ),
    ("aws:s3/bucketLogging:BucketLogging", "photos-access-log"),
    (
        "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        "photos-object-lock",
    ),
    ("aws:s3/bucketVersioning:BucketVersioning", "photos-versioning"),
]
EVERYTHING: StandardBucketArgs = {
    "bucket_name": "the-photos",
    "versioning": True,
    "kms_key_arn": KEY_ARN,
    "lifecycle": {"noncurrent_days": 30},
    "object_lock": {"mode": "GOVERNANCE", "days": 7},
    "access_log_bucket": "the-logs",
    "backup": TARGET,
}


def bucket(opts: pulumi.ResourceOptions | None = None, **args: Any) -> Recording:
    """A bucket called photos, and nothing else."""
    return record(lambda: StandardBucket("photos", StandardBucketArgs(**args), opts))


def children(recording: Recording) -> list[tuple[str, str]]:
    return recording.children(recording.one("index:StandardBucket"))


def child(recording: Recording, suffix: str) -> Registered:
    [found] = [r for r in recording.deployment.resources if r.name == f"photos-{suffix}"]
    return found


def test_a_bucket_without_backup_is_private_encrypted_and_nothing_more() -> None:
    recording = bucket()
    assert children(recording) == SETTINGS
    # The bucket and its settings, the component and the stack: no permission, no role policy, no
    # notification, wherever it might have been put.
    assert len(recording.deployment.resources) == len(SETTINGS) + 2


def test_a_bucket_with_backup_has_a_permission_a_role_policy_and_a_notification_on_top() -> None:
    recording = bucket(backup=TARGET)
    assert children(recording) == sorted(SETTINGS + BACKUP)
    assert len(recording.deployment.resources) == len(SETTINGS + BACKUP) + 2


def test_every_option_adds_one_resource() -> None:
    assert children(bucket(**EVERYTHING)) == sorted(SETTINGS + BACKUP + OPTIONAL)


def test_the_bucket_gets_its_name_and_is_not_emptied_when_destroyed() -> None:
    assert bucket(bucket_name="the-photos").one("s3/bucket:Bucket").inputs == {
        "bucket": "the-photos",
        "forceDestroy": False,
    }


def test_tags_and_force_destroy_are_passed_on() -> None:
    assert bucket(tags={"a": "b"}, force_destroy=True).one("s3/bucket:Bucket").inputs == {
        "forceDestroy": True,
        "tags": {"a": "b"},
    }


def test_acls_are_off() -> None:
    assert child(bucket(), "ownership").inputs == {
        "bucket": "photos-0000000",
        "rule": {"objectOwnership": "BucketOwnerEnforced"},
    }


def test_public_access_is_blocked_in_all_four_ways() -> None:
    assert child(bucket(), "public-access").inputs == {
        "bucket": "photos-0000000",
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }


def test_s3_encrypts_with_its_own_key_by_default() -> None:
    assert child(bucket(), "encryption").inputs == {
        "bucket": "photos-0000000",
        "rules": [
            {
                "applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"},
                "blockedEncryptionTypes": ["SSE-C"],
            }
        ],
    }


def test_with_a_key_s3_encrypts_with_it_through_a_bucket_key() -> None:
    assert child(bucket(kms_key_arn=KEY_ARN), "encryption").inputs == {
        "bucket": "photos-0000000",
        "rules": [
            {
                "applyServerSideEncryptionByDefault": {
                    "sseAlgorithm": "aws:kms",
                    "kmsMasterKeyId": KEY_ARN,
                },
                "blockedEncryptionTypes": ["SSE-C"],
                "bucketKeyEnabled": True,
            }
        ],
    }


def test_requests_without_tls_are_refused_for_bucket_and_objects() -> None:
    found = child(bucket(), "policy")
    assert found.inputs.keys() == {"bucket", "policy"}
    assert found.inputs["bucket"] == "photos-0000000"
    assert policy(found) == policies.document(*TLS_ONLY)


ROLE = f"arn:aws:iam::{ACCOUNT}:role/break-glass"
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/deployer"


@pytest.mark.parametrize(
    ("protection", "known"),
    [
        ({}, (None,)),
        ({"break_glass_role_arn": ROLE}, (ROLE,)),
        (
            {"break_glass_role_arn": ROLE, "deployer_role_arns": [DEPLOYER]},
            (ROLE, [DEPLOYER]),
        ),
    ],
)
def test_protection_is_part_of_the_bucket_policy(
    protection: dict[str, Any], known: tuple[Any, ...]
) -> None:
    protected = policies.protection_statements("arn:aws:s3:::photos-0000000", *known)
    recording = bucket(protection=protection)
    assert policy(child(recording, "policy")) == policies.document(*TLS_ONLY, *protected)
    assert children(recording) == SETTINGS


def test_versions_are_kept_on_demand() -> None:
    assert child(bucket(versioning=True), "versioning").inputs == {
        "bucket": "photos-0000000",
        "versioningConfiguration": {"status": "Enabled"},
    }
    assert children(bucket(versioning=False)) == SETTINGS


def test_object_lock_is_the_default_retention() -> None:
    recording = bucket(versioning=True, object_lock={"mode": "COMPLIANCE", "days": 7})
    assert child(recording, "object-lock").inputs == {
        "bucket": "photos-0000000",
        "objectLockEnabled": "Enabled",
        "rule": {"defaultRetention": {"mode": "COMPLIANCE", "days": 7}},
    }
    # For a new bucket; on one that exists already it would mean a replacement.
    made = recording.one("s3/bucket:Bucket")
    assert made.inputs == {"forceDestroy": False, "objectLockEnabled": True}
    assert made.ignore_changes == ["objectLockEnabled"]
    assert "photos-versioning" in recording.waits_for(child(recording, "object-lock"))


@pytest.mark.parametrize("versioning", [{}, {"versioning": False}])
def test_object_lock_without_versioning_is_refused_before_anything_is_declared(
    versioning: dict[str, Any],
) -> None:
    args = StandardBucketArgs(object_lock={"mode": "GOVERNANCE", "days": 7}, **versioning)
    with pytest.raises(ValueError, match=r"^photos: object_lock needs versioning: true$"):
        StandardBucket("photos", args)


@pytest.mark.parametrize(("more", "abort_days"), [({}, 7), ({"abort_upload_days": 3}, 3)])
def test_the_lifecycle_removes_only_what_nobody_sees(more: dict[str, int], abort_days: int) -> None:
    assert child(bucket(lifecycle={"noncurrent_days": 30, **more}), "lifecycle").inputs == {
        "bucket": "photos-0000000",
        "rules": [
            {
                "id": "remove-what-nobody-sees",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "noncurrentVersionExpiration": {"noncurrentDays": 30},
                "expiration": {"expiredObjectDeleteMarker": True},
                "abortIncompleteMultipartUpload": {"daysAfterInitiation": abort_days},
            }
        ],
    }


def test_what_lies_under_a_prefix_can_be_deleted_after_a_time() -> None:
    expirations = [{"prefix": "a/", "days": 7}, {"prefix": "b/", "days": 8}]
    recording = bucket(lifecycle={"noncurrent_days": 30, "expirations": expirations})
    _, *rules = child(recording, "lifecycle").inputs["rules"]
    assert rules == [
        {
            "id": f"expire-{prefix}",
            "status": "Enabled",
            "filter": {"prefix": prefix},
            "expiration": {"days": days},
        }
        for prefix, days in (("a/", 7), ("b/", 8))
    ]


def test_access_logs_go_below_the_buckets_name() -> None:
    assert child(bucket(access_log_bucket="the-logs"), "access-log").inputs == {
        "bucket": "photos-0000000",
        "targetBucket": "the-logs",
        "targetPrefix": "photos-0000000/",
    }


def test_settings_are_made_one_after_the_other() -> None:
    recording = bucket(**EVERYTHING)
    order = [
        "ownership",
        "public-access",
        "encryption",
        "versioning",
        "object-lock",
        "lifecycle",
        "access-log",
        "policy",
    ]
    for position, suffix in enumerate(order):
        assert recording.waits_for(child(recording, suffix)) == {
            "photos",
            *(f"photos-{before}" for before in order[:position]),
        }


def test_s3_may_invoke_the_function_for_this_bucket_of_this_account_only() -> None:
    assert child(bucket(bucket_name="my.photos", backup=TARGET), "invoke").inputs == {
        "action": "lambda:InvokeFunction",
        "function": "copier",
        "principal": "s3.amazonaws.com",
        "sourceArn": "arn:aws:s3:::my.photos",
        "sourceAccount": ACCOUNT,
        "statementId": "s3-my_photos",
    }


@pytest.mark.parametrize("key", [{}, {"kms_key_arn": KEY_ARN}])
def test_the_targets_role_may_read_this_bucket_only(key: dict[str, Any]) -> None:
    read = child(bucket(backup=TARGET, **key), "read")
    assert read.inputs.keys() == {"role", "policy"}
    assert read.inputs["role"] == "copier-role"
    assert policy(read) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "s3:GetObject",
                    "s3:GetObjectTagging",
                    "s3:GetObjectVersion",
                    "s3:GetObjectVersionTagging",
                ],
                "Resource": "arn:aws:s3:::photos-0000000/*",
            },
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": "arn:aws:s3:::photos-0000000",
            },
            *[
                statement
                for arn in key.values()
                for statement in policies.use_key_statements(arn, ["kms:Decrypt"], ["s3"])
            ],
        ],
    }


DELETIONS = ["s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"]


@pytest.mark.parametrize("other", [False, True])
def test_a_key_that_the_role_may_use_already_is_not_granted_again(other: bool) -> None:
    granted = f"{KEY_ARN[:-1]}9" if other else KEY_ARN
    recording = bucket(kms_key_arn=KEY_ARN, backup={**TARGET, "kms_key_arn": granted})
    actions = [s["Action"] for s in policy(child(recording, "read"))["Statement"]]
    assert ("kms:Decrypt" in actions) is other


def notified(**filters: str) -> dict[str, Any]:
    return {"lambdaFunctionArn": FUNCTION_ARN, "events": ["s3:ObjectCreated:*"], **filters}


@pytest.mark.parametrize("filters", [{}, {"backup_filters": []}, {"backup_filters": [{}]}])
def test_without_filters_every_created_object_is_announced(filters: dict[str, Any]) -> None:
    assert child(bucket(backup=TARGET, **filters), "notification").inputs == {
        "bucket": "photos-0000000",
        "lambdaFunctions": [notified()],
    }


@pytest.mark.parametrize(("tracked", "further"), [(True, DELETIONS), (False, [])])
def test_deletions_are_announced_only_if_asked_for(tracked: bool, further: list[str]) -> None:
    recording = bucket(backup=TARGET, track_deletes=tracked, backup_filters=[{"prefix": "a/"}])
    [announced] = child(recording, "notification").inputs["lambdaFunctions"]
    assert announced == {
        **notified(filterPrefix="a/"),
        "events": ["s3:ObjectCreated:*", *further],
    }


def test_each_filter_is_an_announcement_of_its_own() -> None:
    recording = bucket(
        backup=TARGET,
        backup_filters=[
            {"prefix": "a/"},
            {"suffix": ".jpg"},
            {"prefix": "b/", "suffix": ".png"},
        ],
    )
    assert child(recording, "notification").inputs["lambdaFunctions"] == [
        notified(filterPrefix="a/"),
        notified(filterSuffix=".jpg"),
        notified(filterPrefix="b/", filterSuffix=".png"),
    ]


QUEUE_ARN = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:events"
QUEUED: BackupTarget = {**TARGET, "queue_arn": QUEUE_ARN}


def test_with_a_queue_s3_tells_the_queue_and_not_the_function() -> None:
    recording = bucket(backup=QUEUED)
    assert child(recording, "notification").inputs == {
        "bucket": "photos-0000000",
        "queues": [{"queueArn": QUEUE_ARN, "events": ["s3:ObjectCreated:*"]}],
    }
    # What is on its way to the function when the notification changes still arrives.
    assert children(recording) == sorted(SETTINGS + BACKUP)
    assert child(recording, "invoke").inputs == child(bucket(backup=TARGET), "invoke").inputs


def test_filters_hold_for_a_queue_too() -> None:
    filters = [{"prefix": "a/"}, {"prefix": "b/", "suffix": ".png"}]
    queued = child(bucket(backup=QUEUED, backup_filters=filters), "notification").inputs["queues"]
    directly = child(bucket(backup=TARGET, backup_filters=filters), "notification")
    assert queued == [
        {"queueArn": QUEUE_ARN, **{k: v for k, v in entry.items() if k != "lambdaFunctionArn"}}
        for entry in directly.inputs["lambdaFunctions"]
    ]
    assert len(queued) == 2


def test_filters_without_a_backup_announce_nothing() -> None:
    assert children(bucket(backup_filters=[{"prefix": "a/"}])) == SETTINGS


def test_the_notification_waits_for_permission_read_policy_and_every_setting() -> None:
    recording = bucket(**EVERYTHING)
    everything = {name for _, name in SETTINGS + BACKUP + OPTIONAL}
    notification = child(recording, "notification")
    assert recording.waits_for(notification) == everything - {"photos-notification"}
    named = {urn.rpartition("::")[2] for urn in notification.dependencies}
    assert named >= {"photos-invoke", "photos-read", "photos-policy"}


def test_two_buckets_of_one_target_share_no_name_and_no_statement() -> None:
    def program() -> None:
        for name in ("photos.raw", "photos-raw"):
            StandardBucket(name, {"bucket_name": name, "backup": TARGET})

    recording = record(program)
    urns = [resource.urn for resource in recording.deployment.resources]
    assert len(set(urns)) == len(urns) == 1 + 2 * (1 + len(SETTINGS + BACKUP))
    ids = [r.inputs["statementId"] for r in recording.all("lambda/permission:Permission")]
    assert sorted(ids) == ["s3-photos-raw", "s3-photos_raw"]


@pytest.mark.parametrize(
    ("opts", "protect", "retain"),
    [
        (None, False, False),
        (pulumi.ResourceOptions(protect=True), True, False),
        (pulumi.ResourceOptions(retain_on_delete=True), False, True),
        (pulumi.ResourceOptions(protect=True, retain_on_delete=True), True, True),
    ],
)
def test_protection_and_retention_hold_for_every_child(
    opts: pulumi.ResourceOptions | None, protect: bool, retain: bool
) -> None:
    recording = bucket(opts, **EVERYTHING)
    component = recording.one("index:StandardBucket")
    below = [r for r in recording.deployment.resources if r.parent == component.urn]
    assert len(below) == len(SETTINGS + BACKUP + OPTIONAL)
    assert {(r.protect, r.retain_on_delete) for r in [component, *below]} == {(protect, retain)}


def test_what_makes_a_bucket_safe_is_deleted_with_it_and_not_before() -> None:
    recording = bucket(**EVERYTHING)
    made = recording.one("s3/bucket:Bucket")
    together = {r.name for r in recording.deployment.resources if r.deleted_with == made.urn}
    apart = {"photos", "photos-invoke", "photos-read"}
    assert together == {name for _, name in SETTINGS + BACKUP + OPTIONAL} - apart


def test_whoever_writes_to_a_backed_up_bucket_waits_for_its_notification() -> None:
    def program() -> None:
        photos = StandardBucket("photos", {"backup": TARGET})
        aws.s3.BucketObject("user", bucket=photos.bucket_name, key="k")

    recording = record(program)
    assert "photos-notification" in recording.waits_for(recording.one("BucketObject"))


def test_the_outputs_are_name_and_arn() -> None:
    assert bucket(bucket_name="the-photos").one("index:StandardBucket").outputs == {
        "bucket_name": "the-photos",
        "bucket_arn": "arn:aws:s3:::the-photos",
    }


@pytest.mark.parametrize("output", ["bucket_name", "bucket_arn"])
def test_whoever_uses_an_output_waits_for_the_settings(output: str) -> None:
    def program() -> None:
        photos = StandardBucket("photos", {"versioning": True})
        aws.s3.BucketObject("user", bucket=getattr(photos, output), key="k")

    recording = record(program)
    assert recording.waits_for(recording.one("BucketObject")) == {
        name for _, name in [*SETTINGS, ("", "photos-versioning")]
    }


def test_policies_travel_as_text() -> None:
    recording = bucket(**EVERYTHING)
    for suffix in ("policy", "read"):
        text = child(recording, suffix).inputs["policy"]
        assert isinstance(text, str)
        assert json.loads(text)["Version"] == "2012-10-17"
