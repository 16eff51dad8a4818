"""Functions and role for jobs of S3 Batch Operations in the whole program, and nothing without."""

import json
from typing import Any

import pytest

from settings import (
    BUCKETS_PER_FUNCTION,
    BYTES_OF_THE_REST,
    BYTES_PER_BATCH_FUNCTION,
    MAX_BATCH_FUNCTIONS,
    ConfigError,
    parse,
)
from tests.recorder import ACCOUNT, REGION, Recording, policy, record_stack

BASE: dict[str, Any] = {
    "backupBucket": "the-backups",
    "buckets": ["photos", {"name": "scratch", "backup": False}],
}
ON = {**BASE, "batchOperations": True}
WHERE = f"{REGION}:{ACCOUNT}"
# The longest that there are, by which an ARN is longer than one of the tests' own region.
LONGER = len("ap-southeast-1") - len(REGION)


def names(recording: Recording) -> set[tuple[str, str]]:
    return {(r.type, r.name) for r in recording.deployment.resources}


def test_it_brings_a_function_and_a_role_and_takes_nothing_away() -> None:
    off, on = names(record_stack(BASE)), names(record_stack(ON))
    assert on - off == {
        ("s3-backup:index:BatchFunction", "batch-backup"),
        ("aws:cloudwatch/logGroup:LogGroup", "batch-backup-logs"),
        ("aws:iam/role:Role", "batch-backup-role"),
        ("aws:iam/rolePolicy:RolePolicy", "batch-backup-copy"),
        ("aws:lambda/function:Function", "batch-backup"),
        ("s3-backup:index:BatchJobRole", "batch-job"),
        ("aws:iam/role:Role", "batch-job"),
        ("aws:iam/rolePolicy:RolePolicy", "batch-job-run"),
    }
    assert off < on


def test_without_it_nothing_speaks_of_it() -> None:
    recording = record_stack({**BASE, "audit": True, "trackDeletes": True})
    everything = json.dumps([r.inputs for r in recording.deployment.resources], default=repr)
    # The package is the same for all functions.
    for word in ("batchoperations", "batch-backup", "batch-job", ".s3-backup/batch"):
        assert word not in everything
    assert "batchOperations" not in recording.outputs


def test_the_function_may_read_what_is_backed_up_and_nothing_else() -> None:
    statements = policy(record_stack(ON).one("RolePolicy", "batch-backup-copy"))["Statement"]
    buckets = {
        statement["Resource"].removesuffix("/*")
        for statement in statements
        if statement["Resource"].startswith("arn:aws:s3:::")
    }
    assert buckets == {"arn:aws:s3:::photos", "arn:aws:s3:::the-backups"}


def test_each_group_of_buckets_has_a_function_of_its_own() -> None:
    sources = [f"source-{number}" for number in range(BUCKETS_PER_FUNCTION + 1)]
    recording = record_stack({**ON, "buckets": sources})
    batch = recording.outputs["batchOperations"]
    arns = batch["functionArns"]
    assert arns == [
        f"arn:aws:lambda:{WHERE}:function:{name}-0000000"
        for name in ("batch-backup", "batch-backup-2")
    ]
    described = json.loads(recording.one("ssm/parameter:Parameter").inputs["value"])
    for number, source in enumerate(described["sources"]):
        arn = arns[number // batch["sourcesPerFunction"]]
        name = arn.rpartition(":")[2].removesuffix("-0000000")
        granted = json.dumps(policy(recording.one("RolePolicy", f"{name}-copy")))
        assert f'"arn:aws:s3:::{source}"' in granted
    run = policy(recording.one("RolePolicy", "batch-job-run"))["Statement"]
    assert run[0]["Resource"] == arns


def test_the_stack_says_what_jobs_are_created_with() -> None:
    recording = record_stack(ON)
    described = json.loads(recording.one("ssm/parameter:Parameter").inputs["value"])
    assert (
        described["batchOperations"]
        == recording.outputs["batchOperations"]
        == {
            "roleArn": f"arn:aws:iam::{ACCOUNT}:role/batch-job-0000000",
            "sourcesPerFunction": BUCKETS_PER_FUNCTION,
            "functionArns": [f"arn:aws:lambda:{WHERE}:function:batch-backup-0000000"],
        }
    )


def test_its_settings_are_those_of_the_other_functions() -> None:
    chosen = {"memory": 1024, "timeout": 60, "logRetentionDays": 30, "trackDeletes": True}
    recording = record_stack({**ON, **chosen})
    one, other = (
        dict(recording.one("lambda/function:Function", name).inputs)
        for name in ("backup", "batch-backup")
    )
    same = one.keys() - {"role", "description", "handler", "environment", "loggingConfig", "code"}
    assert {key: one[key] for key in same} == {key: other[key] for key in same}
    assert other["handler"] == "handler.batch.handler"
    assert "handler/batch.py" in other["code"].assets
    variables = other["environment"]["variables"]
    assert variables["TRACK_DELETES"] == "on"
    assert "FAILURE_QUEUE_URL" not in variables


def test_the_stacks_key_encrypts_its_logs() -> None:
    statements = policy(record_stack(ON).one("kms/key:Key"))["Statement"]
    [logs] = [s["Condition"]["StringLike"] for s in statements if s["Sid"] == "LetLogsUseIt"]
    assert logs["kms:EncryptionContext:aws:logs:arn"] == [
        f"arn:aws:logs:{WHERE}:log-group:{name}-logs-*" for name in ("backup", "batch-backup")
    ]


def test_manifests_and_reports_expire() -> None:
    lifecycle = record_stack(ON).one("BucketLifecycleConfiguration", "the-backups-lifecycle")
    rules = {rule["filter"]["prefix"]: rule for rule in lifecycle.inputs["rules"]}
    assert rules[".s3-backup/batch/"]["expiration"] == {"days": 90}


def test_its_invocations_are_audited() -> None:
    recording = record_stack({**ON, "audit": True})
    *_, functions = recording.one("cloudtrail/trail:Trail").inputs["advancedEventSelectors"]
    assert functions["fieldSelectors"][2]["equals"] == [
        f"arn:aws:lambda:{WHERE}:function:{name}-0000000" for name in ("backup", "batch-backup")
    ]


def test_the_boundary_is_that_of_both_roles_too() -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    recording = record_stack({**ON, "permissionsBoundaryArn": boundary})
    roles = recording.all("iam/role:Role")
    assert len(roles) == 3
    assert {role.inputs["permissionsBoundary"] for role in roles} == {boundary}


def test_the_description_has_room_for_the_functions() -> None:
    sources = [f"source-{number}" for number in range(BUCKETS_PER_FUNCTION + 1)]
    recording = record_stack({**ON, "buckets": sources})
    described = json.loads(recording.one("ssm/parameter:Parameter").inputs["value"])
    arns = described["batchOperations"].pop("functionArns")
    # Names with a number of three digits in the region of the longest name.
    longest = len(json.dumps(arns[-1]) + ", ") + LONGER + 2
    assert longest <= BYTES_PER_BATCH_FUNCTION
    for key in ("functions", "sources"):
        del described[key]
    arns_of_others = 4
    assert len(json.dumps(described)) + arns_of_others * LONGER <= BYTES_OF_THE_REST


def test_more_functions_than_a_role_can_name_are_refused() -> None:
    def config(functions: int) -> dict[str, Any]:
        names = [f"source-{number}" for number in range(functions * BUCKETS_PER_FUNCTION)]
        return {**ON, "buckets": names}

    assert parse(config(MAX_BATCH_FUNCTIONS), file="f").batch_operations
    with pytest.raises(ConfigError) as caught:
        parse(config(MAX_BATCH_FUNCTIONS + 1), file="f")
    assert str(caught.value) == (
        "f: s3-backup:batchOperations: 101 functions, and the role of jobs may invoke 100; "
        "use two stacks"
    )
    assert not parse({**config(MAX_BATCH_FUNCTIONS + 1), "batchOperations": False}, file="f").audit


def test_an_audit_counts_these_functions_too() -> None:
    names = [f"source-{number}" for number in range(400)]
    config = {**BASE, "buckets": names, "audit": True}
    assert parse(config, file="f").audit
    with pytest.raises(ConfigError, match="audit: 517 buckets and functions"):
        parse({**config, "batchOperations": True}, file="f")


def test_it_takes_more_parameters_to_describe_more_functions() -> None:
    names = [f"source-{number}" for number in range(100 * BUCKETS_PER_FUNCTION)]
    off, on = (
        parse({**BASE, "buckets": names, "batchOperations": x}, file="f") for x in (False, True)
    )
    assert on.description_parts - off.description_parts in (2, 3)
