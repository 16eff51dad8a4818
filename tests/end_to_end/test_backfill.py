"""`backupctl backfill` on a real stack, by a role that may do no more than that."""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
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

from .fault_proxy import Call, Fault, FaultProxy
from .local_stack import LocalStack
from .operator import Operator

PLAIN, VERSIONED, MANY, BROKEN = "fill-plain", "fill-versioned", "fill-many", "fill-broken"
DENIED = "fill-denied"
SOURCES = [PLAIN, VERSIONED, MANY, BROKEN, DENIED]


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    deployed = LocalStack.deploy(
        ministack,
        {
            "backupBucket": "fill-backups",
            "buckets": [*SOURCES[1:], {"name": PLAIN, "suffix": [".txt", ".png", "/"]}],
            "trackDeletes": True,
            "storageClass": "GLACIER_IR",
        },
    )
    for source in SOURCES:
        # As if the objects were older than the stack.
        deployed.s3.put_bucket_notification_configuration(
            Bucket=source, NotificationConfiguration={}
        )
    for source in (VERSIONED, DENIED):
        deployed.s3.put_bucket_versioning(
            Bucket=source, VersioningConfiguration={"Status": "Enabled"}
        )
    return deployed


def policy(stack: LocalStack) -> list[dict[str, Any]]:
    parameter = Stack.parameter(stack.name).removeprefix("/")
    ministack = stack.ministack
    arn = f"arn:aws:ssm:{ministack.region}:{ministack.account_id}:parameter/{parameter}"
    key = stack.deployment.find("aws:kms/key:Key", "backup-key").outputs["arn"]
    return [
        *permissions.backfill(stack.backup_bucket, SOURCES, [key], track_deletes=True),
        *permissions.description(arn),
    ]


@pytest.fixture(scope="module")
def operator(stack: LocalStack) -> Operator:
    return Operator.with_statements(stack, "operator", policy(stack))


def versions(stack: LocalStack, bucket: str, prefix: str = "") -> list[tuple[Any, ...]]:
    """Every version and delete marker of a bucket."""
    pages = stack.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return sorted(
        (entry["Key"], entry["VersionId"], entry["LastModified"], entry.get("ETag", "marker"))
        for page in pages
        for kind in ("Versions", "DeleteMarkers")
        for entry in page.get(kind, [])
    )


def everything(stack: LocalStack) -> Mapping[str, Any]:
    """What a command could have changed."""
    return {
        "objects": {bucket: versions(stack, bucket) for bucket in (*SOURCES, stack.backup_bucket)},
        "uploads": stack.s3.list_multipart_uploads(Bucket=stack.backup_bucket).get("Uploads"),
        "queue": stack.ministack.client("sqs").get_queue_attributes(
            QueueUrl=stack.deployment.outputs["failureQueueUrl"], AttributeNames=["All"]
        )["Attributes"],
        "parameters": stack.ministack.client("ssm").describe_parameters()["Parameters"],
    }


def test_what_is_older_than_the_stack_is_copied_once(stack: LocalStack, operator: Operator) -> None:
    awkward = samples.awkward()
    wanted = [sample.key for sample in awkward if sample.key.endswith((".txt", ".png", "/"))]
    for sample in awkward:
        put(stack.s3, PLAIN, sample)
    long = "l" * 1000 + ".txt"
    stack.put(PLAIN, long, b"long", Metadata={"colour": "red"}, tags={"a": "b"})
    stack.put(PLAIN, "no", b"not backed up")
    wanted.append(long)
    before = everything(stack)

    planned = operator.run("backfill", PLAIN, "--dry-run")
    assert planned.code == 0
    assert sorted(line["key"] for line in planned.lines) == sorted(wanted)
    assert {line["reason"] for line in planned.lines} == {"missing"}
    assert everything(stack) == before

    first = operator.run("backfill", PLAIN, "--json")
    assert first.code == 0, first
    assert first.summary[PLAIN]["copied"] == len(wanted)
    assert first.summary[PLAIN]["failed"] == 0
    assert first.summary[PLAIN]["excluded"] == len(awkward) + 2 - len(wanted)
    for key in wanted:
        copy = (stack.backup_bucket, backup_key(PLAIN, key))
        assert differences(stack.s3, (PLAIN, key), copy) == []
    listed = stack.s3.list_objects_v2(Bucket=stack.backup_bucket, Prefix=f"{PLAIN}/")["Contents"]
    assert {entry["StorageClass"] for entry in listed} == {"GLACIER_IR"}

    after = everything(stack)
    second = operator.run("backfill", PLAIN, "--json")
    assert second.code == 0
    assert second.summary[PLAIN]["inPlace"] == len(wanted)
    assert everything(stack) == after


def test_all_versions_are_copied_in_order_and_deletions_recorded(
    stack: LocalStack, operator: Operator
) -> None:
    bodies = [f"version {number}".encode() for number in range(5)]
    for body in bodies:
        stack.put(VERSIONED, "a", body)
    stack.put(VERSIONED, "gone", b"gone")
    stack.s3.delete_object(Bucket=VERSIONED, Key="gone")
    done = operator.run("backfill", VERSIONED, "--all-versions", "--json")
    assert done.code == 0, done
    assert done.summary[VERSIONED]["failed"] == 0
    copies = [*stack.backup_versions(f"{VERSIONED}/a")]
    late = versions(stack, stack.backup_bucket, f".s3-backup/late/{VERSIONED}/")
    assert len(copies) + len(late) == len(bodies)
    current = stack.s3.get_object(Bucket=stack.backup_bucket, Key=f"{VERSIONED}/a")
    assert current["Body"].read() == bodies[-1]
    shown = stack.s3.list_objects_v2(Bucket=stack.backup_bucket, Prefix=f"{VERSIONED}/gone")
    assert shown["KeyCount"] == 0
    before = versions(stack, stack.backup_bucket)
    again = operator.run("backfill", VERSIONED, "--all-versions", "--json")
    assert again.summary[VERSIONED]["copied"] == 0
    assert versions(stack, stack.backup_bucket) == before


def test_killed_at_any_moment_it_goes_on_and_copies_nothing_twice(
    stack: LocalStack, operator: Operator, tmp_path: Path
) -> None:
    keys = [f"{number % 7}/{number:04}" for number in range(250)]
    for key in keys:
        stack.put(MANY, key, key.encode())
    checkpoint = tmp_path / "state.json"
    command = ["--stack", stack.name, "backfill", MANY, "--checkpoint", str(checkpoint)]
    command += ["--concurrency", "8", "--processes", "2"]
    chance = random.Random(4)

    def copies() -> Counter[str]:
        return Counter(key for key, *_ in versions(stack, stack.backup_bucket, f"{MANY}/"))

    for share in (0.1, 0.3, 0.6):
        with operator.start(*command) as process:
            wait_for(lambda: len(copies()) >= share * len(keys), f"{share:.0%} of the copies")  # noqa: B023
            time.sleep(chance.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    assert 0 < len(copies()) < len(keys)
    with operator.start(*command) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    # Once it is through, there is nothing to go on with.
    assert not checkpoint.exists()
    assert copies() == {f"{MANY}/{key}": 1 for key in keys}


def test_ctrl_c_ends_it_with_one_line_and_leaves_a_checkpoint(
    stack: LocalStack, operator: Operator, tmp_path: Path
) -> None:
    keys = [f"{number:04}" for number in range(120)]
    for key in keys:
        stack.put(BROKEN, key, b"x")
    checkpoint = tmp_path / "state.json"
    command = ["--stack", stack.name, "backfill", BROKEN, "--checkpoint", str(checkpoint)]

    def copies() -> int:
        return len(versions(stack, stack.backup_bucket, f"{BROKEN}/0"))

    with operator.start(*command, "--concurrency", "4") as process:
        wait_for(lambda: copies() >= 15, "some copies")
        # The terminal sends it to everybody of the foreground.
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    *_, last = err.splitlines()
    assert last == "backupctl: interrupted"
    assert "Traceback" not in err
    assert out == ""
    assert json.loads(checkpoint.read_text())["done"][BROKEN] >= "0001"
    assert operator.run("backfill", BROKEN, "--checkpoint", str(checkpoint)).code == 0
    assert copies() == len(keys)


def test_faults_on_the_line_are_survived(stack: LocalStack, operator: Operator) -> None:
    # So many that each kind comes, whoever asks first.
    keys = [f"f{number:03}" for number in range(300)]
    for key in keys:
        stack.put(BROKEN, key, key.encode())
    kinds = (
        Fault.SLOW_DOWN,
        Fault.INTERNAL_ERROR,
        Fault.RESET,
        Fault.LOST_ANSWER,
        Fault.FAILED_ANSWER,
        Fault.TRUNCATED,
        Fault.ERROR_IN_200,
    )
    chance = random.Random(7)

    def fault(call: Call) -> Fault | None:
        ours = call.bucket in {BROKEN, stack.backup_bucket}
        return chance.choice(kinds) if ours and chance.random() < 0.15 else None

    with FaultProxy(stack.ministack, fault) as proxy:
        done = replace(operator, endpoint=proxy.endpoint).run("backfill", BROKEN, "--json")
        assert set(proxy.met) == set(kinds)
    assert done.code == 0, done
    assert done.summary[BROKEN]["failed"] == 0
    copies = [key for key, *_ in versions(stack, stack.backup_bucket, f"{BROKEN}/f")]
    assert copies == [f"{BROKEN}/{key}" for key in keys]


def test_what_stays_broken_is_told_by_line_and_can_be_tried_again(
    stack: LocalStack, operator: Operator, tmp_path: Path
) -> None:
    for key in ("g1 \u00e9", "g2"):
        stack.put(BROKEN, key, b"x")

    def fault(call: Call) -> Fault | None:
        return Fault.ARCHIVED if call.copies and "g1" in call.key else None

    with FaultProxy(stack.ministack, fault) as proxy:
        done = replace(operator, endpoint=proxy.endpoint).run("backfill", BROKEN)
    assert done.code == 1
    [failure] = done.lines
    assert (failure["key"], failure["kind"]) == ("g1 \u00e9", "InvalidObjectState")
    assert failure["cure"].startswith("the object is archived")
    assert "failed" in done.err
    file = tmp_path / "failures.jsonl"
    file.write_text(done.out)
    again = operator.run("backfill", "--from", str(file), "--json")
    assert (again.code, again.summary[BROKEN]["copied"]) == (0, 1)


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("ssm:GetParameter", "GetParameter: AccessDeniedException"),
        ("s3:GetBucketVersioning", "GetBucketVersioning: AccessDenied"),
        ("s3:ListBucket", "ListObjectsV2: AccessDenied"),
        ("s3:ListBucketVersions", "ListObjectVersions: AccessDenied"),
        ("s3:GetObject", "403"),
        ("s3:GetObjectVersion", "403"),
        ("s3:PutObject", "AccessDenied"),
        ("s3:DeleteObject", "AccessDenied"),
    ],
)
def test_each_permission_is_needed(stack: LocalStack, action: str, told: str) -> None:
    stack.put(DENIED, f"without {action}", action.encode())
    if action == "s3:DeleteObject":
        stack.s3.delete_object(Bucket=DENIED, Key=f"without {action}")
    statements = [
        {**statement, "Action": kept}
        for statement in policy(stack)
        if (kept := [one for one in statement["Action"] if one != action])
    ]
    name = f"without-{action.replace(':', '-')}"
    operator = Operator.with_statements(stack, name, statements)
    arguments = ["--all-versions"] if "Version" in action or "Delete" in action else []
    done = operator.run("backfill", DENIED, *arguments)
    assert done.code == 1, done
    assert told in done.err + done.out
    assert "these credentials may not do this" in done.err + done.out
