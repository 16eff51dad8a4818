"""What was deleted is recorded in the source's order, and says of each version what it can."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.deletions import MAX_DELETIONS, Deletion, Deletions, Verdict
from handler.provenance import MAX_EARLIER, Provenance
from handler.records import Removal

START = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def at(
    number: int, version_id: str | None = None, *, marker: bool = True, numbered: bool = True
) -> Deletion:
    """The deletion number so many; of growing length, so that padding matters."""
    sequencer = f"{7**number:X}" if numbered else None
    return Deletion(START + timedelta(seconds=number), version_id, marker, sequencer)


def removed(number: int, version_id: str | None, *, numbered: bool = True) -> Deletion:
    return at(number, version_id, marker=False, numbered=numbered)


def written(number: int, version_id: str | None = None, *, numbered: bool = True) -> Provenance:
    sequencer = f"{7**number:X}" if numbered else None
    return Provenance("e", START + timedelta(seconds=number), 1, version_id, sequencer)


def deletions(*entries: Deletion) -> Deletions:
    found = Deletions("cat")
    for entry in entries:
        found = found.adding(entry)
    return found


def test_the_form_of_a_record() -> None:
    found = deletions(at(1, "m1"), removed(2, None))
    found = replace(found, since=START, earlier=("a", "b")).knowing(written(3, "v3"))
    assert json.loads(found.to_json()) == {
        "key": "cat",
        "deletions": [
            {"time": "2026-03-04T05:06:08.000Z", "sequencer": "7", "version": "m1", "marker": True},
            {
                "time": "2026-03-04T05:06:09.000Z",
                "sequencer": "31",
                "version": None,
                "marker": False,
            },
        ],
        "since": "2026-03-04T05:06:07.000Z",
        "earlier": ["a", "b"],
        "sequencers": {written(3, "v3").identity: "157"},
    }
    assert Deletions.from_json(found.to_json()) == found


@given(key=st.text(), since=st.none() | st.just(START))
def test_a_record_is_read_as_it_was_written(key: str, since: datetime | None) -> None:
    found = replace(deletions(at(1, "m1"), removed(2, "m1")), key=key, since=since)
    assert Deletions.from_json(found.to_json()) == found


def test_a_deletion_is_recorded_in_utc_to_the_millisecond() -> None:
    time = datetime(2026, 3, 4, 7, 6, 7, 89_999, timezone(timedelta(hours=2)))
    entry = Deletion.of(Removal("photos", "cat", "m1", True, time, "7"))
    assert entry.to_json()["time"] == "2026-03-04T05:06:07.089Z"
    assert Deletion.from_json(entry.to_json()) == entry


@pytest.mark.parametrize("numbered", [True, False])
def test_deletions_are_in_the_order_of_the_source_whatever_the_order_of_delivery(
    numbered: bool,
) -> None:
    entries = [at(number, f"m{number}", numbered=numbered) for number in range(4)]
    for delivered in permutations(entries):
        assert deletions(*delivered).entries == tuple(entries)


@pytest.mark.parametrize(
    ("entry", "other", "same"),
    [
        (at(1, "m1"), at(1, "m1"), True),
        # An id is given once, so neither time nor sequencer is needed.
        (at(1, "m1"), at(2, "m1", numbered=False), True),
        (at(1, "m1"), removed(1, "m1"), False),
        (at(1, "m1"), at(1, "m2"), False),
        (at(1, "null"), at(1, None), True),
        (at(1, None), replace(at(1, None), sequencer="00000007"), True),
        (at(1, None), at(2, None), False),
        (at(1, None, numbered=False), at(1, None), True),
        (at(1, None, numbered=False), at(2, None), False),
        (removed(1, None), at(1, None), False),
    ],
)
def test_a_deletion_that_comes_twice_is_recorded_once(
    entry: Deletion, other: Deletion, same: bool
) -> None:
    assert len(deletions(entry, other).entries) == (1 if same else 2)
    assert len(deletions(other, entry).entries) == (1 if same else 2)


def test_of_too_many_deletions_the_oldest_are_dropped_and_that_is_recorded() -> None:
    found = Deletions("cat")
    for number in range(MAX_DELETIONS + 2):
        time = START + timedelta(seconds=number)
        found = found.adding(Deletion(time, f"m{number}", True, f"{number:08X}"))
    assert [entry.version_id for entry in found.entries[:1]] == ["m2"]
    assert len(found.entries) == MAX_DELETIONS
    assert found.since == START + timedelta(seconds=1)
    # One that is older than all that are kept changes nothing, however often it comes.
    again = found.adding(Deletion(START, "m0", True, "00000000"))
    assert again == found


OF_A_VERSION = [
    ([], written(1, "v1"), Verdict.STANDS),
    ([at(2, "m")], written(1, "v1"), Verdict.DELETED),
    ([at(2, "m")], written(3, "v1"), Verdict.STANDS),
    # The marker was removed again: what lay under it is back.
    ([at(2, "m"), removed(3, "m")], written(1, "v1"), Verdict.STANDS),
    # But not from under two.
    ([at(2, "m"), at(4, "n"), removed(5, "n")], written(1, "v1"), Verdict.DELETED),
    # What was removed for good may have covered something.
    ([removed(2, "v1")], written(1, "v1"), Verdict.UNCLEAR),
    ([removed(2, "v1"), at(3, "m")], written(1, "v1"), Verdict.DELETED),
    ([removed(2, "v0")], written(1, "v1"), Verdict.STANDS),
    # Suspended versioning: one "null" replaces the other, be it a version or a marker.
    ([at(2, "null")], written(1, "null"), Verdict.DELETED),
    ([at(2, "null")], written(1, "v1"), Verdict.DELETED),
    ([at(2, "null")], written(3, "null"), Verdict.STANDS),
    ([at(2, "null"), removed(3, "null")], written(1, "v1"), Verdict.STANDS),
    ([at(2, "null"), removed(3, "null")], written(1, "null"), Verdict.UNCLEAR),
    ([removed(3, "null")], written(1, "v1"), Verdict.STANDS),
    ([removed(3, "null")], written(4, "null"), Verdict.STANDS),
    # Never versioned: nothing lies under anything.
    ([removed(2, None)], written(1), Verdict.DELETED),
    ([removed(2, None)], written(3), Verdict.STANDS),
    ([removed(2, None), removed(4, None)], written(3), Verdict.DELETED),
    # Without a place in the order only the source knows.
    ([at(2, "m")], written(1, "v1", numbered=False), Verdict.UNCLEAR),
    ([at(2, "m")], written(9, "v1", numbered=False), Verdict.UNCLEAR),
    ([at(2, "m", numbered=False)], written(1, "v1"), Verdict.UNCLEAR),
    ([at(2, "m", numbered=False), at(3, "n")], written(1, "v1"), Verdict.DELETED),
    ([at(2, "m"), removed(3, "m")], written(1, "v1", numbered=False), Verdict.STANDS),
    ([removed(2, None)], written(1, numbered=False), Verdict.UNCLEAR),
]


@pytest.mark.parametrize(("entries", "version", "verdict"), OF_A_VERSION)
def test_what_deletions_say_of_a_version(
    entries: list[Deletion], version: Provenance, verdict: Verdict
) -> None:
    for delivered in permutations(entries):
        assert deletions(*delivered).verdict(version) is verdict


def test_a_place_in_the_order_that_was_learnt_counts() -> None:
    version = written(1, "v1")
    unplaced = replace(version, sequencer=None)
    found = deletions(at(2, "m")).knowing(version)
    assert found.verdict(unplaced) is Verdict.DELETED
    # The later one: an event may have been taken for that of an earlier write of the same bytes.
    assert found.knowing(replace(version, sequencer=written(3).sequencer)).verdict(version) is (
        Verdict.STANDS
    )


def test_a_place_is_told_only_where_it_is_waited_for() -> None:
    version = written(1, "v1")
    found = deletions(at(2, "m"))
    assert found.told(version.identity, "7") == found
    waiting = found.knowing(replace(version, sequencer=None))
    assert waiting.sequencers == {version.identity: None}
    assert waiting.told(version.identity, "7").sequencers == {version.identity: "7"}
    assert waiting.told(version.identity, "7").told(version.identity, "8") == waiting.told(
        version.identity, "7"
    )


def test_what_goes_under_a_marker_is_remembered_the_latest_first() -> None:
    names = tuple(f"n{number}" for number in range(MAX_EARLIER))
    backup = replace(written(1, "v1"), earlier=names[:3])
    found = replace(deletions(at(2, "m")), earlier=names[2:]).covering(backup)
    assert found.earlier == (backup.identity, *names)[:MAX_EARLIER]
    assert found.sequencers == {backup.identity: backup.sequencer}
    assert found.covering(backup) == found
    assert found.covering(None) == found
