"""What is selected, by what listings tell."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupctl.s3 import Listed, ListedVersion
from backupctl.selection import Batch, Group, Reason, Seen, Selection, Task, Wanted, grouped
from backupctl.stack import Source
from handler.backup_keys import backup_key

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
KEYS = st.text("ab/\u00e9\U0001f600", min_size=1, max_size=4)
LONG = "k" * 1020
PHOTOS = Source("photos")


def entry(key: str, seconds: int = 0, size: int = 1) -> Listed:
    return Listed(key, "etag", size, NOON + timedelta(seconds=seconds), "STANDARD")


def version(key: str, number: int, *, marker: bool = False) -> ListedVersion:
    modified = NOON + timedelta(seconds=number)
    return ListedVersion(key, f"v{number}", False, marker, "etag", number, modified, "STANDARD")


@dataclass
class Buckets:
    """Listings of a source `photos` and of its backup."""

    source: list[Listed] = field(default_factory=list[Listed])
    backup: list[Listed] = field(default_factory=list[Listed])
    all_versions: list[ListedVersion] = field(default_factory=list[ListedVersion])
    page: int = 2

    async def objects(
        self, bucket: str, prefix: str, start_after: str
    ) -> AsyncGenerator[list[Listed]]:
        listing = self.source if bucket == "photos" else self.backup
        found = [one for one in listing if one.key.startswith(prefix) and one.key > start_after]
        found.sort(key=lambda one: one.key.encode())
        for start in range(0, len(found), self.page):
            yield found[start : start + self.page]

    async def versions(
        self, bucket: str, prefix: str, start_after: str
    ) -> AsyncGenerator[list[ListedVersion]]:
        assert bucket == "photos"
        found = [
            one for one in self.all_versions if one.key.startswith(prefix) and one.key > start_after
        ]
        for start in range(0, len(found), self.page):
            yield found[start : start + self.page]


def gathered(batches: AsyncGenerator[Batch]) -> list[Batch]:
    async def main() -> list[Batch]:
        return [batch async for batch in batches]

    return asyncio.run(main())


def select(
    buckets: Buckets, source: Source = PHOTOS, **options: object
) -> tuple[dict[str, Reason], Seen]:
    selection = Selection(buckets, source, "backups", **options)  # pyright: ignore[reportArgumentType]
    batches = gathered(selection.current())
    tasks = [task for batch in batches for task in batch.tasks]
    assert [task.key for task in tasks] == sorted({task.key for task in tasks})
    assert all(len(task.versions) == 1 for task in tasks)
    assert sum(batch.in_place for batch in batches) == selection.seen.in_place
    return {task.key: task.versions[0].reason for task in tasks}, selection.seen


@pytest.mark.parametrize("key", ["cat", LONG])
@pytest.mark.parametrize(
    ("backup", "reason"),
    [
        (None, Reason.MISSING),
        ({"seconds": -1}, Reason.STALE),
        ({"seconds": 9, "size": 2}, Reason.STALE),
        ({"seconds": 0}, None),
        ({"seconds": 9}, None),
    ],
)
def test_missing_older_and_of_another_size(
    key: str, backup: dict[str, int] | None, reason: Reason | None
) -> None:
    buckets = Buckets([entry(key)])
    if backup is not None:
        buckets.backup = [entry(backup_key("photos", key), **backup)]
    found, seen = select(buckets)
    assert found == ({} if reason is None else {key: reason})
    assert seen == Seen(objects=1, size=1, in_place=reason is None)


def test_everything_is_selected_on_request() -> None:
    buckets = Buckets([entry("a"), entry("b")], [entry("photos/a")])
    assert select(buckets, everything=True)[0] == {"a": Reason.NAMED, "b": Reason.MISSING}


@given(
    source=st.sets(KEYS),
    backup=st.sets(KEYS),
    after=st.just("") | KEYS,
    page=st.integers(1, 4),
)
def test_exactly_what_is_missing_is_selected_whatever_else_the_backup_has(
    source: set[str], backup: set[str], after: str, page: int
) -> None:
    others = [entry("photo"), entry("photos-more/x"), entry(".s3-backup/late/photos/x")]
    copies = [entry(f"photos/{key}") for key in backup]
    buckets = Buckets([entry(key) for key in source], [*copies, *others], page=page)
    found, seen = select(buckets, start_after=after)
    wanted = {key for key in source if key > after}
    assert found == dict.fromkeys(wanted - backup, Reason.MISSING)
    assert (seen.objects, seen.in_place) == (len(wanted), len(wanted & backup))


def test_filters_leave_out_and_prefixes_are_listed_one_by_one() -> None:
    keys = ["a/1.x", "a/1.y", "b/1.x", "c/1.x", "d.x"]
    source = Source("photos", ("c/", "a/"), (".x",))
    found, seen = select(Buckets([entry(key) for key in keys]), source)
    assert list(found) == ["a/1.x", "c/1.x"]
    assert (seen.objects, seen.excluded) == (2, 1)


def test_a_batch_tells_how_far_it_reaches_also_where_nothing_is_to_be_done() -> None:
    buckets = Buckets(
        [entry("a"), entry("b"), entry("c"), entry("d")],
        [entry("photos/b"), entry("photos/c"), entry("photos/d"), entry("photos/e")],
    )
    batches = gathered(Selection(buckets, Source("photos"), "backups").current())
    last = [batch.until for batch in batches if batch.until]
    assert last == sorted(last)
    assert last[-1] == "d"


def test_all_versions_are_selected_the_oldest_first() -> None:
    buckets = Buckets(
        all_versions=[
            version("a", 3),
            version("a", 2),
            version("a", 1),
            version("b", 5),
            version("c", 6, marker=True),
            version("c", 4),
            version("d", 7, marker=True),
            version("e", 8),
        ],
        backup=[entry("photos/a"), entry("photos/b", 5, 5), entry("photos/e", 1, 8)],
    )
    selection = Selection(buckets, Source("photos"), "backups")
    tasks = [task for batch in gathered(selection.versions()) for task in batch.tasks]
    assert tasks == [
        Task("photos", "a", tuple(Wanted(f"v{n}", Reason.VERSION, n) for n in (1, 2, 3))),
        Task("photos", "c", (Wanted("v4", Reason.MISSING, 4),)),
        Task("photos", "e", (Wanted("v8", Reason.STALE, 8),)),
    ]
    assert (selection.seen.objects, selection.seen.in_place) == (6, 1)


def test_delete_markers_are_selected_where_deletions_are_tracked() -> None:
    buckets = Buckets(
        all_versions=[version("c", 6, marker=True), version("c", 4), version("d", 7, marker=True)],
        backup=[entry("photos/c", 9, 4)],
    )
    selection = Selection(buckets, Source("photos"), "backups", deletions=True)
    [task] = [task for batch in gathered(selection.versions()) for task in batch.tasks]
    time = "2026-03-04T12:00:06+00:00"
    expected = (Wanted("v4", Reason.VERSION, 4), Wanted("v6", Reason.VERSION, None, time))
    assert task == Task("photos", "c", expected)


@pytest.mark.parametrize("tracked", [True, False])
def test_a_marker_that_is_all_that_is_left_counts_while_a_copy_is_shown(*, tracked: bool) -> None:
    buckets = Buckets(all_versions=[version("c", 6, marker=True)], backup=[entry("photos/c", 5, 4)])
    selection = Selection(buckets, Source("photos"), "backups", deletions=tracked)
    tasks = [task for batch in gathered(selection.versions()) for task in batch.tasks]
    time = "2026-03-04T12:00:06+00:00"
    wanted = Wanted("v6", Reason.VERSION, None, time)
    assert tasks == ([Task("photos", "c", (wanted,))] if tracked else [])


@given(counts=st.dictionaries(KEYS, st.integers(1, 5), max_size=6), page=st.integers(1, 4))
def test_versions_of_a_key_stay_together_wherever_pages_end(
    counts: dict[str, int], page: int
) -> None:
    listing = [version(key, n) for key in sorted(counts) for n in range(counts[key], 0, -1)]
    buckets = Buckets(all_versions=listing, page=page)

    async def main() -> list[Group]:
        pages = buckets.versions("photos", "", "")
        return [group async for groups in grouped(pages) for group in groups]

    groups = asyncio.run(main())
    assert [group.key for group in groups] == sorted(counts)
    assert [one for group in groups for one in group.versions] == listing
