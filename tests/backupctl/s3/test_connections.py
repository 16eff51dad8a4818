"""Connections: kept, bounded, given up, secured, through proxies."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import trustme

from backupctl.s3 import connections
from backupctl.s3.connections import Answer, NoAnswer, Origin, Pool

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers every request on a connection by a function; None closes it."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.answer: Callable[[bytes], bytes | None] = lambda _: OK
        self.open = asyncio.Event()
        self.open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(request)
                await self.open.wait()
                answer = self.answer(request)
                if answer is None:
                    return
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def served(
    size: int = 4, authority: trustme.CA | None = None, trusted: trustme.CA | None = None
) -> AsyncGenerator[tuple[Server, Pool]]:
    server = Server()
    secure = trust = None
    if authority is not None:
        secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(secure)
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        (trusted or authority).configure_trust(trust)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=secure)
    port = listening.sockets[0].getsockname()[1]
    pool = Pool(Origin(authority is not None, "127.0.0.1", port), size, trust)
    try:
        yield server, pool
    finally:
        pool.close()
        listening.close()
        # Connections that were closed tell their other end.
        await asyncio.sleep(0.01)


async def ask(pool: Pool, method: str = "GET", seconds: float = 20) -> Answer:
    request = f"{method} / HTTP/1.1\r\n\r\n".encode()
    return await pool.ask(request, is_head=method == "HEAD", seconds=seconds)


def test_one_connection_serves_one_request_after_the_other() -> None:
    async def main() -> None:
        async with served() as (server, pool):
            for _ in range(5):
                assert await ask(pool) == Answer(200, {"content-length": "2"}, b"ok")
            assert (server.connections, len(server.requests)) == (1, 5)

    asyncio.run(main())


def test_there_are_never_more_connections_than_allowed_and_nobody_is_forgotten() -> None:
    async def main() -> None:
        async with served(size=3) as (server, pool):
            server.open.clear()
            asked = [asyncio.create_task(ask(pool)) for _ in range(20)]
            while len(server.requests) < 3:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
            assert (server.connections, len(server.requests)) == (3, 3)
            server.open.set()
            assert [answer.status for answer in await asyncio.gather(*asked)] == [200] * 20
            assert server.connections == 3

    asyncio.run(main())


def test_the_answer_to_a_head_has_no_body_whatever_length_it_tells() -> None:
    async def main() -> None:
        async with served() as (server, pool):
            head = b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\nETag: x\r\n\r\n"
            server.answer = lambda request: head if request.startswith(b"HEAD") else OK
            assert (await ask(pool, "HEAD")).headers["etag"] == "x"
            assert (await ask(pool)).body == b"ok"
            assert server.connections == 1

    asyncio.run(main())


def test_a_body_after_a_head_is_not_taken_for_the_next_answer() -> None:
    async def main() -> None:
        async with served() as (server, pool):
            wrong = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nwrong"
            server.answer = lambda request: wrong if request.startswith(b"HEAD") else OK
            assert (await ask(pool, "HEAD")).status == 404
            assert (await ask(pool)).body == b"ok"
            assert server.connections == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" + OK,
            Answer(200, {"content-length": "2"}, b"ok"),
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
            Answer(200, {"transfer-encoding": "chunked"}, b"abc"),
        ),
        (
            b"HTTP/1.1 204 No Content\r\nX: 1\r\nx: 2\r\n\r\n",
            Answer(204, {"x": "1, 2"}, b""),
        ),
    ],
)
def test_forms_of_answers(answer: bytes, expected: Answer) -> None:
    async def main() -> None:
        async with served() as (server, pool):
            server.answer = lambda _: answer
            assert [await ask(pool), await ask(pool)] == [expected] * 2
            assert server.connections == 1

    asyncio.run(main())


@pytest.mark.parametrize("form", ["Connection: close", "connection: Close"])
def test_a_connection_that_the_server_closes_is_not_used_again(form: str) -> None:
    async def main() -> None:
        async with served() as (server, pool):
            closing = f"HTTP/1.1 200 OK\r\n{form}\r\nContent-Length: 0\r\n\r\n".encode()
            server.answer = lambda _: closing
            await ask(pool)
            await ask(pool)
            assert server.connections == 2

    asyncio.run(main())


def test_a_connection_that_died_while_idle_is_replaced() -> None:
    async def main() -> None:
        async with served(size=1) as (server, pool):
            answers = [OK, None, OK]
            server.answer = lambda _: answers.pop(0)
            await ask(pool)
            with pytest.raises(NoAnswer) as error:
                await ask(pool)
            assert error.value.code == "ConnectionClosedError"
            assert (await ask(pool)).body == b"ok"

    asyncio.run(main())


def test_silence_is_given_up_and_its_connection_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LOOK_EVERY_SECONDS", 0.01)

    async def main() -> None:
        async with served(size=1) as (server, pool):
            server.open.clear()
            with pytest.raises(NoAnswer, match="no answer within 0\\.05 seconds") as error:
                await ask(pool, seconds=0.05)
            assert error.value.code == "ReadTimeoutError"
            server.open.set()
            assert (await ask(pool)).body == b"ok"
            assert server.connections == 2

    asyncio.run(main())


def test_a_request_that_is_cancelled_leaves_no_answer_behind() -> None:
    async def main() -> None:
        async with served(size=1) as (server, pool):
            server.open.clear()
            first = asyncio.create_task(ask(pool))
            second = asyncio.create_task(ask(pool))
            third = asyncio.create_task(ask(pool))
            while not server.requests:
                await asyncio.sleep(0.001)
            second.cancel()
            first.cancel()
            server.open.set()
            assert (await third).body == b"ok"
            results = await asyncio.gather(first, second, return_exceptions=True)
            assert [type(result) for result in results] == [asyncio.CancelledError] * 2

    asyncio.run(main())


def test_nobody_listening_is_told_and_the_next_may_try() -> None:
    async def main() -> None:
        async with served(size=1) as (_, pool):
            origin = pool.origin
        pool = Pool(origin, 1, None)
        for _ in range(2):
            with pytest.raises(NoAnswer, match="no connection to http://127") as error:
                await ask(pool)
            assert error.value.code == "EndpointConnectionError"

    asyncio.run(main())


def test_certificates_are_checked() -> None:
    async def main() -> None:
        async with served(authority=trustme.CA()) as (server, pool):
            assert (await ask(pool)).body == b"ok"
            assert server.connections == 1
        async with served(authority=trustme.CA(), trusted=trustme.CA()) as (server, pool):
            with pytest.raises(NoAnswer, match="certificate verify failed") as error:
                await ask(pool)
            assert error.value.code == "SSLError"
            assert server.requests == []

    asyncio.run(main())


class Proxy:
    """Connects as it is asked, and passes on what comes; or refuses."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        writer.write(f"HTTP/1.1 {self.status} Whatever\r\n\r\n".encode())
        if self.status == 200:
            host, _, port = head.split(b" ")[1].decode().partition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(data)
    except ConnectionError:
        return
    finally:
        writer.close()


def test_tls_goes_through_a_proxy_unread() -> None:
    async def main() -> None:
        proxy = Proxy()
        listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with served(authority=trustme.CA()) as (server, pool):
            by_proxy = Pool(pool.origin, 2, pool._trust, f"http://me:p%40ss@127.0.0.1:{port}")
            assert [(await ask(by_proxy)).body for _ in range(2)] == [b"ok", b"ok"]
            assert server.connections == 1
            by_proxy.close()
            await asyncio.sleep(0.01)
        [head] = proxy.heads
        target = f"127.0.0.1:{pool.origin.port}"
        assert head.decode() == (
            f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
            "Proxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n"
        )
        listening.close()

    asyncio.run(main())


def test_a_proxy_that_refuses_is_named() -> None:
    async def main() -> None:
        listening = await asyncio.start_server(Proxy(407).serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        pool = Pool(Origin(True, "s3.example", 443), 2, None, f"127.0.0.1:{port}")
        with pytest.raises(NoAnswer, match="the proxy answered 407") as error:
            await ask(pool)
        assert error.value.code == "ProxyConnectionError"
        with pytest.raises(NoAnswer, match="cannot go through the proxy"):
            await ask(Pool(pool.origin, 2, None, "socks5://127.0.0.1:1"))
        listening.close()

    asyncio.run(main())
