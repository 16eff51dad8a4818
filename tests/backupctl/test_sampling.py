"""Random objects of a bucket."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backupctl.s3.listing import Listed, Page
from backupctl.sampling import MAX_WAYS, Sampler
from backupctl.stack import Source

WHEN = datetime(2026, 1, 2, tzinfo=UTC)


class Bucket:
    """Gives pages of so many keys."""

    def __init__(self, keys: Sequence[str], page: int = 10) -> None:
        self.keys = sorted(keys)
        self.page = page
        self.asked = 0

    async def list_page(self, operation: str, bucket: str, wanted: dict[str, Any]) -> Page:
        assert (operation, bucket) == ("ListObjectsV2", "photos")
        self.asked += 1
        after = wanted.get("StartAfter", "")
        found = [key for key in self.keys if key.startswith(wanted["Prefix"]) and key > after]
        size = min(self.page, wanted.get("MaxKeys", self.page))
        objects = [Listed(key, "", len(key), WHEN, "STANDARD") for key in found[:size]]
        return Page(objects, [], [], len(found) <= size, {})


def sample(
    bucket: Bucket, count: int, source: Source | None = None, seed: int = 1, **more: Any
) -> list[str]:
    sampler = Sampler(bucket, source or Source("photos"), choice=random.Random(seed), **more)
    return [listed.key for listed in asyncio.run(sampler.sample(count))]


def test_a_small_bucket_is_sampled_evenly_with_one_request() -> None:
    bucket = Bucket("abcdefgh")
    seen = {key for seed in range(100) for key in sample(bucket, 2, seed=seed)}
    assert seen == set("abcdefgh")
    assert bucket.asked == 100
    assert sorted(sample(bucket, 99)) == list("abcdefgh")
    assert sample(Bucket(""), 3) == []


def test_a_large_one_without_listing_it() -> None:
    bucket = Bucket([f"a/very/long/prefix/IMG_{number:05}.jpg" for number in range(20_000)])
    chosen = sample(bucket, 20)
    assert len(set(chosen)) == 20
    assert set(chosen) <= set(bucket.keys)
    # From all over the place, not from the beginning.
    assert min(chosen) < bucket.keys[7_000]
    assert max(chosen) > bucket.keys[13_000]
    # Every page would be 2,000 requests.
    assert bucket.asked < 700


@settings(max_examples=100)
@given(
    st.sets(st.text("ab/\u00e9\U0001f600", min_size=1, max_size=4), min_size=1, max_size=20),
    st.integers(1, 5),
)
def test_every_key_can_be_chosen(keys: set[str], page: int) -> None:
    bucket = Bucket(list(keys), page)
    sampler = Sampler(bucket, Source("photos"), choice=random.Random(1))
    seen: set[str] = set()
    # A key at the end of a lonely way is found sooner or later.
    for _ in range(200):
        chosen = [listed.key for listed in asyncio.run(sampler.sample(5))]
        assert len(set(chosen)) == len(chosen) <= 5
        seen |= set(chosen)
        if seen == keys:
            break
    assert seen == keys


def test_only_what_is_backed_up_and_wanted() -> None:
    source = Source("photos", ("a/", "b/"), (".jpg",))
    keys = [f"{folder}/{n}.{kind}" for folder in "abc" for n in range(40) for kind in ("jpg", "x")]
    bucket = Bucket(keys, 15)
    chosen = sample(bucket, 15, source, wanted=lambda listed: not listed.key.startswith("a/1"))
    assert len(chosen) == 15
    assert all(key[:2] in {"a/", "b/"} and key.endswith(".jpg") for key in chosen)
    assert {key[0] for key in chosen} == {"a", "b"}
    assert not any(key.startswith("a/1") for key in chosen)


def test_a_thousand_ways_at_one_place_are_not_all_asked_for() -> None:
    bucket = Bucket([chr(0x4E00 + number) for number in range(1_000)])
    assert len(sample(bucket, 5)) == 5
    assert bucket.asked < 2 * MAX_WAYS
