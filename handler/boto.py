"""Drives the copy engine over botocore, in threads."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from .answers import check, status_of
from .failures import Failed
from .requests import Request, S3Error, Steps, Together, Wait

T = TypeVar("T")

# A part takes its time however many others are copied. Each needs a thread and a connection, which
# a small function has the memory for, and the time to open.
PARTS_IN_FLIGHT = 48

# botocore knows one read timeout per client, so there is one for nearly everything and one for
# what takes long, with the time that the engine gives a copy of 5 GiB; and further ones for
# requests that are made when less time than that is left.
QUICK_SECONDS = 30
LONG_SECONDS = 660
LESS_SECONDS = (500, 330, 220, 150, 100, 70, 45, 20, 12, 8, 5, 3, 2, 1)

# S3's name has several addresses, and urllib3 gives each of them the whole time for a connection.
ADDRESSES = 8

CLIENT_CONFIG = Config(
    # The engine decides what is tried again.
    retries={"total_max_attempts": 1},
    max_pool_connections=2 * PARTS_IN_FLIGHT,
    tcp_keepalive=True,
    # Tells these requests from others in CloudTrail. botocore's own is put together twice for each
    # request, which takes a good part of its CPU time.
    user_agent="s3-backup",
    # What other regions have anyway; botocore's default for this one is older.
    # https://docs.aws.amazon.com/sdkref/latest/guide/feature-s3-regional-endpoint.html
    s3={"us_east_1_regional_endpoint": "regional"},
)

# Parameters that go out as plain headers: the SDK in Lambda may be older than the parameter, or,
# for Expires, insist on a date.
_HEADERS = {
    "AnnotationDirective": "x-amz-object-annotation-directive",
    "ChecksumAlgorithm": "x-amz-checksum-algorithm",
    "ChecksumCRC32": "x-amz-checksum-crc32",
    "ChecksumCRC32C": "x-amz-checksum-crc32c",
    "ChecksumCRC64NVME": "x-amz-checksum-crc64nvme",
    "ChecksumMode": "x-amz-checksum-mode",
    "ChecksumType": "x-amz-checksum-type",
    "Expires": "Expires",
    "IfMatch": "If-Match",
    "IfNoneMatch": "If-None-Match",
    "MpuObjectSize": "x-amz-mp-object-size",
}

# What HeadObject's answer may hold that the SDK in Lambda may not know.
_TOLD_IN_HEADERS = ("ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumType")


def answer_seconds(request: Request) -> int:
    """How long to wait for an answer, so that it ends in time even where nothing answers."""
    usual = QUICK_SECONDS if request.seconds <= QUICK_SECONDS else LONG_SECONDS
    if request.left >= usual + ADDRESSES * connect_seconds(usual):
        return usual
    for seconds in LESS_SECONDS:
        if seconds < usual and seconds + ADDRESSES * connect_seconds(seconds) <= request.left:
            return seconds
    return LESS_SECONDS[-1]


def connect_seconds(timeout: int) -> float:
    """How long to wait for a connection to one address, where that is waited for an answer."""
    return min(5.0, timeout / ADDRESSES)


class BotoDriver:
    """Talks to S3 for the engine, and for several copies at once in threads of their own.

    :param make_client: makes a botocore S3 client with that config; called for each timeout when it
        is needed first. Clients of one session share what is expensive about them.
    :param sleep: waits so many seconds.
    """

    def __init__(
        self,
        make_client: Callable[[Config], Any],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._make_client = make_client
        self._sleep = sleep
        self._clients: dict[int, Any] = {}
        # Using clients is thread-safe, making them is not.
        # https://docs.aws.amazon.com/boto3/latest/guide/clients.html
        self._making = threading.Lock()
        # One for all copies that run at the same time, so that together they have no more parts
        # in flight than one of them. No part has parts, so none waits for the place it takes.
        self._parts = ThreadPoolExecutor(PARTS_IN_FLIGHT, "part")

    def prepare(self) -> None:
        """Make the client that nearly every request takes, so that none has to wait for it."""
        self._client(QUICK_SECONDS)

    def run(self, steps: Steps[T]) -> T:
        """Do what the engine asks for until it has a result.

        :raises Failed: as the engine does.
        """
        answer: Any = None
        error: S3Error | None = None
        while True:
            try:
                wanted = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            answer = error = None
            match wanted:
                case Wait(seconds):
                    self._sleep(seconds)
                case Together(conversations):
                    answer = list(self._parts.map(self._run_or_error, conversations))
                case Request():
                    try:
                        answer = self.answer(wanted)
                    except S3Error as failure:
                        error = failure

    def _run_or_error(self, steps: Steps[T]) -> T | S3Error | Failed:
        try:
            return self.run(steps)
        except (S3Error, Failed) as error:
            return error

    def _client(self, timeout: int) -> Any:  # noqa: ANN401
        with self._making:
            if timeout not in self._clients:
                config = Config(connect_timeout=connect_seconds(timeout), read_timeout=timeout)
                client = self._make_client(CLIENT_CONFIG.merge(config))
                events = client.meta.events
                events.register("provide-client-params.s3", _set_aside, unique_id="s3-backup-aside")
                events.register("before-call.s3", _put_into_headers, unique_id="s3-backup-headers")
                self._clients[timeout] = client
            return self._clients[timeout]

    def answer(self, request: Request) -> Mapping[str, Any]:
        """Send one request.

        :raises S3Error: if S3 refuses it or does not answer.
        """
        operation = request.operation
        method = getattr(self._client(answer_seconds(request)), _METHODS[operation])
        try:
            answer = method(**request.parameters)
            if operation == "GetObject":
                answer["Body"] = answer["Body"].read()
        except ClientError as error:
            details = error.response["Error"]
            status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise S3Error(
                operation,
                details["Code"],
                status_of(details["Code"], status),
                details.get("Message", ""),
                details.get("Condition"),
            ) from error
        except ParamValidationError as error:
            raise S3Error(operation, "InvalidParameter", 400, str(error)) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise S3Error(operation, type(error).__name__, 0, str(error)) from error
        check(operation, answer)
        if operation == "HeadObject":
            told: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
            for name in _TOLD_IN_HEADERS:
                if _HEADERS[name] in told:
                    answer[name] = told[_HEADERS[name]]
        return answer


_METHODS = {
    "AbortMultipartUpload": "abort_multipart_upload",
    "CompleteMultipartUpload": "complete_multipart_upload",
    "CopyObject": "copy_object",
    "CreateMultipartUpload": "create_multipart_upload",
    "DeleteObject": "delete_object",
    "GetObject": "get_object",
    "GetObjectTagging": "get_object_tagging",
    "HeadObject": "head_object",
    "ListObjectVersions": "list_object_versions",
    "ListObjectsV2": "list_objects_v2",
    "ListParts": "list_parts",
    "PutObject": "put_object",
    "UploadPartCopy": "upload_part_copy",
}


def _set_aside(params: dict[str, Any], context: dict[str, Any], **_: object) -> dict[str, Any]:
    kept = {name: value for name, value in params.items() if name not in _HEADERS}
    context["s3_backup_headers"] = {
        header: str(params[name]) for name, header in _HEADERS.items() if name in params
    }
    return kept


def _put_into_headers(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    params["headers"].update(context.get("s3_backup_headers", {}))
