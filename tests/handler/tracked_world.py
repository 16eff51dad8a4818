"""A source whose deletions are tracked."""

from dataclasses import replace
from typing import Any

from handler.copy import Engine
from handler.records import Backup, ObjectVersion, Outcome, Removal
from handler.requests import Steps

from . import history
from .fake_s3 import Stored, Versioning, drive
from .test_engine_model import ENGINE, World

TRACKING = replace(ENGINE, track_deletes=True)
Event = ObjectVersion | Removal


def steps(event: Event, engine: Engine = TRACKING) -> Steps[Backup]:
    """What the engine does about an event."""
    return engine.remove(event) if isinstance(event, Removal) else engine.copy(event)


class TrackedWorld(World):
    """A source, a backup, and all events that S3 would send."""

    def delete(self, key: str = "cat", version_id: str | None = None) -> Removal:
        """Delete and tell."""
        self.s3.tick()
        marker = self.s3.delete("photos", key, version_id)
        return self.announce_removal(marker, key, version_id)

    def announce_removal(
        self, marker: Stored | None, key: str, version_id: str | None = None
    ) -> Removal:
        """What S3 sends about a deletion that has just happened."""
        put = marker is not None
        removed = marker.version_id if marker is not None else version_id
        return Removal("photos", key, removed, put, self.s3.now, next(self.sequencers))

    def handle(self, *events: Event, engine: Engine = TRACKING) -> Backup:
        """Deliver events one after the other; returns the last result."""
        results = [drive(steps(event, engine), self.s3) for event in events]
        return results[-1]

    def handled(self, event: Event, engine: Engine = TRACKING) -> tuple[Outcome, list[str]]:
        """The outcome of a delivery and the requests it took."""
        self.s3.requests.clear()
        outcome = self.handle(event, engine=engine).outcome
        return outcome, self.s3.operations

    def shown(self, key: str = "cat") -> bytes | None:
        """What the backup shows."""
        current = self.backup.current(self.main(key)[0].key) if self.main(key) else None
        return current and current.content

    def copies(self, key: str = "cat") -> list[Stored]:
        """Versions of the backup that are no delete markers, oldest first, the late ones last."""
        found = (*self.main(key), *self.late())
        return [stored for stored in found if not stored.is_delete_marker]

    def record(self, key: str = "cat") -> dict[str, Any]:
        """What is recorded of the key's deletions."""
        return history.deletion_record(self.backup, "photos", key)

    @property
    def versioned(self) -> bool:
        """Whether versions have ids of their own."""
        return self.source.versioning is Versioning.ENABLED
