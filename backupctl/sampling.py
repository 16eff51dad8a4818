"""Some objects of a bucket at random, without listing all of it.

S3 lists in the order of the keys only and cannot be asked for the thousandth. So a sample walks
down the keys: what may follow the prefix that it has come to is asked for, one way is chosen at
random, and so on until what is left fits one page. A bucket of one page is sampled evenly; in a
larger one a key with few neighbours is chosen more often than one with many.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from .s3.listing import Listed, Page
from .stack import Source

MAX_WAYS = 64
"""Characters that are told apart at one place; where there are more, the rest is never chosen."""
_WALKS_PER_OBJECT = 10
"""One may lead to what is not wanted, or where another has been."""
_BEYOND = "\U0010ffff"
"""After every key that goes on from here."""


class Pages(Protocol):
    """Whatever gives single pages of a listing."""

    async def list_page(self, operation: str, bucket: str, wanted: dict[str, Any]) -> Page:
        """One page of ListObjectsV2."""
        ...


@dataclass
class Sampler:
    """Chooses objects of one source.

    :param pages: whom to ask.
    :param source: the bucket, and which of its keys count.
    :param wanted: tells of an object whether it may be chosen.
    :param choice: what decides.
    :param go_on: tells whether there is time to look for more.
    """

    pages: Pages
    source: Source
    wanted: Callable[[Listed], bool] = lambda _listed: True
    choice: random.Random = field(default_factory=random.SystemRandom)
    go_on: Callable[[], bool] = lambda: True
    _first: dict[str, Page] = field(default_factory=dict[str, Page])
    _ways: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    async def sample(self, count: int) -> list[Listed]:
        """Choose so many, or as many as are found.

        :raises BackupctlError: if S3 refuses.
        """
        chosen: dict[str, Listed] = {}
        whole = await self._whole()
        if whole is not None:
            found = self._eligible(whole)
            return self.choice.sample(found, min(count, len(found)))
        for _ in range(count * _WALKS_PER_OBJECT):
            found = self._eligible(await self._walk(self.choice.choice(self.source.prefixes)))
            if found:
                listed = self.choice.choice(found)
                chosen[listed.key] = listed
            if len(chosen) == count or not self.go_on():
                break
        return list(chosen.values())

    def _eligible(self, objects: list[Listed]) -> list[Listed]:
        includes = self.source.includes
        return [listed for listed in objects if includes(listed.key) and self.wanted(listed)]

    async def _whole(self) -> list[Listed] | None:
        """All objects, if a page for each prefix holds them."""
        objects: list[Listed] = []
        for prefix in self.source.prefixes:
            page = await self._page(prefix)
            if not page.is_last:
                return None
            objects += page.objects
        return list(dict.fromkeys(objects))

    async def _walk(self, prefix: str) -> list[Listed]:
        page = await self._page(prefix)
        while not page.is_last:
            way = self.choice.choice(await self._ways_on(prefix, page))
            if way == prefix:
                # The key ends here, and others go on.
                return page.objects[:1]
            prefix = way
            page = await self._page(prefix)
        return page.objects

    async def _ways_on(self, prefix: str, page: Page) -> list[str]:
        """The longer prefixes that keys with this one have."""
        if prefix in self._ways:
            return self._ways[prefix]
        shared = _shared(page.objects[0].key, page.objects[-1].key)
        if len(shared) > len(prefix) and not await self._next(prefix, shared + _BEYOND):
            self._ways[prefix] = [shared]
            return [shared]
        ways: list[str] = []
        after = ""
        while len(ways) < MAX_WAYS and (key := await self._next(prefix, after)):
            way = key[: len(prefix) + 1]
            ways.append(way)
            after = key if key == prefix else way + _BEYOND
        self._ways[prefix] = ways
        return ways

    async def _next(self, prefix: str, after: str) -> str | None:
        """The first key with a prefix that comes after a text."""
        wanted: dict[str, Any] = {"Prefix": prefix, "MaxKeys": 1}
        if after:
            wanted["StartAfter"] = after
        page = await self.pages.list_page("ListObjectsV2", self.source.name, wanted)
        return page.objects[0].key if page.objects else None

    async def _page(self, prefix: str) -> Page:
        """The first page below a prefix; asked for once."""
        if prefix not in self._first:
            self._first[prefix] = await self.pages.list_page(
                "ListObjectsV2", self.source.name, {"Prefix": prefix}
            )
        return self._first[prefix]


def _shared(one: str, other: str) -> str:
    """What both begin with."""
    unlike = (index for index, pair in enumerate(zip(one, other, strict=False)) if len({*pair}) > 1)
    return one[: next(unlike, min(len(one), len(other)))]
