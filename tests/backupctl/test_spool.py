"""What is kept under digests comes back as it was."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backupctl.s3.listing import ListedVersion
from backupctl.spool import Kind, Spool, Spooled

FILES = Path("/proc/self/fd")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def entry(key: str, version: str = "v") -> ListedVersion:
    return ListedVersion(key, version, True, False, "etag", 7, NOW, "STANDARD")


def _open_files() -> Iterator[str]:
    for link in FILES.iterdir():
        # The folder itself was open while it was listed.
        with suppress(FileNotFoundError):
            yield str(link.readlink())


def test_entries_are_taken_once_in_their_order() -> None:
    with Spool() as spool:
        spool.add(Kind.LATE, [("b", entry("2", "z")), ("a", entry("1"))])
        spool.add(Kind.LATE, [("b", entry("2", "a"))])
        spool.add(Kind.LONG, [("b", entry("\x00\n\U0001f600"))])
        assert len(spool) == 4
        assert spool.take("none") == []
        assert spool.take("b") == [
            Spooled(Kind.LONG, entry("\x00\n\U0001f600")),
            Spooled(Kind.LATE, entry("2", "z")),
            Spooled(Kind.LATE, entry("2", "a")),
        ]
        assert spool.take("b") == []
        assert len(spool) == 1
        assert list(spool.rest()) == [("a", [Spooled(Kind.LATE, entry("1"))])]


def test_the_rest_comes_by_digest() -> None:
    with Spool() as spool:
        assert list(spool.rest()) == []
        spool.add(Kind.DELETED, [("b", entry("2")), ("a", entry("1"))])
        spool.add(Kind.LONG, [("b", entry("3"))])
        assert [(digest, [one.kind for one in found]) for digest, found in spool.rest()] == [
            ("a", [Kind.DELETED]),
            ("b", [Kind.LONG, Kind.DELETED]),
        ]


@pytest.mark.skipif(not FILES.exists(), reason="only Linux tells which files are open")
def test_many_entries_do_not_stay_in_memory() -> None:
    # SQLite keeps 2 MB and writes the rest to a file without a name.
    with Spool() as spool:
        for start in range(0, 100_000, 1_000):
            spool.add(
                Kind.LATE,
                [(f"{number:064x}", entry("k" * 200)) for number in range(start, start + 1_000)],
            )
        assert any("etilqs" in name for name in _open_files())
        assert len(spool.take(f"{99_999:064x}")) == 1
