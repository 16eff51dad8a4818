"""What a source bucket held at a moment, as its backup tells it. Decides and does no I/O.

Time is the source's: S3 dates versions by whole seconds, so the state at 12:00:05 is the one at
the end of that second. Within a second, the sequencers of the events order. An object that was
uploaded in parts counts from the beginning of its upload, as S3 dates it.

A version is copied after it was written, so what a listing of the backup says of a copy's time is
never earlier than the version itself. That settles most versions without a look at them:

- a copy made by the moment is of a version written by then;
- copies under one key are in the source's order, so of those made after the moment only the
  lowest ones can be of versions written by then;
- a copy kept beside (because it came late) is older than what was on top when it came.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from handler.asking import Asking
from handler.catalogue import Catalogue
from handler.provenance import Provenance
from handler.records import ObjectVersion
from handler.requests import S3Error, Steps

from .s3.listing import ListedVersion


@dataclass(frozen=True, slots=True)
class Deletion:
    """One deletion in the source."""

    time: datetime
    """When the source did it (UTC)."""
    version_id: str | None
    """The delete marker that was put, or the version (or marker) that was removed for good; None
    in a bucket that has never been versioned."""
    marker: bool
    """Whether a delete marker was put. If not, something was removed for good."""
    sequencer: str | None = None
    """Of the event."""


@dataclass(frozen=True, slots=True)
class History:
    """All that the backup has of one key."""

    bucket: str
    """The source bucket."""
    key: str
    """The source's key."""
    copies: Sequence[ListedVersion] = ()
    """Those under the backup's key, the newest first; delete markers may be among them."""
    late: Sequence[ListedVersion] = ()
    """Those beside it, of versions that came late, in any order."""
    deletions: Sequence[Deletion] = ()
    """Those on record, in any order."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A copy that was looked at."""

    copy: ListedVersion
    head: Mapping[str, Any]
    """HeadObject's answer."""
    provenance: Provenance | None
    """None if it has none."""

    @property
    def dated(self) -> Provenance:
        """Its provenance, or, for want of one, what its copy is."""
        return self.provenance or Provenance(self.copy.etag, self.copy.modified, self.copy.size)


@dataclass(frozen=True, slots=True)
class State:
    """What one key was at a moment."""

    held: ListedVersion | None
    """The copy of what was there; None if nothing was."""
    deleted: ListedVersion | None = None
    """The copy of what would have been there if it had not been deleted."""


class Timeline:
    """Tells what the source held under one key.

    :param asking: whoever asks S3 about the backup bucket.
    :param history: what the backup has of the key.
    """

    def __init__(self, asking: Asking, history: History) -> None:
        self._asking = asking
        self._history = history
        self._copies = [copy for copy in history.copies if not copy.is_marker]
        self._late = [copy for copy in history.late if not copy.is_marker]
        self._seen: dict[tuple[str, str], Seen | None] = {}

    @property
    def copies(self) -> Sequence[ListedVersion]:
        """Every copy there is, those that came late behind the others."""
        return (*self._copies, *self._late)

    def state(self, at: datetime) -> Steps[State]:
        """What the source held at the end of a second.

        :param at: any moment in it.
        :raises S3Error: if S3 refuses a look at a copy that decides.
        """
        at = at.astimezone(UTC).replace(microsecond=0)
        past = [one for one in self._history.deletions if one.time < at + timedelta(seconds=1)]
        if any(map(_for_good, self._history.deletions)):
            held = yield from self._newest_remaining(at, list(filter(_for_good, past)))
        else:
            held = yield from self._newest(at)
        covering = [one for one in past if _covers(one, past)]
        if held is not None and covering:
            seen = yield from self.look(held)
            if seen is not None and any(_after(one, seen.dated) for one in covering):
                return State(None, deleted=held)
        return State(held)

    def version(self, version_id: str) -> Steps[ListedVersion | None]:
        """The copy of one version, by the id of either.

        :raises S3Error: if S3 refuses a look at a copy.
        """
        for copy in self.copies:
            # The key of a late copy ends with its version's id.
            if version_id in {copy.version_id, copy.key.rpartition("/")[2]}:
                return copy
        for copy in self.copies:
            seen = yield from self.look(copy)
            if seen is not None and seen.dated.version_id == version_id:
                return copy
        return None

    def look(self, copy: ListedVersion) -> Steps[Seen | None]:
        """Look at a copy, once.

        :returns: None if it is gone.
        :raises S3Error: if S3 refuses.
        """
        name = copy.key, copy.version_id
        if name not in self._seen:
            self._seen[name] = yield from self._look(copy)
        return self._seen[name]

    def _newest(self, at: datetime) -> Steps[ListedVersion | None]:
        """The newest version written by then, with as few looks as possible."""
        place = yield from self._place(at)
        held = self._copies[place] if place < len(self._copies) else None
        # Delete markers of the backup included: they stand for deletions.
        above = itertools.takewhile(lambda copy: copy is not held, self._history.copies)
        first_above = min((copy.modified for copy in above), default=None)
        for late in self._late:
            # It is older than what was on top when it came; is that above what is held?
            if held is not None and (first_above is None or late.modified < first_above):
                continue
            rival = yield from self.look(late)
            if rival is None or rival.dated.modified > at:
                continue
            seen = held and (yield from self.look(held))
            if seen is None or seen.dated.older_than(rival.dated):
                held = late
        return held

    def _place(self, at: datetime) -> Steps[int]:
        """Where in the list the newest copy of a version written by then is."""
        place = next(
            (place for place, copy in enumerate(self._copies) if copy.modified <= at),
            len(self._copies),
        )
        for higher in range(place - 1, -1, -1):
            seen = yield from self.look(self._copies[higher])
            if seen is None or seen.provenance is None:
                continue
            if seen.provenance.modified > at:
                break
            place = higher
        return place

    def _newest_remaining(
        self, at: datetime, removals: Sequence[Deletion]
    ) -> Steps[ListedVersion | None]:
        """The newest version written by then and not removed by then.

        Where a version was removed, an older one came back and was copied again, on top: the order
        of the copies says nothing.
        """
        newest: Seen | None = None
        for copy in self.copies:
            seen = yield from self.look(copy)
            if seen is None or seen.dated.modified > at or _removed(removals, seen.dated):
                continue
            if newest is None or newest.dated.older_than(seen.dated):
                newest = seen
        return newest and newest.copy

    def _look(self, copy: ListedVersion) -> Steps[Seen | None]:
        try:
            head = yield from self._asking.ask(
                "HeadObject", **self._asking.in_backup(copy.key), VersionId=copy.version_id
            )
        except S3Error as error:
            if error.status == 404:
                return None
            raise
        provenance = Provenance.from_metadata(head.get("Metadata", {}))
        if provenance is None:
            provenance = yield from Catalogue(self._asking).recorded_provenance(
                ObjectVersion(self._history.bucket, self._history.key), copy.version_id
            )
        return Seen(copy, head, provenance)


def _for_good(deletion: Deletion) -> bool:
    return not deletion.marker and deletion.version_id is not None


def _covers(deletion: Deletion, past: Iterable[Deletion]) -> bool:
    """Whether it hides whatever is older: a marker that is still there, or a deletion where
    nothing is versioned."""
    return not _for_good(deletion) and not any(
        _for_good(other) and other.version_id == deletion.version_id and _later(other, deletion)
        for other in past
    )


def _removed(removals: Iterable[Deletion], version: Provenance) -> bool:
    """Whether one of these is the removal of that version."""
    # A key can have many versions called "null", one after the other.
    if version.version_id in {None, "null"}:
        return any(one.version_id == "null" and _after(one, version) for one in removals)
    return any(one.version_id == version.version_id for one in removals)


def _later(deletion: Deletion, other: Deletion) -> bool:
    if deletion.sequencer and other.sequencer:
        return _sequence(deletion.sequencer) > _sequence(other.sequencer)
    return deletion.time >= other.time


def _after(deletion: Deletion, version: Provenance) -> bool:
    """Whether a deletion came after a version.

    Where nothing orders them within one second, the version is taken to be the later: better to
    restore what was deleted than to miss what was there.
    """
    if deletion.sequencer and version.sequencer:
        return _sequence(deletion.sequencer) > _sequence(version.sequencer)
    return deletion.time >= version.modified + timedelta(seconds=1)


def _sequence(sequencer: str) -> tuple[int, str]:
    """What sequencers of events of the same key are compared by.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    digits = sequencer.upper().lstrip("0")
    return len(digits), digits
