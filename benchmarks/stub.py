"""A web server that answers as S3 does, with ready-made answers, faster than any client asks.

    with Stub() as stub:
        client = boto3.client("s3", endpoint_url=stub.url, ...)
        stub.counts()  # {"HeadObject": 1, ...}

It runs in a process of its own, so that its work is not measured with the client's. It looks at
nothing but what it needs to choose an answer, at no signature and no body. Every object is there;
of the backups only those with `/replaced/` in their path, as copies of an older version. What
listings have is another matter (`benchmarks/listings.py`). To teach it another answer, add it to
`_answers` and say in `_operation` who gets it.
"""

import argparse
import asyncio
import collections
import http.client
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import uvloop

from .listings import BACKUPS, NEWER, OLDER, SOURCE, Listings

ETAG = "e" * 32
SIZE = 4096
"""Bytes that every object has, as HEAD says."""
COUNTS_PATH = "/_stub/counts"
"""Answers with how often each operation was asked for, and starts counting anew."""

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_MODIFIED = "2026-03-04T05:06:07.000Z"


def _message(
    status: str = "200 OK",
    body: str = "",
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/xml",
) -> bytes:
    """A whole answer; a `Content-Length` among the headers replaces the body's."""
    fields = {
        "x-amz-request-id": "request",
        "x-amz-id-2": "vxL5CyLBJ",
        "Server": "AmazonS3",
        "Content-Length": str(len(body.encode())),
        **({"Content-Type": content_type} if body else {}),
        **(headers or {}),
    }
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def _xml(root: str, content: str) -> str:
    return f"{_XML}<{root} {_NAMESPACE}>{content}</{root}>"


def _answers(size: int) -> dict[str, bytes]:
    """The answer to each operation; what comes after a space is about a special case of one."""
    result = f"<LastModified>{_MODIFIED}</LastModified><ETag>&quot;{ETAG}&quot;</ETag>"
    version = {"x-amz-version-id": "version"}
    head = {
        **version,
        "Content-Length": str(size),
        "Content-Type": "image/jpeg",
        "Last-Modified": "Wed, 04 Mar 2026 05:06:07 GMT",
        "ETag": f'"{ETAG}"',
        "Accept-Ranges": "bytes",
        "x-amz-server-side-encryption": "AES256",
        "x-amz-meta-colour": "red",
    }
    older = {
        "x-amz-meta-s3-backup-etag": "0" * 32,
        "x-amz-meta-s3-backup-modified": "2026-03-04T05:06:06Z",
        "x-amz-meta-s3-backup-sequencer": "0",
        "x-amz-meta-s3-backup-size": "1",
        "x-amz-meta-s3-backup-version": "older",
    }
    return {
        **_answers_about_buckets(),
        **{
            f"HeadObject {version}": _message(headers={**head, **_provenance(version, when)})
            for version, when in (("older", OLDER), ("newer", NEWER))
        },
        "HeadObject folder": _message("404 Not Found"),
        "HeadObject": _message(headers=head),
        "HeadObject replaced": _message(headers={**head, **older}),
        "CopyObject": _message(body=_xml("CopyObjectResult", result), headers=version),
        "CopyObject replaced": _message(
            "412 Precondition Failed",
            f"{_XML}<Error><Code>PreconditionFailed</Code><Message>At least one of the "
            "pre-conditions you specified did not hold</Message><Condition>If-None-Match"
            "</Condition></Error>",
        ),
        "UploadPartCopy": _message(body=_xml("CopyPartResult", result)),
        "PutObject": _message(headers={**version, "ETag": f'"{ETAG}"'}),
        "GetObjectTagging": _message(body=_xml("Tagging", "<TagSet></TagSet>")),
        "CreateMultipartUpload": _message(
            body=_xml(
                "InitiateMultipartUploadResult",
                "<Bucket>b</Bucket><Key>k</Key><UploadId>VXBsb2FkIElE</UploadId>",
            )
        ),
        "CompleteMultipartUpload": _message(
            body=_xml(
                "CompleteMultipartUploadResult",
                f"<Location>l</Location><Bucket>b</Bucket><Key>k</Key><ETag>&quot;{ETAG}-1&quot;"
                "</ETag>",
            ),
            headers=version,
        ),
        "AbortMultipartUpload": _message("204 No Content"),
        "SendMessage": _message(
            body=json.dumps({"MessageId": "1", "MD5OfMessageBody": ETAG}),
            content_type="application/x-amz-json-1.0",
        ),
        "Unknown": _message("501 Not Implemented", "<Error><Code>NotImplemented</Code></Error>"),
    }


def _provenance(version: str, when: str) -> dict[str, str]:
    return {
        "x-amz-version-id": version,
        "x-amz-meta-s3-backup-etag": ETAG,
        "x-amz-meta-s3-backup-modified": f"{when[:19]}Z",
        "x-amz-meta-s3-backup-size": str(SIZE),
        "x-amz-meta-s3-backup-version": version,
    }


def _answers_about_buckets() -> dict[str, bytes]:
    encryption = "<SSEAlgorithm>AES256</SSEAlgorithm>"
    for element in ("ApplyServerSideEncryptionByDefault", "Rule"):
        encryption = f"<{element}>{encryption}</{element}>"
    return {
        "GetBucketVersioning": _message(
            body=_xml("VersioningConfiguration", "<Status>Enabled</Status>")
        ),
        "GetBucketEncryption": _message(body=_xml("ServerSideEncryptionConfiguration", encryption)),
    }


def _operation(method: bytes, target: bytes, head: bytes) -> str:
    """Which operation of S3 (or SQS) a request asks for, and which of its answers it gets."""
    query = target.partition(b"?")[2]
    if method == b"HEAD":
        if target == f"/{BACKUPS}/{SOURCE}".encode():
            # rclone asks whether what it is to list is a file.
            return "HeadObject folder"
        for version in (b"older", b"newer"):
            if target.startswith(f"/{BACKUPS}/".encode()) and query == b"versionId=" + version:
                return f"HeadObject {version.decode()}"
        return "HeadObject replaced" if _is_replaced(target) else "HeadObject"
    if method == b"PUT":
        copies = b"\r\nx-amz-copy-source:" in head
        if b"partNumber=" in query:
            return "UploadPartCopy" if copies else "UploadPart"
        if copies and b"\r\nif-none-match:" in head and _is_replaced(target):
            return "CopyObject replaced"
        return "CopyObject" if copies else "PutObject"
    if method == b"POST":
        if b"uploadId=" in query:
            return "CompleteMultipartUpload"
        if query.startswith(b"uploads"):
            return "CreateMultipartUpload"
        if b"amazonsqs.sendmessage" in head:
            return "SendMessage"
    if method == b"GET":
        parameters = query.split(b"&")
        for parameter, operation in _BY_PARAMETER.items():
            if parameter in parameters or parameter + b"=" in parameters:
                return operation
    if method == b"DELETE" and b"uploadId=" in query:
        return "AbortMultipartUpload"
    return "Unknown"


_BY_PARAMETER = {
    b"list-type=2": "ListObjectsV2",
    b"versions": "ListObjectVersions",
    b"tagging": "GetObjectTagging",
    b"versioning": "GetBucketVersioning",
    b"encryption": "GetBucketEncryption",
}


def _is_replaced(target: bytes) -> bool:
    return target.startswith(b"/backups/") and b"/replaced/" in target


class _Conversation(asyncio.Protocol):
    """One connection. Answers in order, as many requests as have arrived at once."""

    def __init__(
        self,
        answers: Mapping[str, bytes],
        listings: Listings,
        counts: collections.Counter[str],
        delay: float,
    ) -> None:
        self._answers = answers
        self._listings = listings
        self._counts = counts
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        out: list[bytes] = []
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            first, _, rest = buffer[:end].partition(b"\r\n")
            head = b"\r\n" + rest.lower()
            length = 0
            if (at := head.find(b"\r\ncontent-length:")) >= 0:
                length = int(head[at + 17 :].split(b"\r\n", 1)[0])
            if len(buffer) < end + 4 + length:
                if b"\r\nexpect: 100-continue" in head and len(buffer) == end + 4:
                    out.append(b"HTTP/1.1 100 Continue\r\n\r\n")
                break
            buffer = buffer[end + 4 + length :]
            method, target, _ = first.split(b" ", 2)
            out.append(self._answer(method, target, head))
        self._buffer = buffer
        if not out:
            return
        if self._delay:
            self._loop.call_later(self._delay, self._transport.write, b"".join(out))
        else:
            self._transport.write(b"".join(out))

    def _answer(self, method: bytes, target: bytes, head: bytes) -> bytes:
        if target == COUNTS_PATH.encode():
            counts = json.dumps(self._counts)
            self._counts.clear()
            return _message(body=counts, content_type="application/json")
        operation = _operation(method, target, head)
        self._counts[operation.partition(" ")[0]] += 1
        if operation.startswith("List"):
            bucket, _, query = target.decode().partition("?")
            return _message(body=self._listings.page(bucket.strip("/"), query))
        return self._answers.get(operation, self._answers["Unknown"])


async def _serve(size: int, delay: float, objects: int, copies: int) -> None:
    answers = _answers(size)
    listings = Listings(objects, copies, f"<ETag>&quot;{ETAG}&quot;</ETag><Size>{size}</Size>")
    counts: collections.Counter[str] = collections.Counter()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Conversation(answers, listings, counts, delay), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    # Whoever started this process holds the other end: it cannot outlive them.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


class Stub:
    """The server in a process of its own.

    :param size: bytes that every object has.
    :param delay: seconds before each answer.
    :param objects: how many objects the source's listing has.
    :param copies: how many of them the backup's listing has.
    """

    url: str
    """Known once started."""

    def __init__(
        self, *, size: int = SIZE, delay: float = 0.0, objects: int = 0, copies: int = 0
    ) -> None:
        self._arguments = ["--size", str(size), "--delay", str(delay)]
        self._arguments += ["--objects", str(objects), "--copies", str(copies)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.stub", *self._arguments],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        port = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not port:
            raise RuntimeError("the stub did not start; its message is above")
        self._port = int(port)
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def counts(self) -> dict[str, int]:
        """How often each operation was asked for since the last time."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", COUNTS_PATH)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def main() -> None:
    """Serve until standard input ends; the first line of output is the port."""
    parser = argparse.ArgumentParser(description="Answer as S3 does, with ready-made answers.")
    parser.add_argument("--size", type=int, default=SIZE, help="bytes of every object")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--objects", type=int, default=0, help="objects listed in the source")
    parser.add_argument("--copies", type=int, default=0, help="copies listed in the backup")
    options = parser.parse_args()
    uvloop.run(_serve(options.size, options.delay, options.objects, options.copies))


if __name__ == "__main__":
    main()
