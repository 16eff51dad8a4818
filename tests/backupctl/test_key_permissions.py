"""What operators' roles may do with the key."""

import pytest

from backupctl import permissions

KEYS = [
    "arn:aws:kms:us-east-1:123456789012:key/b",
    "arn:aws:kms:eu-central-1:123456789012:key/a",
    "arn:aws:kms:eu-central-1:123456789012:key/c",
]
STATEMENTS = {
    "backfill": permissions.backfill("backups", ["photos"], KEYS),
    "verify": permissions.verify("backups", ["photos"], KEYS),
    "restore": permissions.restore("backups", "photos", KEYS),
    "drill": permissions.drill("backups", ["photos"], "scratch", "", KEYS),
}


@pytest.mark.parametrize("command", STATEMENTS)
def test_operators_use_keys_through_s3_of_their_regions_only(command: str) -> None:
    [statement] = [s for s in STATEMENTS[command] if "kms:Decrypt" in s["Action"]]
    assert statement == {
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": KEYS,
        "Condition": {"StringLike": {"kms:ViaService": ["s3.eu-central-1.*", "s3.us-east-1.*"]}},
    }


def test_whoever_redrives_reads_the_encrypted_queue_too() -> None:
    statements = permissions.redrive("backups", ["photos"], "arn:aws:sqs:::failures", KEYS[1:2])
    [statement] = [s for s in statements if "kms:Decrypt" in s["Action"]]
    assert statement["Condition"] == {
        "StringLike": {"kms:ViaService": ["s3.eu-central-1.*", "sqs.eu-central-1.*"]}
    }


def test_without_a_key_nothing_is_said_of_keys() -> None:
    assert "kms" not in str(permissions.verify("backups", ["photos"]))
