"""`backupctl redrive` on a real stack, with what its function and Lambda put into the queue."""

import json
from typing import Any

import pytest

from backupctl import permissions
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for
from tests.backupctl.place import Ran, run

from .local_stack import LocalStack

SOURCE = "redrive-source"


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    return LocalStack.deploy(
        ministack,
        {
            "backupBucket": "redrive-backups",
            "buckets": [SOURCE],
            "trackDeletes": True,
            "storageClass": "STANDARD_IA",
        },
    )


@pytest.fixture(scope="module")
def environment(stack: LocalStack) -> dict[str, str]:
    """That of an operator who may do what the policy for this command says."""
    key = stack.deployment.find("aws:kms/key:Key", "backup-key").outputs["arn"]
    queue = stack.deployment.find("aws:sqs/queue:Queue", "backup-failures").outputs["arn"]
    statements = permissions.redrive(
        stack.backup_bucket, [SOURCE], queue, [key], track_deletes=True
    )
    return stack.operator("redriver", statements)


def redrive(stack: LocalStack, environment: dict[str, str], *arguments: str) -> Ran:
    return run(environment, "--stack", stack.name, "redrive", "--json", *arguments)


def groups(ran: Ran) -> dict[str, dict[str, Any]]:
    found = [line["group"] for line in ran.lines if "group" in line]
    return {group["reason"]: group for group in found}


def test_what_failed_for_any_reason_is_backed_up_once_it_can_be(
    stack: LocalStack, environment: dict[str, str]
) -> None:
    lambda_ = stack.ministack.client("lambda")
    with stack.without("s3:GetObject"):
        stack.put(SOURCE, "denied \u00e9", b"1")
        wait_for(lambda: stack.failures("denied"), "the function's own record")
    lambda_.invoke(
        FunctionName=stack.deployment.outputs["functionName"],
        InvocationType="Event",
        Payload=json.dumps({"not": "an event"}),
    )
    wait_for(lambda: stack.failures("not S3") or stack.failures("an event"), "Lambda's record")

    def look() -> dict[str, dict[str, Any]]:
        ran = redrive(stack, environment, "--dry-run")
        assert ran.code == bool(ran.out), ran
        return groups(ran)

    # What others looked at becomes visible again.
    seen = wait_for(lambda: found if len(found := look()) == 2 else {}, "both")
    [denied] = seen.keys() - {"DamagedRecord"}
    assert denied in {"403", "AccessDenied"}
    assert seen[denied]["examples"] == [{"bucket": SOURCE, "key": "denied \u00e9"}]
    assert "the function's role may not do this" in seen[denied]["problem"]
    assert stack.shown(f"{SOURCE}/denied \u00e9") is None

    ran = redrive(stack, environment, "--yes")
    assert (ran.code, ran.summary["redriven"], ran.summary["left"]) == (1, 1, 1)
    assert stack.shown(f"{SOURCE}/denied \u00e9") == b"1"
    [copy] = stack.backup_versions(f"{SOURCE}/denied \u00e9")
    assert copy["StorageClass"] == "STANDARD_IA"
    kinds = {line["problem"]["kind"] for line in ran.lines if "problem" in line}
    assert kinds == {"DamagedRecord"}

    [message_id] = seen["DamagedRecord"]["damaged"]
    ran = redrive(stack, environment, "--discard", message_id, "--yes")
    assert (ran.code, ran.summary["discarded"]) == (0, 1)
    assert look() == {}


def test_a_deletion_that_failed_is_recorded(stack: LocalStack, environment: dict[str, str]) -> None:
    stack.put(SOURCE, "deleted", b"1")
    key = f"{SOURCE}/deleted"
    wait_for(lambda: stack.shown(key) == b"1", "the backup")
    with stack.without("s3:DeleteObject"):
        stack.s3.delete_object(Bucket=SOURCE, Key="deleted")
        wait_for(lambda: stack.failures("deleted"), "the failure")

    def try_it() -> Ran | None:
        ran = redrive(stack, environment, "--bucket", SOURCE, "--yes")
        return ran if "summary" in ran.out else None

    ran = wait_for(try_it, "the message, which others looked at")
    assert ran is not None
    assert (ran.code, ran.summary["records"]["removed"]) == (0, 1)
    assert stack.shown(key) is None
