"""The state at a moment, told from whatever the engine's own model leaves in the backup.

The engine's model (`tests/handler/test_removal_model.py`) lets writers, deletions, deliveries,
faults and crashes happen in any order, and knows what the source held when. At its end, what
`Timeline` tells from listings and a few looks must be what a replay of everything tells.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from backupctl.timeline import Timeline
from tests.handler import history as replay
from tests.handler import test_removal_model as model
from tests.handler.fake_s3 import Stored, drive
from tests.handler.test_engine_model import provenance_of

from .world import ASKING, World


class Told(model.Changes):
    """The same, with another check at its end in place of its own."""

    @rule(content=st.sampled_from([b"", b"0123456789"]), later=st.sampled_from([0, 0.3, 1]))
    def write(self, content: bytes, later: float) -> None:
        # Of equal bytes in one place nobody knows which write they are of.
        unique = b"%d" % len(self.written)
        super().write(content=unique + content, later=later)

    def check(self) -> None:
        """Left to the engine's tests."""

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.settle()
            self.check_what_is_told()

    def check_what_is_told(self) -> None:
        world = World(key=self.key, s3=self.world.s3)
        ends = {
            moment.time.replace(microsecond=999_999)
            for moment in self.moments
            if not self._unordered(moment)
        }
        for end in sorted(ends):
            expected = replay.state(world.backup, "photos", self.key, end)
            told = drive(Timeline(ASKING, world.history()).state(end), world.s3).held
            found = told and next(
                stored
                for stored in world.backup.keys[told.key]
                if stored.version_id == told.version_id
            )
            assert _version(found) == _version(expected), f"at {end}"


def _version(stored: Stored | None) -> tuple[str | None, ...] | None:
    if stored is None:
        return None
    found = provenance_of(stored)
    return found.version_id, found.etag, found.modified.isoformat()


class Versioned(Told, model.VersionedChanges):
    pass


class Unversioned(Told, model.UnversionedChanges):
    pass


class Suspended(Told, model.SuspendedChanges):
    pass


class Switched(Told, model.SwitchedChanges):
    pass


class Backfilled(Told, model.BackfilledChanges):
    pass


_SETTINGS = settings(max_examples=50, stateful_step_count=20, deadline=None)


class TestVersioned(Versioned.TestCase):
    settings = _SETTINGS


class TestUnversioned(Unversioned.TestCase):
    settings = _SETTINGS


class TestSuspended(Suspended.TestCase):
    settings = _SETTINGS


class TestSwitched(Switched.TestCase):
    settings = _SETTINGS


class TestBackfilled(Backfilled.TestCase):
    settings = _SETTINGS
