"""The key, and that nothing takes it along by accident."""

from typing import Any

import pulumi
import pytest

from components import EncryptionKey, EncryptionKeyArgs, policies
from tests.recorder import ACCOUNT, KEY_ARN, REGION, Recording, policy, record


def key(opts: pulumi.ResourceOptions | None = None, **more: Any) -> Recording:
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
    assert {name: value for name, value in inputs.items() if name != "policy"} == {
        "description": "what for",
        "enableKeyRotation": True,
        "deletionWindowInDays": 30,
        "tags": {"a": "b"},
    }


USERS = {
    "services": ["cloudwatch.amazonaws.com"],
    "log_groups": ["backup-logs-*"],
    "trails": ["audit"],
}


PROTECTED = {"break_glass_role_arn": "b", "deployer_role_arns": ["d"]}


@pytest.mark.parametrize("users", [{}, USERS, PROTECTED])
def test_services_may_use_it_and_roles_end_it_only_if_named(users: Any) -> None:
    recording = record(lambda: EncryptionKey("k", EncryptionKeyArgs(description="d", **users)))
    caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/session"
    assert policy(recording.one("kms/key:Key")) == policies.key_policy(caller, REGION, **users)


def test_the_output_is_the_arn() -> None:
    assert key().one("index:EncryptionKey").outputs == {"key_arn": KEY_ARN}


@pytest.mark.parametrize("kept", [True, False])
def test_protection_and_retention_hold_for_key_and_alias(kept: bool) -> None:
    recording = key(pulumi.ResourceOptions(protect=kept, retain_on_delete=kept))
    component, *below = [r for r in recording.deployment.resources if r.parent]
    assert len(below) == 2
    assert {(r.protect, r.retain_on_delete) for r in [component, *below]} == {(kept, kept)}
