"""Scheduled drills in the whole program, and nothing without."""

import base64
import io
import json
import zipfile
from typing import Any

import pytest

from settings import ConfigError, parse
from tests.recorder import ACCOUNT, REGION, Recording, policy, record_stack

BASE: dict[str, Any] = {
    "backupBucket": "the-backups",
    "buckets": [
        {"name": "photos", "prefix": ["a/", "b/"], "suffix": ".jpg"},
        {"name": "scratch", "backup": False},
        "videos",
    ],
}
ON = {**BASE, "drill": {"days": 3, "sample": 5}}
WHERE = f"{REGION}:{ACCOUNT}"


def names(recording: Recording) -> set[tuple[str, str]]:
    return {(r.type, r.name) for r in recording.deployment.resources}


def test_it_brings_a_bucket_a_function_and_a_schedule_and_takes_nothing_away() -> None:
    off, on = names(record_stack(BASE)), names(record_stack(ON))
    found = {name for _, name in on - off}
    assert off < on
    assert found == {
        "drill",
        "drill-async",
        "drill-logs",
        "drill-permission",
        "drill-restore",
        "drill-role",
        "drill-schedule",
        "drill-scratch",
        "drill-scratch-access-log",
        "drill-scratch-encryption",
        "drill-scratch-lifecycle",
        "drill-scratch-ownership",
        "drill-scratch-policy",
        "drill-scratch-public-access",
        "drill-scratch-versioning",
        "drill-target",
    }


@pytest.mark.parametrize("off", [BASE, {**BASE, "drill": {}}])
def test_without_it_nothing_speaks_of_it(off: dict[str, Any]) -> None:
    recording = record_stack({**off, "audit": True, "trackDeletes": True})
    inputs = [r.inputs for r in recording.deployment.resources]
    code = {path for each in inputs if "code" in each for path in each["code"].assets}
    assert not any(path.startswith("backupctl/") for path in code)
    everything = json.dumps(
        [{k: v for k, v in each.items() if k != "code"} for each in inputs], default=repr
    )
    for word in ("drill", "events.amazonaws.com"):
        assert word not in everything
    assert "drillBucketName" not in recording.outputs


def test_the_schedule_says_what_to_drill_how_often() -> None:
    recording = record_stack(ON)
    rule = recording.one("eventRule:EventRule")
    assert rule.inputs["scheduleExpression"] == "rate(3 days)"
    target = recording.one("eventTarget:EventTarget")
    assert json.loads(target.inputs["input"]) == {
        "sources": {"photos": {"prefix": ["a/", "b/"], "suffix": [".jpg"]}, "videos": {}},
        "sample": 5,
    }


def test_what_is_left_out_of_it_has_a_default() -> None:
    recording = record_stack({**BASE, "drill": {"days": 1}})
    assert recording.one("eventRule:EventRule").inputs["scheduleExpression"] == "rate(1 day)"
    target = recording.one("eventTarget:EventTarget")
    assert json.loads(target.inputs["input"])["sample"] == 20


def test_the_function_may_read_what_is_backed_up_and_nothing_else() -> None:
    text = json.dumps(policy(record_stack(ON).one("RolePolicy", "drill-restore")))
    assert '"arn:aws:s3:::photos/*"' in text
    assert '"arn:aws:s3:::videos"' in text
    assert "arn:aws:s3:::scratch" not in text


def test_its_settings_are_those_of_the_other_functions_but_for_the_time() -> None:
    chosen = {"memory": 1024, "timeout": 60, "logRetentionDays": 30, "tracing": True}
    recording = record_stack({**ON, **chosen, "reservedConcurrency": 5})
    one, other = (
        dict(recording.one("lambda/function:Function", name).inputs) for name in ("backup", "drill")
    )
    same = {"runtime", "architectures", "memorySize", "kmsKeyArn", "tracingConfig", "tags"}
    assert {key: one[key] for key in same} == {key: other[key] for key in same}
    assert (other["timeout"], other["reservedConcurrentExecutions"]) == (900, -1)
    assert other["environment"]["variables"] == {
        "BACKUP_BUCKET": "the-backups",
        "BUCKET_OWNER": ACCOUNT,
        "SCRATCH_BUCKET": "drill-scratch-0000000",
    }
    assert recording.one("LogGroup", "drill-logs").inputs["retentionInDays"] == 30


def test_both_packages_are_in_its_code_and_one_in_that_of_others() -> None:
    recording = record_stack(ON)
    code = {
        name: recording.one("lambda/function:Function", name).inputs["code"].assets
        for name in ("backup", "drill")
    }
    assert {"backupctl/scheduled_drill.py", "handler/copy.py"} <= code["drill"].keys()
    assert not any(path.startswith("backupctl/") for path in code["backup"])


@pytest.mark.parametrize("on", [False, True])
def test_the_signed_package_holds_what_every_function_needs(on: bool) -> None:
    recording = record_stack({**(ON if on else BASE), "codeSigning": True})
    upload = recording.one("bucketObjectv2:BucketObjectv2").inputs["contentBase64"]
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(upload))) as package:
        assert ("backupctl/scheduled_drill.py" in package.namelist()) is on
        assert "handler/main.py" in package.namelist()
    for function in recording.all("lambda/function:Function"):
        assert function.inputs["s3Key"] == "signed/job.zip"
        assert function.inputs["codeSigningConfigArn"]


def test_the_stack_says_where_drills_write() -> None:
    recording = record_stack(ON)
    described = json.loads(recording.one("ssm/parameter:Parameter").inputs["value"])
    scratch = "drill-scratch-0000000"
    assert described["drillBucketName"] == recording.outputs["drillBucketName"] == scratch


def test_key_access_logs_audit_and_boundary_know_of_it() -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    recording = record_stack({**ON, "audit": True, "permissionsBoundaryArn": boundary})
    assert recording.one("iam/role:Role", "drill-role").inputs["permissionsBoundary"] == boundary
    key = json.dumps(policy(recording.one("kms/key:Key")))
    assert f"arn:aws:logs:{WHERE}:log-group:drill-*" in key
    logs = json.dumps(policy(recording.one("BucketPolicy", "access-logs-policy")))
    assert "arn:aws:s3:::drill-scratch-*" in logs
    trail = json.dumps(recording.one("trail:Trail").inputs["advancedEventSelectors"])
    assert f"arn:aws:lambda:{WHERE}:function:drill-0000000" in trail
    assert "arn:aws:s3:::drill-scratch-0000000/" in trail


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"drill": {"days": 0}}, "drill.days: 0: too small; use 1 or more"),
        ({"drill": {"days": 31}}, "drill.days: 31: too large; use 30 or less"),
        ({"drill": {"sample": 1001}}, "drill.sample: 1001: too large; use 1000 or less"),
        ({"drill": {"sample": "few"}}, 'drill.sample: "few": not a whole number'),
        ({"drill": {"when": 1}}, "drill.when: 1: unknown key"),
        ({"drill": 7}, "drill: 7: not an object"),
        (
            {"drill": {"days": 7}, "alarms": {"drillDays": 7}},
            "drill.days: 7: alarms.drillDays of 7 would be raised before each drill; drill every "
            "6 or fewer, or remove drillDays",
        ),
        (
            {"drill": {"days": 1}, "alarms": {"drillDays": 1}},
            "use a drillDays of 2 or more, or remove drillDays",
        ),
        (
            {"drill": {"days": 1}, "storageClass": "DEEP_ARCHIVE"},
            "drill: backups of storageClass DEEP_ARCHIVE cannot be read before S3 restores them",
        ),
        (
            {
                "drill": {"days": 1},
                "buckets": [{"name": "photos", "prefix": [f"{n:0900}/" for n in range(10)]}],
            },
            "drill: the filters of photos take 9,1",
        ),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({**BASE, **config}, file="f")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_an_alarm_may_wait_longer_than_a_drill_takes_to_come() -> None:
    config = {**BASE, "drill": {"days": 6}, "alarms": {"drillDays": 7}}
    drill = parse(config, file="f").drill
    assert drill is not None
    assert (drill.days, drill.sample) == (6, 20)
