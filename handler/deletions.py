"""What was deleted of one key in its source, and what that says about a version; no requests.

A delete marker carries no metadata, so deletions are recorded in an object of their own, one per
key. They are kept as S3 announced them and in its order, whatever order they were delivered in.
From them and the copies of the key follows what the source had at any time.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Self

from .provenance import MAX_EARLIER, Provenance
from .records import Removal, sequence

MAX_DELETIONS = 1_000
"""How many deletions of a key are kept, and how many sequencers."""

UNVERSIONED = "null"
"""What S3 calls the one version of a key that has no id of its own.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
"""


class Verdict(Enum):
    """What the deletions of a key say about one of its versions."""

    STANDS = auto()
    """Nothing: it is what the source shows, unless a newer version is."""
    DELETED = auto()
    """The source does not show it: it was deleted later."""
    UNCLEAR = auto()
    """Only the source knows: the version was removed for good, which may have brought another one
    back, or its place in the order is not known."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """One deletion of the key."""

    time: datetime
    """When the source did it (UTC, milliseconds)."""
    version_id: str | None
    """As of `Removal`."""
    marker: bool
    """As of `Removal`."""
    sequencer: str | None = None
    """Of the event; None if no event announced it."""

    @classmethod
    def of(cls, removal: Removal) -> Self:
        """The record of an announced deletion."""
        time = removal.event_time.astimezone(UTC)
        milliseconds = time.microsecond // 1000 * 1000
        return cls(
            time.replace(microsecond=milliseconds),
            removal.version_id,
            removal.marker,
            removal.sequencer,
        )

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Read what `to_json` made.

        :raises ValueError, TypeError, KeyError: if it is something else.
        """
        return cls(
            datetime.fromisoformat(fields["time"]).astimezone(UTC),
            fields["version"],
            bool(fields["marker"]),
            fields["sequencer"],
        )

    def to_json(self) -> dict[str, Any]:
        """The form in which it is recorded."""
        return {
            "time": _text(self.time),
            "sequencer": self.sequencer,
            "version": self.version_id,
            "marker": self.marker,
        }

    @property
    def name(self) -> str:
        """The version that it put or removed."""
        return self.version_id or UNVERSIONED

    def same_as(self, other: "Deletion") -> bool:
        """Whether both are records of one deletion."""
        if (self.marker, self.name) != (other.marker, other.name):
            return False
        if self.name != UNVERSIONED:
            # Ids are given once.
            return True
        if self.sequencer and other.sequencer:
            return sequence(self.sequencer) == sequence(other.sequencer)
        return self.time == other.time

    def later_than(self, other: "Deletion") -> bool:
        """Whether the source did it after the other."""
        if self.sequencer and other.sequencer:
            return sequence(self.sequencer) > sequence(other.sequencer)
        return self.time > other.time


@dataclass(frozen=True, slots=True)
class Deletions:
    """The deletions of one key, and what has to be known beside them."""

    key: str
    """The key in the source."""
    entries: tuple[Deletion, ...] = ()
    """In the source's order, the latest last."""
    since: datetime | None = None
    """Up to here deletions were dropped, because there were too many."""
    earlier: tuple[str, ...] = ()
    """Identities (`Provenance.identity`) of the backups that lie under a delete marker, the latest
    first: tell a late event that its version is there already."""
    sequencers: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """By identity, of versions that went under a delete marker, or came back from under another
    version. None while it is not known: the version's own event tells."""

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read what `to_json` made.

        :raises ValueError, TypeError, KeyError: if it is something else.
        """
        fields = json.loads(body)
        return cls(
            fields["key"],
            tuple(Deletion.from_json(entry) for entry in fields["deletions"]),
            datetime.fromisoformat(fields["since"]) if fields.get("since") else None,
            tuple(fields["earlier"]),
            dict(fields["sequencers"]),
        )

    def to_json(self) -> bytes:
        """The content of the object that records them."""
        fields = {
            "key": self.key,
            "deletions": [entry.to_json() for entry in self.entries],
            "since": self.since and _text(self.since),
            "earlier": self.earlier,
            "sequencers": self.sequencers,
        }
        return json.dumps(fields).encode()

    def adding(self, deletion: Deletion) -> "Deletions":
        """The same with one more, unless it is there already."""
        if any(deletion.same_as(entry) for entry in self.entries):
            return self
        place = len(self.entries)
        while place and self.entries[place - 1].later_than(deletion):
            place -= 1
        entries = (*self.entries[:place], deletion, *self.entries[place:])
        dropped, kept = entries[:-MAX_DELETIONS], entries[-MAX_DELETIONS:]
        since = max([entry.time for entry in dropped], default=self.since)
        if since and self.since:
            since = max(since, self.since)
        return replace(self, entries=kept, since=since)

    def covering(self, backup: Provenance | None) -> "Deletions":
        """The same, knowing that a delete marker will be put on this backup."""
        if backup is None:
            return self
        known = dict.fromkeys((backup.identity, *backup.earlier, *self.earlier))
        return replace(self, earlier=tuple(known)[:MAX_EARLIER]).knowing(backup)

    def covers(self, version: Provenance) -> bool:
        """Whether a version is known to lie under a delete marker, or to have lain there.

        Of what has no id of its own one cannot know: the same may have been written again.
        """
        pinned = (version.version_id or UNVERSIONED) != UNVERSIONED
        return bool(self.earlier) and pinned and version.identity in self.earlier

    def knowing(self, version: Provenance) -> "Deletions":
        """The same, with a version's place in the order; or, if it has none, waiting for that."""
        if self.sequencer_of(version) != version.sequencer:
            return self
        return self._placing(version.identity, version.sequencer)

    def told(self, identity: str, sequencer: str | None) -> "Deletions":
        """The same, with a version's place in the order if that is waited for."""
        waiting = self.sequencers.get(identity, "") is None
        return self._placing(identity, sequencer) if waiting else self

    def _placing(self, identity: str, sequencer: str | None) -> "Deletions":
        places = {**self.sequencers, identity: sequencer}
        return replace(self, sequencers=dict(list(places.items())[-MAX_DELETIONS:]))

    def sequencer_of(self, version: Provenance) -> str | None:
        """A version's place in the order, if known.

        The latest, if there are several: where S3 knows a version by its bytes and the second
        only, an event may have been taken for that of an earlier write of the same bytes.
        """
        known = (version.sequencer, self.sequencers.get(version.identity))
        return max(filter(None, known), key=sequence, default=None)

    def verdict(self, version: Provenance) -> Verdict:
        """What they say about a version."""
        verdict = Verdict.STANDS
        sequencer = self.sequencer_of(version)
        for entry in self._in_force(version.version_id or UNVERSIONED):
            # Once in a versioned bucket a version is removed for good, an older one may be back.
            removed = not entry.marker and entry.version_id is not None
            later = None
            if sequencer and entry.sequencer:
                later = sequence(entry.sequencer) > sequence(sequencer)
            if later and not removed:
                return Verdict.DELETED
            if later is not False or (removed and entry.name != UNVERSIONED):
                verdict = Verdict.UNCLEAR
        return verdict

    def _in_force(self, name: str) -> Iterator[Deletion]:
        """Markers that are still there, and removals of the version of that name."""
        removed = {
            entry.name for entry in self.entries if not entry.marker and entry.name != UNVERSIONED
        }
        # Whatever has no id of its own replaces what had none before.
        unversioned = [entry for entry in self.entries if entry.name == UNVERSIONED]
        for entry in self.entries:
            if entry.name == UNVERSIONED and entry is not unversioned[-1]:
                continue
            if entry.name not in removed if entry.marker else entry.name == name:
                yield entry


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
