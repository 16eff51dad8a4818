"""Who may destroy backups: the config of it, and that nobody locks themselves out by it."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from settings import ConfigError, Settings, parse
from tests.recorder import ACCOUNT, policy, record_stack

BASE: dict[str, Any] = {"backupBucket": "the-backups", "buckets": ["photos"]}
BREAK_GLASS = f"arn:aws:iam::{ACCOUNT}:role/break-glass"
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/teams/deployer"
NO_ROLE = "not the ARN of an IAM role; write it as in arn:aws:iam::111122223333:role/security"


def read(**changes: Any) -> Settings:
    return parse({**BASE, **changes}, file="Pulumi.prod.yaml")


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_role_is_none(empty: object) -> None:
    assert read(breakGlassRoleArn=empty).break_glass_role_arn is None


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"breakGlassRoleArn": "admin"}, f'breakGlassRoleArn: "admin": {NO_ROLE}'),
        (
            {"breakGlassRoleArn": f"arn:aws:iam::{ACCOUNT}:user/me"},
            f'breakGlassRoleArn: "arn:aws:iam::{ACCOUNT}:user/me": {NO_ROLE}',
        ),
        (
            {"breakGlassRoleArn": BREAK_GLASS, "deployerRoleArns": ["*"]},
            f'deployerRoleArns[0]: "*": {NO_ROLE}',
        ),
        (
            {"breakGlassRoleArn": BREAK_GLASS, "deployerRoleArns": DEPLOYER},
            f"deployerRoleArns: \"{DEPLOYER}\": not a list; write a list, one '- ' line per entry",
        ),
        (
            {"deployerRoleArns": [DEPLOYER]},
            "deployerRoleArns: they are exceptions from what breakGlassRoleArn forbids, which is "
            "missing; add it, or remove them",
        ),
        (
            {"accessLogs": "maybe"},
            'accessLogs: "maybe": neither true nor false; write true or false',
        ),
        ({"accessLogRetentionDays": 0}, "accessLogRetentionDays: 0: too small; use 1 or more"),
    ],
)
def test_a_mistake_is_named(change: Mapping[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**change)
    assert str(caught.value) == f"Pulumi.prod.yaml: s3-backup:{line}"


def session(role: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:sts::{account}:assumed-role/{role}/somebody"


@pytest.mark.parametrize(
    "caller", [session("break-glass"), session("deployer"), f"arn:aws:iam::{ACCOUNT}:root"]
)
def test_roles_that_may_change_the_bucket_may_deploy_and_root_may(caller: str) -> None:
    config = read(breakGlassRoleArn=BREAK_GLASS, deployerRoleArns=[DEPLOYER])
    assert config.lockout(caller) is None


@pytest.mark.parametrize(
    "caller",
    [
        session("developer"),
        session("deployer", "999999999999"),
        session("teams"),
        f"arn:aws:iam::{ACCOUNT}:user/deployer",
    ],
)
def test_whoever_would_lock_themselves_out_is_told(caller: str) -> None:
    config = read(breakGlassRoleArn=BREAK_GLASS, deployerRoleArns=[DEPLOYER])
    assert config.lockout(caller) == (
        f"s3-backup:breakGlassRoleArn: {caller} is neither the break-glass role nor one of "
        "deployerRoleArns, so it could not change the backup bucket's settings any more; deploy as "
        "one of these roles, or add the role in use to deployerRoleArns"
    )


def test_the_program_stops_before_anybody_is_locked_out() -> None:
    # The tests' cloud is used by the role "deployer".
    with pytest.raises(pulumi.RunError, match="assumed-role/deployer/session is neither"):
        record_stack({**BASE, "breakGlassRoleArn": BREAK_GLASS})


def test_break_glass_and_deployers_reach_backups_evidence_and_key_and_no_source() -> None:
    recording = record_stack(
        {
            **BASE,
            "audit": True,
            "breakGlassRoleArn": BREAK_GLASS,
            "deployerRoleArns": [DEPLOYER],
        }
    )
    denied = {
        r.name: {
            s["Sid"]: s["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
            for s in policy(r)["Statement"]
            if "ArnNotEquals" in s.get("Condition", {})
        }
        for r in [*recording.all("BucketPolicy"), recording.one("kms/key:Key")]
    }
    evidence = {
        "DenyRemovalOfEvidence": BREAK_GLASS,
        "DenySettings": [BREAK_GLASS, DEPLOYER],
    }
    assert denied == {
        "access-logs-policy": evidence,
        "audit-trail-policy": evidence,
        "backup-key": {
            "DenyLossOfKey": BREAK_GLASS,
            "DenyKeySettings": [BREAK_GLASS, DEPLOYER],
        },
        "photos-policy": {},
        "the-backups-policy": {
            "DenyDestruction": BREAK_GLASS,
            "DenySettings": [BREAK_GLASS, DEPLOYER],
        },
    }


def test_by_default_nobody_may_destroy_and_iam_decides_about_settings() -> None:
    recording = record_stack(BASE)
    backup = policy(recording.one("BucketPolicy", "the-backups-policy"))
    assert [(s["Sid"], s.get("Condition", {}).keys()) for s in backup["Statement"]] == [
        ("DenyInsecureTransport", {"Bool"}),
        ("DenyDestruction", set()),
    ]
