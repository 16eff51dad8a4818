"""A server that answers as it is told, and each way of driving the copy engine against it."""

import asyncio
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import uvloop
from botocore.config import Config
from botocore.session import Session

from backupctl.aws import Aws
from backupctl.driver import AsyncDriver
from backupctl.s3 import S3Client
from handler.boto import BotoDriver
from handler.requests import Steps

T = TypeVar("T")

REGION = "eu-central-1"


class Broken(Enum):
    """Answers that are none."""

    CLOSED = b""
    RESET = b"-"
    HALF_A_HEAD = b"HTTP/1.1 200 OK\r\nContent-Le"
    HALF_A_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<CopyObject"
    NO_HTTP = b"220 mail.example.com ESMTP\r\n\r\n"


Answer = tuple[int, Mapping[str, str], bytes] | Broken


@dataclass(frozen=True)
class Sent:
    """A request as it came over the wire."""

    method: str
    url: str
    """Path and query."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


class Wire:
    """Gives the answers in turn, and keeps the requests.

    :param answers: one for each request; once they are used up, the connection is closed.
    """

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[Sent] = []
        self.connections = 0
        self.slept: list[float] = []
        self._lock = threading.Lock()
        wire = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                wire.connections += 1
                while (sent := _read(self)) is not None:
                    with wire._lock:
                        wire.requests.append(sent)
                        answer = wire.answer(sent)
                    if not _give(self, sent, answer):
                        return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Whoever hangs up is free to."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def answer(self, sent: Sent) -> Answer:
        """The answer to a request."""
        return self.answers.pop(0) if self.answers else Broken.CLOSED

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def header(self, index: int, name: str) -> str | None:
        """A header of the request of that number."""
        return self.requests[index].headers.get(name.lower())


def _read(handler: socketserver.StreamRequestHandler) -> Sent | None:
    first = handler.rfile.readline()
    if not first:
        return None
    method, url, _ = first.decode().split(" ")
    headers: dict[str, str] = {}
    while line := handler.rfile.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("expect") == "100-continue":
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = handler.rfile.read(int(headers.get("content-length", "0")))
    return Sent(method, url, headers, body)


def _give(handler: socketserver.StreamRequestHandler, sent: Sent, answer: Answer) -> bool:
    """Send an answer; returns whether the connection stays open."""
    if isinstance(answer, Broken):
        if answer is Broken.RESET:
            linger = struct.pack("ii", 1, 0)
            handler.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            handler.wfile.write(answer.value)
        return False
    status, headers, body = answer
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {headers[name]}" for name in headers)]
    if not any(name.lower() in {"content-length", "transfer-encoding"} for name in headers):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode()
    handler.wfile.write(head + (b"" if sent.method == "HEAD" else body))
    return True


@cache
def session() -> Session:
    """With credentials that any server here takes; it loads botocore's models once."""
    made = Session()
    made.set_credentials("AKIDEXAMPLE", "secret")
    made.set_config_variable("region", REGION)
    return made


Run = Callable[[Wire, Steps[Any]], Any]


def _by_botocore(wire: Wire, steps: Steps[T]) -> T:
    def client(config: Config) -> Any:
        return session().create_client("s3", endpoint_url=wire.endpoint, config=config)

    return BotoDriver(client, wire.slept.append).run(steps)


async def _asynchronously(wire: Wire, steps: Steps[T]) -> T:
    async def sleep(seconds: float) -> None:
        wire.slept.append(seconds)

    async with S3Client(Aws(session(), wire.endpoint)) as s3:
        return await AsyncDriver(s3, sleep).run(steps)


RUNS: Mapping[str, Run] = {
    "botocore": _by_botocore,
    "asyncio": lambda wire, steps: asyncio.run(_asynchronously(wire, steps)),
    "uvloop": lambda wire, steps: uvloop.run(_asynchronously(wire, steps)),
}
