"""`backupctl restore` on the local AWS, as an operator who may do no more than it needs."""

import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backupctl import permissions
from sandbox.ministack import Credentials, MiniStack
from tests.recorder import ROOT

from .place import Place

LONG_KEY = "k" * 1015
KEYS = ("cat", "a//b", "../a", "/a", "a b+%41", "a\u2028\u00e9\U0001f600", LONG_KEY)


class History(Place):
    """A place with a moment to go back to, and damage done since."""

    def __init__(self, ministack: MiniStack) -> None:
        super().__init__(ministack)
        for key in KEYS:
            self.copy(self.put(key, key.encode(), ContentType="a/b", **_described("then")))
        self.copy(self.put("untouched"))
        self.then = self.moment()
        self.copy(self.put("cat", b"damaged", **_described("now")))
        # Its copy is late; the moment is the source's all the same.
        late = self.put("late", b"now")
        self.s3.delete_object(Bucket=self.source, Key="a//b")
        self.put("not copied", b"now")
        self.copy(late)

    def moment(self) -> datetime:
        """A second that lies between what was and what will be."""
        now = datetime.now(UTC)
        time.sleep(2.2 - now.microsecond / 1e6)
        return now + timedelta(seconds=1)

    def as_operator(self, destination: str, *, exact: bool = False) -> Credentials:
        return self.operator(permissions.restore(self.backup, destination, exact=exact))


def _described(when: str) -> dict[str, Any]:
    return {"Metadata": {"when": when}, "Tagging": f"when={when}"}


@pytest.fixture
def place(ministack: MiniStack) -> History:
    return History(ministack)


def at(place: History) -> str:
    return place.then.isoformat()


EXPECTED = {key: key.encode() for key in KEYS} | {"untouched": b"content"}


def test_elsewhere_comes_everything_as_it_was(place: History) -> None:
    attic = place.bucket("attic")
    operator = place.as_operator(attic)
    before = place.state()
    ran = place.run(
        "restore", place.source, "--to", f"{attic}/", "--at", at(place), credentials=operator
    )
    assert (ran.code, ran.err) == (0, "")
    assert f"wrote {len(EXPECTED)} objects" in ran.out
    assert place.contents(attic) == EXPECTED
    head = place.s3.head_object(Bucket=attic, Key="cat")
    assert (head["Metadata"], head["ContentType"]) == ({"when": "then"}, "a/b")
    tags = place.s3.get_object_tagging(Bucket=attic, Key="cat")["TagSet"]
    assert tags == [{"Key": "when", "Value": "then"}]
    after = place.state()
    del before[attic], after[attic]
    assert after == before
    # Again: there is nothing to do.
    again = place.run(
        "restore", place.source, "--to", attic, "--at", at(place), "--json", credentials=operator
    )
    assert again.summary["planned"] == {"keep": len(EXPECTED), "nothing": 1}
    assert again.lines == []


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(place: History) -> None:
    operator = place.as_operator(place.source)
    before = place.state()
    arguments = ("restore", place.source, "--at", at(place), "--dry-run")
    ran = place.run(*arguments, "--json", credentials=operator)
    assert ran.code == 0
    assert {line["key"]: line["action"] for line in ran.lines} == {
        "cat": "write",
        "a//b": "write",
        "late": "leave",
        "not copied": "leave",
    }
    (cat,) = (line for line in ran.lines if line["key"] == "cat")
    assert (cat["size"], cat["replaces"]["size"]) == (3, 7)
    assert datetime.fromisoformat(cat["modified"]) <= place.then
    ran = place.run(*arguments, credentials=operator)
    assert [line.split() for line in sorted(ran.out.splitlines())] == [
        ["leave", "late"],
        ["leave", "not", "copied"],
        ["write", "3", "cat"],
        ["write", "4", "a//b"],
    ]
    assert "to write 2 objects (7 bytes)" in ran.err
    exact = place.run(*arguments, "--exact", "--json", credentials=operator)
    # What the backup does not have is not deleted, and somebody must know.
    assert {line["key"]: line["action"] for line in exact.lines} == {
        "cat": "write",
        "a//b": "write",
        "late": "delete",
        "not copied": "stuck",
    }
    assert exact.code == 1
    assert place.state() == before


def test_in_place_it_asks_writes_what_differs_and_deletes_nothing(place: History) -> None:
    operator = place.as_operator(place.source)
    arguments = ("restore", place.source, "--at", at(place))
    before = place.state()
    refused = place.run(*arguments, credentials=operator)
    assert refused.code == 2
    assert "--yes" in refused.err
    declined = place.run(*arguments, credentials=operator, answers="n\n")
    assert declined.code == 0
    assert f"Write 2 and delete 0 objects in {place.source}?" in declined.err
    assert place.state() == before
    agreed = place.run(*arguments, credentials=operator, answers="y\n")
    assert (agreed.code, agreed.out.splitlines()[1]) == (0, "wrote 2 objects (7 bytes)")
    assert place.contents(place.source) == EXPECTED | {"late": b"now", "not copied": b"now"}
    head = place.s3.head_object(Bucket=place.source, Key="cat")
    assert head["Metadata"] == {"when": "then"}
    assert place.state()[place.backup] == before[place.backup]
    nothing = place.run(*arguments, credentials=operator, answers="")
    assert (nothing.code, nothing.out) == (0, "")
    assert "to write 0 objects" in nothing.err


def test_exact_deletes_what_did_not_exist(place: History) -> None:
    arguments = ("restore", place.source, "--at", at(place), "--exact", "--yes", "--json")
    ran = place.run(*arguments, credentials=place.as_operator(place.source, exact=True))
    assert place.contents(place.source) == EXPECTED | {"not copied": b"now"}
    assert ran.code == 1
    (problem,) = (line for line in ran.lines if "problem" in line)
    assert problem["key"] == "not copied"
    assert "backfill" in problem["problem"]
    # It is hidden, not gone.
    versions = place.s3.list_object_versions(Bucket=place.source, Prefix="late")
    assert len(versions["Versions"]) == 1


def test_without_versions_deleting_is_asked_for_by_itself(place: History) -> None:
    attic = place.bucket("attic", versioned=False)
    operator = place.as_operator(attic, exact=True)
    place.s3.put_object(Bucket=attic, Key="other", Body=b"not of this source")
    arguments = ("restore", place.source, "cat", "--to", attic, "--exact")
    refused = place.run(*arguments, "--yes", credentials=operator)
    assert refused.code == 2
    assert "--delete-for-good" in refused.err
    place.s3.put_object(Bucket=attic, Key="catalogue", Body=b"not of this source")
    declined = place.run(*arguments, "--yes", credentials=operator, answers="n\n")
    assert f"{attic} keeps no versions: delete 1 objects there for good?" in declined.err
    assert sorted(place.contents(attic)) == ["catalogue", "other"]
    place.run(*arguments, "--yes", "--delete-for-good", credentials=operator)
    # Beyond the prefix nothing is touched.
    assert place.contents(attic) == {"cat": b"damaged", "other": b"not of this source"}


def test_one_version_of_one_key(place: History) -> None:
    attic = place.bucket("attic")
    operator = place.as_operator(attic)
    versions = place.s3.list_object_versions(Bucket=place.source, Prefix="cat")["Versions"]
    (old,) = (version for version in versions if not version["IsLatest"])
    arguments = ("restore", place.source, "cat", "--to", attic, "--version")
    ran = place.run(*arguments, old["VersionId"], credentials=operator)
    assert ran.code == 0
    assert place.contents(attic) == {"cat": b"cat"}
    none = place.run(*arguments, "none", credentials=operator)
    assert none.code == 1
    assert "backupctl: cat: the backup has no version none" in none.err


def test_archived_copies_are_reported_and_the_others_restored(place: History) -> None:
    name = {"Bucket": place.backup, "Key": f"{place.source}/untouched"}
    place.s3.copy_object(**name, CopySource=name, StorageClass="GLACIER")
    attic = place.bucket("attic")
    ran = place.run("restore", place.source, "--to", attic, credentials=place.as_operator(attic))
    assert ran.code == 1
    assert "GLACIER" in ran.err
    assert "aws s3api restore-object" in ran.err
    assert "untouched" not in place.contents(attic)
    assert "cat" in place.contents(attic)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "/x"), "names no bucket"),
        (("--to", "BACKUP"), "is the backup bucket, which is only read"),
        (("--at", "yesterday"), "is no ISO 8601 time"),
        (("--at", "2999-01-01"), "is in the future"),
        (("--version", "1"), "name its key"),
        (("--concurrency", "0"), "0 is not in the range"),
    ],
)
def test_wrong_use_is_one_line_and_changes_nothing(
    ministack: MiniStack, arguments: tuple[str, ...], words: str
) -> None:
    place = Place(ministack)
    arguments = tuple(argument.replace("BACKUP", place.backup) for argument in arguments)
    ran = place.run("restore", place.source, *arguments)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1), ran
    assert words in ran.err


def test_a_bucket_that_is_not_there_is_one_line(ministack: MiniStack) -> None:
    place = Place(ministack)
    ran = place.run("restore", place.source, "--to", f"{place.name}-none")
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)
    assert "NoSuchBucket" in ran.err


NEEDED = [
    ("backup", "s3:ListBucketVersions"),
    ("backup", "s3:GetObjectVersion"),
    ("backup", "s3:GetObject"),
    ("there", "s3:GetBucketVersioning"),
    ("there", "s3:ListBucket"),
    ("there", "s3:PutObject"),
]


@pytest.mark.parametrize(("where", "action"), NEEDED)
def test_each_permission_is_needed(ministack: MiniStack, where: str, action: str) -> None:
    place = Place(ministack)
    attic = place.bucket("attic")
    place.copy(place.put(LONG_KEY))
    bucket = {"backup": place.backup, "there": attic}[where]
    arguments = ("restore", place.source, "--to", attic)
    statements = [
        {**statement, "Action": [name for name in statement["Action"] if name != action]}
        if any(bucket in resource for resource in statement["Resource"])
        else statement
        for statement in permissions.restore(place.backup, attic)
    ]
    statements = [statement for statement in statements if statement["Action"]]
    ran = place.run(*arguments, credentials=place.operator(statements))
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert "403" in ran.err or "AccessDenied" in ran.err
    assert place.contents(attic) == {}


def test_killed_at_any_moment_it_goes_on(ministack: MiniStack) -> None:
    place = Place(ministack)
    attic = place.bucket("attic")
    for number in range(40):
        place.copy(place.put(f"{number:02}", b"%d" % number))
    arguments = [
        *(sys.executable, "-m", "backupctl", "restore", place.source),
        *("--to", attic, "--concurrency", "2"),
    ]
    environment = place.environment(place.operator(permissions.restore(place.backup, attic)))
    chance = random.Random(7)
    killed = 0
    for _ in range(4):
        there = len(place.contents(attic))
        process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        goal = there + chance.randint(1, 8)
        while process.poll() is None and len(place.contents(attic)) < goal:
            time.sleep(0.01)
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed, "it was always faster"
    before = {key: _version(place, attic, key) for key in place.contents(attic)}
    ran = subprocess.run(arguments, cwd=ROOT, env=environment, check=False, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert place.contents(attic) == {f"{number:02}": b"%d" % number for number in range(40)}
    # What was there was not written again.
    assert {key: _version(place, attic, key) for key in before} == before


def _version(place: Place, bucket: str, key: str) -> str:
    version: str = place.s3.head_object(Bucket=bucket, Key=key)["VersionId"]
    return version
