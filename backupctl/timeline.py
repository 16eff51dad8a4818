"""What a source bucket held at a moment, as its backup tells it. Decides and does no I/O.

Time is the source's: S3 dates versions by whole seconds, so the state at 12:00:05 is the one at
the end of that second. Within a second, the sequencers of the events order. An object that was
uploaded in parts counts from the beginning of its upload, as S3 dates it.

A version is copied after it was written, so what a listing of the backup says of a copy's time is
never earlier than the version itself. That settles most versions without a look at them:

- a copy made by the moment is of a version written by then;
- copies under one key are in the source's order, so of those made after the moment only the
  lowest ones can be of versions written by then;
- a copy kept beside, because it came late, is older than what is on top.

Where deletions are on record, nothing is settled so: what was deleted can come back, and its copy
be on top again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from handler.asking import Asking
from handler.catalogue import Catalogue
from handler.deletions import UNVERSIONED, Deletion, Deletions
from handler.provenance import Provenance
from handler.records import ObjectVersion, sequence
from handler.requests import S3Error, Steps

from .moments import second
from .s3.listing import ListedVersion


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
    deletions: Deletions | None = None
    """What is recorded of deletions; None if nothing is."""


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
        copy = self.copy
        return self.provenance or Provenance(copy.etag, second(copy.modified), copy.size)


@dataclass(frozen=True, slots=True)
class State:
    """What one key was at a moment."""

    held: ListedVersion | None
    """The copy of what was there; None if nothing was."""
    deleted: ListedVersion | None = None
    """The copy of what would have been there if it had not been deleted."""
    certain: bool = True
    """Whether all is on record that was deleted since."""


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
        at = second(at.astimezone(UTC))
        record = self._history.deletions
        if record is None:
            return State((yield from self._newest(at)))
        state = yield from self._replay(at, record)
        return replace(state, certain=record.since is None or record.since < at)

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
        if held is not None and held is self._history.copies[0]:
            # What came late is older than what is on top, if nothing newer is missing.
            return held
        for late in self._late:
            seen = held and (yield from self.look(held))
            if seen is not None and late.modified < seen.dated.modified:
                continue
            rival = yield from self.look(late)
            if rival is None or rival.dated.modified > at:
                continue
            if seen is None or seen.dated.older_than(rival.dated):
                held = late
        return held

    def _place(self, at: datetime) -> Steps[int]:
        """Where in the list the newest copy of a version written by then is."""
        place = next(
            (place for place, copy in enumerate(self._copies) if second(copy.modified) <= at),
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

    def _replay(self, at: datetime, record: Deletions) -> Steps[State]:
        """The state by doing again what was done, as docs/backup-bucket.md says.

        Where a version was removed, an older one came back and was copied again, on top: the order
        of the copies says nothing.
        """
        written: dict[str, _Step] = {}
        for copy in self.copies:
            seen = yield from self.look(copy)
            if seen is None:
                continue
            step = _Step.of_copy(seen, record)
            known = written.get(seen.dated.identity)
            if known is None or known.sequencer is None:
                written[seen.dated.identity] = step
        steps = [*written.values(), *map(_Step.of_deletion, record.entries)]
        past = [step for step in _in_order(steps) if second(step.time) <= at]
        stack: list[_Step] = []
        for step in past:
            if step.removes or step.name == UNVERSIONED:
                stack = [below for below in stack if below.name != step.name]
            if not step.removes:
                stack.append(step)
        if stack and stack[-1].copy is not None:
            return State(stack[-1].copy)
        # Best what lies under a marker, else what was written last.
        deleted = [step.copy for step in (*past, *stack) if step.copy is not None]
        return State(None, deleted=deleted[-1] if deleted else None)

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


@dataclass(frozen=True, slots=True)
class _Step:
    """A version that was written, or a deletion."""

    time: datetime
    sequencer: str | None
    name: str
    """The version's, or the marker's."""
    copy: ListedVersion | None = None
    """Of the version; None for a deletion."""
    removes: bool = False
    """Whether what has that name was removed for good."""

    @classmethod
    def of_copy(cls, seen: Seen, record: Deletions) -> "_Step":
        version = seen.dated
        name = version.version_id or UNVERSIONED
        return cls(version.modified, record.sequencer_of(version), name, seen.copy)

    @classmethod
    def of_deletion(cls, deletion: Deletion) -> "_Step":
        removes = not deletion.marker
        return cls(deletion.time, deletion.sequencer, deletion.name, removes=removes)


def _in_order(steps: Sequence[_Step]) -> list[_Step]:
    """By sequencer; what has none is the last of its second."""
    ordered = sorted(
        (step for step in steps if step.sequencer), key=lambda step: sequence(step.sequencer or "")
    )
    for step in sorted(steps, key=lambda step: step.time):
        if not step.sequencer:
            places = range(len(ordered))
            later = (n for n in places if second(ordered[n].time) > second(step.time))
            ordered.insert(next(later, len(ordered)), step)
    return ordered
