"""Many things at a time, in constant memory."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

from .errors import BackupctlError

T = TypeVar("T")

GIVE_UP_AFTER = 50
"""So many failures in a row have one cause."""


class Patience:
    """Ends with the command when nothing succeeds any more."""

    def __init__(self) -> None:
        self._failures = 0

    def succeeded(self) -> None:
        """Something went well."""
        self._failures = 0

    def failed(self, error: Exception) -> None:
        """Something did not.

        :raises BackupctlError: if nothing else did for too long.
        """
        self._failures += 1
        if self._failures >= GIVE_UP_AFTER:
            raise BackupctlError(
                f"gave up after {self._failures} failures in a row, the last of them: {error}"
            )


async def for_each(
    items: AsyncIterator[T], work: Callable[[T], Awaitable[None]], width: int
) -> None:
    """Work on items as they come, so many at a time; none is fetched before there is a hand free.

    :raises Exception: the first that the work or the items raise; the rest is given up then.
    """
    async with aclosing(_alone(items)) as batches:
        await for_each_in(batches, work, width)


async def for_each_in(
    batches: AsyncIterator[Sequence[T]], work: Callable[[T], Awaitable[None]], width: int
) -> None:
    """Work on all items of batches, so many at a time; the next batch is fetched when all of the
    last one is begun and there is a hand free.

    :raises Exception: the first that the work or the batches raise; the rest is given up then.
    """
    waiting: deque[T] = deque()
    turn = asyncio.Lock()

    async def hand() -> None:
        while True:
            if not waiting:
                async with turn:
                    while not waiting:
                        try:
                            waiting.extend(await anext(batches))
                        except StopAsyncIteration:
                            return
            await work(waiting.popleft())

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(hand())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _alone(items: AsyncIterator[T]) -> AsyncGenerator[tuple[T]]:
    async for item in items:
        yield (item,)
