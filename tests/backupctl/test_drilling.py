"""A drill: what comes back is compared, and nothing stays behind."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backupctl import drilling
from backupctl.drilling import LEFTOVER_AGE, SCRATCH, Drill, Tally, Tried, Verdict
from backupctl.errors import BackupctlError
from backupctl.restoration import Destination
from backupctl.s3.listing import Listed
from handler.requests import Request, S3Error
from tests.handler.fake_s3 import Bucket, Stored, Versioning, When

from .fake_client import FakeClient
from .world import ASKING, AWKWARD, LONG_KEY, World

EVERY = pytest.mark.parametrize("versioning", list(Versioning))


class Place(World):
    """A source, its backup, and a bucket to write to."""

    def __init__(self, versioning: Versioning = Versioning.ENABLED) -> None:
        super().__init__()
        self.scratch = Bucket("attic", versioning, kms=False, scratch=True)
        self.s3.buckets["attic"] = self.scratch
        self.tried: list[Tried] = []

    def put(self, key: str = "cat", content: bytes = b"bytes", **more: Any) -> None:
        self.key = key
        self.deliver(self.write(content, **more))

    def sample(self) -> list[Listed]:
        return [
            Listed(found.key, found.etag, found.size, found.modified, found.storage_class)
            for key in self.source.keys
            if (found := self.source.current(key))
        ]

    def drill(self, sample: list[Listed] | None = None, prefix: str = "") -> Tally:
        self.tried.clear()
        run = Drill(FakeClient(self.s3), ASKING, "photos", Destination("attic", prefix))
        return asyncio.run(run.run(self.sample() if sample is None else sample, self.tried.append))

    def damage(self, **how: Any) -> None:
        """Change the newest copy of the key."""
        versions = self.backup.keys[f"photos/{self.key}"]
        versions[-1] = replace(versions[-1], **how)

    def left(self) -> list[Stored]:
        return self.scratch.under("")


@EVERY
def test_what_comes_back_is_the_same_and_nothing_stays(versioning: Versioning) -> None:
    place = Place(versioning)
    for key in AWKWARD:
        place.put(key, key.encode(), metadata={"a": "1"}, tags={"b": "2"})
    backup = place.backup.under("")
    tally = place.drill(prefix="my/")
    assert tally.verdicts == {Verdict.SAME: len(AWKWARD)}
    assert (tally.faults, tally.size) == (0, sum(len(key.encode()) for key in AWKWARD))
    assert {tried.key for tried in place.tried} == set(AWKWARD)
    assert place.left() == []
    assert place.backup.under("") == backup
    written = [
        request.parameters["Key"]
        for request in place.s3.requests
        if request.parameters["Bucket"] == "attic"
    ]
    assert written
    assert all(key.startswith(f"my/{SCRATCH}") for key in written)


@pytest.mark.parametrize(
    ("how", "detail"),
    [
        ({"content": b"BYTES"}, "its bytes differ"),
        ({"content": b"longer bytes"}, "it has 12 bytes instead of 5"),
        ({"headers": {"ContentType": "c/d"}}, "its headers or metadata differ"),
        ({"tags": {"b": "3"}}, "its tags differ"),
        ({"tags": {}}, "its tags differ"),
    ],
)
def test_what_comes_back_otherwise_is_found(how: dict[str, Any], detail: str) -> None:
    place = Place()
    place.put(tags={"b": "2"})
    place.damage(**how)
    tally = place.drill()
    assert place.tried == [Tried("cat", Verdict.DIFFERENT, 5, detail)]
    assert tally.faults == 1
    assert place.left() == []


def test_metadata_of_its_own_is_compared_and_provenance_is_not() -> None:
    place = Place()
    place.put(metadata={"a": "1"})
    assert place.drill().faults == 0
    (copy,) = place.backup.under("photos/cat")
    place.damage(metadata={**copy.metadata, "a": "2"})
    assert place.drill().verdicts == {Verdict.DIFFERENT: 1}


def test_what_is_not_in_the_backup_is_lost() -> None:
    place = Place()
    place.write(b"never copied")
    tally = place.drill()
    assert place.tried == [Tried("cat", Verdict.LOST, 12, "the backup does not have it")]
    assert (tally.faults, tally.size) == (1, 0)


def test_what_only_an_older_version_is_of_differs() -> None:
    place = Place()
    place.put(content=b"old")
    place.write(b"new")
    assert place.drill().verdicts == {Verdict.DIFFERENT: 1}


def test_what_is_archived_is_lost_with_what_to_do() -> None:
    place = Place()
    place.put()
    place.damage(storage_class="GLACIER")
    place.drill()
    assert place.tried[0].verdict is Verdict.LOST
    assert "aws s3api restore-object" in place.tried[0].detail


def test_what_changes_meanwhile_is_no_fault() -> None:
    place = Place()
    place.put("cat")
    place.put("dog")
    sample = place.sample()
    place.put("cat", b"newer")
    place.key = "dog"
    place.delete()
    tally = place.drill(sample)
    assert (tally.verdicts, tally.faults) == ({Verdict.CHANGED: 2}, 0)
    assert place.left() == []


def test_what_changes_while_it_is_read_is_no_fault() -> None:
    place = Place()
    place.put()
    read: list[Request] = []

    def change(request: Request) -> tuple[When, S3Error] | None:
        asked = request.operation, request.parameters["Bucket"]
        if asked == ("GetObject", "photos") and not read:
            read.append(request)
            place.write(b"BYTES")
        return None

    place.s3.fault = change
    assert place.drill().verdicts == {Verdict.CHANGED: 1}
    assert len(read) == 1


@pytest.mark.parametrize("operation", ["CopyObject", "GetObjectTagging", "GetObject"])
def test_what_s3_refuses_is_lost_and_cleaned_up(operation: str) -> None:
    place = Place()
    place.put(tags={"b": "2"})
    denied = S3Error(operation, "AccessDenied", 403, "")

    def refuse(request: Request) -> tuple[When, S3Error] | None:
        return (When.BEFORE, denied) if request.operation == operation else None

    place.s3.fault = refuse
    place.drill()
    (tried,) = place.tried
    assert (tried.verdict, tried.detail) == (Verdict.LOST, f"{operation}: AccessDenied")
    assert place.left() == []


def test_it_gives_up_when_nothing_works() -> None:
    place = Place()
    for number in range(60):
        place.put(str(number))
    denied = S3Error("CopyObject", "AccessDenied", 403, "")
    place.s3.fault = lambda request: (
        (When.BEFORE, denied) if request.operation == "CopyObject" else None
    )
    with pytest.raises(BackupctlError, match="50 failures in a row"):
        place.drill()


def test_of_a_large_object_some_chunks_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drilling.likeness, "CHUNK", 2)
    monkeypatch.setattr(drilling, "MAX_CHUNKS", 3)
    place = Place()
    place.put(content=b"123456789")
    assert place.drill().faults == 0
    assert place.s3.counts["GetObject"] == 6


def test_of_similar_keys_only_the_one_is_looked_at() -> None:
    place = Place()
    for key in ("cat", *(f"cat{number}" for number in range(30)), LONG_KEY):
        place.put(key, key.encode())
    sample = [listed for listed in place.sample() if listed.key in {"cat", LONG_KEY}]
    assert place.drill(sample).verdicts == {Verdict.SAME: 2}


def test_leftovers_of_a_drill_that_was_killed_are_removed() -> None:
    place = Place()
    now = datetime.now(UTC)
    place.s3.now = now - LEFTOVER_AGE - timedelta(minutes=1)
    place.s3.write("attic", f"{SCRATCH}1/0", b"left")
    place.s3.write("attic", "not of a drill", b"stays")
    place.s3.now = now
    place.s3.write("attic", f"{SCRATCH}2/0", b"of one that runs")
    run = Drill(FakeClient(place.s3), ASKING, "photos", Destination("attic"))
    assert asyncio.run(run.clean()) == 1
    assert sorted(stored.content for stored in place.left()) == [b"of one that runs", b"stays"]
