"""What is botocore's own in driving the engine; what all drivers share is in test_drivers.py."""

import hashlib
import json
import math
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPResponse

from handler.asking import Asking, copy_seconds
from handler.boto import (
    ADDRESSES,
    LONG_SECONDS,
    PARTS_IN_FLIGHT,
    QUICK_SECONDS,
    BotoDriver,
    answer_seconds,
    connect_seconds,
)
from handler.copy import Engine
from handler.deletions import Deletion, Deletions
from handler.failures import Failed
from handler.records import Backup, ObjectVersion, Outcome, Removal
from handler.requests import Request, Steps, Together, Wait
from handler.units import MIB

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

Answer = tuple[int, Mapping[str, str], bytes] | Exception


class Wire:
    """Answers requests in turn before they leave, and keeps them."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[AWSPreparedRequest] = []
        self.timeouts: list[int] = []
        self.made: list[Any] = []
        self.slept: list[float] = []
        self._turn = threading.Lock()
        self.driver = BotoDriver(self._client, self.slept.append)

    def _client(self, config: Config) -> Any:
        self.made.append(config)
        client = botocore.session.get_session().create_client(
            "s3",
            region_name="eu-central-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=config,
        )

        def send(request: AWSPreparedRequest, **_: object) -> AWSResponse:
            self.timeouts.append(client.meta.config.read_timeout)
            return self._answer(request)

        client.meta.events.register("before-send.s3", send)
        return client

    def _answer(self, request: AWSPreparedRequest) -> AWSResponse:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, headers, body = answer
        stream = HTTPResponse(BytesIO(body), preload_content=False)
        return AWSResponse(request.url, status, dict(headers), stream)

    def give(self, answer: Answer, request: AWSPreparedRequest) -> AWSResponse:
        """Give this answer, whichever threads ask at the same time."""
        with self._turn:
            self.answers = [answer]
            return Wire._answer(self, request)

    def header(self, index: int, name: str) -> str | None:
        value = self.requests[index].headers.get(name)
        return value.decode() if isinstance(value, bytes) else value


def copy(wire: Wire, source: ObjectVersion = SOURCE, **options: Any) -> Backup:
    engine = Engine(backup_bucket="backups", owner="123456789012", jitter=lambda: 1.0, **options)
    return wire.driver.run(engine.copy(source))


@pytest.mark.parametrize(
    "answer",
    [
        ReadTimeoutError(endpoint_url="https://s3"),
        ConnectionClosedError(endpoint_url="https://s3"),
    ],
)
def test_silence_is_tried_again_by_the_engine_alone(answer: Answer) -> None:
    wire = Wire((200, HEAD, b""), answer, answer, (200, {}, COPIED))
    assert copy(wire) == Backup(Outcome.COPIED, 9)
    assert wire.slept == [0.1, 0.2]
    assert len(wire.requests) == 4


def test_nothing_is_begun_without_time_for_it() -> None:
    wire = Wire()
    with pytest.raises(Failed, match="no time was left") as failure:
        copy(wire, seconds_left=lambda: 0.0)
    assert failure.value.retryable


def test_there_is_no_further_try_without_time_for_it() -> None:
    wire = Wire((200, HEAD, b""), (503, {}, b"<Error><Code>SlowDown</Code></Error>"))
    with pytest.raises(Failed, match="SlowDown") as failure:
        copy(wire, seconds_left=lambda: 0.05)
    assert failure.value.retryable


def test_conversations_overlap_and_each_makes_its_own_pauses() -> None:
    wire = Wire()
    both_under_way = threading.Barrier(2)

    def sleep(_seconds: float) -> None:
        both_under_way.wait(10)

    wire.driver = BotoDriver(wire._client, sleep)

    def pausing(number: int) -> Steps[int]:
        yield Wait(1)
        if number == 2:
            raise Failed("no", kind="No", retryable=False)
        return number

    def steps() -> Steps[list[Any]]:
        return (yield Together([pausing(1), pausing(2)]))

    one, two = wire.driver.run(steps())
    assert one == 1
    assert isinstance(two, Failed)


def test_clients_leave_retries_to_the_engine_and_have_room_for_all_parts() -> None:
    wire = Wire((200, HEAD, b""), (200, {}, COPIED))
    copy(wire)
    [config] = wire.made
    assert config.retries["total_max_attempts"] == 1
    assert config.max_pool_connections >= PARTS_IN_FLIGHT


@pytest.mark.parametrize(
    ("mebibytes", "seconds"), [(1, 30), (64, 30), (80, 30), (81, 660), (5 * 1024, 660)]
)
def test_only_large_copies_may_keep_the_function_waiting(mebibytes: int, seconds: int) -> None:
    head = {**HEAD, "Content-Length": str(mebibytes * MIB)}
    wire = Wire((200, head, b""), (200, {}, COPIED))
    copy(wire)
    assert wire.timeouts == [30, seconds]
    assert copy_seconds(mebibytes * MIB) <= seconds


def test_a_client_is_made_when_it_is_needed_and_once() -> None:
    head = {**HEAD, "Content-Length": str(5 * 1024 * MIB)}
    wire = Wire(*[(200, head, b""), (200, {}, COPIED)] * 2)
    assert wire.made == []
    copy(wire)
    copy(wire)
    assert [config.read_timeout for config in wire.made] == [30, 660]
    # What goes out as plain headers does so with either.
    assert wire.header(3, "If-None-Match") == "*"


CREATED = b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
PART = (
    b"<CopyPartResult><ETag>&quot;p1&quot;</ETag><ChecksumCRC32>cGFydA==</ChecksumCRC32>"
    b"</CopyPartResult>"
)
COMPLETED = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"


@pytest.mark.parametrize("forgotten", [False, True], ids=["SDK of today", "SDK of 2024"])
def test_a_copy_in_parts_is_sent_with_the_checksum_whatever_the_sdk_knows(
    *, forgotten: bool
) -> None:
    checksum = {"x-amz-checksum-crc64nvme": "d2hvbGU=", "x-amz-checksum-type": "FULL_OBJECT"}
    missing = (404, {}, b"<Error><Code>NoSuchKey</Code></Error>")
    by_name: dict[str, Answer] = {
        "HEAD photos": (200, {**HEAD, **checksum}, b""),
        "HEAD backups": (404, {}, b""),
        "GET photos": (200, {}, b"<Tagging><TagSet></TagSet></Tagging>"),
        "GET backups": missing,
        "POST uploads": (200, {}, CREATED),
        "PUT note": (200, {"ETag": '"n"'}, b""),
        "PUT part": (200, {}, PART.replace(b"CRC32", b"CRC64NVME")),
        "POST complete": (200, {}, COMPLETED),
    }
    sent: dict[str, AWSPreparedRequest] = {}

    class Anywhere(Wire):
        """Answers by what is asked, because not all is asked in order."""

        def _client(self, config: Config) -> Any:
            client = super()._client(config)
            if forgotten:
                client.meta.events.register("after-call.s3.HeadObject", forget)
            return client

        def _answer(self, request: AWSPreparedRequest) -> AWSResponse:
            bucket = "photos" if "//photos." in request.url else "backups"
            name = f"{request.method} {bucket}"
            if request.method == "POST":
                name = "POST uploads" if request.url.endswith("?uploads") else "POST complete"
            if request.method == "PUT":
                name = "PUT part" if "partNumber=" in request.url else "PUT note"
            sent[name] = request
            return self.give(by_name[name], request)

    def forget(parsed: dict[str, Any], **_: object) -> None:
        for name in ("ChecksumCRC64NVME", "ChecksumType"):
            parsed.pop(name, None)

    assert copy(Anywhere(), multipart_above=8) == Backup(Outcome.COPIED, 9)

    def header(name: str, header: str) -> str | None:
        value = sent[name].headers.get(header)
        return value.decode() if isinstance(value, bytes) else value

    assert header("HEAD photos", "x-amz-checksum-mode") == "ENABLED"
    assert header("POST uploads", "x-amz-checksum-algorithm") == "CRC64NVME"
    assert header("POST uploads", "x-amz-checksum-type") == "FULL_OBJECT"
    assert header("POST complete", "x-amz-checksum-crc64nvme") == "d2hvbGU="
    assert header("POST complete", "x-amz-checksum-type") == "FULL_OBJECT"
    assert header("POST complete", "x-amz-mp-object-size") == "9"
    assert "x-amz-mp-object-size" in str(header("POST complete", "Authorization"))
    body = sent["POST complete"].body
    assert b"<ChecksumCRC64NVME>cGFydA==</ChecksumCRC64NVME>" in bytes(body)


def test_no_answer_is_waited_for_longer_than_there_is_time() -> None:
    asking = Asking("backups", "123456789012", seconds_left=lambda: 7.0)
    request = next(asking.ask("CopyObject", seconds=600))
    assert isinstance(request, Request)
    assert request.seconds == 7.0


@given(
    st.floats(0, 2000), st.sampled_from([0.0, 1e-3, 5.0, 8.5, 40.0, 59.0, 60.0, 699.9, math.inf])
)
def test_whatever_does_not_answer_has_ended_when_time_is_up(seconds: float, left: float) -> None:
    waits = answer_seconds(Request("HeadObject", {}, min(seconds, left), left))
    longest = waits + ADDRESSES * connect_seconds(waits)
    assert longest <= left or waits == 1
    if left == math.inf:
        assert waits == (QUICK_SECONDS if seconds <= QUICK_SECONDS else LONG_SECONDS)
    elif left >= 2:
        # Most of a copy is better than none of it.
        assert longest >= min(left, seconds) / 3


@pytest.mark.parametrize("size", [1, 5 * 1024 * MIB, 6 * 1024 * MIB])
def test_no_request_of_a_copy_waits_beyond_the_end(size: int) -> None:
    class Anything(Wire):
        def _answer(self, request: AWSPreparedRequest) -> AWSResponse:
            head = {**HEAD, "Content-Length": str(size)} if "//photos." in request.url else {}
            body = {"HEAD": b"", "POST": CREATED, "GET": b"<Tagging><TagSet/></Tagging>"}
            if request.method == "PUT" and "partNumber" not in request.url:
                body["PUT"] = COPIED
            if request.method == "POST" and "uploads" not in request.url:
                body["POST"] = COMPLETED
            missing = request.method in {"HEAD", "GET"} and "//backups." in request.url
            found = (200, {"ETag": '"n"', **head}, body.get(request.method, PART))
            return self.give((404, {}, b"") if missing else found, request)

    wire = Anything()
    assert copy(wire, seconds_left=lambda: 50.0).outcome is Outcome.COPIED
    assert len(wire.timeouts) == len(wire.requests) >= 2
    assert set(wire.timeouts) <= {20, 30}
    assert all(config.connect_timeout <= 2.5 for config in wire.made)


class Gathering(Wire):
    """Answers nobody before as many requests as are allowed are there at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()
        self._all = threading.Barrier(PARTS_IN_FLIGHT, timeout=30)

    def _answer(self, request: AWSPreparedRequest) -> AWSResponse:
        self.threads.add(threading.get_ident())
        self._all.wait()
        return AWSResponse(request.url, 200, {"ETag": '"a"'}, HTTPResponse(BytesIO()))


def test_copies_at_the_same_time_share_the_parts_in_flight() -> None:
    wire = Gathering()

    def part(number: int) -> Steps[Any]:
        return (yield Request("HeadObject", {"Bucket": "b", "Key": str(number)}))

    def copy_in_parts() -> Steps[list[Any]]:
        return (yield Together([part(number) for number in range(PARTS_IN_FLIGHT)]))

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: wire.driver.run(copy_in_parts()), range(3)))
    assert [len(answers) for answers in found] == [PARTS_IN_FLIGHT] * 3
    assert len(wire.threads) == PARTS_IN_FLIGHT


REMOVAL = Removal(
    SOURCE.bucket,
    SOURCE.key,
    "m1",
    True,
    datetime(2026, 3, 4, 5, 6, 8, 90_000, UTC),
    "0055AED6DCD90281E6",
)
SHOWN = {
    **HEAD,
    "ETag": '"copy"',
    "x-amz-meta-s3-backup-version": "v1",
    "x-amz-meta-s3-backup-etag": "abc",
    "x-amz-meta-s3-backup-size": "9",
    "x-amz-meta-s3-backup-modified": "2026-03-04T05:06:07Z",
    "x-amz-meta-s3-backup-sequencer": "0055AED6DCD90281E5",
}
FORBIDDEN = (403, {}, b"<Error><Code>AccessDenied</Code></Error>")


def remove(wire: Wire) -> Backup:
    engine = Engine("backups", "123456789012", jitter=lambda: 1.0, track_deletes=True)
    return wire.driver.run(engine.remove(REMOVAL))


def test_a_deletion_is_sent_as_a_record_and_a_marker_on_what_was_seen() -> None:
    recorded = {"ETag": '"recorded"'}
    wire = Wire((200, SHOWN, b""), FORBIDDEN, (200, recorded, b""), (204, {}, b""))
    wire.answers.append((200, {**recorded, "Content-Length": "2"}, b"{}"))
    assert remove(wire) == Backup(Outcome.REMOVED)
    _, read, record, marker, again = wire.requests
    assert [request.method for request in wire.requests] == ["HEAD", "GET", "PUT", "DELETE", "GET"]
    digest = hashlib.sha256(SOURCE.key.encode()).hexdigest()
    place = f"/.s3-backup/deleted/photos/{digest}"
    assert {request.url.split("amazonaws.com")[1] for request in (read, record, again)} == {place}
    assert wire.header(2, "If-None-Match") == "*"
    assert wire.header(2, "If-Match") is None
    assert marker.url.endswith("/photos/a%20b/%C3%A9.jpg")
    assert wire.header(3, "If-Match") == '"copy"'
    assert "if-match" in str(wire.header(3, "Authorization"))
    owners = {wire.header(index, "x-amz-expected-bucket-owner") for index in range(5)}
    assert owners == {"123456789012"}
    # Sent in chunks, with a checksum after the last.
    body = record.body.read().split(b"\r\n")[1]
    assert json.loads(body)["deletions"] == [
        {
            "time": "2026-03-04T05:06:08.090Z",
            "sequencer": "0055AED6DCD90281E6",
            "version": "m1",
            "marker": True,
        }
    ]


def test_a_known_record_is_changed_only_as_it_was_seen() -> None:
    known = json.dumps({"key": SOURCE.key, "deletions": [], "earlier": [], "sequencers": {}})
    answer = {"ETag": '"seen"', "Content-Length": str(len(known))}
    wire = Wire((404, {}, b""), (200, answer, known.encode()), (200, {"ETag": '"new"'}, b""))
    wire.answers.append((404, {}, b""))
    assert remove(wire) == Backup(Outcome.REMOVED)
    assert wire.header(2, "If-Match") == '"seen"'
    assert wire.header(2, "If-None-Match") is None


@pytest.mark.parametrize(
    "answer",
    [
        (412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"),
        (404, {}, b"<Error><Code>NoSuchKey</Code></Error>"),
    ],
)
def test_a_backup_that_changed_before_its_marker_is_looked_at_again(answer: Answer) -> None:
    recorded = Deletions(SOURCE.key).adding(Deletion.of(REMOVAL)).to_json()
    headers = {"ETag": '"recorded"', "Content-Length": str(len(recorded))}
    wire = Wire((200, SHOWN, b""), FORBIDDEN, (200, headers, b""), answer)
    wire.answers += [(404, {}, b""), (200, headers, recorded)]
    assert remove(wire) == Backup(Outcome.REMOVED)
    assert wire.slept == [0.1]
