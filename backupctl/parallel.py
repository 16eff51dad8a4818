"""Many things at a time, in constant memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


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
