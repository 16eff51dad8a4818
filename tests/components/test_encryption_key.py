"""The key, and that nothing takes it along by accident."""

import pulumi
import pytest

from components import EncryptionKey
from tests.recorder import KEY_ARN, Recording, record


def key(opts: pulumi.ResourceOptions | None = None) -> Recording:
    return record(
        lambda: EncryptionKey("backup-key", {"description": "what for", "tags": {"a": "b"}}, opts)
    )


def test_a_key_has_an_alias() -> None:
    recording = key()
    assert recording.children(recording.one("index:EncryptionKey")) == [
        ("aws:kms/alias:Alias", "backup-key-alias"),
        ("aws:kms/key:Key", "backup-key"),
    ]
    assert recording.one("kms/alias:Alias").inputs == {"targetKeyId": KEY_ARN.rpartition("/")[2]}


def test_the_key_rotates_and_its_deletion_can_be_called_off_for_30_days() -> None:
    assert key().one("kms/key:Key").inputs == {
        "description": "what for",
        "enableKeyRotation": True,
        "deletionWindowInDays": 30,
        "tags": {"a": "b"},
    }


def test_the_output_is_the_arn() -> None:
    assert key().one("index:EncryptionKey").outputs == {"key_arn": KEY_ARN}


@pytest.mark.parametrize("kept", [True, False])
def test_protection_and_retention_hold_for_key_and_alias(kept: bool) -> None:
    recording = key(pulumi.ResourceOptions(protect=kept, retain_on_delete=kept))
    component, *below = [r for r in recording.deployment.resources if r.parent]
    assert len(below) == 2
    assert {(r.protect, r.retain_on_delete) for r in [component, *below]} == {(kept, kept)}
