"""The audit trail in the whole program: everything is watched, and nothing is there without it."""

import json
from typing import Any

from tests.recorder import ACCOUNT, REGION, policy, record_stack

BASE: dict[str, Any] = {
    "backupBucket": "the-backups",
    "buckets": ["photos", {"name": "scratch", "backup": False}],
}


def test_every_bucket_and_function_is_watched() -> None:
    recording = record_stack({**BASE, "audit": True})
    trail = recording.one("cloudtrail/trail:Trail").inputs
    _, objects, functions = trail["advancedEventSelectors"]
    assert objects["fieldSelectors"][2]["startsWiths"] == [
        f"arn:aws:s3:::{bucket}/" for bucket in ("the-backups", "photos", "scratch")
    ]
    assert functions["fieldSelectors"][2]["equals"] == [recording.outputs["functionArn"]]
    assert recording.outputs["auditBucketName"] == "audit-trail-0000000"


def test_its_key_and_its_access_log_know_it() -> None:
    recording = record_stack({**BASE, "audit": True})
    key = json.dumps(policy(recording.one("kms/key:Key")))
    assert f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/s3-backup-test" in key
    logs = json.dumps(policy(recording.one("BucketPolicy", "access-logs-policy")))
    assert "arn:aws:s3:::audit-trail-*" in logs


def test_without_it_nothing_is_left_of_it() -> None:
    recording = record_stack(BASE)
    everything = json.dumps([r.inputs for r in recording.deployment.resources], default=repr)
    assert "trail" not in everything
    assert "auditBucketName" not in recording.outputs
