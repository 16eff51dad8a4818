"""Two listings side by side."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupctl.joined import Unordered, joined
from backupctl.s3.listing import Listed

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEYS = st.sets(st.text(st.sampled_from("ab/\n\x00\x7f\u00e9\uffff\U0001f600"), max_size=3))


async def pages(keys: Sequence[str], size: int, prefix: str = "") -> AsyncIterator[list[Listed]]:
    for first in range(0, len(keys), size):
        await asyncio.sleep(0)
        yield [Listed(prefix + key, "e", 1, NOW, "STANDARD") for key in keys[first : first + size]]
        # S3 may give a page of nothing.
        yield []


def pairs(
    one: Sequence[str], other: Sequence[str], size: int = 2
) -> list[tuple[str | None, str | None]]:
    async def collect() -> list[tuple[str | None, str | None]]:
        return [
            (mine and mine.key, others and others.key)
            async for batch in joined(pages(one, size), pages(other, size + 1, "photos/"), 7)
            for mine, others in batch
        ]

    return asyncio.run(collect())


def in_order(keys: set[str]) -> list[str]:
    return sorted((key for key in keys if key), key=str.encode)


@given(KEYS, KEYS, st.integers(1, 5))
def test_every_key_comes_once_with_what_either_has(
    one: set[str], other: set[str], size: int
) -> None:
    assert pairs(in_order(one), in_order(other), size) == [
        (key if key in one else None, f"photos/{key}" if key in other else None)
        for key in in_order(one | other)
    ]


@pytest.mark.parametrize("keys", ["abcdb", "ba", "aa", "abb"])
def test_another_order_is_an_error_not_a_list_of_faults(keys: str) -> None:
    with pytest.raises(Unordered, match="directory buckets"):
        pairs([*keys], ["a"])
    with pytest.raises(Unordered, match="directory buckets"):
        pairs(["a"], [*keys])


def test_an_error_of_a_listing_is_the_joins() -> None:
    async def broken() -> AsyncIterator[list[Listed]]:
        yield [Listed("a", "e", 1, NOW, "STANDARD")]
        raise ConnectionError("gone")

    async def collect() -> None:
        async for _ in joined(pages(["a", "b", "c"], 1), broken()):
            pass

    with pytest.raises(ConnectionError, match="gone"):
        asyncio.run(collect())


def test_whoever_stops_early_leaves_nothing_behind() -> None:
    async def first() -> None:
        stream = joined(pages(["a", "b"], 1), pages(["a", "b"], 1))
        assert len(await anext(stream)) == 1
        await stream.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(first())
