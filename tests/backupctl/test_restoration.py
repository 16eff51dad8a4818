"""One key brought back: what is decided, what is asked of S3, what is there in the end."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupctl import restoration
from backupctl.restoration import Action, Destination, Restorer, Result, Verb
from backupctl.s3.listing import Listed
from handler.requests import Request, S3Error
from handler.units import GIB
from tests.handler.fake_s3 import Bucket, Stored, Versioning, When, drive

from .world import ASKING, LONG_KEY, TRACKING, World, lives, moments

ATTIC = Destination("attic")
ELSEWHERE = Destination("attic", "then/")


class Scene(World):
    """A world with a bucket to restore to."""

    fraction = timedelta()
    """What the listing tells beyond the second."""

    def __init__(self, world: World | None = None, **more: Any) -> None:
        if world is None:
            super().__init__(**more)
        else:
            self.__dict__.update(world.__dict__)
        self.s3.buckets["attic"] = Bucket("attic")

    def restorer(self, destination: Destination, at: datetime, **more: Any) -> Restorer:
        defaults: dict[str, Any] = {"multipart_above": 9, "part_size": 4}
        return Restorer(
            asking=ASKING, source="photos", destination=destination, at=at, **(defaults | more)
        )

    def there(self, destination: Destination) -> Stored | None:
        return self.s3.buckets[destination.bucket].current(destination.prefix + self.key)

    def listed(self, destination: Destination) -> Listed | None:
        there = self.there(destination)
        if there is None:
            return None
        modified = there.modified + self.fraction
        return Listed(there.key, there.etag, there.size, modified, there.storage_class)

    def plan(self, restorer: Restorer, *, tracked: bool = True) -> Action:
        self.s3.requests.clear()
        present = self.listed(restorer.destination)
        return drive(restorer.plan(self.history(tracked=tracked), present), self.s3)

    def restore(self, restorer: Restorer, *, tracked: bool = True) -> Result:
        action = self.plan(restorer, tracked=tracked)
        return drive(restorer.carry_out(action), self.s3)


def in_place(scene: Scene) -> Destination:
    return Destination("photos", versioned=scene.versioning is Versioning.ENABLED)


# Every moment of every life


@settings(max_examples=150, deadline=None)
@given(lives(), st.booleans())
def test_every_moment_can_be_restored_elsewhere(world: World, kms: bool) -> None:
    scene = Scene(world)
    scene.s3.buckets["attic"].kms = kms
    backup = scene.backup.under("")
    for at in moments(scene):
        restorer = scene.restorer(ATTIC, at, exact=True)
        scene.restore(restorer)
        there = scene.there(ATTIC)
        assert (there.content if there else None) == scene.expected(at), at
        if there is not None:
            assert not any(name.startswith("s3-backup-") for name in there.metadata)
        again = scene.s3.buckets["attic"].under("")
        assert scene.restore(restorer) is Result.UNCHANGED, "what is right is written again"
        assert scene.s3.buckets["attic"].under("") == again
    assert scene.backup.under("") == backup, "the backup was changed"


@settings(max_examples=150, deadline=None)
@given(lives())
def test_every_moment_can_be_restored_in_place(world: World) -> None:
    scene = Scene(world)
    backup = scene.backup.under("")
    before = {key: list(versions) for key, versions in scene.source.keys.items()}
    for at in moments(scene):
        scene.source.keys = {key: list(versions) for key, versions in before.items()}
        restorer = scene.restorer(in_place(scene), at, exact=True)
        scene.restore(restorer)
        current = scene.source.current(scene.key)
        assert (current.content if current else None) == scene.expected(at), at
        assert scene.restore(restorer) is Result.UNCHANGED, "what is right is written again"
        # Nothing that anybody wrote is lost.
        assert scene.source.keys.get(scene.key, [])[: len(before.get(scene.key, []))] == (
            before.get(scene.key, [])
        )
    assert scene.backup.under("") == backup, "the backup was changed"


# What comes back


@pytest.mark.parametrize("content", [b"small", b"0123456789"])
@pytest.mark.parametrize("key", ["cat", LONG_KEY[:1000]])
def test_an_object_comes_back_with_everything_it_had_and_nothing_else(
    content: bytes, key: str
) -> None:
    scene = Scene(key=key)
    headers = {
        "CacheControl": "no-cache",
        "ContentDisposition": "inline",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentType": "text/plain",
        "Expires": "no date at all",
    }
    written = scene.write(
        content, headers=headers, metadata={"colour": "red"}, tags={"a b": "c&d", "e": ""}
    )
    scene.deliver(written)
    assert scene.restore(scene.restorer(ELSEWHERE, scene.s3.now)) is Result.RESTORED
    there = scene.there(ELSEWHERE)
    assert there is not None
    assert there.content == content
    assert there.metadata == {"colour": "red"}
    assert there.headers == headers
    assert there.tags == {"a b": "c&d", "e": ""}
    assert scene.s3.uploads == {}


@pytest.mark.parametrize(
    "more", [{"metadata": {"m": "x" * 2040}}, {"hidden_metadata": {"c": "\x01"}}]
)
def test_what_had_no_room_for_provenance_comes_back_as_it_was(more: dict[str, Any]) -> None:
    scene = Scene()
    event = scene.write(b"first", **more)
    scene.s3.tick()
    scene.deliver(event)
    action = scene.plan(scene.restorer(ELSEWHERE, scene.s3.now - timedelta(seconds=1)))
    assert action.verb is Verb.WRITE
    drive(scene.restorer(ELSEWHERE, scene.s3.now).carry_out(action), scene.s3)
    there = scene.there(ELSEWHERE)
    assert there is not None
    assert there.metadata == more.get("metadata", {})
    assert there.hidden_metadata == more.get("hidden_metadata", {})


# What is asked


def test_what_is_missing_takes_two_requests_and_overwrites_nothing() -> None:
    scene = Scene()
    scene.deliver(scene.write(b"bytes"))
    scene.s3.requests.clear()
    restorer = scene.restorer(ELSEWHERE, scene.s3.now)
    action = scene.plan(restorer)
    assert (action.verb, action.key, action.target) == (Verb.WRITE, "cat", "then/cat")
    assert drive(restorer.carry_out(action), scene.s3) is Result.RESTORED
    assert scene.s3.operations == ["HeadObject", "CopyObject"]
    copy = scene.s3.requests[-1].parameters
    assert copy["IfNoneMatch"] == "*"
    assert copy["CopySource"]["VersionId"] == scene.backup.under("photos/cat")[0].version_id
    assert copy["ExpectedBucketOwner"] == copy["ExpectedSourceBucketOwner"] == ASKING.owner


def test_what_was_overwritten_takes_three_and_replaces_what_was_seen() -> None:
    scene = Scene()
    scene.deliver(scene.write(b"bytes"))
    then = scene.s3.now
    scene.s3.tick()
    scene.deliver(scene.write(b"overwritten"))
    seen = scene.source.current("cat")
    assert seen is not None
    restorer = scene.restorer(in_place(scene), then)
    scene.restore(restorer)
    # One look at each copy: was it written by then, and what did it carry?
    assert scene.s3.operations == ["HeadObject", "HeadObject", "CopyObject"]
    assert scene.s3.requests[-1].parameters["IfMatch"] == seen.etag


def test_what_was_not_touched_since_takes_no_request() -> None:
    scene = Scene()
    scene.deliver(scene.write(b"1"))
    scene.s3.tick()
    scene.deliver(scene.write(b"2"))
    for at in (scene.s3.now, scene.s3.now + timedelta(days=1)):
        assert scene.plan(scene.restorer(in_place(scene), at)).verb is Verb.KEEP
        assert scene.s3.requests == []


def test_the_very_version_takes_one_look() -> None:
    # A copy that came late makes the listings say too little.
    scene = Scene()
    first, second = scene.write(b"1"), scene.write(b"2")
    scene.deliver(second)
    scene.s3.tick()
    scene.deliver(first)
    assert scene.plan(scene.restorer(in_place(scene), scene.s3.now)).verb is Verb.KEEP
    assert scene.s3.operations == ["HeadObject"]


def test_listings_may_tell_fractions_of_seconds() -> None:
    # S3's own do not, unlike those of others, and HeadObject's answers cannot.
    scene = Scene()
    scene.fraction = timedelta(milliseconds=717)
    first, second = scene.write(b"1 and more"), scene.write(b"2")
    then = scene.s3.now
    restorer = scene.restorer(in_place(scene), then)
    assert scene.plan(restorer).verb is Verb.KEEP
    scene.deliver(second)
    scene.s3.tick()
    scene.deliver(first)
    assert scene.plan(restorer).verb is Verb.KEEP
    assert scene.s3.operations == ["HeadObject"]


def test_where_something_was_deleted_the_listings_do_not_decide() -> None:
    # The only copy is not of what the source shows, but of what was removed, of the same size.
    scene = Scene()
    scene.write(b"old")
    scene.s3.tick()
    newer = scene.write(b"new")
    scene.deliver(newer)
    then = scene.s3.now
    scene.s3.tick()
    scene.deliver(scene.delete(newer.version_id), engine=TRACKING)
    assert scene.restore(scene.restorer(in_place(scene), then)) is Result.RESTORED
    current = scene.source.current("cat")
    assert current is not None
    assert current.content == b"new"


def test_of_a_version_that_was_removed_the_copy_comes_back() -> None:
    # The source shows an older version now, and nothing but the backup tells that it was not so.
    scene = Scene()
    scene.deliver(scene.write(b"old"))
    scene.s3.tick()
    newer = scene.write(b"new")
    scene.deliver(newer)
    scene.s3.delete("photos", "cat", newer.version_id)
    restorer = scene.restorer(in_place(scene), scene.s3.now)
    assert scene.restore(restorer, tracked=False) is Result.RESTORED
    current = scene.source.current("cat")
    assert current is not None
    assert current.content == b"new"


@pytest.mark.parametrize("change", ["tags", "metadata", "headers"])
def test_what_differs_only_in_its_description_is_restored(change: str) -> None:
    values = {
        "tags": ({"a": "1"}, {"a": "2"}),
        "metadata": ({"a": "1"}, {"a": "2"}),
        "headers": ({"ContentType": "a/b"}, {"ContentType": "c/d"}),
    }[change]
    before: dict[str, Any] = {change: values[0]}
    after: dict[str, Any] = {change: values[1]}
    scene = Scene()
    scene.deliver(scene.write(b"same", **before))
    then = scene.s3.now
    scene.s3.tick()
    scene.write(b"same", **after)
    assert scene.restore(scene.restorer(in_place(scene), then)) is Result.RESTORED
    current = scene.source.current("cat")
    assert current is not None
    assert getattr(current, change) == values[0]


def test_the_bytes_decide_where_nothing_else_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.source.kms = True
    event = scene.write(b"bytes")
    scene.deliver(event)
    then = scene.s3.now
    scene.s3.tick()
    scene.write(b"bytes")
    restorer = scene.restorer(in_place(scene), then)
    assert scene.plan(restorer).verb is Verb.KEEP
    assert scene.s3.counts["GetObject"] == 2
    scene.write(b"BYTES")
    assert scene.plan(restorer).verb is Verb.WRITE
    monkeypatch.setattr(restoration, "MAX_BYTES_TO_READ", 4)
    scene.write(b"bytes")
    assert scene.plan(restorer).verb is Verb.WRITE
    assert scene.s3.counts["GetObject"] == 0


def test_checksums_tell_without_reading() -> None:
    scene = Scene()
    scene.source.kms = True
    scene.deliver(scene.write(b"bytes"))
    then = scene.s3.now
    (copy,) = scene.backup.under("photos/cat")
    scene.backup.keys["photos/cat"] = [replace(copy, checksum={"ChecksumCRC64NVME": "abc="})]
    scene.s3.tick()
    restorer = scene.restorer(in_place(scene), then)
    for checksum, verb in (("abc=", Verb.KEEP), ("def=", Verb.WRITE)):
        scene.write(b"BYTES", checksum={"ChecksumCRC64NVME": checksum})
        assert scene.plan(restorer).verb is verb
        assert scene.s3.counts["GetObject"] == 0


# What may not happen


def test_nothing_is_deleted_unless_asked_for() -> None:
    scene = Scene()
    then = scene.s3.now
    scene.s3.tick()
    scene.deliver(scene.write(b"new"))
    restorer = scene.restorer(in_place(scene), then)
    assert scene.plan(restorer).verb is Verb.LEAVE
    assert scene.restore(restorer) is Result.UNCHANGED
    assert scene.source.current("cat") is not None
    exact = replace(restorer, exact=True)
    assert scene.plan(exact).verb is Verb.DELETE
    assert scene.restore(exact) is Result.DELETED
    assert scene.s3.requests[-1].parameters["IfMatch"] == f'"{scene.written[-1].etag}"'
    assert scene.source.current("cat") is None
    # A delete marker hides it; it is still there.
    assert scene.written[-1] in scene.source.under("cat")


@pytest.mark.parametrize("versioning", list(Versioning))
def test_what_the_backup_does_not_have_is_never_deleted_in_place(versioning: Versioning) -> None:
    scene = Scene(versioning=versioning)
    then = scene.s3.now
    scene.s3.tick()
    scene.write(b"not copied yet")
    restorer = scene.restorer(in_place(scene), then, exact=True)
    action = scene.plan(restorer)
    assert action.verb is Verb.STUCK
    assert "backfill" in action.reason
    assert scene.restore(restorer) is Result.UNCHANGED
    assert scene.source.current("cat") is not None


def test_where_deleting_is_for_good_the_very_bytes_must_be_in_the_backup() -> None:
    scene = Scene(versioning=Versioning.NEVER)
    then = scene.s3.now
    scene.s3.tick()
    scene.deliver(scene.write(b"copied"))
    restorer = scene.restorer(in_place(scene), then, exact=True)
    assert scene.plan(restorer).verb is Verb.DELETE
    scene.write(b"not copied yet")
    assert scene.plan(restorer).verb is Verb.STUCK
    # Elsewhere, what is to be deleted was never in the source.
    scene.s3.write("attic", "then/cat", b"somebody's")
    assert scene.plan(scene.restorer(ELSEWHERE, then, exact=True)).verb is Verb.DELETE


@pytest.mark.parametrize("content", [b"small", b"0123456789"])
@pytest.mark.parametrize("there_is_one", [True, False])
def test_what_somebody_wrote_meanwhile_is_left_alone(content: bytes, *, there_is_one: bool) -> None:
    scene = Scene()
    scene.deliver(scene.write(content))
    if there_is_one:
        scene.s3.write("attic", "then/cat", b"before")
    restorer = scene.restorer(ELSEWHERE, scene.s3.now)
    action = scene.plan(restorer)
    scene.s3.write("attic", "then/cat", b"meanwhile")
    assert drive(restorer.carry_out(action), scene.s3) is Result.CONFLICT
    there = scene.there(ELSEWHERE)
    assert there is not None
    assert there.content == b"meanwhile"
    assert scene.s3.uploads == {}


def test_what_somebody_wrote_meanwhile_is_not_deleted() -> None:
    scene = Scene()
    then = scene.s3.now
    scene.s3.tick()
    scene.deliver(scene.write(b"new"))
    restorer = scene.restorer(in_place(scene), then, exact=True)
    action = scene.plan(restorer)
    newer = scene.s3.write("photos", "cat", b"meanwhile")
    assert drive(restorer.carry_out(action), scene.s3) is Result.CONFLICT
    assert scene.source.current("cat") == newer
    scene.s3.delete("photos", "cat")
    assert drive(restorer.carry_out(action), scene.s3) is Result.UNCHANGED


@pytest.mark.parametrize("content", [b"small", b"0123456789"])
def test_what_vanished_meanwhile_is_written_anew(content: bytes) -> None:
    scene = Scene()
    scene.deliver(scene.write(content))
    scene.s3.write("attic", "then/cat", b"before")
    restorer = scene.restorer(ELSEWHERE, scene.s3.now)
    action = scene.plan(restorer)
    scene.s3.delete("attic", "then/cat")
    assert drive(restorer.carry_out(action), scene.s3) is Result.RESTORED
    there = scene.there(ELSEWHERE)
    assert there is not None
    assert there.content == content


@pytest.mark.parametrize(
    ("content", "operation"),
    [(b"small", "CopyObject"), (b"0123456789", "CompleteMultipartUpload")],
)
def test_an_answer_that_was_lost_is_no_conflict(content: bytes, operation: str) -> None:
    scene = Scene()
    scene.deliver(scene.write(content))
    restorer = scene.restorer(ELSEWHERE, scene.s3.now)
    action = scene.plan(restorer)
    lost = [(When.AFTER, S3Error(operation, "ReadTimeoutError", 0, ""))]

    def fault(request: Request) -> tuple[When, S3Error] | None:
        return lost.pop() if request.operation == operation and lost else None

    scene.s3.fault = fault
    assert drive(restorer.carry_out(action), scene.s3) is Result.RESTORED
    assert len(scene.s3.buckets["attic"].under("then/cat")) == 1


# What is in the way


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"StorageClass": "GLACIER"}, ["GLACIER", "restore-object", "Days=7,"]),
        ({"StorageClass": "DEEP_ARCHIVE"}, ["DEEP_ARCHIVE", "--version-id"]),
        (
            {"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"},
            ["ARCHIVE_ACCESS", "--restore-request 'GlacierJobParameters"],
        ),
        ({"StorageClass": "GLACIER", "Restore": 'ongoing-request="true"'}, ["when it is done"]),
    ],
)
def test_what_is_archived_is_reported_with_what_to_do(
    told: dict[str, str], words: list[str]
) -> None:
    scene = Scene()
    scene.deliver(scene.write(b"bytes"))
    (copy,) = scene.backup.under("photos/cat")
    scene.backup.keys["photos/cat"] = [replace(copy, told=told)]
    restorer = scene.restorer(ELSEWHERE, scene.s3.now)
    action = scene.plan(restorer)
    assert action.verb is Verb.STUCK
    for word in words:
        assert word in action.reason
    assert scene.restore(restorer) is Result.UNCHANGED
    assert scene.there(ELSEWHERE) is None


@pytest.mark.parametrize(
    "told",
    [
        {"StorageClass": "GLACIER_IR"},
        {"StorageClass": "INTELLIGENT_TIERING"},
        {"StorageClass": "GLACIER", "Restore": 'ongoing-request="false", expiry-date="Fri, 1"'},
    ],
)
def test_what_can_be_read_is_restored(told: dict[str, str]) -> None:
    scene = Scene()
    scene.deliver(scene.write(b"bytes"))
    (copy,) = scene.backup.under("photos/cat")
    scene.backup.keys["photos/cat"] = [replace(copy, told=told)]
    assert scene.restore(scene.restorer(ELSEWHERE, scene.s3.now)) is Result.RESTORED


def test_a_key_that_would_be_too_long_is_reported() -> None:
    scene = Scene(key=LONG_KEY)
    scene.deliver(scene.write(b"bytes"))
    action = scene.plan(scene.restorer(ELSEWHERE, scene.s3.now))
    assert action.verb is Verb.STUCK
    assert "--to" in action.reason
    assert scene.restore(scene.restorer(Destination("attic"), scene.s3.now)) is Result.RESTORED


def test_a_copy_that_left_the_backup_is_reported() -> None:
    scene = Scene()
    scene.deliver(scene.write(b"bytes"))
    history = scene.history()
    scene.s3.delete("backup", "photos/cat", history.copies[0].version_id)
    action = drive(scene.restorer(ELSEWHERE, scene.s3.now).plan(history, None), scene.s3)
    assert action.verb is Verb.STUCK
    assert "run this again" in action.reason


# What else may be asked for


def test_one_version_by_either_of_its_ids() -> None:
    scene = Scene()
    events = [scene.write(content) for content in (b"0", b"1", b"2", b"3")]
    for number in (0, 2, 1, 3):
        scene.deliver(events[number])
    assert len(scene.history().late) == 1
    copies = scene.history().copies
    by_backup = [(copies[2].version_id, b"0"), (scene.history().late[0].version_id, b"1")]
    by_source = [(str(event.version_id), b"%d" % place) for place, event in enumerate(events)]
    for version_id, content in by_backup + by_source:
        scene.s3.delete("attic", "then/cat")
        restorer = scene.restorer(ELSEWHERE, scene.s3.now, version_id=version_id)
        assert scene.restore(restorer) is Result.RESTORED
        there = scene.there(ELSEWHERE)
        assert there is not None
        assert there.content == content
    action = scene.plan(scene.restorer(ELSEWHERE, scene.s3.now, version_id="v999"))
    assert (action.verb, action.reason) == (Verb.STUCK, "the backup has no version v999")


def test_what_was_deleted_comes_back_on_request_only() -> None:
    scene = Scene()
    scene.deliver(scene.write(b"bytes"))
    scene.s3.tick()
    scene.deliver(scene.delete(), engine=TRACKING)
    restorer = scene.restorer(in_place(scene), scene.s3.now)
    assert scene.plan(restorer).verb is Verb.NOTHING
    assert scene.restore(replace(restorer, include_deleted=True)) is Result.RESTORED
    current = scene.source.current("cat")
    assert current is not None
    assert current.content == b"bytes"


def test_above_5_gib_nothing_is_copied_in_one_request() -> None:
    scene = Scene()
    restorer = Restorer(asking=ASKING, source="photos", destination=ELSEWHERE, at=scene.s3.now)
    assert restorer.multipart_above == 5 * GIB
