"""`backupctl status` on a real stack, by operators who may do no more than that."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backupctl.stack import Stack
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for
from tests.backupctl.local import aws
from tests.backupctl.place import Ran, run

from .local_stack import LocalStack

# Another test tells CloudWatch of late events.
NEVER_LATE = ("--late", "0")
PHOTOS, DOCUMENTS = "watched-photos", "watched-documents"


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    return LocalStack.deploy(
        ministack,
        {
            "backupBucket": "watched-backups",
            "buckets": [PHOTOS, {"name": DOCUMENTS, "prefix": ["in/", "out/"]}],
        },
    )


@pytest.fixture(scope="module")
def described(stack: LocalStack) -> Stack:
    return Stack.read(aws(stack.ministack), stack.name)


def as_somebody(
    stack: LocalStack, name: str, statements: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """The environment of an operator."""
    role = stack.role_of_ours(name, {"operator": list(map(dict, statements))})
    credentials = stack.assume(role)
    return stack.ministack.environment() | {
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_SESSION_TOKEN": credentials.session_token or "",
    }


def statements_for(stack: LocalStack, command: str) -> list[dict[str, Any]]:
    """What `backupctl policy` says that a command takes."""
    ran = run(stack.ministack.environment(), "--stack", stack.name, "policy", command)
    assert ran.code == 0, ran
    return json.loads(ran.out)["Statement"]


@pytest.fixture(scope="module")
def watcher(stack: LocalStack) -> dict[str, str]:
    return as_somebody(stack, "watcher", statements_for(stack, "status"))


def status(stack: LocalStack, environment: Mapping[str, str], *arguments: str) -> Ran:
    return run(environment, "--stack", stack.name, "status", *arguments)


def problems(ran: Ran) -> dict[str, list[str]]:
    [seen] = ran.lines
    found: dict[str, list[str]] = {}
    for finding in seen["findings"]:
        assert finding["cure"]
        found.setdefault(finding["about"], []).append(finding["problem"])
    return found


def test_what_needs_a_person_is_said_until_it_is_done(
    ministack: MiniStack,
) -> None:
    # Of its own: what other tests do to theirs is seen as well.
    photos, documents = "seen-photos", "seen-documents"
    stack = LocalStack.deploy(
        ministack,
        {
            "backupBucket": "seen-backups",
            "buckets": [photos, {"name": documents, "prefix": ["in/", "out/"]}],
        },
    )
    watcher = as_somebody(stack, "seer", statements_for(stack, "status"))
    stack.put(photos, "cat \u00e9", b"1234")
    stack.put(documents, "in/a", b"12")
    stack.put(documents, "elsewhere", b"not backed up")
    wait_for(lambda: stack.backup_versions(f"{documents}/in/a"), "a backup")
    wait_for(lambda: stack.backup_versions(f"{photos}/cat \u00e9"), "the other")
    nothing_done = ["there was no verification yet", "there was no drill yet"]
    ran = status(stack, watcher, "--json", "--count", *NEVER_LATE)
    assert ran.code == 1, ran
    assert problems(ran) == {photos: nothing_done, documents: nothing_done}
    [seen] = ran.lines
    by_name = {source["name"]: source for source in seen["sources"]}
    for name, size in ((photos, 4), (documents, 2)):
        one = by_name[name]
        assert one["notification"] == {"inPlace": True, "missing": [], "foreign": []}
        assert (one["source"]["objects"], one["source"]["bytes"]) == (1, size)
        assert (one["backup"]["objects"], one["backup"]["bytes"]) == (1, size)
        age = datetime.now(UTC) - datetime.fromisoformat(one["newestBackup"])
        assert age < timedelta(minutes=10)

    root = stack.ministack.environment()
    verified = run(root, "--stack", stack.name, "verify", "--grace", "0", "--json")
    assert verified.code == 0, verified
    ran = status(stack, watcher, "--json", "--drilled-within", "0", *NEVER_LATE)
    assert (ran.code, problems(ran)) == (0, {})
    assert all(source["lastVerification"]["faults"] == 0 for source in ran.lines[0]["sources"])
    ran = status(stack, watcher, "--drilled-within", "0", *NEVER_LATE, photos)
    assert ran.code == 0
    assert ran.out.startswith(
        f"{photos}\n    notification: in place\n    source: not measured yet\n"
    )
    assert "    last verification: 0 min ago, 0 faults\n    last drill: never\n" in ran.out
    assert documents not in ran.out

    with stack.without("s3:GetObject"):
        stack.put(photos, "denied")
        wait_for(lambda: stack.failures("denied"), "the failure")
    ran = status(stack, watcher, "--json", "--drilled-within", "0", *NEVER_LATE)
    assert ran.code == 1
    [[name, [problem]]] = problems(ran).items()
    assert name == stack.deployment.outputs["failureQueueUrl"].rpartition("/")[2]
    assert problem == "1 failures wait; after 14 days they are gone"
    assert ran.lines[0]["failures"] == {"name": name, "events": 1, "oldestSeconds": None}


def test_without_queues_the_doctor_finds_nothing_either(stack: LocalStack) -> None:
    ran = run(stack.ministack.environment(), "--stack", stack.name, "doctor", PHOTOS)
    assert ran.code == 0, ran
    assert "queues: ok" in ran.out


def test_what_cloudwatch_was_told_is_shown(
    stack: LocalStack, described: Stack, watcher: dict[str, str]
) -> None:
    now = datetime.now(UTC)
    function = described.functions[0].name

    def tell(namespace: str, name: str, value: float, hours: float, **dimensions: str) -> None:
        stack.ministack.client("cloudwatch").put_metric_data(
            Namespace=namespace,
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": key, "Value": dimensions[key]} for key in dimensions],
                    "Timestamp": now - timedelta(hours=hours),
                    "Value": value,
                }
            ],
        )

    for hours, more in ((50, 100), (26, 0)):
        for kind, size in (("StandardStorage", 5), ("GlacierStorage", 7)):
            bucket = {"BucketName": PHOTOS, "StorageType": kind}
            tell("AWS/S3", "BucketSizeBytes", size + more, hours, **bucket)
        every = {"BucketName": PHOTOS, "StorageType": "AllStorageTypes"}
        tell("AWS/S3", "NumberOfObjects", 3 + more, hours, **every)
    by_bucket = {"FunctionName": function, "SourceBucket": PHOTOS}
    for hours in (30, 3):
        tell("S3Backup", "BackedUp", 1, hours, **by_bucket)
    tell("AWS/Lambda", "AsyncEventAge", 1_200_000, 0.1, FunctionName=function)
    ran = status(stack, watcher, "--json", PHOTOS)
    [seen] = ran.lines
    [source] = seen["sources"]
    assert (source["source"]["objects"], source["source"]["bytes"]) == (3, 12)
    newest = now - datetime.fromisoformat(source["newestBackup"])
    assert timedelta(hours=2.9) < newest < timedelta(hours=3.2)
    assert seen["events"] == [{"name": function, "events": None, "oldestSeconds": 1200}]
    assert problems(ran)[function] == ["events wait for 20 min"]
    assert function not in problems(status(stack, watcher, "--json", "--late", "0", PHOTOS))


def test_a_notification_that_is_gone_is_missed(stack: LocalStack, watcher: dict[str, str]) -> None:
    s3 = stack.s3
    before = s3.get_bucket_notification_configuration(Bucket=DOCUMENTS)
    del before["ResponseMetadata"]
    kept, *_ = before["LambdaFunctionConfigurations"]
    changed = {"LambdaFunctionConfigurations": [kept]}
    try:
        s3.put_bucket_notification_configuration(
            Bucket=DOCUMENTS, NotificationConfiguration=changed
        )
        ran = status(stack, watcher, "--json", DOCUMENTS)
    finally:
        s3.put_bucket_notification_configuration(Bucket=DOCUMENTS, NotificationConfiguration=before)
    assert ran.code == 1
    assert any("is not announced to the stack" in one for one in problems(ran)[DOCUMENTS])
    assert len(ran.lines[0]["sources"][0]["notification"]["missing"]) == 1


@pytest.mark.parametrize(
    "action",
    [
        "cloudwatch:ListMetrics",
        "s3:GetBucketNotification",
        "s3:GetObject",
        "s3:ListBucket",
        "sqs:GetQueueAttributes",
        "ssm:GetParameter",
    ],
)
def test_each_permission_is_needed_and_missed_in_one_line(stack: LocalStack, action: str) -> None:
    statements = without(statements_for(stack, "status"), action)
    environment = as_somebody(stack, f"w-{action.replace(':', '-')}", statements)
    ran = status(stack, environment, "--count")
    # Progress may be told before.
    said = [line for line in ran.err.splitlines() if line.startswith("backupctl: ")]
    assert (ran.code, ran.out, len(said)) == (1, "", 1), ran
    assert "these credentials may not do this" in said[0]


def without(statements: Sequence[dict[str, Any]], action: str) -> list[dict[str, Any]]:
    return [
        {**statement, "Action": kept}
        for statement in statements
        if (kept := [one for one in statement["Action"] if one != action])
    ]
