"""Rows for jobs, sorted by source."""

import asyncio
import json
from typing import Any

import pytest

from backupctl import findings
from backupctl.batch_rows import NamedRows, unfit
from backupctl.errors import WrongUse
from backupctl.selection import Reason, Task, Wanted

TOLD = list[dict[str, Any]]
AWKWARD = ["plain", "line\nfeed", "caf\u00e9 \u2028", '"quoted"', "k" * 1015]


def named(source: str, key: str, *versions: str | None, **more: Any) -> Task:
    wanted = (Wanted(version, Reason.NAMED, **more) for version in versions or (None,))
    return Task(source, key, tuple(wanted))


def test_each_source_has_its_rows_in_their_order() -> None:
    told: TOLD = []
    with NamedRows("f", told.append) as rows:
        for key in AWKWARD:
            rows.add(named("photos", key))
            rows.add(named("videos", key, "v1", "v2"))
        photos, videos = rows.by_source["photos"], rows.by_source["videos"]
        assert [*photos] == [*photos] == [(key, None) for key in AWKWARD]
        assert [*videos] == [(key, version) for key in AWKWARD for version in ("v1", "v2")]
        assert (photos.versions, videos.versions) == (False, True)
        assert (photos.count, videos.count, told) == (len(AWKWARD), 2 * len(AWKWARD), [])
    assert photos.file.closed
    assert videos.file.closed


def test_the_same_rows_and_no_others_have_the_same_digest() -> None:
    def digest(*tasks: Task) -> str:
        with NamedRows("f", lambda _: None) as rows:
            for task in tasks:
                rows.add(task)
            return rows.by_source["photos"].digest

    one, other = named("photos", "a"), named("photos", "b")
    assert digest(one, other) == digest(one, named("videos", "c"), other)
    different = [digest(one), digest(one, other), digest(other, one), digest(one, one)]
    assert len({*different, digest(named("photos", "a", "null"))}) == 5


@pytest.mark.parametrize("versions", [(None, "v1"), ("v1", None)])
def test_a_source_names_versions_or_none(versions: tuple[str | None, ...]) -> None:
    with NamedRows("f.jsonl", lambda _: None) as rows:
        rows.add(named("videos", "a", versions[1]))
        with pytest.raises(WrongUse, match=r"f\.jsonl: some lines of photos name a version_id"):
            rows.add(named("photos", "a", *versions))


def test_what_no_job_can_do_is_told_in_lines_that_the_local_engine_takes() -> None:
    told: TOLD = []
    different = named("photos", "a", again=True)
    deleted = named("photos", "b", "m1", deleted="2026-01-02T00:00:00Z")
    with NamedRows("f", told.append) as rows:
        for task in (different, named("photos", "c"), deleted):
            rows.add(task)
        photos = rows.by_source["photos"]
        assert (photos.count, photos.unfit, [*photos]) == (1, 2, [("c", None)])
    assert [line["key"] for line in told] == ["a", "b"]
    assert {line["kind"] for line in told} == {"NotForJobs"}
    assert told[0]["finding"] == "different"
    assert (told[1]["version_id"], told[1]["deleted"]) == ("m1", "2026-01-02T00:00:00Z")
    assert all(line["problem"] and line["cure"] for line in told)
    assert unfit(named("photos", "c"), Wanted(None, Reason.NAMED)) is None

    async def taken() -> list[Task]:
        lines = map(json.dumps, told)
        return [task async for batch in findings.named(lines, "f") for task in batch.tasks]

    assert asyncio.run(taken()) == [different, deleted]
