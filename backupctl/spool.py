"""Entries found again by the digest of their key; on disk when there are many."""

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import IntEnum
from types import TracebackType
from typing import NamedTuple, Self

from .s3.listing import ListedVersion


class Kind(IntEnum):
    """What lies under a digest."""

    LONG = 0
    """Copies of an object whose key is too long to be part of the backup's."""
    LATE = 1
    """Copies of versions that came late."""
    DELETED = 2
    """The record of deletions."""


class Spooled(NamedTuple):
    """One entry."""

    kind: Kind
    entry: ListedVersion


class Spool:
    """Keeps entries until they are taken, in a file that vanishes with the process."""

    def __init__(self) -> None:
        # SQLite makes the file when its cache is full. https://www.sqlite.org/inmemorydb.html
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE spool (digest TEXT, kind INTEGER, place INTEGER, key TEXT, version TEXT, "
            "latest INTEGER, marker INTEGER, etag TEXT, size INTEGER, modified REAL, class TEXT, "
            "PRIMARY KEY (digest, kind, place)) WITHOUT ROWID"
        )
        self._places = 0
        self._left = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def __len__(self) -> int:
        return self._left

    def add(self, kind: Kind, entries: Iterable[tuple[str, ListedVersion]]) -> None:
        """Keep entries, each with its digest; they are taken in the order in which they came."""
        rows = [
            (digest, kind, self._places + place, *entry[:6], entry.modified.timestamp(), entry[7])
            for place, (digest, entry) in enumerate(entries)
        ]
        self._places += len(rows)
        self._left += len(rows)
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT INTO spool VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
        )
        self._database.execute("COMMIT")

    def take(self, digest: str) -> list[Spooled]:
        """What lies under a digest, once."""
        if not self._left:
            return []
        found = [spooled for _, spooled in self._read("WHERE digest = ?", digest)]
        if found:
            self._database.execute("DELETE FROM spool WHERE digest = ?", [digest])
            self._left -= len(found)
        return found

    def rest(self) -> Iterator[tuple[str, list[Spooled]]]:
        """All that nobody took, by digest; it stays."""
        digest, together = "", list[Spooled]()
        for following, spooled in self._read():
            if following != digest and together:
                yield digest, together
                together = []
            digest = following
            together.append(spooled)
        if together:
            yield digest, together

    def _read(self, where: str = "", *values: str) -> Iterator[tuple[str, Spooled]]:
        query = " ".join(("SELECT * FROM spool", where, "ORDER BY digest, kind, place"))
        for row in self._database.execute(query, values):
            digest, kind, _, key, version, latest, marker, etag, size, modified, storage = row
            yield (
                digest,
                Spooled(
                    Kind(kind),
                    ListedVersion(
                        key,
                        version,
                        bool(latest),
                        bool(marker),
                        etag,
                        size,
                        datetime.fromtimestamp(modified, UTC),
                        storage,
                    ),
                ),
            )
