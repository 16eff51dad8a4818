"""Deletions in the sources of a stack, with IAM enforced: shown, recorded, nothing destroyed."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from handler.failures import Failed
from handler.records import Backup, ObjectVersion, Outcome, Removal
from sandbox.aliases import Client
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for

from .local_stack import LocalStack

VERSIONED, PLAIN = "gone-versioned", "gone-plain"


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    deployed = LocalStack.deploy(
        ministack,
        {
            "backupBucket": "gone-backups",
            # What is not under live/ is left to the tests themselves.
            "buckets": [{"name": name, "prefix": "live/"} for name in (VERSIONED, PLAIN)],
            "trackDeletes": True,
        },
    )
    deployed.s3.put_bucket_versioning(
        Bucket=VERSIONED, VersioningConfiguration={"Status": "Enabled"}
    )
    return deployed


@pytest.fixture(scope="module")
def function(stack: LocalStack) -> Client:
    """S3 with the function's permissions."""
    return stack.as_the_function()


def record(stack: LocalStack, bucket: str, key: str) -> dict[str, Any]:
    """What is recorded of a key's deletions."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    place = f".s3-backup/deleted/{bucket}/{digest}"
    answer = stack.s3.get_object(Bucket=stack.backup_bucket, Key=place)
    return json.loads(answer["Body"].read())


def recorded(stack: LocalStack, key: str, number: int) -> list[str]:
    """The outcomes of a key's events, once there are so many."""
    wait_for(lambda: len(stack.outcomes(key)) >= number, f"{number} outcomes of {key!r}")
    return [line["outcome"] for line in stack.outcomes(key)]


def bodies(stack: LocalStack, key: str) -> list[bytes]:
    """The content of all versions in the backup, the newest first."""
    return [
        stack.s3.get_object(Bucket=stack.backup_bucket, Key=key, VersionId=version["VersionId"])[
            "Body"
        ].read()
        for version in stack.backup_versions(key)
    ]


@pytest.mark.parametrize("bucket", [VERSIONED, PLAIN])
def test_a_deletion_is_shown_and_recorded_and_the_version_stays(
    stack: LocalStack, bucket: str
) -> None:
    key = f"live/deleted in {bucket}"
    copy = f"{bucket}/{key}"
    stack.put(bucket, key, b"first")
    wait_for(lambda: stack.shown(copy) == b"first", "the copy")
    before = datetime.now(UTC)
    put = stack.s3.delete_object(Bucket=bucket, Key=key)
    wait_for(lambda: stack.shown(copy) is None, "the delete marker")
    assert recorded(stack, key, 2) == ["copied", "removed"]
    assert bodies(stack, copy) == [b"first"]
    found = record(stack, bucket, key)
    assert found["key"] == key
    [deletion] = found["deletions"]
    assert deletion["version"] == put.get("VersionId")
    assert deletion["marker"] is (bucket == VERSIONED)
    assert int(deletion["sequencer"], 16) > 0
    time = datetime.fromisoformat(deletion["time"])
    assert abs((time - before).total_seconds()) < 60

    stack.put(bucket, key, b"second")
    wait_for(lambda: stack.shown(copy) == b"second", "the next copy")
    assert bodies(stack, copy) == [b"second", b"first"]
    assert recorded(stack, key, 3) == ["copied", "removed", "copied"]


def test_an_undeletion_is_shown(stack: LocalStack) -> None:
    key = "live/undeleted"
    copy = f"{VERSIONED}/{key}"
    stack.put(VERSIONED, key, b"content")
    wait_for(lambda: stack.shown(copy) == b"content", "the copy")
    marker = stack.s3.delete_object(Bucket=VERSIONED, Key=key)["VersionId"]
    wait_for(lambda: stack.shown(copy) is None, "the delete marker")
    stack.s3.delete_object(Bucket=VERSIONED, Key=key, VersionId=marker)
    wait_for(lambda: stack.shown(copy) == b"content", "the version that is back")
    assert [
        (entry["version"], entry["marker"]) for entry in record(stack, VERSIONED, key)["deletions"]
    ] == [
        (marker, True),
        (marker, False),
    ]


def test_the_notification_asks_for_deletions_too(stack: LocalStack) -> None:
    configuration = stack.s3.get_bucket_notification_configuration(Bucket=PLAIN)
    [entry] = configuration["LambdaFunctionConfigurations"]
    assert sorted(entry["Events"]) == [
        "s3:LifecycleExpiration:*",
        "s3:ObjectCreated:*",
        "s3:ObjectRemoved:*",
    ]


class Written:
    """One key of the versioned source, whose events are delivered by hand."""

    def __init__(self, stack: LocalStack, key: str) -> None:
        self.stack = stack
        self.key = key
        self.copy = f"{VERSIONED}/{key}"
        self._count = 0

    def write(self, body: bytes) -> ObjectVersion:
        """Write, and make the event."""
        made = self.stack.put(VERSIONED, self.key, body)
        etag = made["ETag"].strip('"')
        return ObjectVersion(
            VERSIONED, self.key, made["VersionId"], etag, sequencer=self._sequencer()
        )

    def delete(self, version_id: str | None = None) -> Removal:
        """Delete, and make the event."""
        more = {"VersionId": version_id} if version_id else {}
        answer = self.stack.s3.delete_object(Bucket=VERSIONED, Key=self.key, **more)
        return Removal(
            VERSIONED,
            self.key,
            answer["VersionId"],
            version_id is None,
            datetime.now(UTC),
            self._sequencer(),
        )

    def _sequencer(self) -> str:
        self._count += 1
        return f"{self._count:04X}"


def test_events_in_any_order_end_in_what_the_source_shows(
    stack: LocalStack, function: Client
) -> None:
    written = Written(stack, "reordered")
    first, deletion, second = written.write(b"1"), written.delete(), written.write(b"2")
    assert stack.handle(second, function) == Backup(Outcome.COPIED, 1)
    assert stack.handle(deletion, function) == Backup(Outcome.SUPERSEDED)
    assert stack.handle(first, function) == Backup(Outcome.SUPERSEDED, 1)
    assert stack.shown(written.copy) == b"2"
    assert bodies(stack, written.copy) == [b"2"]
    again = written.delete()
    third = written.write(b"3")
    undone = written.delete(third.version_id)
    for event, outcome in (
        (undone, Outcome.REMOVED),
        (again, Outcome.REMOVED),
        (third, Outcome.GONE),
        (again, Outcome.DUPLICATE),
        (second, Outcome.DUPLICATE),
        (deletion, Outcome.DUPLICATE),
    ):
        assert stack.handle(event, function).outcome is outcome, event
    assert stack.shown(written.copy) is None
    assert bodies(stack, written.copy) == [b"2"]
    sequencers = [
        entry["sequencer"] for entry in record(stack, VERSIONED, "reordered")["deletions"]
    ]
    assert sequencers == [deletion.sequencer, again.sequencer, undone.sequencer]


def test_the_function_can_hide_a_backup_but_not_remove_a_version(
    stack: LocalStack, function: Client
) -> None:
    written = Written(stack, "kept")
    stack.handle(written.write(b"kept"), function)
    [version] = stack.backup_versions(written.copy)
    here = {"Bucket": stack.backup_bucket, "Key": written.copy}
    for more in ({}, {"BypassGovernanceRetention": True}):
        with pytest.raises(ClientError, match="AccessDenied"):
            function.delete_object(**here, VersionId=version["VersionId"], **more)
    marker = function.delete_object(**here)["VersionId"]
    # Nor can it undo what it did.
    with pytest.raises(ClientError, match="AccessDenied"):
        function.delete_object(**here, VersionId=marker)
    assert bodies(stack, written.copy) == [b"kept"]
    with pytest.raises(ClientError, match="AccessDenied"):
        function.delete_object(Bucket=VERSIONED, Key="kept")


def test_no_policy_of_the_role_speaks_of_removing_versions(stack: LocalStack) -> None:
    granted = {
        action
        for policy in stack.policies().values()
        for statement in policy["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    assert {action for action in granted if "Delete" in action or "*" in action} == {
        "s3:DeleteObject"
    }


def test_without_the_permission_a_deletion_fails_with_what_to_do(stack: LocalStack) -> None:
    written = Written(stack, "denied")
    restricted = stack.as_the_function(without="s3:DeleteObject")
    stack.handle(written.write(b"content"), restricted)
    with pytest.raises(Failed, match="role may not") as failed:
        stack.handle(written.delete(), restricted)
    assert (failed.value.kind, failed.value.retryable) == ("AccessDenied", False)
    assert stack.shown(written.copy) == b"content"


def test_a_deletion_that_cannot_be_recorded_hides_nothing(stack: LocalStack) -> None:
    written = Written(stack, "unrecorded")
    stack.handle(written.write(b"content"), stack.as_the_function())
    with pytest.raises(Failed, match="role may not"):
        stack.handle(written.delete(), stack.as_the_function(without="s3:PutObject"))
    assert stack.shown(written.copy) == b"content"
