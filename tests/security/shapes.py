"""Configs that between them turn every feature on and off; audits look at all of them."""

import functools
from collections.abc import Mapping
from typing import Any

from settings import BUCKETS_PER_FUNCTION
from tests.recorder import ACCOUNT, KEY_ARN, Recording, record_stack

BACKUP = {"backupBucket": "the-backups"}
SMALLEST: Mapping[str, Any] = {**BACKUP, "buckets": ["photos"]}

SHAPES: Mapping[str, Mapping[str, Any]] = {
    "smallest": SMALLEST,
    "s3-keys": {**SMALLEST, "encryption": "s3"},
    "own-key": {
        **SMALLEST,
        "encryption": KEY_ARN,
        "delivery": "draining",
        "alarms": {"only": [], "lagSeconds": 0},
    },
    "many": {
        **BACKUP,
        "buckets": [
            *(f"source-{n}" for n in range(BUCKETS_PER_FUNCTION)),
            {"name": f"source-{BUCKETS_PER_FUNCTION}", "quietHours": 26},
        ],
        "delivery": "queue",
        "queueBatchSize": 1000,
        "queueBatchWindow": 10,
        "queueMaxConcurrency": 5,
        "dashboard": True,
        "batchOperations": True,
        "events": {
            "bus": "security",
            "success": True,
            "failureTargets": [
                f"arn:aws:sns:eu-central-1:{ACCOUNT}:on-call",
                f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:on-call",
            ],
        },
    },
    "locked": {
        **BACKUP,
        "buckets": [
            {"name": "photos", "prefix": ["a/", "b/"], "suffix": ".jpg"},
            {"name": "scratch", "backup": False},
        ],
        "accessLogs": False,
        "retentionDays": 30,
        "storageClass": "GLACIER_IR",
        "objectLock": {"mode": "COMPLIANCE", "days": 30},
        "trackDeletes": True,
        "logRetentionDays": 731,
        "memory": 1024,
        "timeout": 60,
        "bucketMetrics": False,
        "batchOperations": True,
        "reservedConcurrency": 5,
        "alarms": {
            "emails": "team@example.com",
            "subscriptions": [{"protocol": "https", "endpoint": "https://example.com/alarms"}],
            "only": ["failures-waiting", "events-lost"],
            "lagSeconds": 600,
            "verifyDays": 2,
            "drillDays": 7,
        },
        "drill": {"days": 3, "sample": 50},
    },
    "break-glass": {
        **SMALLEST,
        "breakGlassRoleArn": f"arn:aws:iam::{ACCOUNT}:role/break-glass",
        # The role that the tests' cloud is used by.
        "deployerRoleArns": [f"arn:aws:iam::{ACCOUNT}:role/deployer"],
        "accessLogRetentionDays": 90,
    },
    "strict": {
        **SMALLEST,
        "permissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
        "vpc": {
            "subnetIds": ["subnet-00000001", "subnet-00000002"],
            "securityGroupIds": ["sg-00000001"],
        },
        "codeSigning": True,
        "tracing": True,
        "audit": True,
        "batchOperations": True,
        "drill": {"days": 1},
    },
    "audited-without-kms": {**SMALLEST, "encryption": "s3", "audit": True, "accessLogs": False},
}
"""Name to config. A key of Pulumi.yaml that none of them changes fails a test."""


@functools.cache
def recorded(shape: str) -> Recording:
    """The program, run with one of the configs."""
    return record_stack(SHAPES[shape])
