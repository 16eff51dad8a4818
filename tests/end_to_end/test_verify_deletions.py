"""Deletions that no event told of, found and recorded by an operator with the printed policies."""

import hashlib
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.ministack import MiniStack
from sandbox.observation import wait_for
from tests.backupctl.place import run

from .local_stack import LocalStack
from .operator import Operator, Ran

VERSIONED, PLAIN = "unheard-versioned", "unheard-plain"
AWKWARD = "line\nfeed \u2028 \u00e9"
LONG = "k" * 1015
MARKED = ("marked", AWKWARD, LONG)
KEYS = {VERSIONED: (*MARKED, "for good", "heard", "kept"), PLAIN: ("plain", "heard", "kept")}
UNHEARD = {(VERSIONED, key) for key in (*MARKED, "for good")} | {(PLAIN, "plain")}


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    deployed = LocalStack.deploy(
        ministack,
        {
            "backupBucket": "unheard-backups",
            "buckets": [VERSIONED, PLAIN],
            "trackDeletes": True,
        },
    )
    s3 = deployed.s3
    s3.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration={"Status": "Enabled"})
    for bucket, keys in KEYS.items():
        versions = {key: deployed.put(bucket, key, key.encode()).get("VersionId") for key in keys}
        for key in keys:
            wait_for(lambda b=bucket, k=key: shown(deployed, b, k), f"the backup of {key!r}")
        s3.delete_object(Bucket=bucket, Key="heard")
        wait_for(lambda b=bucket: shown(deployed, b, "heard") is None, "a deletion")
        with deaf(deployed, bucket):
            for key in keys:
                if (bucket, key) in UNHEARD:
                    version = {"VersionId": versions[key]} if key == "for good" else {}
                    s3.delete_object(Bucket=bucket, Key=key, **version)
    return deployed


@contextmanager
def deaf(stack: LocalStack, bucket: str) -> Generator[None]:
    """Nobody is told of what happens to a bucket."""
    before = stack.s3.get_bucket_notification_configuration(Bucket=bucket)
    del before["ResponseMetadata"]
    stack.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    yield
    stack.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=before)


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def shown(stack: LocalStack, bucket: str, key: str) -> bytes | None:
    return stack.shown(
        f".s3-backup/long/{bucket}/{digest(key)}" if key == LONG else f"{bucket}/{key}"
    )


def statements(stack: LocalStack, *commands: str) -> list[dict[str, Any]]:
    """What `backupctl policy` prints."""
    found: list[dict[str, Any]] = []
    for command in commands:
        ran = run(stack.ministack.environment(), "--stack", stack.name, "policy", command)
        assert ran.code == 0, ran
        found += json.loads(ran.out)["Statement"]
    return found


def verify(stack: LocalStack, name: str, allowed: Sequence[dict[str, Any]], *options: str) -> Ran:
    operator = Operator.with_statements(stack, name, allowed)
    return operator.run("verify", "--json", *options)


def found(ran: Ran) -> dict[tuple[str, str], dict[str, Any]]:
    lines = [line for line in ran.lines if "summary" not in line and "remains" not in line]
    assert all((line["finding"], line["fault"]) == ("orphaned", True) for line in lines)
    return {(line["bucket"], line["key"]): line for line in lines}


def test_what_nobody_heard_of_is_found_recorded_and_stays_deleted(
    stack: LocalStack, tmp_path: Path
) -> None:
    looking = statements(stack, "verify")
    quiet = verify(stack, "quiet", looking)
    assert (quiet.code, found(quiet)) == (0, {}), "all of it is too recent"

    ran = verify(stack, "looking", looking, "--grace", "0")
    assert ran.code == 1, ran
    seen = found(ran)
    assert seen.keys() == UNHEARD
    for (bucket, key), line in seen.items():
        marked = bucket == VERSIONED and key != "for good"
        assert ("version_id" in line) == marked
        assert line["detail"].endswith(
            "--fix records it" if marked else "as of when it was found gone"
        )
        assert shown(stack, bucket, key) is not None, "nothing was changed"

    mended = verify(
        stack, "mending", statements(stack, "verify", "backfill"), "--grace", "0", "--fix"
    )
    assert mended.code == 0, mended
    assert {name: summary["fixed"] for name, summary in mended.summary.items()} == {
        VERSIONED: 4,
        PLAIN: 1,
    }
    for bucket, key in UNHEARD:
        assert shown(stack, bucket, key) is None
        record = f".s3-backup/deleted/{bucket}/{digest(key)}"
        body = stack.s3.get_object(Bucket=stack.backup_bucket, Key=record)["Body"].read()
        [deletion] = json.loads(body)["deletions"]
        line = seen[bucket, key]
        assert (deletion["marker"], deletion["version"]) == (True, line.get("version_id"))
    assert shown(stack, VERSIONED, "kept") == b"kept"
    clean = verify(stack, "clean", looking, "--grace", "0")
    assert (clean.code, found(clean)) == (0, {})

    location = {"LocationConstraint": stack.ministack.region}
    stack.s3.create_bucket(Bucket="unheard-attic", CreateBucketConfiguration=location)
    root = stack.ministack.environment()
    for bucket, keys in KEYS.items():
        arguments = ("--stack", stack.name, "restore", bucket, "--to", "unheard-attic")
        now = run(root, *arguments, "--dry-run", "--json")
        assert {line["key"] for line in now.lines} == {"kept"}
        before = run(root, *arguments, "--dry-run", "--json", "--include-deleted")
        assert {line["key"] for line in before.lines} == set(keys)

    # What comes back is there to stay, whatever is done with the old lines.
    back = {(VERSIONED, "marked"), (VERSIONED, AWKWARD), (VERSIONED, "for good"), (PLAIN, "plain")}
    stack.s3.delete_object(
        Bucket=VERSIONED, Key=AWKWARD, VersionId=seen[VERSIONED, AWKWARD]["version_id"]
    )
    for bucket, key in back - {(VERSIONED, AWKWARD)}:
        stack.put(bucket, key, b"again")
    for bucket, key in back:
        wait_for(lambda b=bucket, k=key: shown(stack, b, k), f"the backup of {key!r}")
    old = tmp_path / "findings.jsonl"
    old.write_text("".join(f"{json.dumps(line)}\n" for line in seen.values()))
    operator = Operator.with_statements(stack, "late", statements(stack, "backfill"))
    ran = operator.run("backfill", "--from", str(old), "--json")
    assert ran.code == 1, ran
    refused = [line for line in ran.lines if "summary" not in line]
    assert {(line["bucket"], line["key"]) for line in refused} == back
    assert {line["kind"] for line in refused} == {"Outdated"}
    assert [ran.summary[bucket]["failed"] for bucket in (VERSIONED, PLAIN)] == [3, 1]
    assert [ran.summary[bucket]["duplicate"] for bucket in (VERSIONED, PLAIN)] == [1, 0]
    for bucket in KEYS:
        there = {"kept", *(key for name, key in back if name == bucket)}
        now = run(
            root,
            "--stack",
            stack.name,
            "restore",
            bucket,
            "--to",
            "unheard-attic",
            "--dry-run",
            "--json",
        )
        assert {line["key"] for line in now.lines} == there
    clean = verify(stack, "clean again", looking, "--grace", "0")
    assert (clean.code, found(clean)) == (0, {})


def test_to_tell_when_something_was_deleted_is_a_permission(stack: LocalStack) -> None:
    with deaf(stack, VERSIONED):
        stack.s3.delete_object(Bucket=VERSIONED, Key="kept")
        allowed = statements(stack, "verify")
        fewer = [one for one in allowed if one["Action"] != ["s3:ListBucketVersions"]]
        assert len(fewer) == len(allowed) - 1
        ran = verify(stack, "fewer", fewer, "--grace", "0")
        assert (ran.code, ran.out) == (1, "")
        assert "ListObjectVersions" in ran.err
        assert "these credentials may not do this" in ran.err
        assert verify(stack, "enough", allowed, "--grace", "0").code == 1
    stack.put(VERSIONED, "kept", b"kept")
    wait_for(lambda: len(stack.backup_versions(f"{VERSIONED}/kept")) == 2, "the copy")
