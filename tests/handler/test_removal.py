"""Deletions of the source: what is asked, recorded and shown."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from handler import backup_keys
from handler.asking import MAX_TRIES
from handler.copy import COPY_OBJECT_MAX_BYTES
from handler.failures import Failed
from handler.records import Backup, ObjectVersion, Outcome, Removal
from handler.requests import Request, S3Error
from handler.settlement import MAX_TURNS

from .fake_s3 import Stepper, Versioning, When, drive
from .test_engine_model import ENGINE, LONG_KEY, fail, provenance_of
from .tracked_world import TRACKING, TrackedWorld, steps

EVERY = pytest.mark.parametrize("versioning", list(Versioning))
RECORD = backup_keys.deletion_record("photos", "cat")


def unmet(operation: str) -> S3Error:
    return S3Error(operation, "PreconditionFailed", 412, "", "If-Match")


def denied(operation: str) -> S3Error:
    return S3Error(operation, "AccessDenied", 403, "")


# Requests


@EVERY
def test_a_deletion_is_recorded_and_then_a_marker_put_on_what_was_seen(
    versioning: Versioning,
) -> None:
    world = TrackedWorld(versioning)
    world.handle(world.write())
    [seen] = world.main()
    removal = world.delete()
    assert world.handled(removal) == (
        Outcome.REMOVED,
        ["HeadObject", "GetObject", "PutObject", "DeleteObject", "GetObject"],
    )
    asked = {request.operation: dict(request.parameters) for request in world.s3.requests}
    marker = asked["DeleteObject"]
    assert marker.pop("IfMatch").strip('"') == seen.etag
    assert marker == {
        "Bucket": "backup",
        "Key": "photos/cat",
        "ExpectedBucketOwner": world.backup.owner,
    }
    assert asked["PutObject"]["Key"] == RECORD
    assert asked["PutObject"]["IfNoneMatch"] == "*"
    assert world.shown() is None
    assert world.copies() == [seen]
    assert world.record() == {
        "key": "cat",
        "deletions": [
            {
                "time": "2026-01-02T03:04:07.000Z",
                "sequencer": removal.sequencer,
                "version": removal.version_id,
                "marker": versioning is not Versioning.NEVER,
            }
        ],
        "since": None,
        "earlier": [provenance_of(seen).identity],
        "sequencers": {provenance_of(seen).identity: provenance_of(seen).sequencer},
    }


@EVERY
def test_a_deletion_that_comes_twice_changes_nothing(versioning: Versioning) -> None:
    world = TrackedWorld(versioning)
    removal = (world.handle(world.write()), world.delete())[1]
    world.handle(removal)
    before = world.backup.under("")
    assert world.handled(removal) == (Outcome.DUPLICATE, ["HeadObject", "GetObject"])
    assert world.backup.under("") == before


@EVERY
def test_a_deletion_of_what_never_came_to_the_backup_is_recorded(versioning: Versioning) -> None:
    world = TrackedWorld(versioning)
    world.write()
    assert world.handled(world.delete()) == (
        Outcome.REMOVED,
        # The second look at the backup is for a copy that was made meanwhile.
        ["HeadObject", "GetObject", "PutObject", "HeadObject"],
    )
    assert len(world.record()["deletions"]) == 1
    assert world.main() == []


@EVERY
def test_a_deletion_that_was_overtaken_is_recorded_and_hides_nothing(
    versioning: Versioning,
) -> None:
    world = TrackedWorld(versioning)
    events = [world.write(b"old"), world.delete(), world.write(b"new")]
    world.handle(events[2])
    assert world.handled(events[1]) == (
        Outcome.SUPERSEDED,
        ["HeadObject", "GetObject", "PutObject", "HeadObject"],
    )
    assert world.shown() == b"new"
    assert len(world.record()["deletions"]) == 1


def test_a_first_copy_takes_four_requests_and_overwriting_six() -> None:
    world = TrackedWorld()
    first = world.write(b"1")
    look = ["HeadObject", "GetObject"]
    assert world.handled(first) == (Outcome.COPIED, [*look, "CopyObject", "GetObject"])
    assert world.handled(world.write(b"2")) == (
        Outcome.COPIED,
        [*look, "CopyObject", "HeadObject", "CopyObject", "GetObject"],
    )
    assert world.handled(first) == (
        Outcome.DUPLICATE,
        [*look, "CopyObject", "HeadObject", "GetObject", "HeadObject", "GetObject"],
    )
    world.handle(world.delete())
    after = world.write(b"3")
    assert world.handled(after) == (Outcome.COPIED, [*look, "CopyObject", "GetObject"])
    assert world.handled(after) == (
        Outcome.DUPLICATE,
        [*look, "CopyObject", "HeadObject", "GetObject"],
    )


@EVERY
def test_without_tracking_nothing_is_asked_and_no_deletion_taken(versioning: Versioning) -> None:
    world = TrackedWorld(versioning)
    event = world.write()
    assert world.handled(event, ENGINE) == (Outcome.COPIED, ["HeadObject", "CopyObject"])
    removal = world.delete()
    world.s3.requests.clear()
    with pytest.raises(Failed, match="trackDeletes") as failed:
        world.handle(removal, engine=ENGINE)
    assert (failed.value.kind, failed.value.retryable) == ("DeletesNotTracked", False)
    assert world.handled(world.write(), ENGINE)[0] is Outcome.COPIED
    assert RECORD not in world.backup.keys


def test_the_backup_bucket_is_no_source_of_deletions() -> None:
    world = TrackedWorld()
    removal = replace(world.delete(), bucket="backup")
    with pytest.raises(Failed) as failed:
        world.handle(removal)
    assert (failed.value.kind, failed.value.retryable) == ("BackupBucketAsSource", False)


# Order


@EVERY
def test_what_was_deleted_before_it_could_be_copied_is_not_shown(versioning: Versioning) -> None:
    world = TrackedWorld(versioning)
    event, removal = world.write(), world.delete()
    world.handle(removal)
    if world.versioned:
        assert world.handled(event) == (
            Outcome.SUPERSEDED,
            [*["HeadObject", "GetObject"] * 2, "PutObject", "CopyObject"],
        )
        assert [copy.content for copy in world.late()] == [b"bytes"]
        assert world.handle(event).outcome is Outcome.SUPERSEDED
        assert len(world.late()) == 1
    else:
        assert world.handle(event).outcome is Outcome.GONE
        assert world.copies() == []
    assert world.main() == []


@EVERY
def test_what_is_written_after_a_deletion_is_shown_again(versioning: Versioning) -> None:
    world = TrackedWorld(versioning)
    world.handle(world.write(b"old"), world.delete())
    assert world.handle(world.write(b"new")).outcome is Outcome.COPIED
    assert world.shown() == b"new"


def test_a_late_event_for_what_lies_under_a_marker_adds_nothing() -> None:
    world = TrackedWorld()
    first, second = world.write(b"1"), world.write(b"2")
    world.handle(first, second, world.delete())
    assert [world.handle(event).outcome for event in (first, second)] == [Outcome.DUPLICATE] * 2
    third = world.write(b"3")
    world.handle(third, first, second)
    assert world.contents() == [b"1", b"2", b"", b"3"]
    assert world.late() == []


@EVERY
@pytest.mark.parametrize("stopped_after", range(1, 5))
def test_a_deletion_stopped_halfway_is_finished_when_it_comes_again(
    versioning: Versioning, stopped_after: int
) -> None:
    world = TrackedWorld(versioning)
    world.handle(world.write())
    removal = world.delete()
    stepper = Stepper(steps(removal), world.s3)
    for _ in range(stopped_after):
        stepper.advance()
    stepper.crash()
    expected = Outcome.DUPLICATE if stopped_after == 4 else Outcome.REMOVED
    assert world.handle(removal).outcome is expected
    assert world.shown() is None
    assert len(world.record()["deletions"]) == 1


@EVERY
@pytest.mark.parametrize("content", [b"at once", b"in several parts"])
def test_a_copy_and_a_deletion_at_the_same_time(versioning: Versioning, content: bytes) -> None:
    for copied, deleted in product(range(15), range(6)):
        check_at_the_same_time(TrackedWorld(versioning), content, copied, deleted)


def check_at_the_same_time(world: TrackedWorld, content: bytes, copied: int, deleted: int) -> None:
    """The copy gets so far before the deletion begins, and that so far before the copy goes on."""
    event = world.write(content)
    copying = Stepper(steps(event), world.s3)
    for _ in range(copied):
        copying.advance()
    deleting = Stepper(steps(world.delete()), world.s3)
    for _ in range(deleted):
        deleting.advance()
    for stepper in (copying, deleting):
        while not stepper.advance():
            pass
    assert world.shown() is None
    assert len(world.record()["deletions"]) == 1
    assert len(world.copies()) <= 1
    if world.versioned:
        assert len(world.copies()) == 1


def test_a_copy_stopped_before_it_saw_the_deletion_does_not_stay_on_show() -> None:
    world = TrackedWorld()
    event = world.write()
    copying = Stepper(steps(event), world.s3)
    for _ in range(2):
        copying.advance()
    world.handle(world.delete())
    copying.advance()
    copying.crash()
    assert world.shown() == b"bytes"
    world.handle(event)
    assert world.shown() is None
    assert len(world.copies()) == 1


def test_nor_does_one_whose_version_is_gone_by_the_time_it_comes_again() -> None:
    world = TrackedWorld()
    event = world.write()
    copying = Stepper(steps(event), world.s3)
    for _ in range(2):
        copying.advance()
    world.handle(world.delete())
    copying.advance()
    copying.crash()
    world.s3.delete("photos", "cat", event.version_id)
    assert world.shown() == b"bytes"
    assert world.handle(event).outcome is Outcome.GONE
    assert world.shown() is None


def test_many_deletions_of_a_key_at_once_are_all_recorded() -> None:
    world = TrackedWorld()
    versions = [world.write(bytes([number])) for number in range(30)]
    world.handle(*versions)
    removals = [world.delete(version_id=version.version_id) for version in versions]
    steppers = [Stepper(steps(removal), world.s3) for removal in removals]
    while steppers:
        steppers = [stepper for stepper in steppers if not stepper.advance()]
    recorded = [entry["version"] for entry in world.record()["deletions"]]
    assert recorded == [version.version_id for version in versions]
    assert world.shown() is None


# Undeletions


def test_removing_the_marker_shows_the_version_again() -> None:
    world = TrackedWorld()
    event = world.write()
    removal = (world.handle(event), world.delete())[1]
    world.handle(removal)
    undeletion = world.delete(version_id=removal.version_id)
    outcome, operations = world.handled(undeletion)
    assert outcome is Outcome.REMOVED
    assert operations == [
        *["HeadObject", "GetObject", "PutObject", "HeadObject"],
        # What does the source show?
        *["HeadObject", "CopyObject"],
        *["HeadObject", "GetObject"],
    ]
    assert world.shown() == b"bytes"
    assert world.contents() == [b"bytes", b"", b"bytes"]
    assert provenance_of(world.main()[-1]).sequencer == event.sequencer
    assert world.handled(undeletion) == (Outcome.DUPLICATE, ["HeadObject", "GetObject"])
    assert world.handle(event).outcome is Outcome.DUPLICATE
    assert world.handle(removal).outcome is Outcome.DUPLICATE
    assert world.shown() == b"bytes"


def test_an_undeletion_counts_the_bytes_it_copies() -> None:
    world = TrackedWorld()
    removal = (world.handle(world.write()), world.delete())[1]
    world.handle(removal)
    undeletion = world.delete(version_id=removal.version_id)
    assert world.handle(undeletion) == Backup(Outcome.REMOVED, 5)


def test_removing_the_latest_version_for_good_shows_the_one_before() -> None:
    world = TrackedWorld()
    first, second = world.write(b"1"), world.write(b"2")
    world.handle(first, second)
    world.handle(world.delete(version_id=second.version_id))
    assert world.shown() == b"1"
    assert world.contents() == [b"1", b"2", b"1"]


def test_removing_an_older_version_for_good_changes_nothing_that_is_shown() -> None:
    world = TrackedWorld()
    first, second = world.write(b"1"), world.write(b"2")
    world.handle(first, second)
    assert world.handled(world.delete(version_id=first.version_id)) == (
        Outcome.REMOVED,
        ["HeadObject", "GetObject", "PutObject", "HeadObject"],
    )
    assert world.contents() == [b"1", b"2"]


def test_removing_the_last_version_for_good_puts_a_marker_and_keeps_the_backup() -> None:
    world = TrackedWorld()
    event = world.write()
    world.handle(event)
    world.handle(world.delete(version_id=event.version_id))
    assert world.shown() is None
    assert world.contents() == [b"bytes", b""]


def test_an_undeletion_that_comes_before_the_deletion_leaves_the_version_on_show() -> None:
    world = TrackedWorld()
    world.handle(world.write())
    removal = world.delete()
    undeletion = world.delete(version_id=removal.version_id)
    assert world.handle(undeletion).outcome is Outcome.REMOVED
    assert world.handle(removal).outcome is Outcome.SUPERSEDED
    assert world.contents() == [b"bytes"]


def test_what_comes_back_may_have_been_there_before_the_stack() -> None:
    world = TrackedWorld()
    world.write(b"never announced")
    removal = world.delete()
    world.handle(removal, world.delete(version_id=removal.version_id))
    assert world.shown() == b"never announced"


def test_a_version_that_came_back_before_its_own_event_gets_its_place_from_that() -> None:
    world = TrackedWorld()
    event, removal = world.write(), world.delete()
    undeletion = world.delete(version_id=removal.version_id)
    world.handle(undeletion)
    identity = provenance_of(world.main()[0]).identity
    assert provenance_of(world.main()[0]).sequencer is None
    assert world.record()["sequencers"] == {identity: None}
    assert world.handle(event).outcome is Outcome.DUPLICATE
    assert world.record()["sequencers"] == {identity: event.sequencer}
    assert world.contents() == [b"bytes"]


def test_what_came_back_and_was_overwritten_before_its_copy_is_left_to_the_next_event() -> None:
    world = TrackedWorld(Versioning.SUSPENDED)
    old = world.s3.write("photos", "cat", b"old")
    world.source.versioning = Versioning.ENABLED
    removal = world.delete()
    world.handle(removal)
    stepper = Stepper(steps(world.delete(version_id=removal.version_id)), world.s3)
    for _ in range(6):
        stepper.advance()
    assert world.s3.operations[-1] == "PutObject"
    world.source.versioning = Versioning.SUSPENDED
    world.handle(world.write(b"new"))
    while not stepper.advance():
        pass
    assert world.shown() == b"new"
    assert old.content not in world.contents()


@pytest.mark.parametrize("content", [b"old", b"old, and in parts"])
@pytest.mark.parametrize("requests", range(16))
def test_what_came_back_may_be_deleted_again_at_any_moment(content: bytes, requests: int) -> None:
    world = TrackedWorld(Versioning.SUSPENDED)
    world.s3.write("photos", "cat", content)
    world.source.versioning = Versioning.ENABLED
    removal = world.delete()
    world.handle(removal)
    stepper = Stepper(steps(world.delete(version_id=removal.version_id)), world.s3)
    for _ in range(requests):
        stepper.advance()
    # Its version is "null", and so is that of the marker that takes its place.
    world.source.versioning = Versioning.SUSPENDED
    again = world.delete()
    while not stepper.advance():
        pass
    world.handle(again)
    assert world.shown() is None


def test_what_comes_back_and_cannot_be_copied_says_why() -> None:
    world = TrackedWorld(Versioning.SUSPENDED)
    world.s3.write("photos", "cat", b"old")
    world.source.versioning = Versioning.ENABLED
    removal = world.delete()
    world.handle(removal)
    fail(world.s3, "CopyObject", S3Error("CopyObject", "InvalidRequest", 400, ""), times=99)
    with pytest.raises(Failed, match="SSE-C") as caught:
        world.handle(world.delete(version_id=removal.version_id))
    assert not caught.value.retryable


def test_what_comes_back_with_reserved_metadata_fails_with_what_to_do() -> None:
    world = TrackedWorld()
    world.write(metadata={"s3-backup-version": "x"}, hidden_metadata={"c": "\x01"})
    removal = world.delete()
    world.handle(removal)
    with pytest.raises(Failed, match="reserved") as failed:
        world.handle(world.delete(version_id=removal.version_id))
    assert (failed.value.kind, failed.value.retryable) == ("ReservedMetadata", False)


@pytest.mark.parametrize("hidden", range(6))
@pytest.mark.parametrize("shown", range(10))
def test_a_deletion_and_its_undeletion_at_the_same_time(hidden: int, shown: int) -> None:
    """The first gets so far before the other begins, and that so far before the first goes on."""
    world = TrackedWorld()
    world.handle(world.write())
    removal = world.delete()
    hiding = Stepper(steps(removal), world.s3)
    for _ in range(hidden):
        hiding.advance()
    showing = Stepper(steps(world.delete(version_id=removal.version_id)), world.s3)
    for _ in range(shown):
        showing.advance()
    for stepper in (hiding, showing):
        drive_to_the_end(stepper)
    assert world.shown() == b"bytes"
    assert len(world.record()["deletions"]) == 2


def test_an_undeletion_waits_for_the_one_that_is_to_come() -> None:
    world = TrackedWorld()
    event = world.write()
    first = world.delete()
    undeleted = world.delete(version_id=first.version_id)
    # Copied by the undeletion, with its place in the order told later.
    world.handle(undeleted, event)
    second, third = world.delete(), world.delete()
    world.handle(second, third)
    back = [world.delete(version_id=removal.version_id) for removal in (second, third)]
    # The source shows the version, but of the other marker nobody has heard yet that it is gone.
    assert world.handle(back[0]) == Backup(Outcome.REMOVED)
    assert world.shown() is None
    assert world.handle(back[1]).outcome is Outcome.REMOVED
    assert world.shown() == b"bytes"


def test_what_is_written_after_a_removal_for_good_is_left_to_its_own_event() -> None:
    world = TrackedWorld(Versioning.SUSPENDED)
    old = world.write(b"old")
    removal, event = world.delete(version_id=old.version_id), world.write(b"new")
    assert world.handle(removal).outcome is Outcome.REMOVED
    assert world.main() == []
    world.handle(event)
    assert provenance_of(world.main()[-1]).sequencer == event.sequencer


# Without a place in the order


def test_a_version_that_was_hidden_before_its_own_event_is_not_copied_again() -> None:
    world = TrackedWorld()
    world.write()
    earlier = world.delete()
    event = world.write(b"found")
    world.handle(replace(event, sequencer=None, event_time=None))
    later = world.delete()
    # The source shows nothing any more, whatever deleted it.
    world.handle(earlier)
    assert world.shown() is None
    assert world.handle(event).outcome is Outcome.DUPLICATE
    world.handle(later)
    assert len(world.copies()) == 1
    assert world.shown() is None


@pytest.mark.parametrize("versioning", [Versioning.ENABLED, Versioning.NEVER])
def test_what_no_event_announced_is_compared_with_the_source(versioning: Versioning) -> None:
    world = TrackedWorld(versioning)
    found = replace(world.write(), sequencer=None, event_time=None)
    world.handle(found)
    removal = world.delete()
    outcome, operations = world.handled(removal)
    assert outcome is Outcome.REMOVED
    assert operations == [
        *["HeadObject", "GetObject", "PutObject", "HeadObject"],
        "HeadObject",
        *["PutObject", "DeleteObject", "GetObject"],
    ]
    assert world.shown() is None
    # Written in the second of the deletion: neither time says which came first.
    world.s3.tick(-1)
    again = replace(world.write(b"again"), sequencer=None, event_time=None)
    assert world.handle(again).outcome is Outcome.COPIED
    assert world.handle(removal).outcome is Outcome.DUPLICATE
    assert world.shown() == b"again"


def test_the_order_of_uploads_in_parts_is_not_that_of_their_times() -> None:
    world = TrackedWorld()
    begun = world.s3.now
    other = replace(world.write(b"other"), sequencer=None)
    world.handle(other)
    world.s3.tick()
    # Begun before the other one was written, and completed after it.
    stored = world.s3.write("photos", "cat", b"in parts")
    versions = world.source.keys["cat"]
    versions[-1] = replace(stored, modified=begun)
    assert world.handle(world.announce(versions[-1])).outcome is Outcome.COPIED
    assert world.shown() == b"in parts"
    assert world.handle(other).outcome is Outcome.DUPLICATE
    assert world.shown() == b"in parts"


def test_the_same_bytes_written_again_are_not_taken_for_what_was_deleted() -> None:
    world = TrackedWorld(Versioning.NEVER)
    first, removal, second = world.write(b"A"), world.delete(), world.write(b"A")
    # All that S3 tells about the first event's object fits the second one's.
    world.handle(first)
    world.handle(removal)
    assert world.shown() == b"A"
    assert world.handle(second).outcome is Outcome.DUPLICATE
    assert world.record()["sequencers"] == {
        provenance_of(world.main()[0]).identity: second.sequencer
    }


def test_a_marker_is_put_only_when_the_record_says_so() -> None:
    world = TrackedWorld()
    event = world.write()
    removal = (world.handle(event), world.delete())[1]
    world.s3.requests.clear()
    fail(world.s3, "PutObject", unmet("PutObject"))
    world.handle(removal)
    look = ["HeadObject", "GetObject", "PutObject"]
    assert world.s3.operations == [*look, *look, "DeleteObject", "GetObject"]
    assert world.handle(event).outcome is Outcome.DUPLICATE
    assert len(world.copies()) == 1


# What is in the way


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{}", b"null", b'{"key": 1}'])
def test_a_damaged_record_counts_as_none_and_is_replaced(body: bytes) -> None:
    world = TrackedWorld()
    event = world.write()
    world.s3.write("backup", RECORD, body)
    assert world.handle(event).outcome is Outcome.COPIED
    assert world.handle(world.delete()).outcome is Outcome.REMOVED
    assert world.backup.under(RECORD)[0].content == body
    assert len(world.record()["deletions"]) == 1


def test_a_long_key_is_in_its_record() -> None:
    world = TrackedWorld()
    world.handle(world.write(key=LONG_KEY), world.delete(LONG_KEY))
    assert world.record(LONG_KEY)["key"] == LONG_KEY
    assert world.shown(LONG_KEY) is None


def test_a_backup_without_room_for_provenance_is_hidden_too() -> None:
    world = TrackedWorld()
    event = world.write(metadata={"m": "x" * 2040})
    world.handle(event, world.delete())
    assert world.shown() is None
    assert world.handle(event).outcome is Outcome.DUPLICATE


def test_a_backup_that_does_not_tell_what_it_is_stays_if_the_source_shows_something() -> None:
    world = TrackedWorld()
    world.write(b"old")
    removal = world.delete()
    world.write(b"new")
    world.s3.write("backup", "photos/cat", b"of unknown origin")
    assert world.handle(removal).outcome is Outcome.SUPERSEDED
    assert world.shown() == b"of unknown origin"
    world.handle(world.delete())
    assert world.shown() is None


def test_a_marker_is_put_again_where_the_backup_was_overtaken() -> None:
    world = TrackedWorld()
    world.handle(world.write(b"1"))
    newest, removal = world.write(b"2"), world.delete()
    stepper = Stepper(steps(removal), world.s3)
    for _ in range(3):
        stepper.advance()
    world.handle(newest)
    while not stepper.advance():
        pass
    assert world.shown() is None
    assert sorted(copy.content for copy in world.copies()) == [b"1", b"2"]


def test_refused_for_something_that_is_not_there_is_no_failure() -> None:
    world = TrackedWorld()
    world.handle(world.write())
    stepper = Stepper(steps(world.delete()), world.s3)
    for _ in range(3):
        stepper.advance()
    world.s3.delete("backup", "photos/cat")
    # Without s3:ListBucket S3 need not say what is missing.
    fail(world.s3, "DeleteObject", denied("DeleteObject"))
    while not stepper.advance():
        pass
    assert stepper.result.outcome is Outcome.REMOVED


@pytest.mark.parametrize("operation", ["DeleteObject", "PutObject"])
def test_a_role_that_may_not_do_it_fails_with_what_to_do(operation: str) -> None:
    world = TrackedWorld()
    world.handle(world.write())
    removal = world.delete()
    fail(world.s3, operation, denied(operation), times=99)
    with pytest.raises(Failed, match="role") as failed:
        world.handle(removal)
    assert (failed.value.kind, failed.value.retryable) == ("AccessDenied", False)
    assert world.shown() == b"bytes"


def test_a_missing_backup_bucket_is_no_contention() -> None:
    world = TrackedWorld()
    removal = world.delete()
    fail(world.s3, "PutObject", S3Error("PutObject", "NoSuchBucket", 404, ""), times=99)
    with pytest.raises(Failed, match="pulumi up") as failed:
        world.handle(removal)
    assert not failed.value.retryable


@pytest.mark.parametrize("operation", ["DeleteObject", "PutObject"])
def test_endless_contention_fails_and_may_be_tried_again(operation: str) -> None:
    world = TrackedWorld()
    world.handle(world.write(b"1"))
    world.handle(world.delete())
    world.handle(world.write(b"2"))
    removal = world.delete()
    world.s3.requests.clear()
    fail(world.s3, operation, unmet(operation), times=999)
    stepper = Stepper(steps(removal), world.s3)
    with pytest.raises(Failed, match="other writers") as failed:
        drive_to_the_end(stepper)
    assert (failed.value.kind, failed.value.retryable) == ("Contention", True)
    assert world.s3.counts[operation] == MAX_TURNS
    assert stepper.waited == pytest.approx(0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 35 * 2)


def test_contention_ends_when_the_next_pause_would_outlast_the_time() -> None:
    world = TrackedWorld()
    removal = world.delete()
    fail(world.s3, "PutObject", unmet("PutObject"), times=999)
    engine = replace(TRACKING, seconds_left=lambda: 0.3)
    with pytest.raises(Failed) as failed:
        world.handle(removal, engine=engine)
    assert (failed.value.kind, failed.value.retryable) == ("Contention", True)
    assert world.s3.counts["PutObject"] == 3


def drive_to_the_end(stepper: Stepper[Backup]) -> None:
    while not stepper.advance():
        pass


@pytest.mark.parametrize("operation", ["GetObject", "PutObject", "DeleteObject", "HeadObject"])
@pytest.mark.parametrize("when", list(When))
def test_a_fault_that_passes_is_outlived(operation: str, when: When) -> None:
    world = TrackedWorld()
    world.handle(world.write())
    removal = world.delete()
    fail(world.s3, operation, S3Error(operation, "SlowDown", 503, ""), when)
    assert world.handle(removal).outcome is Outcome.REMOVED
    assert world.shown() is None
    assert len(world.record()["deletions"]) == 1


def test_a_source_that_cannot_be_asked_is_not_taken_for_empty() -> None:
    world = TrackedWorld()
    world.handle(replace(world.write(), sequencer=None))
    removal = world.delete()
    world.s3.fault = lambda request: (
        (When.BEFORE, S3Error("HeadObject", "403", 403, "")) if _asks_the_source(request) else None
    )
    with pytest.raises(Failed, match="role"):
        world.handle(removal)
    assert world.shown() == b"bytes"


def _asks_the_source(request: Request) -> bool:
    return (request.operation, request.parameters["Bucket"]) == ("HeadObject", "photos")


def test_a_huge_version_comes_back_in_parts() -> None:
    world = TrackedWorld()
    event = world.write(b"0123456789")
    removal = (world.handle(event), world.delete())[1]
    world.handle(removal)
    world.s3.requests.clear()
    world.handle(world.delete(version_id=removal.version_id))
    assert world.s3.counts["UploadPartCopy"] == 3
    assert world.shown() == b"0123456789"
    assert COPY_OBJECT_MAX_BYTES > 10


def test_pauses_of_a_single_request_are_those_of_any_other() -> None:
    world = TrackedWorld()
    removal = world.delete()
    fail(world.s3, "PutObject", S3Error("PutObject", "SlowDown", 503, ""), times=99)
    with pytest.raises(Failed) as failed:
        world.handle(removal)
    assert (failed.value.kind, failed.value.retryable) == ("SlowDown", True)
    assert world.s3.counts["PutObject"] == MAX_TRIES


def test_times_are_the_events() -> None:
    world = TrackedWorld()
    removal = Removal(
        "photos", "cat", "m1", True, world.s3.now + timedelta(milliseconds=1234), "AB"
    )
    drive(steps(removal), world.s3)
    [entry] = world.record()["deletions"]
    assert entry["time"] == "2026-01-02T03:04:06.234Z"
    assert world.handle(ObjectVersion("photos", "dog")).outcome is Outcome.GONE
