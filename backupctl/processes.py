"""The same work in several processes: one Python uses no more than one processor.

The parent selects and counts, the children copy. They talk in lines of JSON over socket pairs. A
child ends when its parent's end of the pair does, however that came about; a child that ends early
ends the command, and the next run goes on.
"""

import asyncio
import itertools
import json
import multiprocessing
import os
import signal
import socket
import sys
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

from handler.records import Outcome

from .copying import Report, Result
from .errors import PROBLEM, BackupctlError
from .loops import run
from .selection import Reason, Task, Wanted

_LINE_LIMIT = 64 * 1024**2
_FLUSH_SECONDS = 0.02
_FLUSH_AT = 16
"""So many results, or as many as there are tasks left, are told at once and not after that time:
the parent sends more only when it knows that there is room."""
_END = b"end\n"

Copy = Callable[[AsyncIterator[Sequence[Task]], Report], Awaitable[None]]
"""Copies what comes, and reports."""


MOST = 4
"""So many processes S3 can keep busy only with keys of many prefixes."""


def sensible() -> int:
    """How many processes are of use here; elsewhere than on Linux, splitting them is not safe."""
    if sys.platform != "linux":
        return 1
    return min(MOST, len(os.sched_getaffinity(0)))


class Processes:
    """Children that copy. To be begun before any event loop, as a context manager.

    :param count: how many.
    :param width: how many tasks each has at a time.
    :param copy: what each does.
    """

    def __init__(self, count: int, width: int, copy: Copy) -> None:
        self._count = count
        self._width = width
        self._copy = copy
        self._children: list[tuple[BaseProcess, socket.socket]] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("fork")
        # What is buffered now would be written by every child.
        sys.stdout.flush()
        sys.stderr.flush()
        for _ in range(self._count):
            mine, theirs = socket.socketpair()
            # A pair has ended only when nobody has it any more.
            not_theirs = [mine, *(pair for _, pair in self._children)]
            child = context.Process(target=_child, args=(theirs, not_theirs, self._copy))
            child.start()
            theirs.close()
            self._children.append((child, mine))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child, pair in self._children:
            pair.close()
            if kind is not None:
                # What it has begun is finished by S3, or begun again by the next run.
                child.terminate()
        for child, _ in self._children:
            child.join()

    async def copy_all(self, batches: AsyncIterator[Sequence[Task]], report: Report) -> None:
        """Copy, as `copying.copy_all` does.

        :raises BackupctlError: if a child cannot go on.
        """
        turn = asyncio.Lock()
        async with aclosing(_chunks(batches, self._width)) as chunks, AsyncExitStack() as lines:
            try:
                async with asyncio.TaskGroup() as group:
                    for _, pair in self._children:
                        streams = await asyncio.open_connection(sock=pair, limit=_LINE_LIMIT)
                        line = _Line(*streams, 2 * self._width, report)
                        lines.push_async_callback(line.close)
                        group.create_task(line.feed(chunks, turn))
                        group.create_task(line.listen())
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None


class _Line:
    """The parent's line to one child."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        room: int,
        report: Report,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._room = room
        self._report = report
        self._numbers = itertools.count()
        self._begun: dict[int, Task] = {}
        self._less = asyncio.Event()

    async def feed(self, chunks: AsyncIterator[Sequence[Task]], turn: asyncio.Lock) -> None:
        """Hand over a chunk whenever there is room for one."""
        while True:
            while len(self._begun) >= self._room:
                self._less.clear()
                await self._less.wait()
            async with turn:
                chunk = await anext(chunks, None)
            if chunk is None:
                self._writer.write(_END)
                return
            numbered = dict(zip(self._numbers, chunk, strict=False))
            self._begun |= numbered
            tasks = [(number, *task) for number, task in numbered.items()]
            self._writer.write(f"{json.dumps(tasks)}\n".encode())
            try:
                await self._writer.drain()
            except ConnectionError:
                # Whoever listens finds out how the child ended.
                return

    async def listen(self) -> None:
        """Report what the child has done, until it ends."""
        said: Any = None
        while line := await self._heard():
            said = json.loads(line)
            if isinstance(said, dict):
                raise BackupctlError(said["error"], said["exit_code"])
            for number, results in said:
                task = self._begun.pop(number)
                self._report(task, [_result(result) for result in results])
            self._less.set()
        if self._begun or said != []:
            raise BackupctlError(
                "a process that copied has ended early; run the command again to go on"
            )

    async def close(self) -> None:
        """Let the child end."""
        await _closed(self._writer)

    async def _heard(self) -> bytes:
        try:
            return await self._reader.readline()
        except ConnectionError:
            # It was killed with something unread.
            return b""


async def _chunks(
    batches: AsyncIterator[Sequence[Task]], size: int
) -> AsyncGenerator[Sequence[Task]]:
    async for batch in batches:
        for start in range(0, len(batch), size):
            yield batch[start : start + size]


def _child(pair: socket.socket, not_mine: list[socket.socket], copy: Copy) -> None:
    # Ctrl-C reaches all processes; the parent ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in not_mine:
        other.close()
    run(_converse(pair, copy))


async def _converse(pair: socket.socket, copy: Copy) -> None:
    reader, writer = await asyncio.open_connection(sock=pair, limit=_LINE_LIMIT)
    conversation = _Conversation(reader, writer)
    working = asyncio.create_task(conversation.work(copy))
    # It never ends by itself while there is a parent.
    listening = asyncio.create_task(conversation.listen())
    await asyncio.wait({working, listening}, return_when=asyncio.FIRST_COMPLETED)
    if working.done() and not listening.done():
        # A pair that is closed with something unread is broken for both, and the parent may have
        # sent more than was taken: then it would not hear the last word.
        with suppress(ConnectionError, OSError):
            writer.write_eof()
        await asyncio.wait({listening})
    working.cancel()
    await asyncio.gather(working, listening, return_exceptions=True)
    await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        writer.close()
        await writer.wait_closed()


class _Conversation:
    """The child's side of its line to the parent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # The parent sends no more than is asked of it.
        self._chunks: asyncio.Queue[list[Task] | None] = asyncio.Queue()
        self._numbers: dict[Task, int] = {}
        self._done: list[tuple[int, Sequence[Result]]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def listen(self) -> None:
        """Hear what is to be done, until there is no parent any more."""
        while line := await self._reader.readline():
            if line == _END:
                self._chunks.put_nowait(None)
                continue
            chunk: list[Task] = []
            for number, *fields in json.loads(line):
                task = _task(*fields)
                self._numbers[task] = number
                chunk.append(task)
            self._chunks.put_nowait(chunk)

    async def work(self, copy: Copy) -> None:
        """Do it, and say what became of it."""
        try:
            await copy(self._heard(), self._report)
        except BackupctlError as error:
            said: Any = {"error": str(error), "exit_code": error.exit_code}
        except Exception as error:
            # Nobody foresaw it, so the whole of it goes where people can report it from.
            traceback.print_exc()
            said = {"error": f"{type(error).__name__}: {error}", "exit_code": PROBLEM}
        else:
            # Its last word, if all went well.
            said = []
        self._flush()
        self._say(said)
        with suppress(ConnectionError):
            await self._writer.drain()

    async def _heard(self) -> AsyncGenerator[Sequence[Task]]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    def _report(self, task: Task, results: Sequence[Result]) -> None:
        self._done.append((self._numbers.pop(task), results))
        if len(self._done) >= min(_FLUSH_AT, len(self._numbers)):
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._done:
            self._say(self._done)
        self._done = []

    def _say(self, what: object) -> None:
        if not self._writer.is_closing():
            self._writer.write(f"{json.dumps(what)}\n".encode())


def _task(bucket: str, key: str, versions: list[Any]) -> Task:
    wanted = (Wanted(version, Reason(reason), *rest) for version, reason, *rest in versions)
    return Task(bucket, key, tuple(wanted))


def _result(fields: list[Any]) -> Result:
    outcome, *rest = fields
    return Result(None if outcome is None else Outcome(outcome), *rest)
