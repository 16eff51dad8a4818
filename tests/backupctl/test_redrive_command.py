"""`backupctl redrive` on the local AWS, as an operator who may do no more than it needs."""

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote_plus

import pytest

from backupctl import failure_queue, permissions
from handler.records import ObjectVersion, Removal
from sandbox.ministack import Credentials, MiniStack
from sandbox.observation import wait_for
from tests.events import event
from tests.recorder import ROOT

from .place import Place, Ran

AWKWARD = ("cat", "line\nfeed \x1b[31m", "a//b", "a b+%41", "a\u2028\u00e9\U0001f600", "k" * 1015)


class Failed(Place):
    """A place with a failure queue."""

    def __init__(self, ministack: MiniStack) -> None:
        super().__init__(ministack)
        self.sqs = ministack.client("sqs")
        self.url: str = self.sqs.create_queue(QueueName=f"{self.name}-failures")["QueueUrl"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.queue_arn: str = answer["Attributes"]["QueueArn"]

    def statements(self, *, track_deletes: bool = False) -> list[dict[str, Any]]:
        return permissions.redrive(
            self.backup, [self.source], self.queue_arn, track_deletes=track_deletes
        )

    def send(self, body: Any) -> str:
        """A message; returns its id."""
        text = body if isinstance(body, str) else json.dumps(body)
        message_id: str = self.sqs.send_message(QueueUrl=self.url, MessageBody=text)["MessageId"]
        return message_id

    def fail(self, *versions: ObjectVersion | Removal, kind: str = "AccessDenied") -> str:
        """What the function says of versions that it could not copy."""
        return self.send(
            {
                **event("lambda_failure_record"),
                "requestPayload": {"Records": [_record(version) for version in versions]},
                "responsePayload": {"errorType": kind, "errorMessage": f"CopyObject: {kind}"},
            }
        )

    def bodies(self) -> list[str]:
        """What is in the queue and visible."""
        found: list[str] = []
        while True:
            messages = self.sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, VisibilityTimeout=5
            ).get("Messages", [])
            if not messages:
                break
            found += [message["Body"] for message in messages]
            for message in messages:
                self._seen[message["MessageId"]] = message["ReceiptHandle"]
        for handle in self._seen.values():
            self.sqs.change_message_visibility(
                QueueUrl=self.url, ReceiptHandle=handle, VisibilityTimeout=0
            )
        self._seen.clear()
        return found

    _seen: dict[str, str] = {}  # noqa: RUF012 - emptied by whoever filled it

    def redrive(self, *arguments: str, answers: str | None = None, **more: Any) -> Ran:
        operator = more.pop("operator", None) or self.operator(self.statements(**more))
        return self.run(
            "redrive", "--queue-url", self.url, *arguments, credentials=operator, answers=answers
        )

    def backed_up(self) -> dict[str, bytes]:
        prefix = f"{self.source}/"
        found = self.contents(self.backup)
        return {key.removeprefix(prefix): found[key] for key in found if key.startswith(prefix)}


def _record(version: ObjectVersion | Removal) -> dict[str, Any]:
    [record] = event("s3_put_versioned")["Records"]
    record["s3"]["bucket"]["name"] = version.bucket
    record["s3"]["object"] = {
        "key": quote_plus(version.key),
        "versionId": version.version_id,
        "sequencer": version.sequencer,
    }
    if isinstance(version, Removal):
        record["eventName"] = "ObjectRemoved:DeleteMarkerCreated"
    else:
        record["s3"]["object"] |= {"eTag": version.etag, "size": version.size}
    return record


@pytest.fixture
def place(ministack: MiniStack) -> Failed:
    return Failed(ministack)


def test_an_empty_queue_is_all_there_is_to_say(place: Failed) -> None:
    ran = place.redrive("--dry-run")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "there is nothing in the failure queue\n"


def test_a_dry_run_tells_reasons_and_changes_nothing(place: Failed) -> None:
    keys = AWKWARD
    for key in keys:
        place.fail(place.put(key))
    place.fail(place.put("busy"), kind="SlowDown")
    place.send({"Records": [_record(place.put("moved by SQS"))]})
    message_id = place.send("poisoned\t\u202e")
    before = place.state(), sorted(place.bodies())
    ran = place.redrive("--dry-run")
    assert ran.code == 1, ran
    lines = ran.out.splitlines()
    assert lines[0] == "AccessDenied: 6 messages, the oldest 0 days old"
    assert "what to do: the role may not do this" in lines[1]
    assert lines[2] == "    for example: CopyObject: AccessDenied"
    for reason in ("DamagedRecord", "NeverFinished", "SlowDown"):
        assert f"{reason}: 1 messages, the oldest 0 days old" in lines
    assert f"    message {message_id} has what nobody can read" in lines
    # No line is broken or coloured by what is in the queue.
    assert all(line.isprintable() for line in lines)
    as_json = place.redrive("--dry-run", "--json")
    groups = {line["group"]["reason"]: line["group"] for line in as_json.lines}
    assert groups["AccessDenied"]["messages"] == len(keys)
    assert {example["key"] for group in groups.values() for example in group["examples"]} <= {
        *keys,
        "busy",
        "moved by SQS",
    }
    assert groups["DamagedRecord"]["damaged"] == [message_id]
    # And all is visible at once.
    assert (place.state(), sorted(place.bodies())) == before


def test_what_is_in_the_backup_leaves_the_queue(place: Failed) -> None:
    for key in AWKWARD:
        place.fail(place.put(key, key.encode()))
    done = place.put("done before", b"x")
    place.copy(done)
    place.fail(done)
    gone = place.put("gone")
    place.s3.delete_object(Bucket=place.source, Key="gone", VersionId=gone.version_id)
    place.fail(gone)
    late = place.put("late", b"1")
    place.copy(place.put("late", b"2"))
    place.fail(late)
    ran = place.redrive("--yes", "--json")
    assert ran.code == 0, ran
    assert ran.summary == {
        "selected": len(AWKWARD) + 3,
        "redriven": len(AWKWARD) + 3,
        "left": 0,
        "records": {
            "copied": len(AWKWARD),
            "duplicate": 1,
            "gone": 1,
            "removed": 0,
            "superseded": 1,
        },
        "bytes": sum(len(key.encode()) for key in AWKWARD) + 1,
        "discarded": 0,
        "problems": 0,
    }
    shown = place.backed_up()
    short = {key: key.encode() for key in AWKWARD if len(key) < 1000}
    assert shown == short | {"done before": b"x", "late": b"2"}
    assert place.bodies() == []


def test_what_still_fails_stays_and_says_why(place: Failed) -> None:
    good, locked = place.put("good"), place.put("locked")
    place.fail(good)
    place.fail(place.put("beside"), locked)
    policy = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:GetObjectVersion"],
        "Resource": f"arn:aws:s3:::{place.source}/locked",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [policy]})
    place.s3.put_bucket_policy(Bucket=place.source, Policy=document)
    ran = place.redrive("--yes")
    assert ran.code == 1
    assert f"{place.source}/locked: HeadObject: 403" in ran.out
    assert "the role may not do this" in ran.out
    assert "redrove 1 of 2 messages (14 bytes; records: 2 copied); 1 stay in the queue" in ran.out
    [left] = place.bodies()
    assert "locked" in left
    place.s3.delete_bucket_policy(Bucket=place.source)
    again = place.redrive("--yes", "--json")
    assert (again.code, again.summary["records"]["copied"]) == (0, 1)
    assert again.summary["records"]["duplicate"] == 1
    assert place.bodies() == []


def test_only_what_was_asked_for_is_touched(place: Failed) -> None:
    place.fail(place.put("a"), kind="SlowDown")
    place.fail(place.put("b"))
    ran = place.redrive("--reason", "SlowDown", "--yes")
    assert (ran.code, set(place.backed_up())) == (0, {"a"})
    assert ran.err == "1 other messages are there\n"
    ran = place.redrive("--bucket", "another", "--yes")
    assert ran.code == 0
    assert ran.err == "there is nothing of what was asked for in the failure queue\n"
    assert len(place.bodies()) == 1
    ran = place.redrive("--bucket", place.source, "--yes")
    assert (ran.code, set(place.backed_up())) == (0, {"a", "b"})


def test_a_person_is_asked(place: Failed) -> None:
    place.fail(place.put("a"))
    ran = place.redrive(answers="n\n")
    assert (ran.code, place.backed_up()) == (1, {})
    assert "Redrive 1 messages with 1 records? [y/N]" in ran.err
    assert len(place.bodies()) == 1
    nobody = place.redrive()
    assert (nobody.code, nobody.out) == (2, "")
    assert "nobody can be asked here" in nobody.err
    ran = place.redrive(answers="y\n")
    assert (ran.code, set(place.backed_up())) == (0, {"a"})


def test_what_nobody_can_read_stays_until_it_is_named(place: Failed) -> None:
    record = _record(place.put("readable"))
    poisoned = {"Records": [record, {"eventSource": "aws:s3", "name": "\U0001f600"}]}
    message_id, other_id = place.send(poisoned), place.fail(place.put("other"))
    ran = place.redrive("--yes")
    assert ran.code == 1
    assert "unreadable record: KeyError" in ran.out
    assert "--discard it" in ran.out
    assert len(place.bodies()) == 1
    other = place.redrive("--discard", other_id, "--yes")
    assert (other.code, other.err.splitlines()) == (
        2,
        [
            "1 other messages are there"
            if False
            else "there is nothing of what was asked for in the failure queue",
            f"backupctl: --discard {other_id}: there is no such message in the queue",
        ],
    )
    assert place.redrive("--discard", message_id, answers="n\n").code == 1
    assert len(place.bodies()) == 1
    ran = place.redrive("--discard", message_id, answers="y\n")
    assert ran.code == 0
    assert set(place.backed_up()) == {"readable", "other"}
    [line] = [json.loads(line) for line in ran.out.splitlines() if line.startswith("{")]
    assert json.loads(line["discarded"]["body"]) == poisoned
    assert place.bodies() == []


def test_what_can_be_read_is_not_discarded(place: Failed) -> None:
    message_id = place.fail(place.put("a"))
    ran = place.redrive("--discard", message_id, "--yes")
    assert (ran.code, place.backed_up()) == (2, {})
    assert "that message can be read; redrive it without --discard" in ran.err
    both = place.redrive("--discard", message_id, "--reason", "SlowDown", "--yes")
    assert (both.code, "leave out --reason" in both.err) == (2, True)
    assert len(place.bodies()) == 1


def test_deletions_are_recorded_where_they_are_tracked(place: Failed) -> None:
    place.copy(place.put("cat"))
    marker = place.s3.delete_object(Bucket=place.source, Key="cat")["VersionId"]
    when = place.put("clock").event_time
    assert when is not None
    place.fail(Removal(place.source, "cat", marker, True, when, "0" * 18 + "F0"))
    untracked = place.redrive("--yes")
    assert (untracked.code, "deletions are not tracked" in untracked.out) == (1, True)
    ran = place.redrive("--yes", "--track-deletes", "--json", track_deletes=True)
    assert (ran.code, ran.summary["records"]["removed"]) == (0, 1)
    assert "cat" not in place.backed_up()


def test_a_poisoned_key_stops_no_other(place: Failed) -> None:
    bad = _record(place.put("x"))
    bad["s3"]["object"]["key"] = "\ud800"
    place.send({"Records": [bad]})
    place.fail(place.put("good"))
    ran = place.redrive("--yes")
    assert ran.code == 1
    assert f"{place.source}/\\ud800: " in ran.out
    assert len(place.bodies()) == 1
    assert set(place.backed_up()) == {"good"}


@contextmanager
def process(place: Failed, operator: Credentials, *arguments: str) -> Generator[Any]:
    command = [sys.executable, "-m", "backupctl", "redrive", "--queue-url", place.url, *arguments]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=place.environment(operator),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_ctrl_c_leaves_what_is_not_done_in_the_queue_and_visible(place: Failed) -> None:
    keys = [f"{number:03}" for number in range(150)]
    for key in keys:
        place.fail(place.put(key))
    operator = place.operator(place.statements())
    with process(place, operator, "--yes", "--concurrency", "2") as running:
        wait_for(lambda: len(place.backed_up()) >= 5, "some copies")
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert err.splitlines()[-1] == "backupctl: interrupted"
    assert "stay in the queue" in out
    copied = set(place.backed_up())
    assert 0 < len(copied) < len(keys)

    def left() -> set[str]:
        return {
            json.loads(body)["requestPayload"]["Records"][0]["s3"]["object"]["key"]
            for body in place.bodies()
        }

    # Each is in the one or the other; a few may be in both, but none in neither.
    wait_for(lambda: copied | left() == set(keys), "all that is not copied")
    ran = place.redrive("--yes", operator=operator)
    assert (ran.code, set(place.backed_up())) == (0, set(keys))
    assert place.bodies() == []


@pytest.mark.parametrize(
    "action",
    [
        "sqs:ReceiveMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
        "sqs:DeleteMessage",
    ],
)
def test_each_permission_for_the_queue_is_needed(
    place: Failed, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_queue, "HIDDEN_SECONDS", 2)
    place.fail(place.put("a"))
    ran = place.redrive("--yes", operator=place.operator(_without(place.statements(), action)))
    assert ran.code == 1
    assert "these credentials may not do this" in ran.err.splitlines()[-1]
    wait_for(place.bodies, "what was hidden")


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"])
def test_each_permission_for_objects_is_needed(place: Failed, action: str) -> None:
    place.fail(place.put("a"))
    ran = place.redrive("--yes", operator=place.operator(_without(place.statements(), action)))
    assert ran.code == 1
    assert "the role may not do this" in ran.out
    assert len(place.bodies()) == 1


def test_there_must_be_a_queue(place: Failed) -> None:
    nowhere = place.run("redrive", "--dry-run")
    assert (nowhere.code, nowhere.out) == (2, "")
    assert nowhere.err == "backupctl: which failure queue? set --stack, or --queue-url\n"
    url = f"{place.url}-of-nobody"
    missing = place.run("redrive", "--dry-run", "--queue-url", url)
    assert (missing.code, len(missing.err.splitlines())) == (1, 1)
    assert "NonExistentQueue" in missing.err


def _without(statements: list[dict[str, Any]], action: str) -> list[dict[str, Any]]:
    return [
        {**statement, "Action": kept}
        for statement in statements
        if (kept := [one for one in statement["Action"] if one != action])
    ]
