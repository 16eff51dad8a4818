"""What a backup says of its source, and which of two is older."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.provenance import PREFIX, Provenance, metadata_bytes, without_provenance

MODIFIED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

times = st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(microsecond=0))
words = st.text(min_size=1)
sequencers = st.text("0123456789ABCDEFabcdef", min_size=1, max_size=20)
provenances = st.builds(
    Provenance,
    etag=words,
    modified=times.filter(lambda time: time.year >= 1000),
    size=st.integers(0),
    version_id=st.none() | words,
    sequencer=st.none() | sequencers,
    earlier=st.lists(st.text("aZ09-_", min_size=1), max_size=3).map(tuple),
)


def announced(sequencer: str | None, modified: datetime = MODIFIED) -> Provenance:
    return Provenance("e", modified, 1, "v", sequencer)


@given(provenances)
def test_what_is_written_is_read_back(provenance: Provenance) -> None:
    metadata = provenance.to_metadata()
    assert all(key.startswith(PREFIX) for key in metadata)
    assert Provenance.from_metadata(metadata | {"own": "x"}) == provenance


def test_metadata_has_the_documented_form() -> None:
    head = {"ETag": '"abc-2"', "LastModified": MODIFIED, "ContentLength": 7}
    assert Provenance.of(head, "v1", "00AB").to_metadata() == {
        "s3-backup-etag": "abc-2",
        "s3-backup-modified": "2026-03-04T05:06:07Z",
        "s3-backup-size": "7",
        "s3-backup-version": "v1",
        "s3-backup-sequencer": "00AB",
    }
    assert set(Provenance.of(head).to_metadata()) == {
        "s3-backup-etag",
        "s3-backup-modified",
        "s3-backup-size",
    }


@pytest.mark.parametrize(
    "damage",
    [
        {"modified": "yesterday"},
        {"modified": "2026-03-04T05:06:07"},
        {"modified": "2026-03-04"},
        {"modified": "2026-03-04T05:06:07.5Z"},
        {"modified": "2026-03-04 05:06:07Z"},
        {"modified": "2026-W10-3T05:06:07Z"},
        {"modified": "0001-01-01T00:00:00+01:00"},
        {"modified": ""},
        {"modified": None},
        {"size": "much"},
        {"size": ""},
        {"size": None},
        {"etag": None},
    ],
)
def test_damaged_metadata_is_no_provenance(damage: dict[str, str | None]) -> None:
    whole = announced("1").to_metadata()
    damaged = whole | {
        f"{PREFIX}{name}": value for name, value in damage.items() if value is not None
    }
    for name, value in damage.items():
        if value is None:
            del damaged[f"{PREFIX}{name}"]
    assert Provenance.from_metadata(damaged) is None
    assert Provenance.from_metadata({}) is None


@given(sequencers, sequencers)
def test_the_order_of_sequencers_is_that_of_the_numbers_they_write(one: str, other: str) -> None:
    assert announced(one).older_than(announced(other)) == (int(one, 16) < int(other, 16))


@given(st.lists(sequencers, min_size=3, max_size=3))
def test_older_is_a_strict_order(three: list[str]) -> None:
    for a, b, c in itertools.permutations(map(announced, three)):
        assert not a.older_than(a)
        assert not (a.older_than(b) and b.older_than(a))
        assert not (a.older_than(b) and b.older_than(c)) or a.older_than(c)


def test_a_sequencer_counts_more_than_time() -> None:
    later = MODIFIED + timedelta(seconds=1)
    assert announced("1", later).older_than(announced("2", MODIFIED))
    assert not announced("2", MODIFIED).older_than(announced("1", later))


@pytest.mark.parametrize(("one", "other"), [(None, "1"), ("1", None), (None, None), ("1", "1")])
def test_without_two_sequencers_time_decides(one: str | None, other: str | None) -> None:
    later = MODIFIED + timedelta(seconds=1)
    assert announced(one).older_than(announced(other, later))
    assert not announced(one, later).older_than(announced(other))
    assert not announced(one).older_than(announced(other))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("e", 0, "v1"), ("e", 0, "v1"), True),
        (("e", 0, "v1"), ("e", 0, "v2"), False),
        (("e", 0, "v1"), ("e", 0, None), False),
        (("e", 0, "v1"), ("e", 0, "null"), False),
        (("e", 0, None), ("e", 0, None), True),
        (("e", 0, None), ("e", 0, "null"), True),
        (("e", 0, None), ("f", 0, None), False),
        (("e", 0, None), ("e", 1, None), False),
        (("e", 0, "null"), ("e", 1, "null"), False),
    ],
)
def test_a_version_is_known_by_its_id_or_by_bytes_and_time(
    one: tuple[str, int, str | None], other: tuple[str, int, str | None], *, same: bool
) -> None:
    def made(etag: str, second: int, version_id: str | None) -> Provenance:
        return Provenance(etag, MODIFIED + timedelta(seconds=second), 1, version_id)

    assert made(*one).same_version(made(*other)) is same
    assert made(*other).same_version(made(*one)) is same


def test_metadata_is_counted_in_bytes_and_split_by_the_reserved_prefix() -> None:
    assert metadata_bytes({"\u00e9": "ab", "c": ""}) == 5
    own = {"a": "b", "s3-backup": "mine"}
    assert without_provenance(own | announced("1").to_metadata()) == own
