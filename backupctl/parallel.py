"""Many things at a time, in constant memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
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
    turn = asyncio.Lock()

    async def hand() -> None:
        while True:
            async with turn:
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(hand())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
