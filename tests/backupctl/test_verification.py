"""What a comparison finds, in sources that lack exactly what the test took away."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupctl.joined import Pair
from backupctl.s3.listing import Listed
from backupctl.stack import Source
from backupctl.verification import MOVED, Depth, Finding, Judge, Kind, Moved, Tally
from handler import backup_keys
from handler.copy import Engine
from handler.provenance import Provenance
from handler.records import ObjectVersion
from handler.requests import S3Error
from tests.events_schema import check
from tests.handler.fake_s3 import OWNER, Bucket, FakeS3, Stored, Versioning, When, drive

from .fake_client import listed
from .world import ASKING, LONG_KEY

ENGINE = Engine("backup", OWNER, multipart_above=9, part_size=4, jitter=lambda: 1.0)
GRACE = timedelta(minutes=15)


class Comparison:
    """A source of many keys and its backup."""

    fraction = timedelta()
    """What listings tell beyond the second."""

    def __init__(self, *, kms: bool = True, versioning: Versioning = Versioning.ENABLED) -> None:
        self.source = Bucket("photos", versioning, kms=kms)
        self.backup = Bucket("backup", kms=kms)
        self.s3 = FakeS3(self.source, self.backup)

    def put(self, key: str, content: bytes = b"bytes", **more: Any) -> Stored:
        return self.s3.write("photos", key, content, **more)

    def copy(self, stored: Stored, *, engine: Engine = ENGINE, **more: Any) -> None:
        never = self.source.versioning is Versioning.NEVER
        version = None if never else stored.version_id
        event = ObjectVersion("photos", stored.key, version, stored.etag, stored.size)
        drive(engine.copy(replace(event, **more)), self.s3)

    def later(self) -> None:
        self.s3.tick(2 * GRACE.total_seconds())

    def pairs(self) -> list[Pair]:
        mine = {entry.key: entry for entry in listing(self.source, self.fraction)}
        copies = {
            entry.key.removeprefix("photos/"): entry
            for entry in listing(self.backup, self.fraction)
            if entry.key.startswith("photos/")
        }
        return [(mine.get(key), copies.get(key)) for key in sorted({*mine, *copies})]

    def judge(self, depth: Depth = Depth.LISTING, **more: Any) -> Judge:
        kms = self.source.kms or self.backup.kms
        defaults: dict[str, Any] = {
            "source": Source("photos"),
            "asking": ASKING,
            "cutoff": self.s3.now - GRACE,
            "etags_tell": not kms,
        }
        return Judge(**(defaults | more), depth=depth)

    def verify(
        self, depth: Depth = Depth.LISTING, **more: Any
    ) -> tuple[dict[str, Kind | Moved], Tally]:
        """What is found, by key, and what was counted."""
        judge, tally = self.judge(depth, **more), Tally()
        long = {entry.key: entry for entry in listing(self.backup)}
        self.s3.requests.clear()
        findings, doubtful = judge.sort(
            self.pairs(),
            tally,
            lambda key: long.get(backup_keys.backup_key("photos", key)),
        )
        found: dict[str, Kind | Moved] = {finding.key: finding.kind for finding in findings}
        for one, copy in doubtful:
            result = drive(judge.examine(one, copy), self.s3)
            if result is not None:
                found[one.key] = result.kind if isinstance(result, Finding) else result
        return found, tally


def listing(bucket: Bucket, fraction: timedelta = timedelta()) -> Iterable[Listed]:
    for key in sorted(bucket.keys):
        there = bucket.current(key)
        if there is not None:
            modified = there.modified + fraction
            yield Listed(key, there.etag, there.size, modified, there.storage_class)


# What may be wrong with one key


@dataclass(frozen=True)
class Fault:
    """Something that happens to a key, and what is to be found at each depth."""

    happens: Callable[[Comparison, str], None]
    listing: Kind | None
    checksum: Kind | None
    deep: Kind | None


def _well(world: Comparison, key: str) -> None:
    world.copy(world.put(key))


def _missing(world: Comparison, key: str) -> None:
    world.put(key)


def _overwritten(world: Comparison, key: str) -> None:
    world.copy(world.put(key))
    world.s3.tick()
    world.put(key, b"newer")


def _overwritten_before_the_copy(world: Comparison, key: str) -> None:
    # The event of the second got lost, and the first was copied late: the times look right.
    first = world.put(key)
    world.s3.tick()
    world.put(key, b"newer")
    world.s3.tick()
    world.copy(first)


def _corrupt(world: Comparison, key: str) -> None:
    # Same size, same provenance, other bytes.
    world.copy(world.put(key))
    name = backup_keys.backup_key("photos", key)
    copy = world.backup.keys[name][-1]
    world.s3.tick()
    world.s3.write("backup", name, b"BYTES", metadata=copy.metadata)


def _corrupt_with_checksums(world: Comparison, key: str) -> None:
    world.copy(world.put(key, told={"ChecksumCRC64NVME": "a="}))
    name = backup_keys.backup_key("photos", key)
    copy = world.backup.keys[name][-1]
    told = {"ChecksumCRC64NVME": "b="}
    world.s3.write("backup", name, b"BYTES", metadata=copy.metadata, told=told)


def _truncated(world: Comparison, key: str) -> None:
    world.copy(world.put(key))
    name = backup_keys.backup_key("photos", key)
    copy = world.backup.keys[name][-1]
    world.s3.tick()
    world.s3.write("backup", name, b"b", metadata=copy.metadata)


def _by_hand(world: Comparison, key: str) -> None:
    world.put(key)
    world.s3.tick()
    world.s3.write("backup", backup_keys.backup_key("photos", key), b"BYTES")


def _deleted(world: Comparison, key: str) -> None:
    world.copy(world.put(key))
    world.s3.tick()
    world.s3.delete("photos", key)


def _went_back(world: Comparison, key: str) -> None:
    world.copy(world.put(key, b"1"))
    world.s3.tick()
    newer = world.put(key, b"newer")
    world.copy(newer)
    world.s3.tick()
    world.s3.delete("photos", key, newer.version_id)


MISSING, STALE, DIFFERENT = Kind.MISSING, Kind.STALE, Kind.DIFFERENT
FAULTS = {
    "well": Fault(_well, None, None, None),
    "missing": Fault(_missing, MISSING, MISSING, MISSING),
    "overwritten": Fault(_overwritten, STALE, STALE, STALE),
    "overwritten early": Fault(_overwritten_before_the_copy, None, STALE, STALE),
    "corrupt": Fault(_corrupt, None, None, DIFFERENT),
    "checksums": Fault(_corrupt_with_checksums, None, DIFFERENT, DIFFERENT),
    "truncated": Fault(_truncated, DIFFERENT, DIFFERENT, DIFFERENT),
    "by hand": Fault(_by_hand, None, Kind.UNPROVEN, DIFFERENT),
    "deleted": Fault(_deleted, Kind.ORPHANED, Kind.ORPHANED, Kind.ORPHANED),
    "went back": Fault(_went_back, Kind.AHEAD, Kind.AHEAD, Kind.AHEAD),
}


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.text(st.sampled_from("ab/\n\x00\u00e9"), min_size=1, max_size=4) | st.just(LONG_KEY),
        st.sampled_from(sorted(FAULTS)),
        max_size=12,
    ),
    st.sampled_from(Depth),
)
def test_exactly_what_is_wrong_is_found(keys: dict[str, str], depth: Depth) -> None:
    world = Comparison()
    for key, name in keys.items():
        FAULTS[name].happens(world, key)
    world.later()
    found, tally = world.verify(depth)
    # The copy of a long key is found by way of its digest, which a listing side by side is not.
    keys = {key: name for key, name in keys.items() if (key, name) != (LONG_KEY, "deleted")}
    expected = {key: getattr(FAULTS[name], depth) for key, name in keys.items()}
    assert found == {key: kind for key, kind in expected.items() if kind}
    assert tally.objects == sum(name != "deleted" for name in keys.values())


@pytest.mark.parametrize("depth", list(Depth))
@pytest.mark.parametrize("name", sorted(FAULTS))
@pytest.mark.parametrize("key", ["cat", LONG_KEY])
def test_a_second_look_at_one_key_finds_the_same(key: str, name: str, depth: Depth) -> None:
    world = Comparison()
    FAULTS[name].happens(world, key)
    world.later()
    found = drive(world.judge(depth).look_again(key), world.s3)
    expected = getattr(FAULTS[name], depth)
    assert (found and (found.bucket, found.key, found.kind)) == (
        expected and ("photos", key, expected)
    )


def test_a_second_look_that_is_refused_is_a_finding_and_one_unanswered_is_none() -> None:
    world = Comparison()
    world.put("cat")
    world.later()
    world.s3.fault = lambda _: (When.BEFORE, S3Error("HeadObject", "403", 403, ""))
    found = drive(world.judge().look_again("cat"), world.s3)
    assert found is not None
    assert (found.kind, found.detail, found.fault) == (Kind.UNREADABLE, "HeadObject: 403", True)
    world.s3.fault = lambda _: (When.BEFORE, S3Error("HeadObject", "503", 503, ""))
    with pytest.raises(S3Error, match="503"):
        drive(world.judge().look_again("cat"), world.s3)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_etags_find_more_where_they_are_the_bytes_digest(name: str) -> None:
    world = Comparison(kms=False)
    FAULTS[name].happens(world, "cat")
    world.later()
    found, _ = world.verify()
    more = {"overwritten early": STALE, "corrupt": DIFFERENT, "by hand": DIFFERENT}
    more["checksums"] = DIFFERENT
    expected = more.get(name) or FAULTS[name].listing
    assert found == ({"cat": expected} if expected else {})


# What is asked


def test_listings_alone_settle_what_is_well() -> None:
    world = Comparison()
    for number in range(20):
        world.copy(world.put(f"{number:03}", b"x" * number))
    world.later()
    found, tally = world.verify()
    assert (found, world.s3.requests) == ({}, [])
    assert (tally.objects, tally.size, tally.same_etag) == (20, sum(range(20)), 0)
    assert tally.plausible == 20


def test_equal_etags_are_proof_enough() -> None:
    world = Comparison(kms=False)
    world.copy(world.put("whole"))
    world.copy(world.put("in parts", b"0123456789"))
    world.later()
    found, tally = world.verify(Depth.CHECKSUM)
    assert (found, tally.same_etag) == ({}, 1)
    assert world.s3.operations == ["HeadObject", "HeadObject"]
    assert world.s3.requests[0].parameters["ChecksumMode"] == "ENABLED"


def test_in_parts_the_etags_say_nothing() -> None:
    world = Comparison(kms=False)
    world.copy(world.put("in parts", b"0123456789"))
    world.later()
    assert world.verify()[0] == {}
    assert world.s3.requests == []


def test_deep_reads_both_sides_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backupctl.likeness.CHUNK", 2)
    world = Comparison()
    world.copy(world.put("cat", b"12345"))
    world.copy(world.put("empty", b""))
    world.later()
    assert world.verify(Depth.DEEP)[0] == {}
    spans = [
        (asked.parameters["Bucket"], asked.parameters["Range"])
        for asked in world.s3.requests
        if asked.operation == "GetObject"
    ]
    chunks = ["bytes=0-1", "bytes=2-3", "bytes=4-4"]
    assert spans == [(name, chunk) for chunk in chunks for name in ("photos", "backup")]


# What is no fault


def test_what_is_recent_is_not_judged() -> None:
    world = Comparison()
    world.copy(world.put("stale"))
    world.copy(world.put("deleted later"))
    world.later()
    world.put("stale", b"newer")
    world.put("missing")
    world.copy(world.put("well"))
    just_copied = world.put("deleted since")
    world.copy(just_copied)
    world.s3.delete("photos", "deleted since")
    found, tally = world.verify()
    assert found == {}
    assert (tally.objects, tally.recent) == (2, 2)
    # To the second: what is as old as the grace is judged.
    found, tally = world.verify(cutoff=world.s3.now)
    assert found == {"stale": STALE, "missing": MISSING, "deleted since": Kind.ORPHANED}


@pytest.mark.parametrize("name", ["truncated", "overwritten early", "by hand"])
def test_what_is_recent_is_not_judged_by_a_look_either(name: str) -> None:
    world = Comparison()
    FAULTS[name].happens(world, "cat")
    assert world.verify(Depth.DEEP)[0] == {"cat": MOVED}


def test_deep_believes_no_etag() -> None:
    world = Comparison(kms=False)
    world.copy(world.put("cat"))
    (copy,) = world.backup.keys["photos/cat"]
    world.backup.keys["photos/cat"] = [replace(copy, content=b"BYTES")]
    world.later()
    assert world.verify(Depth.CHECKSUM)[0] == {}
    assert world.verify(Depth.DEEP)[0] == {"cat": DIFFERENT}


def test_an_etag_that_is_no_digest_raises_no_doubt() -> None:
    # One object of a bucket may be encrypted otherwise than the bucket's default.
    world = Comparison(kms=False)
    told = {"ServerSideEncryption": "aws:kms"}
    world.put("cat", etag="0" * 32, told=told)
    world.s3.write("backup", "photos/cat", b"bytes")
    world.later()
    assert world.verify()[0] == {}
    assert world.verify(Depth.CHECKSUM)[0] == {"cat": Kind.UNPROVEN}


def test_a_backup_that_is_ahead_is_no_fault() -> None:
    world = Comparison()
    _went_back(world, "cat")
    world.later()
    judge = world.judge()
    _, ((one, copy),) = judge.sort(world.pairs(), Tally())
    finding = drive(judge.examine(one, copy), world.s3)
    assert isinstance(finding, Finding)
    assert (finding.kind, finding.fault) == (Kind.AHEAD, False)
    assert finding.detail == "of the version of 2026-01-02T03:04:06Z"


def test_what_changes_meanwhile_is_not_judged() -> None:
    world = Comparison()
    world.copy(world.put("cat"))
    world.later()
    judge = world.judge(Depth.CHECKSUM)
    _, ((one, copy),) = judge.sort(world.pairs(), Tally())
    world.put("cat", b"newer")
    assert drive(judge.examine(one, copy), world.s3) is MOVED
    world.s3.delete("photos", "cat")
    assert drive(judge.examine(one, copy), world.s3) is MOVED


def test_filters_say_what_should_be_there() -> None:
    world = Comparison()
    for key in ("in/a.jpg", "in/a.txt", "out/a.jpg"):
        world.put(key)
    world.s3.write("backup", "photos/out/b.jpg", b"of an older filter")
    world.later()
    found, tally = world.verify(source=Source("photos", ("in/",), (".jpg",)))
    assert found == {"in/a.jpg": MISSING}
    assert (tally.objects, tally.excluded) == (1, 2)


@pytest.mark.parametrize("tracked", [True, False])
def test_an_orphan_is_a_fault_where_deletions_are_recorded(*, tracked: bool) -> None:
    world = Comparison()
    _deleted(world, "cat")
    world.later()
    judge = world.judge(deletions_tracked=tracked)
    (finding,), _ = judge.sort(world.pairs(), Tally())
    assert (finding.kind, finding.fault) == (Kind.ORPHANED, tracked)


def test_an_orphans_marker_tells_when_it_was_deleted() -> None:
    world = Comparison()
    _deleted(world, "cat")
    (marker,) = (one for one in world.source.keys["cat"] if one.is_delete_marker)
    top = listed(world.source.keys["cat"])[0]
    world.later()
    judge = world.judge(deletions_tracked=True)
    (suspect,), _ = judge.sort(world.pairs(), Tally())
    found = drive(judge.convict(suspect, top, world.s3.now), world.s3)
    assert isinstance(found, Finding)
    line = found.to_json()
    check("Verification Finding", {"version": "1", "backupBucket": "backup", **line})
    assert (line["finding"], line["fault"]) == ("orphaned", True)
    assert (line["version_id"], line["deleted"]) == (marker.version_id, "2026-01-02T03:04:06Z")
    assert line["detail"] == "its deletion is not recorded; --fix records it"
    unknown = drive(judge.convict(suspect, None, world.s3.now), world.s3)
    assert isinstance(unknown, Finding)
    assert (unknown.marker, unknown.deleted) == (None, world.s3.now)
    assert unknown.detail == (
        "its deletion is not recorded, nor known when it was; --fix records it as of when it was "
        "found gone"
    )


def test_an_orphan_that_is_no_orphan_any_more_is_not_judged() -> None:
    world = Comparison()
    _deleted(world, "cat")
    top = listed(world.source.keys["cat"])[0]
    early = world.judge(deletions_tracked=True, cutoff=world.s3.now - timedelta(seconds=1))
    (suspect,), _ = early.sort(world.pairs(), Tally())
    assert drive(early.convict(suspect, top, world.s3.now), world.s3) is MOVED, (
        "deleted a moment ago"
    )
    world.later()
    judge = world.judge(deletions_tracked=True)
    again = top._replace(is_marker=False)
    assert drive(judge.convict(suspect, again, world.s3.now), world.s3) is MOVED, "it is back"
    world.s3.delete("backup", "photos/cat")
    assert drive(judge.convict(suspect, top, world.s3.now), world.s3) is MOVED, (
        "it is recorded by now"
    )
    world.s3.fault = lambda _: (When.BEFORE, S3Error("HeadObject", "403", 403, ""))
    with pytest.raises(S3Error, match="403"):
        drive(judge.convict(suspect, top, world.s3.now), world.s3)


# What is odd


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_listings_may_tell_fractions_of_seconds(name: str) -> None:
    # S3's own do not, unlike those of others, and HeadObject's answers cannot.
    world = Comparison()
    world.fraction = timedelta(milliseconds=717)
    FAULTS[name].happens(world, "cat")
    world.later()
    found, _ = world.verify(Depth.DEEP)
    assert found == ({"cat": FAULTS[name].deep} if FAULTS[name].deep else {})


def test_provenance_beside_the_copy_counts() -> None:
    world = Comparison()
    world.copy(world.put("cat", metadata={"m": "x" * 2040}))
    world.later()
    assert world.verify(Depth.CHECKSUM)[0] == {}
    (record,) = world.backup.under(".s3-backup/provenance/")
    world.s3.delete("backup", record.key)
    assert world.verify(Depth.CHECKSUM)[0] == {"cat": Kind.UNPROVEN}


def test_the_etag_of_the_provenance_counts_within_one_second() -> None:
    world = Comparison(versioning=Versioning.NEVER)
    stored = world.put("cat")
    world.copy(stored)
    other = Provenance("other", stored.modified, stored.size).to_metadata()
    world.s3.write("backup", "photos/cat", b"bytes", metadata=other)
    world.later()
    assert world.verify(Depth.CHECKSUM)[0] == {"cat": STALE}


def test_what_cannot_be_read_is_found_too() -> None:
    world = Comparison()
    world.copy(world.put("cat"))
    world.later()
    denied = S3Error("HeadObject", "403", 403, "")
    world.s3.fault = lambda request: (When.BEFORE, denied)
    assert world.verify(Depth.CHECKSUM)[0] == {"cat": Kind.UNREADABLE}
    down = S3Error("HeadObject", "503", 503, "")
    world.s3.fault = lambda request: (When.BEFORE, down)
    with pytest.raises(S3Error):
        world.verify(Depth.CHECKSUM)


def test_a_finding_is_one_line_of_json() -> None:
    world = Comparison()
    key = "new\nline \u2028 \x85 \U0001f600"
    world.put(key)
    world.later()
    (finding,), _ = world.judge().sort(world.pairs(), Tally())
    line = json.dumps(finding.to_json())
    assert len(line.splitlines()) == 1
    assert json.loads(line) == {
        "finding": "missing",
        "fault": True,
        "bucket": "photos",
        "key": key,
        "source": {
            "size": 5,
            "etag": world.source.keys[key][0].etag,
            "modified": "2026-01-02T03:04:05Z",
        },
    }


def test_a_tally_counts_findings_and_faults() -> None:
    tally = Tally()
    tally.count(Finding(MISSING, "photos", "a"))
    tally.count(Finding(MISSING, "photos", "b"))
    tally.count(Finding(Kind.ORPHANED, "photos", "c", fault=False))
    assert (tally.findings, tally.faults) == ({MISSING: 2, Kind.ORPHANED: 1}, 2)
