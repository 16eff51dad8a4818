"""HTTP/1.1 over connections that stay open, on asyncio's transports and the parser of httptools.

Nothing is tried again here, and nothing of S3 is known here.
"""

import asyncio
import http.client
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast
from urllib.parse import unquote, urlsplit

import httptools

CONNECT_SECONDS = 10.0
_LOOK_EVERY_SECONDS = 1.0


class NoAnswer(Exception):
    """No answer came, or no whole one.

    :param code: what happened, by the names of botocore's exceptions.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: dict[str, str]
    """By lower-case name; several of one name are joined by commas."""
    body: bytes


class Origin(NamedTuple):
    """Whom to connect to."""

    tls: bool
    host: str
    port: int

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"


class Pool:
    """Connections to one origin.

    :param size: how many there may be; further requests wait for one, in order.
    :param trust: whose certificates to accept, if the origin has one.
    :param proxy: URL of an HTTP proxy to go through.
    """

    def __init__(
        self, origin: Origin, size: int, trust: ssl.SSLContext | None, proxy: str | None = None
    ) -> None:
        self.origin = origin
        self._size = size
        self._trust = trust
        self._proxy = proxy
        self._open = 0
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._waiting: deque[asyncio.Future[_Connection | None]] = deque()
        self._watch: asyncio.TimerHandle | None = None

    @property
    def absolute_targets(self) -> bool:
        """Whether requests must name the origin in their first line, because a proxy reads them."""
        return self._proxy is not None and not self.origin.tls

    async def ask(self, request: bytes, *, is_head: bool, seconds: float) -> Answer:
        """Send one request and wait for its answer.

        :param request: head and body, as they go over the wire.
        :param is_head: whether it is a HEAD, whose answer has no body.
        :param seconds: how long the server may be silent.
        :raises NoAnswer: if it closes the connection, is silent for longer, or speaks no HTTP.
        """
        connection = self._idle.pop() if self._idle else await self._another()
        self._busy.add(connection)
        if self._watch is None:
            self._watch = connection.loop.call_later(_LOOK_EVERY_SECONDS, self._look)
        try:
            return await connection.send(request, is_head=is_head, seconds=seconds)
        finally:
            self._busy.discard(connection)
            self._release(connection)

    def close(self) -> None:
        """Close all connections."""
        if self._watch is not None:
            self._watch.cancel()
        for connection in (*self._idle, *self._busy):
            connection.abort()

    async def _another(self) -> "_Connection":
        while self._open >= self._size:
            turn: asyncio.Future[_Connection | None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                connection = await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    # It came in the same instant: somebody else's turn.
                    self._pass_on(turn.result())
                raise
            if connection is not None and connection.usable:
                return connection
        self._open += 1
        try:
            connection = await self._connect()
        except BaseException:
            self._open -= 1
            self._wake(None)
            raise
        connection.on_lost = self._lost
        return connection

    def _release(self, connection: "_Connection") -> None:
        if connection.usable:
            self._pass_on(connection)
        else:
            # `_lost` counts it out.
            connection.abort()

    def _pass_on(self, connection: "_Connection | None") -> None:
        if not self._wake(connection) and connection is not None:
            self._idle.append(connection)

    def _wake(self, connection: "_Connection | None") -> bool:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _lost(self, connection: "_Connection") -> None:
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake(None)

    def _look(self) -> None:
        """Give up what has been silent for too long; one timer for all costs next to nothing."""
        self._watch = None
        for connection in list(self._busy):
            connection.check()
        if self._busy:
            self._watch = asyncio.get_running_loop().call_later(_LOOK_EVERY_SECONDS, self._look)

    async def _connect(self) -> "_Connection":
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if self._proxy is not None:
                    return await self._connect_by(self._proxy)
                return await _connected(
                    self.origin.host, self.origin.port, self._trust if self.origin.tls else None
                )
        except TimeoutError as error:
            raise NoAnswer(
                "ConnectTimeoutError", f"{self.origin} accepted no connection in time"
            ) from error
        except ssl.SSLError as error:
            raise NoAnswer("SSLError", f"{self.origin}: {error}") from error
        except OSError as error:
            raise NoAnswer(
                "EndpointConnectionError", f"no connection to {self.origin}: {error}"
            ) from error

    async def _connect_by(self, proxy: str) -> "_Connection":
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme != "http" or not parts.hostname:
            raise NoAnswer("ProxyConnectionError", f"cannot go through the proxy {parts.hostname}")
        connection = await _connected(parts.hostname, parts.port or 80, None)
        if not self.origin.tls:
            return connection
        target = f"{self.origin.host}:{self.origin.port}"
        request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
        if parts.username:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            request += f"Proxy-Authorization: Basic {b64encode(secret).decode()}\r\n"
        # Like a HEAD's, a tunnel's answer has no body.
        answer = await connection.send(
            f"{request}\r\n".encode(), is_head=True, seconds=CONNECT_SECONDS
        )
        if answer.status != http.client.OK:
            connection.abort()
            raise NoAnswer("ProxyConnectionError", f"the proxy answered {answer.status}")
        await connection.begin_tls(self._trust, self.origin.host)
        return connection


async def _connected(host: str, port: int, trust: ssl.SSLContext | None) -> "_Connection":
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: _Connection(loop), host, port, ssl=trust)
    return connection


class _Connection(asyncio.Protocol):
    """One connection: one request at a time, one answer to each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.on_lost: Callable[[_Connection], None] = lambda _: None
        self._transport: asyncio.Transport | None = None
        self._open = True
        self._answer: asyncio.Future[Answer] | None = None
        self._is_head = False
        self._seconds = 0.0
        self._heard = 0.0

    @property
    def usable(self) -> bool:
        """Whether another request can be sent."""
        return self._open and self._answer is None

    def send(self, request: bytes, *, is_head: bool, seconds: float) -> asyncio.Future[Answer]:
        """Send one request; returns its answer to be, or `NoAnswer`."""
        answer: asyncio.Future[Answer] = self.loop.create_future()
        if self._transport is None or not self._open:
            answer.set_exception(_closed())
            return answer
        self._answer = answer
        self._is_head = is_head
        self._seconds = seconds
        self._heard = self.loop.time()
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        # The parser is told nowhere that a HEAD's answer has no body, so each answer gets its own.
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)
        return answer

    async def begin_tls(self, trust: ssl.SSLContext | None, host: str) -> None:
        """Go on in TLS."""
        plain = cast("asyncio.Transport", self._transport)
        context = cast("ssl.SSLContext", trust)
        self._transport = await self.loop.start_tls(plain, self, context, server_hostname=host)

    def abort(self) -> None:
        """Close at once."""
        self._open = False
        if self._transport is not None:
            self._transport.abort()

    def check(self) -> None:
        """Give up if the server has been silent for too long."""
        if self.loop.time() - self._heard > self._seconds:
            self._fail(NoAnswer("ReadTimeoutError", f"no answer within {self._seconds:g} seconds"))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        # uvloop's transports are such without inheriting from it.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Understand what came."""
        if self._answer is None:
            # Nobody asked.
            self.abort()
            return
        self._heard = self.loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(NoAnswer("HTTPClientError", f"the answer is no HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell whoever waits."""
        self._open = False
        self._fail(_closed())
        self.on_lost(self)

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        text = name.decode("latin-1").lower()
        known = self._headers.get(text)
        decoded = value.decode("latin-1")
        self._headers[text] = decoded if known is None else f"{known}, {decoded}"

    def on_headers_complete(self) -> None:
        """A HEAD's answer ends here."""
        if self._is_head:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self._answer is None:
            self._open = False
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is there."""
        answer = self._answer
        if answer is None:
            return
        status = self._parser.get_status_code()
        if status < http.client.OK:
            # Only a greeting; the answer follows.
            self._headers = {}
            return
        self._answer = None
        if "close" in self._headers.get("connection", "").lower():
            self._open = False
        if not answer.done():
            answer.set_result(Answer(status, self._headers, b"".join(self._body)))

    def _fail(self, error: NoAnswer) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)
        if self._open:
            self.abort()


def _closed() -> NoAnswer:
    return NoAnswer("ConnectionClosedError", "the connection was closed before the answer's end")
