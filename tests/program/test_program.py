"""The whole program, from a stack's config to registered resources."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from handler import backup_keys
from sandbox.engine import Registered
from settings import BUCKETS_PER_FUNCTION
from tests.recorder import ACCOUNT, KEY_ARN, REGION, Recording, policy, record_stack

S3 = {"encryption": "s3"}
KMS = {"encryption": "kms"}
OWN_KEY_ARN = KEY_ARN.replace("11111111", "99999999")
OWN = {"encryption": OWN_KEY_ARN}
WHERE = f"{REGION}:{ACCOUNT}"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
NO_ALARMS: dict[str, Any] = {"alarms": {"only": [], "lagSeconds": 0}}
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)

# What cannot carry tags: https://www.pulumi.com/registry/packages/aws/
UNTAGGED = {
    "aws:iam/rolePolicy:RolePolicy",
    "aws:kms/alias:Alias",
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
    "aws:lambda/permission:Permission",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketLogging:BucketLogging",
    "aws:s3/bucketNotification:BucketNotification",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    ENCRYPTION,
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:sqs/queuePolicy:QueuePolicy",
    "aws:cloudwatch/dashboard:Dashboard",
    "aws:cloudwatch/queryDefinition:QueryDefinition",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:sns/topicSubscription:TopicSubscription",
}


def stack(*buckets: object, **config: object) -> Recording:
    return record_stack(
        {"backupBucket": "the-backups", "buckets": list(buckets) or ["photos"], **config}
    )


def rows(recording: Recording) -> list[tuple[str, str]]:
    return sorted((r.type, r.name) for r in recording.deployment.resources)


def many(number: int) -> Recording:
    return stack(*(f"source-{index}" for index in range(number)))


def below(recording: Recording, component: Registered) -> Iterator[Registered]:
    return (r for r in recording.deployment.resources if r.parent == component.urn)


MINIMAL = sorted(
    [
        ("pulumi:pulumi:Stack", "s3-backup-test"),
        ("s3-backup:index:BackupFunction", "backup"),
        ("s3-backup:index:EncryptionKey", "backup-key"),
        ("s3-backup:index:StandardBucket", "photos"),
        ("s3-backup:index:StandardBucket", "the-backups"),
        # The key
        ("aws:kms/alias:Alias", "backup-key-alias"),
        ("aws:kms/key:Key", "backup-key"),
        # The bucket for access logs
        ("s3-backup:index:AccessLogBucket", "access-logs"),
        ("aws:s3/bucket:Bucket", "access-logs"),
        ("aws:s3/bucketOwnershipControls:BucketOwnershipControls", "access-logs-ownership"),
        ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "access-logs-public-access"),
        (ENCRYPTION, "access-logs-encryption"),
        ("aws:s3/bucketVersioning:BucketVersioning", "access-logs-versioning"),
        (
            "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
            "access-logs-lifecycle",
        ),
        ("aws:s3/bucketPolicy:BucketPolicy", "access-logs-policy"),
        # The backup bucket
        ("aws:s3/bucketLogging:BucketLogging", "the-backups-access-log"),
        ("aws:s3/bucket:Bucket", "the-backups"),
        ("aws:s3/bucketOwnershipControls:BucketOwnershipControls", "the-backups-ownership"),
        ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "the-backups-public-access"),
        (ENCRYPTION, "the-backups-encryption"),
        ("aws:s3/bucketVersioning:BucketVersioning", "the-backups-versioning"),
        (
            "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
            "the-backups-lifecycle",
        ),
        ("aws:s3/bucketPolicy:BucketPolicy", "the-backups-policy"),
        # The function
        ("aws:cloudwatch/logGroup:LogGroup", "backup-logs"),
        ("aws:iam/role:Role", "backup-role"),
        ("aws:iam/rolePolicy:RolePolicy", "backup-write"),
        ("aws:lambda/function:Function", "backup"),
        ("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", "backup-async"),
        ("aws:sqs/queue:Queue", "backup-failures"),
        ("aws:sqs/queuePolicy:QueuePolicy", "backup-failures-policy"),
        # What backupctl reads
        ("aws:ssm/parameter:Parameter", "stack"),
        # The alarms
        ("s3-backup:index:NotificationTopic", "backup-alarms"),
        ("aws:sns/topic:Topic", "backup-alarms"),
        ("aws:sns/topicPolicy:TopicPolicy", "backup-alarms-policy"),
        ("s3-backup:index:BackupAlarms", "backup"),
        (ALARM, "backup-copies-late"),
        (ALARM, "backup-errors"),
        (ALARM, "backup-events-late"),
        (ALARM, "backup-events-lost"),
        (ALARM, "backup-failures-waiting"),
        (ALARM, "backup-out-of-time"),
        (ALARM, "backup-recursion-stopped"),
        (ALARM, "backup-throttles"),
        # Questions to the log
        ("s3-backup:index:LogQueries", "backup-logs"),
        ("aws:cloudwatch/queryDefinition:QueryDefinition", "backup-logs-failures"),
        ("aws:cloudwatch/queryDefinition:QueryDefinition", "backup-logs-object-history"),
        ("aws:cloudwatch/queryDefinition:QueryDefinition", "backup-logs-slowest-copies"),
        # The source bucket and its backup
        ("aws:s3/bucketLogging:BucketLogging", "photos-access-log"),
        ("aws:s3/bucket:Bucket", "photos"),
        ("aws:s3/bucketOwnershipControls:BucketOwnershipControls", "photos-ownership"),
        ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "photos-public-access"),
        (ENCRYPTION, "photos-encryption"),
        ("aws:s3/bucketPolicy:BucketPolicy", "photos-policy"),
        ("aws:iam/rolePolicy:RolePolicy", "photos-read"),
        ("aws:lambda/permission:Permission", "photos-invoke"),
        ("aws:s3/bucketNotification:BucketNotification", "photos-notification"),
    ]
)


def test_the_smallest_config_makes_exactly_this() -> None:
    assert rows(stack("photos")) == MINIMAL


def test_object_lock_adds_one_resource() -> None:
    locked = stack("photos", objectLock={"mode": "COMPLIANCE", "days": 30})
    lock = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
    assert sorted(set(rows(locked)) - set(MINIMAL)) == [(lock, "the-backups-object-lock")]
    assert set(MINIMAL) < set(rows(locked))
    assert locked.one("BucketObjectLockConfiguration").inputs["rule"] == {
        "defaultRetention": {"mode": "COMPLIANCE", "days": 30}
    }


def key_named(name: str) -> set[tuple[str, str]]:
    return {
        ("aws:kms/alias:Alias", f"{name}-alias"),
        ("aws:kms/key:Key", name),
        ("s3-backup:index:EncryptionKey", name),
    }


def test_with_a_key_of_ones_own_the_stacks_is_missing_and_nothing_else() -> None:
    assert rows(stack("photos", **OWN)) == sorted(set(MINIMAL) - key_named("backup-key"))


def test_without_kms_the_alarms_alone_have_a_key() -> None:
    expected = set(MINIMAL) - key_named("backup-key") | key_named("backup-alarms-key")
    recording = stack("photos", **S3)
    assert rows(recording) == sorted(expected)
    key = recording.one("kms/key:Key")
    assert recording.one("sns/topic:Topic").inputs["kmsMasterKeyId"] == key.outputs["arn"]
    assert not key.protect
    assert key.inputs["description"] == "Alarms of S3 Backup, stack test"


@pytest.mark.parametrize("config", [KMS, S3])
def test_a_key_that_encrypts_alarms_can_be_used_by_alarms_of_this_account_only(
    config: dict[str, str],
) -> None:
    allowed = [
        statement
        for statement in policy(stack("photos", **config).one("kms/key:Key"))["Statement"]
        if statement["Sid"] == "LetServicesUseIt"
    ]
    assert [(s["Principal"], s["Condition"]) for s in allowed] == [
        (
            {"Service": ["cloudwatch.amazonaws.com"]},
            {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        )
    ]


@pytest.mark.parametrize(
    ("buckets", "config", "expected"),
    [
        (["photos"], NO_ALARMS, []),
        (
            ["photos"],
            {"alarms": {"only": ["failures-waiting", "events-lost"], "lagSeconds": 0}},
            ["events-lost", "failures-waiting"],
        ),
        (["photos"], {"alarms": {"only": []}}, ["copies-late", "events-late"]),
        (
            [{"name": "photos", "quietHours": 26}, {"name": "videos", "quietHours": 0}],
            NO_ALARMS,
            ["quiet-photos"],
        ),
    ],
)
def test_exactly_the_alarms_asked_for_are_there(
    buckets: list[object], config: dict[str, object], expected: list[str]
) -> None:
    recording = stack(*buckets, **config)
    assert sorted(r.name for r in recording.all(ALARM)) == [f"backup-{name}" for name in expected]
    if not expected:
        assert not recording.all("sns/topic:Topic")
        assert not recording.all("index:BackupAlarms")
        statements = policy(recording.one("kms/key:Key"))["Statement"]
        assert [s["Sid"] for s in statements] == ["LetIamDecide", "LetLogsUseIt"]
        assert "alarmTopicArn" not in recording.outputs


def test_without_alarms_and_kms_there_is_no_key_at_all() -> None:
    assert not stack("photos", **S3, **NO_ALARMS).all("kms/key:Key")


def test_alarms_watch_what_the_stack_runs_and_tell_its_topic() -> None:
    recording = many(BUCKETS_PER_FUNCTION + 1)
    topic = [recording.one("sns/topic:Topic").outputs["arn"]]
    known = {
        "QueueName": {"backup-failures-0000000"},
        "FunctionName": {"backup-0000000", "backup-2-0000000"},
        "BackupBucket": {"the-backups"},
        "Kind": {"OutOfTime"},
    }
    seen: dict[str, set[str]] = {}
    for alarm in recording.all(ALARM):
        assert (alarm.inputs["alarmActions"], alarm.inputs["okActions"]) == (topic, topic)
        for name, value in alarm.inputs["dimensions"].items():
            seen.setdefault(name, set()).add(value)
    assert seen == known


def test_verifications_and_drills_are_watched_for_each_bucket_that_is_backed_up() -> None:
    recording = stack(
        "photos",
        {"name": "scratch", "backup": False},
        alarms={"only": [], "lagSeconds": 0, "verifyDays": 2, "drillDays": 7},
    )
    found = {
        r.name: (r.inputs["metricName"], r.inputs["dimensions"], r.inputs["evaluationPeriods"])
        for r in recording.all(ALARM)
    }
    bucket = {"SourceBucket": "photos"}
    assert found == {
        "backup-verification-found-photos": ("VerificationFindings", bucket, 1),
        "backup-verification-missing-photos": ("VerificationCompleted", bucket, 2),
        "backup-drill-failed-photos": ("DrillFindings", bucket, 1),
        "backup-drill-missing-photos": ("DrillCompleted", bucket, 7),
    }


def test_the_dashboard_shows_the_stack() -> None:
    recording = stack("photos", delivery="queue", dashboard=True)
    shown = recording.one("cloudwatch/dashboard:Dashboard").inputs
    assert shown["dashboardName"] == "s3-backup-test"
    body = json.loads(shown["dashboardBody"])
    [arns] = [w["properties"]["alarms"] for w in body["widgets"] if w["type"] == "alarm"]
    assert sorted(arns) == sorted(r.outputs["arn"] for r in recording.all(ALARM))
    values = {
        row[column + 1]
        for widget in body["widgets"]
        for row in widget["properties"].get("metrics", [])
        for column in range(2, len(row) - 1, 2)
        if isinstance(row[0], str) and row[column] != "StorageType"
    }
    assert values == {
        "backup-0000000",
        "backup-failures-0000000",
        "backup-queue-0000000",
        "photos",
        "the-backups",
    }
    logs = [w["properties"]["query"] for w in body["widgets"] if w["type"] == "log"]
    assert [query.partition(" | ")[0] for query in logs] == ["SOURCE 'backup-logs-0000000'"]


def test_saved_queries_ask_the_log_of_every_function() -> None:
    recording = many(BUCKETS_PER_FUNCTION + 1)
    asked = {
        r.inputs["name"]: r.inputs["logGroupNames"]
        for r in recording.all("queryDefinition:QueryDefinition")
    }
    groups = ["backup-logs-0000000", "backup-2-logs-0000000"]
    assert asked == {
        f"s3-backup/test/{name}": groups
        for name in ("failures", "object-history", "slowest-copies")
    }


def test_a_bucket_may_be_quiet_for_as_long_as_its_config_says() -> None:
    recording = stack({"name": "photos", "quietHours": 26}, "videos")
    alarm = recording.one(ALARM, "backup-quiet-photos").inputs
    assert alarm["dimensions"] == {"FunctionName": "backup-0000000", "SourceBucket": "photos"}
    assert alarm["evaluationPeriods"] == 26
    assert sorted(r.name for r in recording.all(ALARM) if "quiet" in r.name) == [
        "backup-quiet-photos"
    ]


def test_a_quiet_bucket_is_counted_by_the_function_that_serves_it() -> None:
    others = [f"source-{index}" for index in range(BUCKETS_PER_FUNCTION)]
    recording = stack(*others, {"name": "photos", "quietHours": 26})
    assert recording.one(ALARM, "backup-quiet-photos").inputs["dimensions"] == {
        "FunctionName": "backup-2-0000000",
        "SourceBucket": "photos",
    }


@pytest.mark.parametrize(
    ("delivery", "late"),
    [
        ("direct", ["events-late", "events-lost"]),
        ("queue", ["queue-late"]),
        ("draining", ["events-late", "events-lost", "queue-late"]),
    ],
)
def test_events_that_wait_raise_an_alarm_wherever_they_wait(delivery: str, late: list[str]) -> None:
    recording = stack("photos", delivery=delivery)
    alarms = {r.name.removeprefix("backup-"): r.inputs for r in recording.all(ALARM)}
    assert sorted({"events-late", "events-lost", "queue-late"} & alarms.keys()) == late
    if "queue-late" in late:
        assert alarms["queue-late"]["dimensions"] == {"QueueName": "backup-queue-0000000"}


def test_everybody_in_the_config_hears_of_alarms() -> None:
    hook = {"protocol": "https", "endpoint": "https://example.com/alarms"}
    recording = stack(
        "photos", alarms={"emails": "team@example.com", "subscriptions": [hook], "lagSeconds": 60}
    )
    found = [
        (r.inputs["protocol"], r.inputs["endpoint"]) for r in recording.all("TopicSubscription")
    ]
    assert sorted(found) == [
        ("email", "team@example.com"),
        ("https", "https://example.com/alarms"),
    ]
    assert recording.one(ALARM, "backup-copies-late").inputs["threshold"] == 60


@pytest.mark.parametrize(("config", "key_arn"), [(KMS, KEY_ARN), (OWN, OWN_KEY_ARN)])
def test_the_key_encrypts_everything_and_the_function_may_use_it(
    config: dict[str, str], key_arn: str
) -> None:
    recording = stack("photos", {"name": "scratch", "backup": False}, **config)
    rules = {
        r.name: r.inputs["rules"]
        for r in recording.all(ENCRYPTION)
        # Log delivery can use no key but S3's own.
        if r.name != "access-logs-encryption"
    }
    assert (
        list(rules.values())
        == [
            [
                {
                    "applyServerSideEncryptionByDefault": {
                        "sseAlgorithm": "aws:kms",
                        "kmsMasterKeyId": key_arn,
                    },
                    "blockedEncryptionTypes": ["SSE-C"],
                    "bucketKeyEnabled": True,
                }
            ]
        ]
        * 3
    )
    assert recording.one("sqs/queue:Queue").inputs["kmsMasterKeyId"] == key_arn
    granted = {
        r.name: [s["Action"] for s in policy(r)["Statement"] if s["Resource"] == key_arn]
        for r in recording.all("RolePolicy")
    }
    assert granted == {
        "backup-write": [["kms:Decrypt", "kms:GenerateDataKey"]],
        # The same key, so that the same role needs nothing more.
        "photos-read": [],
    }
    assert recording.one("LogGroup").inputs["kmsKeyId"] == key_arn
    assert recording.one("lambda/function:Function").inputs["kmsKeyArn"] == key_arn


def test_the_key_lets_logs_of_every_function_be_encrypted_and_no_others() -> None:
    [logs] = [
        statement["Condition"]["StringLike"]["kms:EncryptionContext:aws:logs:arn"]
        for statement in policy(many(BUCKETS_PER_FUNCTION + 1).one("kms/key:Key"))["Statement"]
        if statement["Sid"] == "LetLogsUseIt"
    ]
    assert logs == [
        f"arn:aws:logs:{WHERE}:log-group:{name}-logs-*" for name in ("backup", "backup-2")
    ]


def test_without_kms_nothing_speaks_of_it() -> None:
    recording = stack("photos", {"name": "scratch", "backup": False}, **S3, **NO_ALARMS)
    assert [r.inputs["rules"] for r in recording.all(ENCRYPTION)] == [
        [
            {
                "applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"},
                "blockedEncryptionTypes": ["SSE-C"],
            }
        ]
    ] * 4
    assert recording.one("sqs/queue:Queue").inputs["sqsManagedSseEnabled"] is True
    everything = json.dumps([r.inputs for r in recording.deployment.resources], default=repr)
    assert "kms" not in everything.lower()


@pytest.mark.parametrize("config", [KMS, {"objectLock": {"mode": "GOVERNANCE", "days": 1}}])
def test_backup_bucket_and_key_are_protected_and_kept_and_nothing_else_is(
    config: dict[str, object],
) -> None:
    recording = stack("photos", {"name": "scratch", "backup": False}, **config)
    kept = [
        recording.one("index:EncryptionKey"),
        recording.one("index:StandardBucket", "the-backups"),
    ]
    expected = {r.urn for component in kept for r in (component, *below(recording, component))}
    assert len(expected) >= 11
    resources = recording.deployment.resources
    assert {r.urn for r in resources if r.protect} == expected
    # Access logs are kept, but turning them off must work.
    logs = recording.one("index:AccessLogBucket")
    expected |= {r.urn for r in (logs, *below(recording, logs))}
    assert {r.urn for r in resources if r.retain_on_delete} == expected


def test_the_backup_bucket_keeps_old_versions_for_the_retention() -> None:
    recording = stack("photos", retentionDays=30)
    assert recording.one("BucketVersioning", "the-backups-versioning").inputs == {
        "bucket": "the-backups",
        "versioningConfiguration": {"status": "Enabled"},
    }
    lifecycle = recording.one("BucketLifecycleConfiguration", "the-backups-lifecycle")
    rule, _ = lifecycle.inputs["rules"]
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 30}


def test_the_backup_bucket_forgets_the_notes_of_the_function_about_its_uploads() -> None:
    recording = stack("photos")
    lifecycle = recording.one("BucketLifecycleConfiguration", "the-backups-lifecycle")
    every, rule = lifecycle.inputs["rules"]
    assert rule["expiration"] == {"days": 7}
    assert every["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    prefix = rule["filter"]["prefix"]
    assert backup_keys.upload_record("photos", "cat", "x").startswith(prefix)
    # Nothing else may ever be removed so.
    for other in (
        backup_keys.backup_key("photos", "cat"),
        backup_keys.backup_key("photos", "k" * 1024),
        backup_keys.key_record("photos", "cat"),
        backup_keys.late_key("photos", "cat", "v"),
        backup_keys.provenance_key("photos", "cat", "v"),
        backup_keys.deletion_record("photos", "cat"),
    ):
        assert not other.startswith(prefix)


@pytest.mark.parametrize("off", [False, "no"])
def test_a_bucket_without_backup_is_only_a_bucket(off: object) -> None:
    recording = stack("photos", {"name": "scratch", "backup": off})
    added = sorted(set(rows(recording)) - set(MINIMAL))
    assert added == [
        ("aws:s3/bucket:Bucket", "scratch"),
        ("aws:s3/bucketLogging:BucketLogging", "scratch-access-log"),
        ("aws:s3/bucketOwnershipControls:BucketOwnershipControls", "scratch-ownership"),
        ("aws:s3/bucketPolicy:BucketPolicy", "scratch-policy"),
        ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "scratch-public-access"),
        (ENCRYPTION, "scratch-encryption"),
        ("s3-backup:index:StandardBucket", "scratch"),
    ]


def test_no_bucket_is_emptied_when_destroyed() -> None:
    recording = stack("photos")
    assert {r.name: r.inputs["forceDestroy"] for r in recording.all("s3/bucket:Bucket")} == {
        "access-logs": False,
        "photos": False,
        "the-backups": False,
    }


def test_every_bucket_but_the_one_for_logs_has_its_accesses_logged() -> None:
    recording = stack("photos", {"name": "scratch", "backup": False}, accessLogRetentionDays=90)
    assert {
        r.inputs["bucket"]: r.inputs["targetBucket"] for r in recording.all("BucketLogging")
    } == dict.fromkeys(("the-backups", "photos", "scratch"), "access-logs-0000000")
    [delivery] = [
        statement
        for statement in policy(recording.one("BucketPolicy", "access-logs-policy"))["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert delivery["Condition"]["ArnLike"]["aws:SourceArn"] == [
        f"arn:aws:s3:::{bucket}" for bucket in ("the-backups", "photos", "scratch")
    ]
    [rule] = recording.one("BucketLifecycleConfiguration", "access-logs-lifecycle").inputs["rules"]
    assert rule["expiration"] == {"days": 90}


def test_without_access_logs_nothing_is_left_of_them() -> None:
    recording = stack("photos", accessLogs=False)
    logs = {row for row in MINIMAL if "access-log" in row[1]}
    assert len(logs) == 10
    assert rows(recording) == sorted(set(MINIMAL) - logs)
    assert "accessLogBucketName" not in recording.outputs


def test_filters_reach_the_notification() -> None:
    recording = stack({"name": "photos", "prefix": ["a/", "b/"], "suffix": ".jpg"})
    assert recording.one("BucketNotification").inputs["lambdaFunctions"] == [
        {
            "lambdaFunctionArn": f"arn:aws:lambda:{WHERE}:function:backup-0000000",
            "events": ["s3:ObjectCreated:*"],
            "filterPrefix": prefix,
            "filterSuffix": ".jpg",
        }
        for prefix in ("a/", "b/")
    ]


def test_settings_of_the_function_reach_it() -> None:
    recording = stack("photos", memory=1024, timeout=60, reservedConcurrency=5, logRetentionDays=30)
    function = recording.one("lambda/function:Function").inputs
    assert (
        function["memorySize"],
        function["timeout"],
        function["reservedConcurrentExecutions"],
        recording.one("LogGroup").inputs["retentionInDays"],
    ) == (1024, 60, 5, 30)
    assert function["environment"] == {
        "variables": {
            "BACKUP_BUCKET": "the-backups",
            "BUCKET_OWNER": ACCOUNT,
            "FAILURE_QUEUE_URL": recording.outputs["failureQueueUrl"],
            "MAX_RECEIVES": "5",
            "STORAGE_CLASS": "STANDARD",
        }
    }
    assert "handler/main.py" in function["code"].assets


def test_metrics_by_bucket_can_be_off_for_every_function() -> None:
    recording = stack(*(f"source-{index}" for index in range(9)), bucketMetrics=False)
    functions = recording.all("lambda/function:Function")
    assert len(functions) == 2
    for function in functions:
        assert function.inputs["environment"]["variables"]["BUCKET_METRICS"] == "off"


def test_the_storage_class_reaches_every_function() -> None:
    recording = stack(*(f"source-{index}" for index in range(9)), storageClass="GLACIER")
    functions = recording.all("lambda/function:Function")
    assert len(functions) == 2
    for function in functions:
        assert function.inputs["environment"]["variables"]["STORAGE_CLASS"] == "GLACIER"


def test_tracked_deletions_reach_bucket_function_and_lifecycle() -> None:
    recording = stack("photos", trackDeletes=True, retentionDays=30)
    plain = stack("photos", retentionDays=30)
    further = {r.name for r in recording.deployment.resources}
    further -= {r.name for r in plain.deployment.resources}
    assert further == {"backup-delete-markers"}
    [announced] = recording.one("BucketNotification").inputs["lambdaFunctions"]
    assert announced["events"] == [
        "s3:ObjectCreated:*",
        "s3:ObjectRemoved:*",
        "s3:LifecycleExpiration:*",
    ]
    variables = recording.one("lambda/function:Function").inputs["environment"]["variables"]
    assert variables["TRACK_DELETES"] == "on"
    markers = policy(recording.one("RolePolicy", "backup-delete-markers"))
    assert markers["Statement"] == [
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::the-backups/*"}
    ]
    assert "DeleteObjectVersion" not in str(
        [policy(role_policy) for role_policy in recording.all("RolePolicy")]
    )
    # Nobody is told of a deletion before it can be recorded.
    assert "backup-delete-markers" in recording.waits_for(recording.one("BucketNotification"))


def test_the_record_of_a_deletion_outlives_what_it_speaks_of() -> None:
    recording = stack("photos", trackDeletes=True, retentionDays=30)
    lifecycle = recording.one("BucketLifecycleConfiguration", "the-backups-lifecycle")
    every, _, *rules = lifecycle.inputs["rules"]
    assert every["noncurrentVersionExpiration"] == {"noncurrentDays": 30}
    assert [(rule["filter"]["prefix"], rule["expiration"]) for rule in rules] == [
        (".s3-backup/late/", {"days": 30}),
        (".s3-backup/deleted/", {"days": 31}),
    ]
    # They are where the functions put these.
    late = backup_keys.late_key("photos", "cat", "v1")
    deleted = backup_keys.deletion_record("photos", "cat")
    assert [
        key.startswith(rule["filter"]["prefix"])
        for key, rule in zip((late, deleted), rules, strict=True)
    ] == [True, True]


def test_the_exports_are_exactly_these() -> None:
    recording = stack("photos", {"name": "scratch", "backup": False})
    function = {
        "name": "backup-0000000",
        "arn": f"arn:aws:lambda:{WHERE}:function:backup-0000000",
    }
    assert recording.outputs == {
        "accessLogBucketName": "access-logs-0000000",
        "backupBucketName": "the-backups",
        "backupBucketArn": "arn:aws:s3:::the-backups",
        "functionName": function["name"],
        "functionArn": function["arn"],
        "functions": [function],
        "queueUrls": [],
        "alarmTopicArn": f"arn:aws:sns:{WHERE}:backup-alarms-0000000",
        "failureQueueUrl": (
            f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/backup-failures-0000000"
        ),
        "buckets": {
            "photos": {"name": "photos", "arn": "arn:aws:s3:::photos"},
            "scratch": {"name": "scratch", "arn": "arn:aws:s3:::scratch"},
        },
    }


def test_one_function_serves_as_many_buckets_as_it_can() -> None:
    recording = many(BUCKETS_PER_FUNCTION)
    assert [r.name for r in recording.all("lambda/function:Function")] == ["backup"]


def test_more_buckets_get_a_second_function_with_the_same_queue() -> None:
    recording = many(BUCKETS_PER_FUNCTION + 1)
    functions = sorted(r.name for r in recording.all("lambda/function:Function"))
    assert functions == ["backup", "backup-2"]
    assert [r.name for r in recording.all("sqs/queue:Queue")] == ["backup-failures"]
    queue_arn = recording.one("sqs/queue:Queue").outputs["arn"]
    for config in recording.all("FunctionEventInvokeConfig"):
        assert config.inputs["destinationConfig"] == {"onFailure": {"destination": queue_arn}}
    writes = [r for r in recording.all("RolePolicy") if r.name.endswith("-write")]
    assert len(writes) == 2
    for write in writes:
        assert policy(write)["Statement"][1]["Resource"] == queue_arn
    assert [entry["name"] for entry in recording.outputs["functions"]] == [
        "backup-0000000",
        "backup-2-0000000",
    ]


def test_what_a_bucket_needs_of_a_function_it_gets_of_one() -> None:
    recording = many(2 * BUCKETS_PER_FUNCTION + 1)
    served: dict[str, list[str]] = {}
    for notification in recording.all("BucketNotification"):
        source = notification.name.removesuffix("-notification")
        [entry] = notification.inputs["lambdaFunctions"]
        function = entry["lambdaFunctionArn"].rpartition(":")[2]
        permission = recording.one("lambda/permission:Permission", f"{source}-invoke")
        assert permission.inputs["function"] == function
        read = recording.one("RolePolicy", f"{source}-read")
        assert read.inputs["role"] == function.replace("-0000000", "-role-0000000")
        served.setdefault(function, []).append(source)
    assert {function: len(sources) for function, sources in served.items()} == {
        "backup-0000000": BUCKETS_PER_FUNCTION,
        "backup-2-0000000": BUCKETS_PER_FUNCTION,
        "backup-3-0000000": 1,
    }
    assert served["backup-3-0000000"] == [f"source-{2 * BUCKETS_PER_FUNCTION}"]


# Names that only differ where names are put together or cleaned.
ALIKE = ["photos", "photos-read", "photos.read", "photos-invoke", "backup", "backup-key"]


@pytest.fixture(
    scope="module",
    params=[
        [*ALIKE],
        [f"source-{index}" for index in range(BUCKETS_PER_FUNCTION + 1)],
        ["photos", {"name": "scratch", "backup": False}],
    ],
    ids=["alike", "two-functions", "one-plain"],
)
def recording(request: pytest.FixtureRequest) -> Recording:
    return stack(*request.param)


def test_urns_and_statement_ids_are_unique(recording: Recording) -> None:
    urns = [r.urn for r in recording.deployment.resources]
    assert len(set(urns)) == len(urns)
    ids = [r.inputs["statementId"] for r in recording.all("lambda/permission:Permission")]
    assert len(set(ids)) == len(ids)


def test_nothing_depends_on_what_does_not_exist(recording: Recording) -> None:
    urns = {r.urn for r in recording.deployment.resources}
    for r in recording.deployment.resources:
        named = {*r.dependencies, *itertools.chain(*r.property_dependencies.values())}
        assert named <= urns, r.name
        assert r.parent in urns or r.type == "pulumi:pulumi:Stack"
        assert r.urn not in r.dependencies


def test_the_backup_bucket_is_never_a_source(recording: Recording) -> None:
    backup = recording.one("index:StandardBucket", "the-backups")
    types = {r.type for r in below(recording, backup)}
    assert not types & {
        "aws:s3/bucketNotification:BucketNotification",
        "aws:lambda/permission:Permission",
        "aws:iam/rolePolicy:RolePolicy",
    }
    assert "the-backups" not in {r.inputs["bucket"] for r in recording.all("BucketNotification")}


def test_no_event_is_sent_before_its_copy_can_be_made_and_kept(recording: Recording) -> None:
    for notification in recording.all("BucketNotification"):
        source = notification.name.removesuffix("-notification")
        function = (
            recording.one("lambda/permission:Permission", f"{source}-invoke")
            .inputs["function"]
            .removesuffix("-0000000")
        )
        assert recording.waits_for(notification) >= {
            # The source is as it should be, and may be read.
            f"{source}-encryption",
            f"{source}-policy",
            f"{source}-invoke",
            f"{source}-read",
            # The backup bucket keeps old versions and encrypts.
            "the-backups-versioning",
            "the-backups-encryption",
            "the-backups-lifecycle",
            # The function may write, and what fails is kept.
            f"{function}-write",
            f"{function}-async",
            "backup-failures",
        }


def test_everything_that_can_be_tagged_is_tagged(recording: Recording) -> None:
    tags = {"Project": "s3-backup", "Stack": "test"}
    untagged = {
        r.type for r in recording.deployment.resources if r.custom and r.inputs.get("tags") != tags
    }
    assert untagged <= UNTAGGED
    assert all("tags" not in r.inputs for r in recording.deployment.resources if r.type in UNTAGGED)


def test_no_role_may_do_anything_to_everything(recording: Recording) -> None:
    for role_policy in recording.all("RolePolicy"):
        for statement in policy(role_policy)["Statement"]:
            assert statement["Effect"] == "Allow"
            assert "*" not in "".join(statement["Action"])
            assert statement["Resource"].startswith("arn:aws:")
            assert statement["Resource"].removesuffix("/*").removesuffix(":*").count("*") == 0


def test_no_role_may_list_the_backups_read_old_ones_or_delete_anything(
    recording: Recording,
) -> None:
    for role_policy in recording.all("RolePolicy"):
        for statement in policy(role_policy)["Statement"]:
            actions = statement["Action"]
            assert "Delete" not in "".join(actions)
            if statement["Resource"].startswith("arn:aws:s3:::the-backups"):
                assert [action for action in actions if "Put" not in action] == [
                    "s3:AbortMultipartUpload",
                    "s3:GetObject",
                    "s3:ListMultipartUploadParts",
                ]
                assert role_policy.name.endswith("-write")


def test_what_is_declared_is_the_same_every_time() -> None:
    def registrations() -> list[tuple[Any, ...]]:
        found = stack("photos", "videos", {"name": "scratch", "backup": False})
        return sorted(
            (
                r.urn,
                r.parent,
                json.dumps(
                    r.inputs, sort_keys=True, default=lambda archive: sorted(archive.assets)
                ),
                r.dependencies,
                r.protect,
                r.retain_on_delete,
            )
            for r in found.deployment.resources
        )

    assert registrations() == registrations()


def test_the_order_of_the_buckets_in_the_config_changes_nothing_while_one_function_serves() -> None:
    assert rows(stack("photos", "videos")) == rows(stack("videos", "photos"))


def test_the_stack_name_is_in_the_tags_and_the_keys_description() -> None:
    found = record_stack({"backupBucket": "the-backups", "buckets": ["photos"]}, stack="qa")
    inputs = found.one("kms/key:Key").inputs
    del inputs["policy"]
    assert inputs == {
        "description": "S3 Backup, stack qa",
        "enableKeyRotation": True,
        "deletionWindowInDays": 30,
        "tags": {"Project": "s3-backup", "Stack": "qa"},
    }
