"""A proxy between S3's clients and the local AWS: it breaks what it is told to break.

Signatures stay valid, because the request that the client signed is passed on as it is.
"""

import http.client
import http.server
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from sandbox.ministack import MiniStack

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Fault(StrEnum):
    """What can go wrong between a client and S3."""

    SLOW_DOWN = "503 SlowDown"
    INTERNAL_ERROR = "500 InternalError"
    RESET = "reset before S3 heard of it"
    LOST_ANSWER = "reset after S3 did it"
    FAILED_ANSWER = "500 after S3 did it"
    STALL = "no answer"
    TRUNCATED = "half an answer"
    ERROR_IN_200 = "200 with an error in it"
    DENIED = "403 AccessDenied"
    ARCHIVED = "403 InvalidObjectState"
    KMS_DENIED = "400 KMS.DisabledException"
    EXPIRED = "400 ExpiredToken"
    NO_BUCKET = "404 NoSuchBucket"
    BROKEN_MARKUP = "half of the XML, as if that were all"


@dataclass(frozen=True)
class Call:
    """A request as the proxy sees it."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]

    @property
    def copies(self) -> bool:
        """Whether it is a CopyObject."""
        return (
            self.method == "PUT"
            and "x-amz-copy-source" in self.headers
            and "partNumber" not in self.query
        )


_BEFORE: dict[Fault, tuple[int, str]] = {
    Fault.SLOW_DOWN: (503, "SlowDown"),
    Fault.INTERNAL_ERROR: (500, "InternalError"),
    Fault.DENIED: (403, "AccessDenied"),
    Fault.ARCHIVED: (403, "InvalidObjectState"),
    Fault.KMS_DENIED: (400, "KMS.DisabledException"),
    Fault.EXPIRED: (400, "ExpiredToken"),
    Fault.NO_BUCKET: (404, "NoSuchBucket"),
    Fault.ERROR_IN_200: (200, "InternalError"),
}


class FaultProxy:
    """Listens on loopback, without TLS; use as a context manager.

    :param ministack: the local AWS behind it.
    :param fault: asked once for each request; may do something first, such as changing the source.
    """

    def __init__(self, ministack: MiniStack, fault: Callable[[Call], Fault | None]) -> None:
        self._ministack = ministack
        self._fault = fault
        self._lock = threading.Lock()
        self.met: Counter[Fault] = Counter()
        """How often each fault was met."""
        self.calls = 0
        """Requests so far."""
        self.stalled = threading.Event()
        self._trust = ssl.create_default_context(cafile=str(ministack.ca_bundle))
        proxy = self

        class Handler(_Handler):
            def __init__(self, *args: Any) -> None:
                self.proxy = proxy
                super().__init__(*args)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stalled.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def decide(self, call: Call) -> Fault | None:
        with self._lock:
            self.calls += 1
        fault = self._fault(call)
        # Only a copy can begin to answer before S3 knows how it ends.
        if fault is Fault.ERROR_IN_200 and not call.copies:
            fault = Fault.INTERNAL_ERROR
        if fault is not None:
            with self._lock:
                self.met[fault] += 1
        return fault

    def upstream(self) -> http.client.HTTPSConnection:
        parts = urlsplit(self._ministack.endpoint)
        return http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=60, context=self._trust
        )


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that give up are what this is about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy
    _upstream: http.client.HTTPSConnection | None = None

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = self._call()
        fault = self.proxy.decide(call)
        if fault is not None and fault in _BEFORE:
            status, code = _BEFORE[fault]
            # By this header services that speak JSON say what is wrong.
            self._send(status, [("x-amzn-ErrorType", code)], _error(code))
        elif fault is Fault.RESET:
            self._hang_up()
        elif fault is Fault.STALL:
            self.proxy.stalled.wait(30)
            self._hang_up()
        else:
            self._answer(fault, *self._forward(body))

    def __getattr__(self, name: str) -> Callable[[], None]:
        # The server calls do_GET, do_PUT and so on.
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        with suppress(OSError):
            super().finish()

    def _answer(
        self, fault: Fault | None, status: int, headers: list[tuple[str, str]], body: bytes
    ) -> None:
        if fault is Fault.LOST_ANSWER:
            self._hang_up()
        elif fault is Fault.FAILED_ANSWER:
            self._send(500, [], _error("InternalError"))
        elif fault is Fault.BROKEN_MARKUP and body.startswith(b"<?xml"):
            half = body[: len(body) // 2]
            others = [header for header in headers if header[0].lower() != "content-length"]
            self._send(status, others, half)
        elif fault is Fault.TRUNCATED:
            self._send(status, headers, body, cut=True)
        else:
            self._send(status, headers, body)

    def _call(self) -> Call:
        parts = urlsplit(self.path)
        bucket, _, key = parts.path.removeprefix("/").partition("/")
        return Call(
            self.command,
            bucket,
            unquote(key),
            parse_qs(parts.query, keep_blank_values=True),
            {name.lower(): value for name, value in self.headers.items()},
        )

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = self._upstream = self._upstream or self.proxy.upstream()
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "connection":
                upstream.putheader(name, value)
        upstream.endheaders(body or None)
        answer = upstream.getresponse()
        return answer.status, answer.getheaders(), answer.read()

    def _send(
        self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False
    ) -> None:
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value
            elif name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        if cut and self.command == "HEAD":
            # Of an answer without a body, half is a part of its headers.
            self._headers_buffer[-1:] = [b"ETag: "]  # pyright: ignore
            self.wfile.write(b"".join(self._headers_buffer))  # pyright: ignore
            self._hang_up()
            return
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        # Unread or unsent data makes it a reset, an orderly end otherwise; clients see both.
        with suppress(OSError):
            self.connection.shutdown(2)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are counted, not printed."""


def _error(code: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<Error><Code>{code}</Code><Message>injected\n\u202e\u2028</Message></Error>"
    ).encode()
