"""Drives the copy engine over the asynchronous S3 client."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from handler.failures import Failed
from handler.requests import Request, S3Error, Steps, Together, Wait

T = TypeVar("T")

TOGETHER = 32
"""Conversations held at the same time for one object, i.e. its parts in flight."""


class Asks(Protocol):
    """Whatever answers the engine's requests."""

    async def ask(self, request: Request) -> Any:  # noqa: ANN401 - as S3's operations have it
        """Answer one request, or raise `S3Error`."""
        ...


class AsyncDriver:
    """Talks to S3 for the engine, in as many conversations as there are calls of `run`.

    :param s3: whom to ask.
    :param sleep: waits so many seconds.
    """

    def __init__(self, s3: Asks, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._s3 = s3
        self._sleep = sleep

    async def run(self, steps: Steps[T]) -> T:
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
                case Request():
                    try:
                        answer = await self._s3.ask(wanted)
                    except S3Error as failure:
                        error = failure
                case Together(conversations):
                    answer = await self._together(conversations)
                case Wait(seconds):
                    await self._sleep(seconds)

    async def _together(self, conversations: Sequence[Steps[Any]]) -> list[Any]:
        waiting = iter(enumerate(conversations))
        results: list[Any] = [None] * len(conversations)

        async def work() -> None:
            for index, steps in waiting:
                try:
                    results[index] = await self.run(steps)
                except (S3Error, Failed) as error:
                    results[index] = error

        async with asyncio.TaskGroup() as group:
            for _ in range(min(TOGETHER, len(conversations))):
                group.create_task(work())
        return results
