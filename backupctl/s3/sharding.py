"""One listing as several at the same time, still in order and in bounded memory.

S3 gives a page of a listing after the other, each 1,000 keys; several listings of different parts
of a bucket it gives side by side. Where to cut is taken from the "folders" that the keys have.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

from .client import S3Client
from .listing import Listed, ListedVersion

CUTS = 64
AT_ONCE = 8
"""Parts that are listed side by side."""
_PAGES_AHEAD = 4
"""Of one part: with those at once, all that memory ever holds."""
_PAGES_UNCUT = 8
_LEVELS = 6
_QUESTIONS_PER_LEVEL = 32


class HasKey(Protocol):
    """An entry of a listing."""

    @property
    def key(self) -> str:
        """What the listing is ordered by."""
        ...


E = TypeVar("E", bound=HasKey)

Pages = Callable[[str], AsyncGenerator[list[E]]]
"""Lists what comes after a key, page by page."""


async def objects_in_parts(
    s3: S3Client, bucket: str, prefix: str = "", start_after: str = ""
) -> AsyncGenerator[list[Listed]]:
    """As `S3Client.list_objects`, faster where there is much."""

    def pages(after: str) -> AsyncGenerator[list[Listed]]:
        return s3.list_objects(bucket, prefix, after)

    async for page in _in_parts(s3, bucket, prefix, start_after, pages):
        yield page


async def versions_in_parts(
    s3: S3Client, bucket: str, prefix: str = "", key_marker: str = ""
) -> AsyncGenerator[list[ListedVersion]]:
    """As `S3Client.list_versions`, faster where there is much."""

    def pages(after: str) -> AsyncGenerator[list[ListedVersion]]:
        return s3.list_versions(bucket, prefix, after)

    async for page in _in_parts(s3, bucket, prefix, key_marker, pages):
        yield page


class InParts:
    """Lists like this, for whoever only lists.

    :param s3: whom to ask.
    """

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3

    def objects(
        self, bucket: str, prefix: str = "", start_after: str = ""
    ) -> AsyncGenerator[list[Listed]]:
        """As `objects_in_parts`."""
        return objects_in_parts(self._s3, bucket, prefix, start_after)

    def versions(
        self, bucket: str, prefix: str = "", start_after: str = ""
    ) -> AsyncGenerator[list[ListedVersion]]:
        """As `versions_in_parts`."""
        return versions_in_parts(self._s3, bucket, prefix, start_after)


async def find_cuts(s3: S3Client, bucket: str, prefix: str, wanted: int = CUTS) -> list[str]:
    """Keys between which there is something, in order; fewer than wanted, or none, if need be."""
    found = [prefix]
    for _ in range(_LEVELS):
        asked, rest = found[:_QUESTIONS_PER_LEVEL], found[_QUESTIONS_PER_LEVEL:]
        pages = await asyncio.gather(
            *(
                s3.list_page("ListObjectsV2", bucket, {"Prefix": parent, "Delimiter": "/"})
                for parent in asked
            )
        )
        below = [
            child
            for parent, page in zip(asked, pages, strict=True)
            for child in (page.prefixes or [parent])
        ]
        deeper = sorted({*below, *rest})
        if deeper == found:
            break
        found = deeper
        if len(found) >= wanted:
            break
    step = max(1, len(found) // wanted)
    return [cut for cut in found[::step] if cut != prefix]


async def listed_in_parts(
    pages: Pages[E], cuts: Sequence[str], start_after: str = ""
) -> AsyncGenerator[list[E]]:
    """List what lies between the cuts side by side.

    :param pages: lists what comes after a key.
    :param cuts: keys in ascending order.
    """
    ends = [start_after, *(cut for cut in cuts if cut > start_after), None]
    waiting = deque(pairwise(ends))
    parts: deque[_Part[E]] = deque()
    try:
        while waiting or parts:
            while waiting and len(parts) < AT_ONCE:
                after, until = waiting.popleft()
                parts.append(_Part(pages(after or ""), until))
            part = parts[0]
            async for page in part.pages():
                yield page
            parts.popleft()
    finally:
        for part in parts:
            await part.stop()


async def _in_parts(
    s3: S3Client, bucket: str, prefix: str, start_after: str, pages: Pages[E]
) -> AsyncGenerator[list[E]]:
    # Most listings are short, and where to cut them takes longer to ask than some pages.
    last = start_after
    async with aclosing(pages(start_after)) as first:
        for _ in range(_PAGES_UNCUT):
            page = await anext(first, None)
            if page is None:
                return
            yield page
            last = page[-1].key if page else last
    cuts = await find_cuts(s3, bucket, prefix)
    async for page in listed_in_parts(pages, cuts, last):
        yield page


class _Part(Generic[E]):
    """One part of a listing, read ahead by a task of its own.

    :param pages: from the part's beginning on.
    :param until: the last key that can be in it; None if there is no end.
    """

    def __init__(self, pages: AsyncGenerator[list[E]], until: str | None) -> None:
        self._source = pages
        self._until = until
        self._ready: asyncio.Queue[list[E] | None] = asyncio.Queue(_PAGES_AHEAD)
        self._task = asyncio.create_task(self._read())

    async def pages(self) -> AsyncGenerator[list[E]]:
        """What is in the part."""
        while (page := await self._ready.get()) is not None:
            yield page
        await self._task

    async def stop(self) -> None:
        """Read no further."""
        self._task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self._task

    async def _read(self) -> None:
        try:
            async with aclosing(self._source) as source:
                async for page in source:
                    if self._until is not None and page and page[-1].key > self._until:
                        await self._ready.put([entry for entry in page if entry.key <= self._until])
                        return
                    await self._ready.put(page)
        finally:
            await self._ready.put(None)
