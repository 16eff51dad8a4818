"""`backupctl backfill --engine batch` on a real stack, by a role that may do no more than that."""

import json
from typing import Any

import pytest

from backupctl import permissions
from backupctl.stack import Stack
from handler.backup_keys import backup_key
from sandbox import samples
from sandbox.comparison import differences
from sandbox.demo import put
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for

from .local_stack import LocalStack
from .operator import Operator

PLAIN, VERSIONED, BROKEN, REPEATED, DENIED = SOURCES = [
    f"batch-fill-{name}" for name in ("plain", "versioned", "broken", "repeated", "denied")
]


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    config = {"backupBucket": "batch-fill-backups", "buckets": SOURCES, "batchOperations": True}
    deployed = LocalStack.deploy(ministack, config)
    for source in SOURCES:
        # As if the objects were older than the stack.
        deployed.s3.put_bucket_notification_configuration(
            Bucket=source, NotificationConfiguration={}
        )
    deployed.s3.put_bucket_versioning(
        Bucket=VERSIONED, VersioningConfiguration={"Status": "Enabled"}
    )
    return deployed


def policy(stack: LocalStack) -> list[dict[str, Any]]:
    """What `backupctl policy backfill` prints."""
    ssm = stack.ministack.client("ssm")
    told = Stack.parse(ssm.get_parameter(Name=Stack.parameter(stack.name))["Parameter"]["Value"])
    assert told.batch is not None
    assert told.kms_key_arn is not None
    return [
        *permissions.backfill(stack.backup_bucket, SOURCES, [told.kms_key_arn]),
        *permissions.batch_backfill(
            stack.backup_bucket, told.functions[0].arn, told.batch.role_arn
        ),
        *permissions.description(told.parameter_arn(stack.name)),
    ]


@pytest.fixture(scope="module")
def operator(stack: LocalStack) -> Operator:
    return Operator.with_statements(stack, "batch-operator", policy(stack))


def record(stack: LocalStack, source: str) -> dict[str, Any]:
    """What is kept of the source's last job."""
    key = f".s3-backup/batch/jobs/{source}.json"
    return json.loads(stack.s3.get_object(Bucket=stack.backup_bucket, Key=key)["Body"].read())


def keep(stack: LocalStack, source: str, **changes: Any) -> None:
    """Have it as a run that was killed would have left it."""
    changed = json.dumps({**record(stack, source), **changes}).encode()
    stack.s3.put_object(
        Bucket=stack.backup_bucket,
        Key=f".s3-backup/batch/jobs/{source}.json",
        Body=changed,
        ServerSideEncryption="AES256",
    )


def test_a_job_copies_what_is_missing_and_nothing_is_left_for_another(
    stack: LocalStack, operator: Operator
) -> None:
    # MiniStack does not list keys with control characters.
    awkward = [sample for sample in samples.awkward() if sample.key.isprintable()]
    for sample in awkward:
        put(stack.s3, PLAIN, sample)
    first = operator.run("backfill", PLAIN, "--engine", "batch", "--json")
    assert first.code == 0, first
    assert first.summary[PLAIN]["tasks"] == first.summary[PLAIN]["succeeded"] == len(awkward)
    for sample in awkward:
        copy = (stack.backup_bucket, backup_key(PLAIN, sample.key))
        assert differences(stack.s3, (PLAIN, sample.key), copy) == []
    job = record(stack, PLAIN)["job"]

    second = operator.run("backfill", PLAIN, "--engine", "batch", "--json")
    assert second.code == 0, second
    assert second.summary[PLAIN]["inPlace"] == len(awkward)
    assert second.summary[PLAIN]["tasks"] == 0
    assert record(stack, PLAIN)["job"] == job


def test_all_versions_are_copied_and_the_newest_is_on_top(
    stack: LocalStack, operator: Operator
) -> None:
    for number in range(3):
        stack.put(VERSIONED, "a", f"version {number}".encode())
    done = operator.run("backfill", VERSIONED, "--engine", "batch", "--all-versions", "--json")
    assert done.code == 0, done
    assert done.summary[VERSIONED]["succeeded"] == 3
    assert stack.shown(f"{VERSIONED}/a") == b"version 2"


def test_failures_are_told_by_reason_and_as_the_local_engine_does(
    stack: LocalStack, operator: Operator
) -> None:
    stack.put(BROKEN, "good")
    stack.put(BROKEN, "bad, really")
    role = stack.deployment.find("aws:iam/role:Role", "batch-backup-role").outputs["arn"]
    denial = {
        "Effect": "Deny",
        "Principal": {"AWS": role},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{BROKEN}/bad*",
    }
    stack.s3.put_bucket_policy(
        Bucket=BROKEN, Policy=json.dumps({"Version": "2012-10-17", "Statement": [denial]})
    )
    done = operator.run("backfill", BROKEN, "--engine", "batch", "--json")
    assert done.code == 1, done
    [failed, summary] = done.lines
    assert (failed["bucket"], failed["key"]) == (BROKEN, "bad, really")
    assert failed["retryable"] is False
    assert "the function's role may not do this" in failed["cure"]
    assert summary["failures"] == {BROKEN: {failed["kind"]: 1}}
    assert stack.shown(f"{BROKEN}/good") == b"content"


def test_whoever_is_killed_is_followed_by_the_next_run_and_no_second_job_exists(
    stack: LocalStack, operator: Operator
) -> None:
    for number in range(30):
        stack.put(REPEATED, f"{number}")
    arguments = ("backfill", REPEATED, "--engine", "batch", "--json")
    with operator.start("--stack", stack.name, *arguments) as process:

        def created() -> bool:
            try:
                return record(stack, REPEATED)["job"] is not None
            except stack.s3.exceptions.NoSuchKey:
                assert process.poll() is None, process.communicate()
                return False

        wait_for(created, "the job")
        process.kill()
    job = record(stack, REPEATED)["job"]
    # As if it had been killed before it told of the end.
    keep(stack, REPEATED, told=False)
    followed = operator.run(*arguments)
    assert followed.code == 0, followed
    assert followed.summary[REPEATED]["succeeded"] == 30
    # And here before it knew of the job that it had created.
    keep(stack, REPEATED, told=False, job=None)
    again = operator.run(*arguments)
    assert again.code == 0, again
    assert again.summary[REPEATED]["succeeded"] == 30
    assert record(stack, REPEATED)["job"] == job
    other = operator.run(*arguments, "--all-versions")
    assert other.code == 0, other


@pytest.mark.parametrize("action", ["s3:CreateJob", "s3:DescribeJob", "iam:PassRole"])
def test_without_one_permission_it_says_so_in_one_line(stack: LocalStack, action: str) -> None:
    key = action.replace(":", "-")
    stack.put(DENIED, f"denied {key}")
    fewer = [statement for statement in policy(stack) if statement["Action"] != [action]]
    assert len(fewer) == len(policy(stack)) - 1
    denied = Operator.with_statements(stack, f"no-{key}", fewer)
    ran = denied.run("backfill", DENIED, "--engine", "batch")
    assert ran.code == 1, ran
    assert "AccessDenied" in ran.err.splitlines()[-1]
    # Whoever may goes on with it.
    allowed = Operator.with_statements(stack, f"with-{key}", policy(stack))
    assert allowed.run("backfill", DENIED, "--engine", "batch").code == 0


@pytest.mark.parametrize("option", [("--from", "-"), ("--checkpoint", "x")])
def test_what_is_for_the_local_engine_is_refused(
    operator: Operator, option: tuple[str, str]
) -> None:
    ran = operator.run("backfill", "--engine", "batch", *option)
    assert ran.code == 2
    assert "are for the local engine" in ran.err
