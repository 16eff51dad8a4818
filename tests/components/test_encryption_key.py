"""The key, and that nothing takes it along by accident."""

import pulumi
import pytest

from components import EncryptionKey, EncryptionKeyArgs
from tests.recorder import ACCOUNT, KEY_ARN, Recording, policy, record


def key(opts: pulumi.ResourceOptions | None = None, **more: list[str]) -> Recording:
    args = EncryptionKeyArgs(description="what for", tags={"a": "b"}, **more)
    return record(lambda: EncryptionKey("backup-key", args, opts))


def test_a_key_has_an_alias() -> None:
    recording = key()
    assert recording.children(recording.one("index:EncryptionKey")) == [
        ("aws:kms/alias:Alias", "backup-key-alias"),
        ("aws:kms/key:Key", "backup-key"),
    ]
    assert recording.one("kms/alias:Alias").inputs == {"targetKeyId": KEY_ARN.rpartition("/")[2]}


def test_the_key_rotates_and_its_deletion_can_be_called_off_for_30_days() -> None:
    inputs = key().one("kms/key:Key").inputs
    del inputs["policy"]
    assert inputs == {
        "description": "what for",
        "enableKeyRotation": True,
        "deletionWindowInDays": 30,
        "tags": {"a": "b"},
    }


LET_IAM_DECIDE = {
    "Sid": "LetIamDecide",
    "Effect": "Allow",
    "Principal": {"AWS": ACCOUNT},
    "Action": "kms:*",
    "Resource": "*",
}


def test_the_account_decides_through_iam_who_may_use_the_key() -> None:
    assert policy(key().one("kms/key:Key"))["Statement"] == [LET_IAM_DECIDE]


def test_services_may_use_the_key_for_this_account() -> None:
    services = ["cloudwatch.amazonaws.com", "s3.amazonaws.com"]
    assert policy(key(services=services).one("kms/key:Key")) == {
        "Version": "2012-10-17",
        "Statement": [
            LET_IAM_DECIDE,
            {
                "Sid": "LetServicesUseIt",
                "Effect": "Allow",
                "Principal": {"Service": services},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
            },
        ],
    }


def test_the_output_is_the_arn() -> None:
    assert key().one("index:EncryptionKey").outputs == {"key_arn": KEY_ARN}


@pytest.mark.parametrize("kept", [True, False])
def test_protection_and_retention_hold_for_key_and_alias(kept: bool) -> None:
    recording = key(pulumi.ResourceOptions(protect=kept, retain_on_delete=kept))
    component, *below = [r for r in recording.deployment.resources if r.parent]
    assert len(below) == 2
    assert {(r.protect, r.retain_on_delete) for r in [component, *below]} == {(kept, kept)}
