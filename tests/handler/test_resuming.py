"""A copy in parts that was interrupted is gone on with, whoever interrupted it and where."""

import json
from dataclasses import replace

import pytest

from handler.copy import Engine
from handler.failures import Failed
from handler.multipart import MAX_RACES, MultipartCopy
from handler.provenance import Provenance
from handler.records import ObjectVersion, Outcome
from handler.replica import Replica
from handler.requests import Request, S3Error

from .fake_s3 import Bucket, Part, Stepper, Stored, Versioning, When, drive
from .test_engine_model import ENGINE, World, error, fail

CONTENT = bytes(range(30))
PARTS = 8  # of at most 4 bytes
FIRST_CALL = [
    "HeadObject",
    "HeadObject",
    "GetObjectTagging",
    "HeadObject",
    "GetObject",
    "CreateMultipartUpload",
    "PutObject",
    *["UploadPartCopy"] * PARTS,
    "CompleteMultipartUpload",
]


def big(world: World) -> ObjectVersion:
    return world.write(
        CONTENT,
        metadata={"colour": "red"},
        headers={"ContentType": "image/png"},
        tags={"a b": "c&d"},
    )


def assert_copied(world: World, content: bytes = CONTENT) -> None:
    """It is there once, with everything it had, and nothing is left unfinished."""
    (copy,) = world.main()
    assert copy.content == content
    assert copy.metadata["colour"] == "red"
    assert copy.headers == {"ContentType": "image/png"}
    assert copy.tags == {"a b": "c&d"}
    assert world.s3.uploads == {}


def parts_asked(world: World) -> list[int]:
    return [
        request.parameters["PartNumber"]
        for request in world.s3.requests
        if request.operation == "UploadPartCopy"
    ]


def stop_after(world: World, event: ObjectVersion, requests: int, engine: Engine = ENGINE) -> None:
    stepper = Stepper(engine.copy(event), world.s3)
    for _ in range(requests):
        stepper.advance()
    stepper.crash()


def with_time_for(parts: int, world: World) -> Engine:
    """The engine, with seconds of which each part takes one; none is begun in the last one."""
    end = len(parts_asked(world)) + parts + 1
    return replace(ENGINE, seconds_left=lambda: end - len(parts_asked(world)))


def notes(bucket: Bucket) -> list[Stored]:
    return bucket.under(".s3-backup/uploads/")


@pytest.mark.parametrize("requests", range(len(FIRST_CALL)))
def test_a_copy_that_was_killed_at_any_request_is_gone_on_with(requests: int) -> None:
    world = World()
    event = big(world)
    stop_after(world, event, requests)
    assert world.s3.operations == FIRST_CALL[:requests]
    if requests == FIRST_CALL.index("PutObject"):
        # The one upload that nobody knows of: the bucket's lifecycle removes it.
        assert len(world.s3.uploads) == 1
        world.s3.uploads.clear()
    assert world.deliver(event).outcome is Outcome.COPIED
    assert_copied(world)
    assert sorted(parts_asked(world)) == list(range(1, PARTS + 1)), "a part was copied twice"
    assert len(notes(world.backup)) == 1


@pytest.mark.parametrize("repeats", [False, True])
def test_a_copy_whose_completion_was_not_heard_of_is_not_made_again(*, repeats: bool) -> None:
    world = World()
    world.s3.repeats_completion = repeats
    event = big(world)
    stop_after(world, event, len(FIRST_CALL))
    assert_copied(world)
    assert world.asked(event) == (Outcome.DUPLICATE, ["HeadObject", "HeadObject"])
    other = big(world)
    fail(world.s3, "CompleteMultipartUpload", error(), When.AFTER)
    world.s3.requests.clear()
    assert world.deliver(other).outcome is (Outcome.COPIED if repeats else Outcome.DUPLICATE)
    assert len(world.main()) == 2
    assert world.s3.counts["UploadPartCopy"] == PARTS


def test_when_time_is_up_the_upload_stays_and_the_failure_says_how_far_it_got() -> None:
    world = World()
    event = big(world)
    for done in (12, 24):
        engine = with_time_for(3, world)
        with pytest.raises(Failed) as failed:
            world.deliver(event, engine)
        (upload,) = world.s3.uploads
        assert str(failed.value) == (
            f"time was up; {done} of 30 bytes are copied, and the next try goes on with the upload "
            f"{upload}"
        )
        assert (failed.value.kind, failed.value.retryable) == ("OutOfTime", True)
        assert world.backup.under("photos/") == []
    assert world.deliver(event).outcome is Outcome.COPIED
    assert_copied(world)
    assert sorted(parts_asked(world)) == list(range(1, PARTS + 1))


def test_no_part_is_begun_that_would_have_to_be_faster_than_all_before() -> None:
    world = World()
    event = big(world)
    # Ten seconds a part: for the third there are exactly as many left.
    engine = replace(ENGINE, seconds_left=lambda: 20 - 10 * world.s3.counts["UploadPartCopy"])
    with pytest.raises(Failed, match="8 of 30 bytes"):
        world.deliver(event, engine)
    assert world.s3.counts["UploadPartCopy"] == 2


def test_time_that_is_up_before_the_end_leaves_a_complete_upload() -> None:
    world = World()
    event = big(world)
    engine = replace(
        ENGINE, seconds_left=lambda: 0 if world.s3.counts["UploadPartCopy"] == PARTS else 1e9
    )
    with pytest.raises(Failed, match="30 of 30 bytes"):
        world.deliver(event, engine)
    assert world.asked(event) == (
        Outcome.COPIED,
        # Four pages of parts.
        [*FIRST_CALL[:5], *["ListParts"] * 4, "CompleteMultipartUpload"],
    )
    assert_copied(world)


def test_an_order_of_s3_that_stays_broken_leaves_the_upload_for_the_next_call() -> None:
    world = World()
    event = big(world)
    world.s3.fault = lambda request: (
        (When.BEFORE, error())
        if request.operation == "UploadPartCopy" and request.parameters["PartNumber"] == 2
        else None
    )
    with pytest.raises(Failed) as failed:
        world.deliver(event)
    (upload,) = world.s3.uploads
    assert (failed.value.kind, failed.value.retryable) == ("SlowDown", True)
    assert str(failed.value) == (
        "CopyObject: SlowDown; 26 of 30 bytes are copied, and the next try goes on with the upload "
        f"{upload}"
    )
    world.s3.fault = lambda _request: None
    world.s3.requests.clear()
    assert world.deliver(event).outcome is Outcome.COPIED
    assert parts_asked(world) == [2]
    assert_copied(world)


@pytest.mark.parametrize("kms", [True, False])
def test_two_calls_go_on_with_the_same_upload(*, kms: bool) -> None:
    # With every distance between the two.
    for ahead in range(20):
        world = World(kms=kms)
        event = big(world)
        stop_after(world, event, FIRST_CALL.index("UploadPartCopy") + 3)
        one, other = (Stepper(ENGINE.copy(event), world.s3) for _ in range(2))
        for _ in range(ahead):
            one.advance()
        while not (one.done and other.done):
            other.advance()
            one.advance()
        outcomes = {one.result.outcome, other.result.outcome}
        assert outcomes == {Outcome.COPIED, Outcome.DUPLICATE}
        assert world.s3.counts["CreateMultipartUpload"] == 1
        assert_copied(world)


def test_two_calls_that_begin_at_once_end_with_one_copy() -> None:
    world = World()
    event = big(world)
    steppers = [Stepper(ENGINE.copy(event), world.s3) for _ in range(2)]
    while not all(stepper.done for stepper in steppers):
        for stepper in steppers:
            stepper.advance()
    outcomes = {stepper.result.outcome for stepper in steppers}
    assert outcomes == {Outcome.COPIED, Outcome.DUPLICATE}
    assert_copied(world)


def test_parts_that_others_replace_for_ever_end_in_a_failure_that_leaves_the_upload() -> None:
    world = World()
    event = big(world)
    invalid = S3Error("CompleteMultipartUpload", "InvalidPart", 400, "")
    fail(world.s3, "CompleteMultipartUpload", invalid, times=99)
    with pytest.raises(Failed) as failed:
        world.deliver(event)
    assert (failed.value.kind, failed.value.retryable) == ("Contention", True)
    assert world.s3.counts["CompleteMultipartUpload"] == MAX_RACES
    world.s3.fault = lambda _request: None
    assert world.deliver(event).outcome is Outcome.COPIED
    assert_copied(world)


@pytest.mark.parametrize("requests", range(6, len(FIRST_CALL)))
def test_an_upload_that_lifecycle_removed_is_begun_again(requests: int) -> None:
    world = World()
    event = big(world)
    stop_after(world, event, requests)
    world.s3.uploads.clear()
    assert world.deliver(event).outcome is Outcome.COPIED
    assert_copied(world)
    # The note is overwritten, not joined by another one.
    assert len({note.key for note in notes(world.backup)}) == 1


@pytest.mark.parametrize("requests", range(7, len(FIRST_CALL)))
def test_an_upload_that_vanishes_under_way_is_begun_again(requests: int) -> None:
    world = World()
    event = big(world)
    stepper = Stepper(ENGINE.copy(event), world.s3)
    for _ in range(requests):
        stepper.advance()
    world.s3.uploads.clear()
    while not stepper.advance():
        pass
    assert stepper.result.outcome is Outcome.COPIED
    assert_copied(world)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"part_size": 5}, id="part size"),
        pytest.param({"storage_class": "STANDARD_IA"}, id="storage class"),
    ],
)
def test_an_upload_that_was_begun_in_another_way_is_left_alone(other: dict[str, object]) -> None:
    world = World()
    event = big(world)
    stop_after(world, event, FIRST_CALL.index("UploadPartCopy") + 3, replace(ENGINE, **other))
    (left,) = world.s3.uploads
    assert world.deliver(event).outcome is Outcome.COPIED
    # Another call may still be at it; lifecycle removes it.
    assert set(world.s3.uploads) == {left}
    world.s3.uploads.clear()
    assert_copied(world)


def test_tags_that_changed_meanwhile_are_those_of_the_copy() -> None:
    world = World()
    event = big(world)
    stop_after(world, event, FIRST_CALL.index("UploadPartCopy") + 3)
    (stored,) = world.source.keys["cat"]
    world.source.keys["cat"] = [replace(stored, tags={"new": "tag"})]
    assert world.deliver(event).outcome is Outcome.COPIED
    (copy,) = world.main()
    assert copy.tags == {"new": "tag"}


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"{}", b"null", b'{"upload": "u", "target": 5, "copy": null}']
)
def test_a_damaged_note_counts_as_none(content: bytes) -> None:
    world = World()
    event = big(world)
    stop_after(world, event, FIRST_CALL.index("UploadPartCopy"))
    (note,) = notes(world.backup)
    world.s3.uploads.clear()
    world.s3.write("backup", note.key, content)
    assert world.deliver(event).outcome is Outcome.COPIED
    assert_copied(world)


def test_a_part_of_another_length_than_planned_is_copied_again() -> None:
    world = World()
    event = big(world)
    stop_after(world, event, len(FIRST_CALL) - 1)
    (upload,) = world.s3.uploads.values()
    upload.parts[3] = Part("etag", b"123", 3, {})
    world.s3.requests.clear()
    assert world.deliver(event).outcome is Outcome.COPIED
    assert parts_asked(world) == [3]
    assert_copied(world)


def test_an_upload_for_a_version_that_was_overtaken_is_given_up() -> None:
    world = World()
    event = big(world)
    stop_after(world, event, FIRST_CALL.index("UploadPartCopy") + 3)
    world.deliver(world.write(b"newer"))
    assert world.deliver(event).outcome is Outcome.SUPERSEDED
    assert world.contents() == [b"newer"]
    (late,) = world.late()
    assert late.content == CONTENT
    assert late.tags == {"a b": "c&d"}
    assert world.s3.uploads == {}


def test_a_late_version_is_gone_on_with_too() -> None:
    world = World()
    event = big(world)
    world.deliver(world.write(b"newer"))
    stepper = Stepper(ENGINE.copy(event), world.s3)
    while world.s3.counts["UploadPartCopy"] < 3:
        stepper.advance()
    stepper.crash()
    assert world.deliver(event).outcome is Outcome.SUPERSEDED
    assert sorted(parts_asked(world)) == list(range(1, PARTS + 1))
    assert world.asked(event) == (
        Outcome.SUPERSEDED,
        # The source, the backup, the key's record, the late version.
        ["HeadObject", "HeadObject", "PutObject", "HeadObject"],
    )


def test_two_versions_of_a_key_do_not_make_each_other_start_again() -> None:
    world = World()
    first, second = big(world), big(world)
    for done in (3, 6):
        for event in (first, second):
            engine = with_time_for(3, world)
            with pytest.raises(Failed, match=f"{4 * done} of 30 bytes"):
                world.deliver(event, engine)
    assert world.s3.counts["CreateMultipartUpload"] == 2


def test_a_backup_that_changed_meanwhile_ends_the_upload() -> None:
    world = World()
    older = world.write(b"older")
    event = big(world)
    stepper = Stepper(ENGINE.copy(event), world.s3)
    while world.s3.counts["UploadPartCopy"] < PARTS:
        stepper.advance()
    world.deliver(older)
    while not stepper.advance():
        pass
    # The copy has to remember the older one, which an upload cannot be told later.
    assert stepper.result.outcome is Outcome.COPIED
    assert world.contents() == [b"older", CONTENT]
    assert world.s3.counts["CreateMultipartUpload"] == 2
    assert world.s3.counts["AbortMultipartUpload"] == 1
    assert world.s3.uploads == {}
    assert world.deliver(older).outcome is Outcome.DUPLICATE


@pytest.mark.parametrize("versioning", [Versioning.NEVER, Versioning.SUSPENDED])
def test_a_source_that_changed_meanwhile_is_not_gone_on_with(versioning: Versioning) -> None:
    world = World(versioning)
    event = big(world)
    stop_after(world, event, FIRST_CALL.index("UploadPartCopy") + 3)
    world.s3.tick()
    newer = world.write(
        CONTENT[::-1],
        tags={"a b": "c&d"},
        metadata={"colour": "red"},
        headers={"ContentType": "image/png"},
    )
    assert world.deliver(event).outcome is Outcome.SUPERSEDED
    world.s3.uploads.clear()
    assert world.deliver(newer).outcome is Outcome.COPIED
    assert_copied(world, CONTENT[::-1])


def test_the_note_says_whose_upload_it_is() -> None:
    world = World()
    event = big(world)
    stop_after(world, event, FIRST_CALL.index("UploadPartCopy"))
    (note,) = notes(world.backup)
    (upload,) = world.s3.uploads
    said = json.loads(note.content)
    assert len(said.pop("copy")) == 64
    assert said == {
        "upload": upload,
        "target": "photos/cat",
        "key": "cat",
        "version": event.version_id,
    }


@pytest.mark.parametrize(
    ("operation", "fault", "left"),
    [
        ("UploadPartCopy", error("AccessDenied", 403), 0),
        ("CompleteMultipartUpload", error("AccessDenied", 403), 0),
        ("CompleteMultipartUpload", error("InternalError", 500), 1),
        ("ListParts", error("AccessDenied", 403), 1),
    ],
)
def test_only_what_is_of_no_use_any_more_is_given_up(
    operation: str, fault: S3Error, left: int
) -> None:
    world = World()
    event = big(world)
    stop_after(world, event, FIRST_CALL.index("UploadPartCopy") + 3)
    world.s3.fault = lambda request: (
        (When.BEFORE, fault) if request.operation == operation else None
    )
    with pytest.raises(Failed) as failed:
        world.deliver(event)
    assert failed.value.kind == fault.code
    assert len(world.s3.uploads) == left


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(error(), "SlowDown"), (error("AccessDenied", 403), "AccessDenied"), (None, "OutOfTime")],
)
def test_a_copy_that_nobody_goes_on_with_leaves_nothing(fault: S3Error | None, kind: str) -> None:
    world = World()
    event = big(world)
    head = drive(ENGINE._asking.ask("HeadObject", **ENGINE._asking.in_source(event)), world.s3)
    replica = Replica(event, head, Provenance.of(head), "photos/cat")
    engine = ENGINE if fault else with_time_for(3, world)
    if fault:
        fail(world.s3, "UploadPartCopy", fault, times=99)
    copy = MultipartCopy(engine._asking, "STANDARD", 4, resumable=False)
    with pytest.raises((Failed, S3Error)) as failed:
        drive(copy.run(replica, {}), world.s3)
    assert getattr(failed.value, "kind", getattr(failed.value, "code", None)) == kind
    assert world.s3.uploads == {}
    world.s3.fault = lambda _request: None
    copy = replace(copy, asking=ENGINE._asking)
    assert drive(copy.run(replica, {}), world.s3)["ETag"]
    assert [stored.key for stored in world.backup.under("")] == ["photos/cat"]


def test_nothing_of_this_concerns_a_copy_in_one_request() -> None:
    world = World()
    assert world.asked(world.write(b"small"))[1] == ["HeadObject", "CopyObject"]
    assert notes(world.backup) == []


def test_requests_name_the_owner() -> None:
    world = World()
    event = big(world)
    stop_after(world, event, FIRST_CALL.index("UploadPartCopy") + 3)
    world.deliver(event)
    assert {request.operation for request in world.s3.requests} == {*FIRST_CALL, "ListParts"}
    nameless: list[Request] = [
        request
        for request in world.s3.requests
        if request.parameters["ExpectedBucketOwner"] != ENGINE.owner
    ]
    assert nameless == []
