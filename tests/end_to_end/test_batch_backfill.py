"""`backupctl backfill --engine batch` on a real stack, by a role that may do no more than that."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
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
from .operator import Operator, Ran

NAMES = ("plain", "versioned", "broken", "repeated", "denied", "named", "other", "history")
SOURCES = [f"batch-fill-{name}" for name in NAMES]
PLAIN, VERSIONED, BROKEN, REPEATED, DENIED, NAMED, OTHER, HISTORY = SOURCES


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    config = {"backupBucket": "batch-fill-backups", "buckets": SOURCES, "batchOperations": True}
    deployed = LocalStack.deploy(ministack, config)
    for source in SOURCES:
        # As if the objects were older than the stack.
        deployed.s3.put_bucket_notification_configuration(
            Bucket=source, NotificationConfiguration={}
        )
    for source in (VERSIONED, HISTORY):
        deployed.s3.put_bucket_versioning(
            Bucket=source, VersioningConfiguration={"Status": "Enabled"}
        )
    return deployed


def looking(stack: LocalStack) -> list[dict[str, Any]]:
    """What a verification takes."""
    told = parameter(stack)
    return [
        *permissions.verify(stack.backup_bucket, SOURCES, [str(told.kms_key_arn)]),
        *permissions.description(told.parameter_arn(stack.name)),
    ]


def parameter(stack: LocalStack) -> Stack:
    ssm = stack.ministack.client("ssm")
    return Stack.parse(ssm.get_parameter(Name=Stack.parameter(stack.name))["Parameter"]["Value"])


def policy(stack: LocalStack) -> list[dict[str, Any]]:
    """What `backupctl policy backfill` prints."""
    told = parameter(stack)
    assert told.batch is not None
    assert told.kms_key_arn is not None
    return [
        *permissions.backfill(stack.backup_bucket, SOURCES, [told.kms_key_arn]),
        *permissions.batch_backfill(
            stack.backup_bucket, told.functions[0].arn, told.batch.role_arn
        ),
        *permissions.description(told.parameter_arn(stack.name)),
    ]


def without(stack: LocalStack, action: str) -> Operator:
    """Somebody who may all but this."""
    fewer = [statement for statement in policy(stack) if statement["Action"] != [action]]
    assert len(fewer) == len(policy(stack)) - 1
    return Operator.with_statements(stack, f"no-{action.replace(':', '-')}", fewer)


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
    denied = without(stack, action)
    ran = denied.run("backfill", DENIED, "--engine", "batch")
    assert ran.code == 1, ran
    assert "AccessDenied" in ran.err.splitlines()[-1]
    # Whoever may goes on with it.
    allowed = Operator.with_statements(stack, f"with-{key}", policy(stack))
    assert allowed.run("backfill", DENIED, "--engine", "batch").code == 0


def test_a_checkpoint_is_refused_for_jobs_keep_it_themselves(operator: Operator) -> None:
    for more in ((), ("--from", "-")):
        ran = operator.run("backfill", "--engine", "batch", "--checkpoint", "x", *more)
        assert ran.code == 2
        assert "--checkpoint is for the local engine: jobs keep how far they are" in ran.err


@dataclass(frozen=True)
class Lines:
    """A file that names what to copy, and whoever has jobs do that."""

    file: Path
    operator: Operator

    def write(self, *lines: Mapping[str, object]) -> None:
        self.file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    def run(self, *options: str) -> Ran:
        command = ("backfill", "--from", str(self.file), "--json", *options)
        return self.operator.run(*command)

    def by_jobs(self, *options: str) -> Ran:
        return self.run("--engine", "batch", *options)


@pytest.fixture
def lines(tmp_path: Path, operator: Operator) -> Lines:
    return Lines(tmp_path / "findings.jsonl", operator)


def test_a_job_of_each_source_copies_what_a_verification_found(
    stack: LocalStack, operator: Operator, lines: Lines
) -> None:
    keys = ("a b+%41", 'caf\u00e9,"q"', "k" * 1015)
    for source in (NAMED, OTHER):
        for key in (*keys, "in place", "not named"):
            stack.put(source, key, key.encode())
    copied = operator.run("backfill", NAMED, OTHER, "--json")
    assert copied.code == 0, copied
    for source in (NAMED, OTHER):
        for key in keys:
            stack.s3.delete_object(Bucket=stack.backup_bucket, Key=backup_key(source, key))
    verifier = Operator.with_statements(stack, "batch-verifier", looking(stack))
    options = ("verify", NAMED, OTHER, "--grace", "0", "--output", str(lines.file))
    assert verifier.run(*options).code == 1

    planned = lines.by_jobs("--dry-run")
    assert planned.code == 0, planned
    assert {line["key"] for line in planned.lines if "key" in line} == set(keys)
    done = lines.by_jobs()
    assert done.code == 0, done
    for source in (NAMED, OTHER):
        summary = done.summary[source]
        assert (summary["named"], summary["tasks"], summary["succeeded"]) == (3, 3, 3)
        assert summary["notForJobs"] == 0
    assert verifier.run(*options).code == 0

    # Nothing is found any more, and nothing to do is no job.
    assert (lines.by_jobs().code, lines.by_jobs().summary) == (0, {})


def test_the_same_lines_follow_the_job_whose_end_nobody_was_told(
    stack: LocalStack, lines: Lines
) -> None:
    stack.put(OTHER, "again")
    lines.write({"bucket": OTHER, "key": "again"})
    assert lines.by_jobs().code == 0
    job = record(stack, OTHER)["job"]
    # As if it had been killed before it told of the end.
    keep(stack, OTHER, told=False)
    assert lines.by_jobs().code == 0
    assert record(stack, OTHER)["job"] == job
    assert lines.by_jobs().code == 0
    assert record(stack, OTHER)["job"] != job


def test_a_job_copies_the_versions_that_lines_name(stack: LocalStack, lines: Lines) -> None:
    ids = [stack.put(HISTORY, "named", f"{n}".encode())["VersionId"] for n in range(3)]
    whole = {"bucket": HISTORY, "key": "named"}
    lines.write(whole, {**whole, "version_id": ids[0]})
    mixed = lines.by_jobs()
    assert (mixed.code, mixed.out) == (2, ""), mixed
    assert "some lines of batch-fill-history name a version_id and others do not" in mixed.err
    lines.write(*({**whole, "version_id": name} for name in ids[::2]))
    done = lines.by_jobs()
    assert (done.code, done.summary[HISTORY]["succeeded"]) == (0, 2), done
    assert stack.shown(f"{HISTORY}/named") == b"2"


def test_what_no_job_can_do_is_handed_on(stack: LocalStack, lines: Lines) -> None:
    stack.put(NAMED, "damaged", b"right")
    damaged = {"bucket": NAMED, "key": "damaged"}
    lines.write(damaged)
    assert lines.by_jobs().code == 0
    copy = {"Bucket": stack.backup_bucket, "Key": f"{NAMED}/damaged"}
    metadata = stack.s3.head_object(**copy)["Metadata"]
    stack.s3.put_object(**copy, Body=b"wrong", Metadata=metadata)
    deleted = {**damaged, "key": "gone", "deleted": "2026-01-02T03:04:05Z"}
    lines.write({**damaged, "finding": "different"}, {**deleted, "finding": "orphaned"})
    for options in (("--dry-run",), ()):
        left = lines.by_jobs(*options)
        assert left.code == 1, left
        [one, other] = [line for line in left.lines if "key" in line]
        assert (one["kind"], one["finding"]) == ("NotForJobs", "different")
        assert (other["kind"], other["deleted"]) == ("NotForJobs", "2026-01-02T03:04:05Z")
    assert left.summary[NAMED] == {
        "named": 2,
        "notForJobs": 2,
        "tasks": 0,
        "succeeded": 0,
        "failed": 0,
    }
    lines.write(one)
    assert lines.run().code == 0
    assert stack.shown(f"{NAMED}/damaged") == b"right"


def test_another_file_waits_for_the_job_under_way(stack: LocalStack, lines: Lines) -> None:
    stack.put(NAMED, "slow")
    slow, other = ({"bucket": NAMED, "key": key} for key in ("slow", "other"))
    lines.write(slow)
    assert lines.by_jobs().code == 0
    # As if it had been killed before it heard of the job, which is held up here.
    control, account = stack.ministack.client("s3control"), stack.ministack.account_id
    done = control.describe_job(AccountId=account, JobId=record(stack, NAMED)["job"])["Job"]
    asked = {name: done[name] for name in ("Operation", "Report", "Manifest", "Priority")}
    token = uuid.uuid4().hex
    job = control.create_job(
        AccountId=account,
        ClientRequestToken=token,
        Description=f"backupctl backfill {NAMED} {token}",
        RoleArn=done["RoleArn"],
        ConfirmationRequired=True,
        **asked,
    )["JobId"]
    keep(stack, NAMED, told=False, job=None, token=token)
    listed = lines.operator.run("backfill", NAMED, "--engine", "batch")
    lines.write(other)
    for refused in (listed, lines.by_jobs()):
        assert refused.code == 1, refused
        said = f"the job {job} of another backfill is under way for {NAMED}; run backfill --engine"
        assert f"{said} batch --from with the same lines to follow it" in refused.err
    blind = Lines(lines.file, without(stack, "s3:ListJobs")).by_jobs()
    assert (blind.code, "AccessDenied" in blind.err.splitlines()[-1]) == (1, True), blind
    # What is no work for a job waits for none.
    lines.write({**slow, "finding": "different"})
    assert lines.by_jobs().summary[NAMED]["notForJobs"] == 1
    lines.write(slow)
    assert "waits for somebody to confirm it" in lines.by_jobs().err
    control.update_job_status(AccountId=account, JobId=job, RequestedJobStatus="Cancelled")
    stack.put(NAMED, "other")
    lines.write(other)
    assert lines.by_jobs().code == 0


def test_a_job_that_was_refused_stands_in_nobodys_way(stack: LocalStack, lines: Lines) -> None:
    for key in ("refused", "else"):
        stack.put(OTHER, key)
    denied = Lines(lines.file, without(stack, "iam:PassRole"))
    lines.write({"bucket": OTHER, "key": "refused"})
    assert denied.by_jobs().code == 1
    lines.write({"bucket": OTHER, "key": "else"})
    done = lines.by_jobs()
    assert (done.code, done.summary[OTHER]["succeeded"]) == (0, 1), done

    lines.write({"bucket": OTHER, "key": "refused"})
    assert denied.by_jobs().code == 1
    done = lines.operator.run("backfill", OTHER, "--engine", "batch", "--json")
    assert done.code == 0, done
    assert stack.shown(f"{OTHER}/refused") == b"content"


def test_a_file_that_is_something_else_begins_no_job(stack: LocalStack, lines: Lines) -> None:
    before = stack.s3.list_objects_v2(Bucket=stack.backup_bucket, Prefix=".s3-backup/batch/")
    lines.write({"bucket": NAMED, "key": "slow"}, {"bucket": "elsewhere", "key": "a"})
    refused = lines.by_jobs()
    assert refused.code == 2
    assert "findings.jsonl, line 2: the bucket 'elsewhere' is none of" in refused.err
    after = stack.s3.list_objects_v2(Bucket=stack.backup_bucket, Prefix=".s3-backup/batch/")
    assert after.get("KeyCount") == before.get("KeyCount")
