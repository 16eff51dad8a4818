"""The engine's requests on the wire, and S3's answers as the engine hears them, by every driver."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from handler.copy import Engine
from handler.failures import Failed
from handler.records import Backup, ObjectVersion, Outcome
from handler.requests import Request, S3Error, Steps, Together, Wait
from tests.wire import RUNS, Answer, Broken, Run, Sent, Wire

SOURCE = ObjectVersion("photos", "a b/\u00e9.jpg", "v1", "abc", 9, "0055AED6DCD90281E5")
HEAD = {
    "ETag": '"abc"',
    "Content-Length": "9",
    "Last-Modified": "Wed, 04 Mar 2026 05:06:07 GMT",
    "Content-Type": "image/jpeg",
    "Expires": "never",
    "x-amz-meta-colour": "red",
}
COPIED = b"<CopyObjectResult><ETag>&quot;abc&quot;</ETag></CopyObjectResult>"
REFUSED = (
    b"<Error><Code>PreconditionFailed</Code><Message>At least one</Message>"
    b"<Condition>If-None-Match</Condition></Error>"
)


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> Run:
    return RUNS[request.param]


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


def copy(run: Run, wire: Wire, *answers: Answer) -> Backup:
    wire.answers.extend(answers)
    engine = Engine(backup_bucket="backups", owner="123456789012", jitter=lambda: 1.0)
    return run(wire, engine.copy(SOURCE))


def ask(operation: str, **parameters: Any) -> Steps[Any]:
    return (yield Request(operation, {"Bucket": "bucket", "Key": "k", **parameters}))


def test_a_copy_is_sent_with_conditions_provenance_and_the_headers_as_they_were(
    run: Run, wire: Wire
) -> None:
    assert copy(run, wire, (200, HEAD, b""), (200, {}, COPIED)) == Backup(Outcome.COPIED, 9)
    head, sent = wire.requests
    assert (head.method, head.url) == ("HEAD", "/photos/a%20b/%C3%A9.jpg?versionId=v1")
    assert (sent.method, sent.url) == ("PUT", "/backups/photos/a%20b/%C3%A9.jpg")
    assert wire.header(0, "If-Match") == "abc"
    expected = {
        "x-amz-copy-source": "photos/a%20b/%C3%A9.jpg?versionId=v1",
        "x-amz-copy-source-if-match": "abc",
        "x-amz-expected-bucket-owner": "123456789012",
        "x-amz-source-expected-bucket-owner": "123456789012",
        "If-None-Match": "*",
        "If-Match": None,
        "x-amz-object-annotation-directive": "EXCLUDE",
        "x-amz-metadata-directive": "REPLACE",
        "x-amz-tagging-directive": "COPY",
        "x-amz-storage-class": "STANDARD",
        "Content-Type": "image/jpeg",
        "Content-Length": "0",
        "Expires": "never",
        "x-amz-meta-colour": "red",
        "x-amz-meta-s3-backup-etag": "abc",
        "x-amz-meta-s3-backup-modified": "2026-03-04T05:06:07Z",
        "x-amz-meta-s3-backup-size": "9",
        "x-amz-meta-s3-backup-version": "v1",
        "x-amz-meta-s3-backup-sequencer": "0055AED6DCD90281E5",
    }
    assert {name: wire.header(1, name) for name in expected} == expected
    signed = str(wire.header(1, "Authorization"))
    assert "if-none-match" in signed
    assert "x-amz-object-annotation-directive" in signed


def test_what_is_there_already_is_recognised_by_its_provenance(run: Run, wire: Wire) -> None:
    known = {**HEAD, "x-amz-meta-s3-backup-version": "v1"}
    known |= {"x-amz-meta-s3-backup-etag": "abc", "x-amz-meta-s3-backup-size": "9"}
    known |= {"x-amz-meta-s3-backup-modified": "2026-03-04T05:06:07Z"}
    answers = (200, HEAD, b""), (412, {}, REFUSED), (200, known, b"")
    assert copy(run, wire, *answers) == Backup(Outcome.DUPLICATE)
    assert wire.requests[2].url == "/backups/photos/a%20b/%C3%A9.jpg"


def test_an_older_backup_is_replaced_only_as_it_was_seen(run: Run, wire: Wire) -> None:
    older = {"ETag": '"old"', "Content-Length": "1", "Last-Modified": HEAD["Last-Modified"]}
    answers = (200, HEAD, b""), (412, {}, REFUSED), (200, older, b""), (404, {}, b"")
    assert copy(run, wire, *answers, (200, {}, COPIED)) == Backup(Outcome.COPIED, 9)
    assert wire.header(4, "If-Match") == '"old"'
    assert wire.header(4, "If-None-Match") is None


@pytest.mark.parametrize(
    "answer",
    [
        (503, {}, b"<Error><Code>SlowDown</Code><Message>Reduce</Message></Error>"),
        (500, {}, b"<Error><Code>InternalError</Code></Error>"),
        (500, {}, b"<html>oops</html>"),
        (502, {}, b"Bad gateway"),
        (200, {}, b"<Error><Code>InternalError</Code><Message>We</Message></Error>"),
        (409, {}, b"<Error><Code>ConditionalRequestConflict</Code></Error>"),
        (400, {}, b"<Error><Code>KMS.ThrottlingException</Code></Error>"),
        (200, {}, b""),
        (200, {}, b"<CopyObjectResult></CopyObjectResult>"),
        (200, {}, b"<CopyObjectResult><ETag>"),
        *Broken,
    ],
    ids=str,
)
def test_what_another_try_may_mend_is_tried_again_by_the_engine_alone(
    run: Run, wire: Wire, answer: Answer
) -> None:
    answers = (200, HEAD, b""), answer, answer, (200, {}, COPIED)
    assert copy(run, wire, *answers) == Backup(Outcome.COPIED, 9)
    assert wire.slept == [0.1, 0.2]
    assert len(wire.requests) == 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((403, {}, b"<Error><Code>AccessDenied</Code></Error>"), "the function's role may not"),
        ((403, {}, b"<Error><Code>InvalidObjectState</Code></Error>"), "the object is archived"),
        ((400, {}, b"<Error><Code>KMS.DisabledException</Code></Error>"), "enable the KMS key"),
        ((200, {}, b"<Error><Code>AccessDenied</Code></Error>"), "the function's role may not"),
        ((200, {}, b"<Error><Code>KMS.DisabledException</Code></Error>"), "enable the KMS key"),
    ],
)
def test_what_no_try_can_mend_fails_at_once_with_a_cure(
    run: Run, wire: Wire, answer: Answer, reason: str
) -> None:
    with pytest.raises(Failed, match=reason) as failure:
        copy(run, wire, (200, HEAD, b""), answer)
    assert not failure.value.retryable
    assert wire.slept == []


def test_gone_in_the_body_of_a_good_answer_is_gone(run: Run, wire: Wire) -> None:
    gone = (200, {}, b"<Error><Code>NoSuchKey</Code></Error>")
    assert copy(run, wire, (200, HEAD, b""), gone) == Backup(Outcome.GONE)


def test_headers_that_are_not_ascii_are_left_to_s3(run: Run, wire: Wire) -> None:
    head = {**HEAD, "Content-Disposition": 'attachment; filename="\u00e4.txt"'}
    answers = (200, head, b""), (200, {}, COPIED), (200, {"ETag": '"p"'}, b"")
    assert copy(run, wire, *answers) == Backup(Outcome.COPIED, 9)
    assert wire.header(1, "x-amz-metadata-directive") == "COPY"
    assert wire.header(1, "Content-Disposition") is None
    assert wire.requests[2].url.startswith("/backups/.s3-backup/provenance/photos/")
    assert wire.requests[2].body.startswith(b'{"s3-backup-etag": "abc"')
    # Where objects are locked by default, S3 takes no body without it.
    assert wire.header(2, "x-amz-sdk-checksum-algorithm") == "CRC32"


def test_a_writer_of_the_source_cannot_smuggle_provenance_past_the_engine(
    run: Run, wire: Wire
) -> None:
    head = {**HEAD, "x-amz-missing-meta": "1", "x-amz-meta-s3-backup-sequencer": "FF"}
    with pytest.raises(Failed, match="reserved") as failure:
        copy(run, wire, (200, head, b""))
    assert (failure.value.kind, failure.value.retryable) == ("ReservedMetadata", False)


class Numbered(Wire):
    """Answers each part by its number, whatever the order of arrival; part 2 fails."""

    def answer(self, sent: Sent) -> Answer:
        number = sent.url.split("partNumber=")[1].split("&")[0]
        body = f"<CopyPartResult><ETag>e{number}</ETag></CopyPartResult>".encode()
        return (503, {}, b"") if number == "2" else (200, {}, body)


def test_parts_are_answered_in_their_order_with_errors_in_their_place(run: Run) -> None:
    def part(number: int) -> Steps[str]:
        source = {"Bucket": "source", "Key": "k"}
        answer = yield from ask(
            "UploadPartCopy", UploadId="u", CopySource=source, PartNumber=number
        )
        return answer["CopyPartResult"]["ETag"]

    def steps() -> Steps[list[str]]:
        answers: list[Any] = yield Together([part(number) for number in range(1, 50)])
        return ["failed" if isinstance(answer, S3Error) else answer for answer in answers]

    expected = [f"e{number}" for number in range(1, 50)]
    expected[1] = "failed"
    wire = Numbered()
    try:
        assert run(wire, steps()) == expected
    finally:
        wire.close()


def test_waiting_and_reading_a_body(run: Run, wire: Wire) -> None:
    def steps() -> Steps[bytes]:
        yield Wait(1.5)
        answer = yield from ask("GetObject")
        return answer["Body"]

    wire.answers.append((200, {}, b"{}"))
    assert run(wire, steps()) == b"{}"
    assert wire.slept == [1.5]


@pytest.mark.parametrize(
    "parameters",
    [{"Key": 5}, {"Key": ""}, {"Nonsense": "x"}, {"Bucket": "no/bucket"}],
    ids=str,
)
def test_what_cannot_be_sent_is_no_reason_to_try_again(
    run: Run, wire: Wire, parameters: dict[str, Any]
) -> None:
    with pytest.raises(S3Error, match="InvalidParameter") as error:
        run(wire, ask("HeadObject", **parameters))
    assert error.value.status == 400
    assert wire.requests == []


def test_no_header_can_be_smuggled_in(run: Run, wire: Wire) -> None:
    with pytest.raises((S3Error, ValueError)):
        run(wire, ask("PutObject", Body=b"", Metadata={"a": "b\r\nx-amz-acl: public-read"}))
    assert wire.requests == []


def test_times_are_told_in_utc(run: Run, wire: Wire) -> None:
    wire.answers.append((200, HEAD, b""))
    answer = run(wire, ask("HeadObject"))
    assert answer["LastModified"] == datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (404, {}, b"", ("404", 404, None)),
        (400, {}, b"<Error><Code>Odd</Code><Message>m</Message></Error>", ("Odd", 400, None)),
        (412, {}, REFUSED, ("PreconditionFailed", 412, "If-None-Match")),
        (403, {}, b"Forbidden", ("403", 403, None)),
        (500, {}, b"", ("500", 500, None)),
        (200, {}, b"<Error><Code>NoSuchKey</Code></Error>", ("NoSuchKey", 404, None)),
        (200, {}, b"<Error><Code>Odd</Code></Error>", ("Odd", 500, None)),
        (200, {}, b"", ("EmptyAnswer", 0, None)),
    ],
    ids=str,
)
def test_refusals_are_told_alike(
    run: Run,
    wire: Wire,
    status: int,
    headers: dict[str, str],
    body: bytes,
    expected: tuple[str, int, str | None],
) -> None:
    wire.answers.append((status, headers, body))
    with pytest.raises(S3Error) as error:
        run(wire, ask("CopyObject", CopySource={"Bucket": "source", "Key": "k"}))
    assert (error.value.code, error.value.status, error.value.condition) == expected


@pytest.mark.parametrize("broken", Broken)
def test_no_answer_is_told_alike(run: Run, wire: Wire, broken: Broken) -> None:
    wire.answers.append(broken)
    with pytest.raises(S3Error) as error:
        run(wire, ask("HeadObject"))
    assert error.value.status == 0
