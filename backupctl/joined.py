"""Two listings side by side, in constant memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from itertools import pairwise
from operator import ge
from typing import Generic, Protocol, TypeVar

from .errors import BackupctlError
from .s3.listing import Listed


class HasKey(Protocol):
    """What a listing lists."""

    @property
    def key(self) -> str:
        """What it is ordered by."""
        ...


A = TypeVar("A", bound=HasKey)
B = TypeVar("B", bound=HasKey)
E = TypeVar("E", bound=HasKey)

Pair = tuple[Listed | None, Listed | None]
"""What the one and the other listing have of a key."""


class Unordered(BackupctlError):
    """A listing is not in the order of its keys, so nothing can be compared side by side."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"a listing is not in the order of its keys at {key!r}; directory buckets are listed "
            "like that and cannot be worked on"
        )


async def joined(
    one: AsyncIterator[list[A]], other: AsyncIterator[list[B]], skip: int = 0
) -> AsyncGenerator[list[tuple[A | None, B | None]]]:
    """Every key of two listings once, in their order.

    :param one: pages, in the order of the keys' UTF-8.
    :param other: the same.
    :param skip: how many characters more the other's keys begin with.
    :returns: the pairs, some at a time.
    :raises Unordered: if a listing is in another order.
    """
    left, right = _Cursor(one), _Cursor(other)
    try:
        while True:
            await left.fill()
            await right.fill()
            if left.page and right.page:
                yield _merge(left, right, skip)
            elif left.page:
                yield [(entry, None) for entry in left.take()]
            elif right.page:
                yield [(None, entry) for entry in right.take()]
            else:
                return
    finally:
        await left.close()
        await right.close()


class _Cursor(Generic[E]):
    """The rest of one page, while the next one is on its way."""

    def __init__(self, pages: AsyncIterator[list[E]]) -> None:
        self._pages = pages
        self._next: asyncio.Task[list[E] | None] | None = self._ask()
        self.page: list[E] = []
        self.place = 0
        self._last = ""

    def _ask(self) -> asyncio.Task[list[E] | None]:
        async def ask() -> list[E] | None:
            return await anext(self._pages, None)

        return asyncio.create_task(ask())

    async def fill(self) -> None:
        """See to it that there is something on the page, unless there is nothing more."""
        while self.place == len(self.page) and self._next is not None:
            self.page, self.place = await self._next or [], 0
            self._next = None if self._next.result() is None else self._ask()
            keys = [self._last, *(entry.key for entry in self.page)]
            if any(map(ge, keys, keys[1:])):
                raise Unordered(next(key for last, key in pairwise(keys) if last >= key))
            self._last = keys[-1]
        if self.place == len(self.page):
            self.page, self.place = [], 0

    def take(self) -> list[E]:
        """All that is left on the page."""
        left, self.place = self.page[self.place :], len(self.page)
        return left

    async def close(self) -> None:
        """Give up what is on its way."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)


def _merge(left: _Cursor[A], right: _Cursor[B], skip: int) -> list[tuple[A | None, B | None]]:
    """Pairs up to where one page ends."""
    ones, others, i, j = left.page, right.page, left.place, right.place
    last_one, last_other = len(ones), len(others)
    pairs: list[tuple[A | None, B | None]] = []
    one, other = ones[i], others[j]
    key, other_key = one.key, other.key[skip:]
    while True:
        # Python compares texts by code points, which is the order of their UTF-8.
        if key == other_key:
            pairs.append((one, other))
            i += 1
            j += 1
            if i == last_one or j == last_other:
                break
            one, other = ones[i], others[j]
            key, other_key = one.key, other.key[skip:]
        elif key < other_key:
            pairs.append((one, None))
            i += 1
            if i == last_one:
                break
            one = ones[i]
            key = one.key
        else:
            pairs.append((None, other))
            j += 1
            if j == last_other:
                break
            other = others[j]
            other_key = other.key[skip:]
    left.place, right.place = i, j
    return pairs
