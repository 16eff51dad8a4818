"""`backupctl drill` on a real stack, by whoever may do what `backupctl policy drill` prints.

What the local AWS does not enforce is listed here, shown to be unenforced, and compared word by
word in tests/backupctl/test_permissions.py instead.
"""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from backupctl import permissions
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for
from tests.backupctl.place import Ran, run

from .local_stack import LocalStack
from .test_watching import as_somebody

SOURCE, PLAIN = "drilled-source", "drilled-plain"
# The second was deleted once, which is on record.
KEYS = ("cat", "again")
# By number of the statement, what it allows.
GRANTED = [
    (number, action)
    for number, statement in enumerate(
        [
            *permissions.drill("b", ["s"], "t", "", ["arn:aws:kms:eu-central-1:1:key/1"]),
            *permissions.announce("bus"),
            *permissions.description("parameter"),
        ]
    )
    for action in statement["Action"]
]
# MiniStack: a missing key is 404 with or without ListBucket, and tags are no permission of their
# own when an object is copied.
NOT_ENFORCED = {
    (0, "s3:ListBucket"),
    (1, "s3:GetObjectVersionTagging"),
    (5, "s3:PutObjectTagging"),
}
# For objects over 5 GiB.
NOT_USED = {(5, "s3:AbortMultipartUpload")}
# Where the scratch bucket keeps no versions, and only there.
UNVERSIONED = {(5, "s3:DeleteObject")}


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    deployed = LocalStack.deploy(
        ministack,
        {
            "backupBucket": "drilled-backups",
            "buckets": [SOURCE],
            "trackDeletes": True,
            "drill": {"days": 3, "sample": 50},
            "events": {"bus": "default"},
        },
    )
    location = {"LocationConstraint": ministack.region}
    deployed.s3.create_bucket(Bucket=PLAIN, CreateBucketConfiguration=location)
    back_up(deployed, "again")
    deployed.s3.delete_object(Bucket=SOURCE, Key="again")
    wait_for(lambda: deployed.shown(f"{SOURCE}/again") is None, "the deletion")
    for key in KEYS:
        back_up(deployed, key)
    return deployed


def back_up(stack: LocalStack, key: str) -> None:
    stack.put(SOURCE, key, tags={"a": "b"})
    wait_for(lambda: stack.shown(f"{SOURCE}/{key}"), f"the backup of {key}")


def statements(stack: LocalStack, *arguments: str) -> list[dict[str, Any]]:
    """What `backupctl policy` prints."""
    command = ("policy", "drill", *arguments)
    ran = run(stack.ministack.environment(), "--stack", stack.name, *command)
    assert ran.code == 0, ran
    printed = json.loads(ran.out)
    for statement in printed["Statement"]:
        # MiniStack does not know cloudwatch:namespace.
        if statement["Action"] == ["cloudwatch:PutMetricData"]:
            del statement["Condition"]
    return printed["Statement"]


def drill(stack: LocalStack, allowed: Sequence[dict[str, Any]], name: str, *arguments: str) -> Ran:
    environment = as_somebody(stack, name, allowed)
    options = ("--grace", "0", "--json", "--metric", "--event", *arguments)
    return run(environment, "--stack", stack.name, "drill", *options)


def leftovers(stack: LocalStack) -> list[Any]:
    return [
        (bucket, entry)
        for bucket in (stack.deployment.outputs["drillBucketName"], PLAIN)
        for kind in ("Versions", "DeleteMarkers")
        for entry in stack.s3.list_object_versions(Bucket=bucket).get(kind, [])
    ]


def without(allowed: Sequence[dict[str, Any]], number: int, action: str) -> list[dict[str, Any]]:
    statement = allowed[number]
    kept = [one for one in statement["Action"] if one != action]
    assert len(kept) == len(statement["Action"]) - 1
    changed = [{**statement, "Action": kept}] if kept else []
    return [*allowed[:number], *changed, *allowed[number + 1 :]]


def complaints(stack: LocalStack, number: int, action: str, *to: str) -> str:
    """What a drill without one permission says; empty if all is well."""
    allowed = without(statements(stack, *to), number, action)
    ran = drill(stack, allowed, f"drill-{number}-{action.replace(':', '-')}", *to)
    for bucket, entry in leftovers(stack):
        stack.s3.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])
    faults = [line["detail"] for line in ran.lines if line.get("verdict") not in {None, "same"}]
    assert (ran.code != 0) >= bool(faults)
    told = [line for line in ran.err.splitlines() if line.startswith("backupctl: ")]
    return " ".join([*faults, *told])


@pytest.mark.parametrize("to", [(), ("--to", f"{PLAIN}/d/")])
def test_with_this_policy_everything_works(stack: LocalStack, to: tuple[str, ...]) -> None:
    ran = drill(stack, statements(stack, *to), f"driller-{len(to)}", *to)
    assert (ran.code, ran.err) == (0, ""), ran
    assert {line["key"]: line["verdict"] for line in ran.lines} == dict.fromkeys(KEYS, "same")
    assert leftovers(stack) == []


def test_the_policy_has_these_statements(stack: LocalStack) -> None:
    printed = [
        (number, action)
        for number, statement in enumerate(statements(stack))
        for action in statement["Action"]
    ]
    assert printed == GRANTED
    assert set(GRANTED) >= NOT_ENFORCED | NOT_USED | UNVERSIONED


@pytest.mark.parametrize(
    ("number", "action"),
    [one for one in GRANTED if one not in NOT_ENFORCED | NOT_USED | UNVERSIONED],
)
def test_each_permission_is_needed(stack: LocalStack, number: int, action: str) -> None:
    said = complaints(stack, number, action)
    assert any(word in said for word in ("AccessDenied", "403", "may not do this")), said


@pytest.mark.parametrize(("number", "action"), sorted(UNVERSIONED))
def test_to_clean_up_where_no_versions_are_kept(
    stack: LocalStack, number: int, action: str
) -> None:
    assert complaints(stack, number, action) == ""
    assert "AccessDenied" in complaints(stack, number, action, "--to", PLAIN)


@pytest.mark.parametrize(("number", "action"), sorted(NOT_ENFORCED | NOT_USED))
def test_what_is_not_asked_for_here_is_known(stack: LocalStack, number: int, action: str) -> None:
    assert complaints(stack, number, action) == ""
