"""What tries restores on a schedule: as much as it needs, and no more than it may."""

import json
from typing import Any

import pulumi
import pytest

from backupctl.drilling import SCRATCH
from backupctl.results import DRILL, result_key
from components import DrilledSource, ScheduledDrill, ScheduledDrillArgs, SignedCode, policies
from components.scheduled_drill import MAX_INPUT, SOURCES_PER_FUNCTION
from settings import SCHEDULE_INPUT_CHARACTERS
from tests.recorder import ACCOUNT, KEY_ARN, REGION, Recording, policy, record

from .test_policies import IAM_CHARACTERS, LONGEST_BUCKET_ARN, LONGEST_KEY_ARN, counted

CODE = pulumi.AssetArchive({"backupctl/scheduled_drill.py": pulumi.StringAsset("")})
WHERE = f"{REGION}:{ACCOUNT}"
BACKUPS, ATTIC = "arn:aws:s3:::the-backups", "arn:aws:s3:::drill-scratch-0000000"
PHOTOS: DrilledSource = {"bucket_name": "photos", "bucket_arn": "arn:aws:s3:::photos"}


def args(**more: Any) -> ScheduledDrillArgs:
    package = {} if "signed_code" in more else {"code": CODE}
    given: Any = {
        "backup_bucket_name": "the-backups",
        "backup_bucket_arn": BACKUPS,
        "sources": [PHOTOS],
        "days": 7,
        "sample": 20,
        **package,
        **more,
    }
    return given


def drill(**more: Any) -> Recording:
    """A drill called drill, and nothing else."""
    return record(lambda: ScheduledDrill("drill", args(**more)))


def test_the_rule_invokes_the_function_and_nothing_tries_again() -> None:
    recording = drill()
    [function] = recording.all("lambda/function:Function")
    rule = recording.one("eventRule:EventRule")
    assert rule.inputs["scheduleExpression"] == "rate(7 days)"
    permission = recording.one("lambda/permission:Permission").inputs
    assert (permission["principal"], permission["action"]) == (
        "events.amazonaws.com",
        "lambda:InvokeFunction",
    )
    assert permission["sourceArn"] == f"arn:aws:events:{WHERE}:rule/drill-schedule-0000000"
    assert permission["function"] == function.outputs["name"]
    target = recording.one("eventTarget:EventTarget")
    assert target.inputs["arn"] == function.outputs["arn"]
    assert target.inputs["rule"] == "drill-schedule-0000000"
    assert "drill-permission" in recording.waits_for(target)
    once = recording.one("FunctionEventInvokeConfig").inputs
    assert once["maximumRetryAttempts"] == 0
    assert function.inputs["handler"] == "backupctl.scheduled_drill.handler"


@pytest.mark.parametrize("key", [None, KEY_ARN])
def test_the_function_may_do_exactly_this(key: str | None) -> None:
    recording = drill(**({} if key is None else {"kms_key_arn": key}))
    own = policy(recording.one("iam/rolePolicy:RolePolicy"))
    use_key = {
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": KEY_ARN,
        "Condition": {"StringLike": {"kms:ViaService": f"s3.{REGION}.*"}},
    }
    assert own["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"arn:aws:logs:{WHERE}:log-group:drill-logs-0000000:*",
        },
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
            "Resource": [BACKUPS, ATTIC],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectVersionTagging"],
            "Resource": f"{BACKUPS}/*",
        },
        {
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": f"{BACKUPS}/.s3-backup/results/drill/*",
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ["arn:aws:s3:::photos"]},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectTagging"],
            "Resource": ["arn:aws:s3:::photos/*"],
        },
        {
            "Effect": "Allow",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:GetObject",
                "s3:GetObjectTagging",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
            "Resource": f"{ATTIC}/s3-backup-drill/*",
        },
        *([use_key] if key else []),
    ]


def test_it_may_write_where_drills_write() -> None:
    [*_, results, _, _, scratch] = policies.drill_statements(BACKUPS, ATTIC, [])
    assert results["Resource"] == f"{BACKUPS}/{result_key(DRILL, '*').removesuffix('.json')}"
    assert scratch["Resource"] == f"{ATTIC}/{SCRATCH}*"


def test_what_is_in_the_scratch_bucket_is_private_and_ends_after_a_day() -> None:
    recording = drill(kms_key_arn=KEY_ARN, access_log_bucket="logs", tags={"a": "b"})
    [rule] = recording.one("BucketLifecycleConfiguration").inputs["rules"]
    assert rule["expiration"] == {"days": 1}
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 1}
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 1}
    assert rule["filter"] == {"prefix": ""}
    assert recording.one("s3/bucket:Bucket").inputs["forceDestroy"] is True
    [encryption] = recording.one("ServerSideEncryptionConfiguration").inputs["rules"]
    assert encryption["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == KEY_ARN
    assert recording.one("BucketLogging").inputs["targetBucket"] == "logs"
    [refusal] = policy(recording.one("BucketPolicy"))["Statement"]
    assert refusal["Sid"] == "DenyInsecureTransport"


def sources(count: int, **more: Any) -> list[DrilledSource]:
    made: Any = [
        {"bucket_name": f"s-{n}", "bucket_arn": f"arn:aws:s3:::s-{n}", **more} for n in range(count)
    ]
    return made


def inputs(recording: Recording) -> list[dict[str, Any]]:
    targets = sorted(recording.all("eventTarget:EventTarget"), key=lambda target: target.name)
    # "drill-target" comes after "drill-2-target".
    return [json.loads(target.inputs["input"]) for target in targets[::-1]]


def test_more_sources_than_a_role_can_name_have_further_functions() -> None:
    recording = drill(sources=sources(SOURCES_PER_FUNCTION + 1))
    names = {r.name for r in recording.all("lambda/function:Function")}
    assert names == {"drill", "drill-2"}
    assert [len(one["sources"]) for one in inputs(recording)] == [SOURCES_PER_FUNCTION, 1]
    last = json.dumps(policy(recording.one("RolePolicy", "drill-2-restore")))
    assert f"s-{SOURCES_PER_FUNCTION}/*" in last
    assert "s-0/*" not in last
    assert len(recording.all("s3/bucket:Bucket")) == 1


def test_more_filters_than_a_target_can_have_make_further_functions_too() -> None:
    recording = drill(sources=sources(3, prefixes=["p" * 1000] * 3, suffixes=["s" * 500]))
    found = inputs(recording)
    assert [list(one["sources"]) for one in found] == [["s-0", "s-1"], ["s-2"]]
    assert found[0]["sources"]["s-0"] == {"prefix": ["p" * 1000] * 3, "suffix": ["s" * 500]}
    assert all(len(t.inputs["input"]) <= MAX_INPUT for t in recording.all("EventTarget"))


def test_what_can_never_be_is_refused() -> None:
    with pytest.raises(ValueError, match="drill: there is no source to drill"):
        drill(sources=[])
    with pytest.raises(ValueError, match="drill: the filters of s-0 take 9,"):
        drill(sources=sources(1, prefixes=["p" * 1000] * 9))
    with pytest.raises(ValueError, match="drill: give either code or signed_code"):
        drill(signed_code={}, code=CODE)
    assert MAX_INPUT == SCHEDULE_INPUT_CHARACTERS


def test_each_feature_reaches_the_function() -> None:
    signed: SignedCode = {"bucket": "signed", "key": "code.zip", "config_arn": "arn:config"}
    recording = drill(
        signed_code=signed,
        memory_size=1024,
        timeout=60,
        log_retention_days=30,
        network={"subnet_ids": ["subnet-1", "subnet-2"], "security_group_ids": ["sg-1"]},
        tracing=True,
        permissions_boundary_arn="arn:boundary",
    )
    function = recording.one("lambda/function:Function").inputs
    assert (function["memorySize"], function["timeout"]) == (1024, 60)
    assert function["s3Key"] == "code.zip"
    assert function["vpcConfig"]["securityGroupIds"] == ["sg-1"]
    assert function["tracingConfig"] == {"mode": "Active"}
    assert recording.one("LogGroup").inputs["retentionInDays"] == 30
    assert recording.one("iam/role:Role").inputs["permissionsBoundary"] == "arn:boundary"


def test_the_policies_of_a_role_fit_into_iam_with_the_longest_names() -> None:
    many: Any = [
        {"bucket_name": "b" * 63, "bucket_arn": LONGEST_BUCKET_ARN}
        for _ in range(SOURCES_PER_FUNCTION)
    ]
    recording = drill(
        sources=many,
        backup_bucket_arn=LONGEST_BUCKET_ARN,
        kms_key_arn=LONGEST_KEY_ARN,
        network={"subnet_ids": ["subnet-1", "subnet-2"], "security_group_ids": ["sg-1"]},
        tracing=True,
    )
    documents = [policy(one) for one in recording.all("iam/rolePolicy:RolePolicy")]
    assert len(documents) == 3
    # What names a region or the account is longer elsewhere by less than this.
    assert sum(counted(document) for document in documents) + 200 <= IAM_CHARACTERS
