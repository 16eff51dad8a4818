"""Whatever is written, deleted, undeleted and delivered in whatever order: the backup shows what
the source shows, and tells what the source had at any time."""

import hashlib
import itertools
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from handler import backup_keys
from handler.failures import Failed
from handler.records import Backup, ObjectVersion, Removal
from handler.requests import S3Error

from . import history
from .fake_s3 import Stepper, Stored, Versioning, When, drive
from .test_engine_model import LONG_KEY, RETRYABLE, provenance_of
from .tracked_world import Event, TrackedWorld, steps


@dataclass(frozen=True)
class Moment:
    """What the source showed from a time on."""

    time: datetime
    shown: Stored | None


class Changes(RuleBasedStateMachine):
    """Writers, deletions, undeletions, deliveries, faults and crashes in any order."""

    versioning: ClassVar[Versioning]
    changes_versioning: ClassVar[bool] = False
    backfills: ClassVar[bool] = False

    running = Bundle("running")

    @initialize(key=st.sampled_from(["cat", LONG_KEY]), named=st.booleans())
    def start(self, key: str, *, named: bool) -> None:
        self.world = TrackedWorld(self.versioning)
        self.world.s3.names_conditions = named
        self.key = key
        self.written: list[Stored] = []
        self.events: list[Event] = []
        self.undelivered: list[Event] = []
        self.steppers: dict[int, tuple[Stepper[Backup], Event]] = {}
        self.overlapping: set[str | None] = set()
        self.moments: list[Moment] = []
        self.numbers = itertools.count()

    # What happens in the source

    def _happened(self, event: Event) -> None:
        self.events.append(event)
        self.undelivered.append(event)
        shown = self.world.source.current(self.key)
        self.moments.append(Moment(self.world.s3.now, shown))

    @rule(
        content=st.sampled_from([b"A", b"B", b"0123456789", b""]),
        later=st.sampled_from([0, 0.3, 1]),
    )
    def write(self, content: bytes, later: float) -> None:
        self.world.s3.tick(later)
        if any(
            (old.content, old.modified) == (content, self.world.s3.now.replace(microsecond=0))
            for old in self.written
        ):
            # Of those, docs/backup-bucket.md says that they count as one.
            return
        stored = self.world.s3.write("photos", self.key, content, metadata={"own": "x"})
        self.written.append(stored)
        self._happened(self.world.announce(stored))

    @rule(later=st.sampled_from([0, 0.3, 1]))
    def delete(self, later: float) -> None:
        self.world.s3.tick(later)
        marker = self.world.s3.delete("photos", self.key)
        self._happened(self.world.announce_removal(marker, self.key))

    @rule(data=st.data(), later=st.sampled_from([0, 0.3, 1]))
    def remove_for_good(self, data: st.DataObject, later: float) -> None:
        """Remove a version or a delete marker, which undeletes."""
        there = self.world.source.keys.get(self.key, [])
        if there and self.world.source.versioning is not Versioning.NEVER:
            self.world.s3.tick(later)
            version_id = data.draw(st.sampled_from(there[-3:])).version_id
            self.world.s3.delete("photos", self.key, version_id)
            self._happened(self.world.announce_removal(None, self.key, version_id))

    @rule(versioning=st.sampled_from([Versioning.ENABLED, Versioning.SUSPENDED]))
    def switch_versioning(self, versioning: Versioning) -> None:
        if self.changes_versioning:
            self.world.source.versioning = versioning

    # What is delivered

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """A delivery that nothing disturbs, while others are under way."""
        if self.events:
            event = data.draw(st.sampled_from(self.events[-4:]))
            self._note_overlap(event)
            drive(steps(event), self.world.s3)
            self.check()

    @rule(target=running, data=st.data(), turns=st.integers(0, 5))
    def begin(self, data: st.DataObject, turns: int) -> Any:
        """A delivery: the first of an event, or another; it stops halfway."""
        if not self.events:
            return multiple()
        event = data.draw(st.sampled_from(self.events))
        self._note_overlap(event)
        number = next(self.numbers)
        self.steppers[number] = Stepper(steps(event), self.world.s3), event
        self._advance(number, turns)
        return number

    def _note_overlap(self, event: Event) -> None:
        """Two deliveries of a version at the same time, with its deletion, may copy it twice."""
        if isinstance(event, ObjectVersion) and any(
            isinstance(other, ObjectVersion) and other.version_id == event.version_id
            for _, other in self.steppers.values()
        ):
            self.overlapping.add(event.version_id)

    @rule(
        number=running,
        turns=st.integers(1, 5),
        fault=st.none() | st.tuples(st.sampled_from(When), st.sampled_from(RETRYABLE)),
    )
    def advance(self, number: int, turns: int, fault: tuple[When, S3Error] | None) -> None:
        if number in self.steppers:
            faults = iter([fault])
            self.world.s3.fault = lambda _request: next(faults, None)
            self._advance(number, turns)
            self.world.s3.fault = lambda _request: None

    @rule(number=consumes(running))
    def crash(self, number: int) -> None:
        if number in self.steppers:
            stepper, event = self.steppers.pop(number)
            stepper.crash()
            self.undelivered.append(event)

    def _advance(self, number: int, turns: int) -> None:
        stepper, event = self.steppers[number]
        try:
            done = any(stepper.advance() for _ in range(turns))
        except Failed as failed:
            if not failed.retryable:
                raise
            self.undelivered.append(event)
            done = True
        if done:
            del self.steppers[number]
            self.check()

    @rule(data=st.data())
    def backfill(self, data: st.DataObject) -> None:
        """A copy of what is found in the source, without an event."""
        there = [
            stored
            for stored in self.world.source.keys.get(self.key, [])
            if not stored.is_delete_marker
        ]
        if self.backfills and there:
            found = data.draw(st.sampled_from(there))
            never = self.world.source.versioning is Versioning.NEVER
            version_id = None if never else found.version_id
            event = ObjectVersion("photos", self.key, version_id, found.etag, found.size)
            self._note_overlap(event)
            number = next(self.numbers)
            self.steppers[number] = Stepper(steps(event), self.world.s3), event
            self._advance(number, data.draw(st.integers(0, 9)))

    # What must hold

    def check(self) -> None:
        """What holds at any time."""
        for copy in self.world.copies(self.key):
            found = provenance_of(copy)
            assert found.etag == hashlib.md5(copy.content, usedforsecurity=False).hexdigest()
            assert any(
                (found.etag, found.modified) == (stored.etag, stored.modified)
                for stored in self.written
            )

    def settle(self) -> None:
        """End every delivery, and deliver what was not."""
        for number in list(self.steppers):
            while number in self.steppers:
                self._advance(number, 1)
        while self.undelivered:
            drive(steps(self.undelivered.pop()), self.world.s3)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.settle()
        self.check()
        self.check_what_is_shown()
        self.check_the_record()
        self.check_the_history()
        self.check_the_copies()
        # Duplicates once more, in the order that is hardest: newest first.
        settled = self._all_but_places()
        for event in reversed(self.events):
            drive(steps(event), self.world.s3)
        assert self._all_but_places() == settled

    def _all_but_places(self) -> Any:
        """The backup bucket, except for places in the order, which an event may tell late."""
        record = {**self.world.record(self.key), "sequencers": {}}
        folder = ".s3-backup/deleted/"
        found = self.world.backup.under("")
        return record, [stored for stored in found if not stored.key.startswith(folder)]

    def check_what_is_shown(self) -> None:
        source = self.world.source.current(self.key)
        shown = self.world.backup.current(backup_keys.backup_key("photos", self.key))
        if source is None:
            assert shown is None, "what was deleted is shown"
        else:
            assert shown is not None, "what is there is not shown"
            found = provenance_of(shown)
            assert (found.etag, found.modified) == (source.etag, source.modified)

    def check_the_record(self) -> None:
        removals = [event for event in self.events if isinstance(event, Removal)]
        recorded = self.world.record(self.key)
        assert recorded["key"] == self.key
        assert recorded["deletions"] == [
            {
                "time": removal.event_time.isoformat(timespec="milliseconds").replace(
                    "+00:00", "Z"
                ),
                "sequencer": removal.sequencer,
                "version": removal.version_id,
                "marker": removal.marker,
            }
            for removal in removals
        ]

    def check_the_history(self) -> None:
        """At the end of each second."""
        copied = {
            (found.etag, found.modified)
            for found in map(provenance_of, self.world.copies(self.key))
        }
        for moment, after in itertools.pairwise(
            [*self.moments, Moment(self.world.s3.now + timedelta(days=1), None)]
        ):
            if after.time.replace(microsecond=0) == moment.time.replace(microsecond=0):
                continue
            if self._unordered(moment):
                continue
            told = history.state(
                self.world.backup,
                "photos",
                self.key,
                moment.time.replace(microsecond=999_999),
            )
            shown = moment.shown
            if shown is None:
                assert told is None, f"at {moment.time} it was deleted"
            elif (shown.etag, shown.modified) in copied:
                assert told is not None, f"at {moment.time} it was there"
                found = provenance_of(told)
                assert (found.etag, found.modified) == (shown.etag, shown.modified)

    def _unordered(self, moment: Moment) -> bool:
        """Whether something happened by then of which nobody knows when in its second.

        Without backfills only to what has no version id: if an event was taken for that of a later
        write of the same bytes, and what was written then was gone before its own event came.
        """
        second = moment.time.replace(microsecond=0)
        return any(
            step.sequencer is None
            and (step.name == "null" or self.backfills)
            and (step.time == second or (self.backfills and step.time < second))
            for step in history.steps(self.world.backup, "photos", self.key)
        )

    def check_the_copies(self) -> None:
        if self.versioning is not Versioning.ENABLED or self.changes_versioning:
            return
        counts = Counter(provenance_of(copy).version_id for copy in self.world.copies(self.key))
        existing = {
            stored.version_id
            for stored in self.world.source.keys.get(self.key, [])
            if not stored.is_delete_marker
        }
        assert existing <= counts.keys(), "a version is lost"
        if not any(isinstance(event, Removal) and not event.marker for event in self.events):
            for version_id, count in counts.items():
                assert count == 1 or version_id in self.overlapping, "a version is there twice"


class VersionedChanges(Changes):
    versioning = Versioning.ENABLED


class UnversionedChanges(Changes):
    versioning = Versioning.NEVER


class SuspendedChanges(Changes):
    versioning = Versioning.SUSPENDED


class SwitchedChanges(Changes):
    versioning = Versioning.NEVER
    changes_versioning = True


class BackfilledChanges(Changes):
    versioning = Versioning.ENABLED
    backfills = True


class BackfilledUnversionedChanges(Changes):
    versioning = Versioning.NEVER
    backfills = True


class Races(Changes):
    """Hardly anything but deliveries that are under way at the same time."""

    versioning = Versioning.ENABLED

    @rule(order=st.lists(st.integers(0, 5), max_size=25))
    def race(self, order: list[int]) -> None:
        """What was not delivered begins, and goes on in turns of one request."""
        for event in self.undelivered:
            self._note_overlap(event)
            self.steppers[next(self.numbers)] = Stepper(steps(event), self.world.s3), event
        self.undelivered.clear()
        for turn in order:
            numbers = list(self.steppers)
            if numbers:
                self._advance(numbers[turn % len(numbers)], 1)


class UnversionedRaces(Races):
    versioning = Versioning.NEVER


class SwitchedRaces(Races):
    versioning = Versioning.SUSPENDED
    changes_versioning = True


_SETTINGS = settings(max_examples=200, stateful_step_count=30, deadline=None)


class TestVersioned(VersionedChanges.TestCase):
    settings = _SETTINGS


class TestUnversioned(UnversionedChanges.TestCase):
    settings = _SETTINGS


class TestSuspended(SuspendedChanges.TestCase):
    settings = _SETTINGS


class TestSwitched(SwitchedChanges.TestCase):
    settings = _SETTINGS


class TestBackfilled(BackfilledChanges.TestCase):
    settings = _SETTINGS


class TestBackfilledUnversioned(BackfilledUnversionedChanges.TestCase):
    settings = _SETTINGS


class TestRaces(Races.TestCase):
    settings = _SETTINGS


class TestUnversionedRaces(UnversionedRaces.TestCase):
    settings = _SETTINGS


class TestSwitchedRaces(SwitchedRaces.TestCase):
    settings = _SETTINGS
