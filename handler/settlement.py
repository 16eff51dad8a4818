"""Makes the backup show of one key what the source shows.

Two orders make that right whatever runs at the same time (S3 answers each request from the state
it has then): a deletion is recorded before the backup is looked at for the last time, and a copy
is made before the record is looked at for the last time. So of a copy and a deletion at least one
sees the other, and each ends with a look after which it changed nothing. Whoever is stopped
halfway comes again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from . import backup_keys
from .asking import FIRST_PAUSE_SECONDS, Asking
from .catalogue import Catalogue
from .deletion_records import DeletionRecords, Recorded, overtaken
from .deletions import Deletions, Verdict
from .failures import Failed, harmless
from .provenance import Provenance
from .records import ObjectVersion
from .replica import Replica
from .requests import S3Error, Steps, Wait

# All versions of a key may be removed at once, each by an event of its own, and one record is
# written by all of them.
MAX_TURNS = 40
LONGEST_PAUSE_SECONDS = 2.0
MAX_DOUBTS = 2


Seen = tuple[str, Provenance | None]
"""A backup as `Catalogue.present` tells it."""
Change = Callable[[Deletions], Deletions]
"""What is to be recorded beside what is; called again if somebody else wrote meanwhile."""


class Copying(Protocol):
    """Whoever makes copies."""

    def prepare(self, source: ObjectVersion, head: Mapping[str, Any]) -> Steps[Replica]:
        """Get ready to copy a version, of which HeadObject told that."""
        ...

    def write(self, replica: Replica, condition: Mapping[str, str]) -> Steps[bool]:
        """Copy, if that holds of the backup; returns whether it did."""
        ...


@dataclass(frozen=True, slots=True)
class Settled:
    """How the backup came to show what the source shows."""

    recorded: bool = False
    """Whether the record had to be changed."""
    acted: bool = False
    """Whether a delete marker was put, or a version copied again."""
    shown: bool = False
    """Whether the backup shows a version in the end."""
    size: int = 0
    """Bytes copied."""


class Settlement:
    """One key on its way there.

    :param place: the key.
    :param change: what is to be recorded.
    :param removed: a version that was removed for good, so that the source may show an older one
        again.
    """

    def __init__(
        self,
        asking: Asking,
        catalogue: Catalogue,
        copying: Copying,
        place: ObjectVersion,
        change: Change,
        removed: str | None,
    ) -> None:
        self._asking = asking
        self._catalogue = catalogue
        self._copying = copying
        self._records = DeletionRecords(asking)
        self._place = ObjectVersion(place.bucket, place.key)
        self._target_key = backup_keys.backup_key(place.bucket, place.key)
        self._change = change
        self._removed = removed
        self._known: Recorded | None = None
        self._settled = Settled()
        self._lost = 0
        self._refusals = 0
        self._doubts = 0

    def run(self) -> Steps[Settled]:
        """Look and act until there is nothing left to do.

        :raises S3Error: if S3 refuses.
        :raises Failed: if others were always faster, or there is no time.
        """
        for _ in range(MAX_TURNS):
            seen = yield from self._catalogue.present(self._place, self._target_key)
            known = self._known
            if known is None:
                known = yield from self._records.read(self._place, refusals=self._refusals)
                self._known = known
            wanted = self._change(known.deletions)
            if seen is not None and _verdict(wanted, seen) is Verdict.DELETED:
                # Both at once: the condition of the marker is the look after the record.
                done = yield from self._hide(seen, wanted, known)
            elif wanted != known.deletions:
                yield from self._record(wanted, known)
                done = False
            else:
                done = yield from self._compare(seen, known)
            if done:
                return self._settled
        raise _contention()

    def _compare(self, seen: Seen | None, known: Recorded) -> Steps[bool]:
        """Ask the source what only it knows; returns whether the backup was right as it was seen.

        Only with nothing left to record.
        """
        self._settled = replace(self._settled, shown=seen is not None)
        if seen is None:
            # What was recorded while a marker was put may have been that there shall be none.
            unclear = self._removed is not None or self._settled.acted
        else:
            unclear = _verdict(known.deletions, seen) is Verdict.UNCLEAR
        if not unclear:
            return True
        head = yield from current(self._asking, self._place)
        if head is None:
            return seen is None or (yield from self._hide(seen, known.deletions, known))
        version = version_of(head)
        if seen is not None and (seen[1] is None or seen[1].same_version(version)):
            return True
        if known.deletions.verdict(version) is Verdict.DELETED:
            # So far; the removal of the marker is still to be announced.
            return True
        if self._removed == version.version_id:
            # There is one "null" only, so this one was written since, which is announced as well.
            return True
        yield from self._show(head, seen, known)
        return False

    def _hide(self, seen: Seen, wanted: Deletions, known: Recorded) -> Steps[bool]:
        """Put a delete marker; returns whether nothing was recorded meanwhile."""
        written: Recorded | None = known
        wanted = wanted.covering(seen[1])
        if wanted != known.deletions:
            written = yield from self._record(wanted, known)
        if written is None or not (yield from self._put_marker(seen[0])):
            return False
        self._settled = replace(self._settled, acted=True, shown=False)
        self._known = yield from self._records.read(self._place)
        return self._known.etag == written.etag

    def _put_marker(self, etag: str) -> Steps[bool]:
        """Put a delete marker on that backup; returns whether it was still there.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html
        """
        target: dict[str, Any] = {**self._asking.in_backup(self._target_key), "IfMatch": etag}
        try:
            yield from self._asking.ask("DeleteObject", **target)
        except S3Error as error:
            if not (overtaken(error) or (yield from self._is_refused_for_nothing(error))):
                raise
            yield from self._lose()
            return False
        return True

    def _is_refused_for_nothing(self, error: S3Error) -> Steps[bool]:
        """Whether S3 may only have said no because there is nothing: see `catalogue.absent`."""
        if error.status != 403:
            return False
        return (yield from self._catalogue.present(self._place, self._target_key)) is None

    def _show(self, head: Mapping[str, Any], seen: Seen | None, known: Recorded) -> Steps[None]:
        """Copy again what the source shows again."""
        version = version_of(head)
        source = replace(
            self._place, version_id=version.version_id, etag=version.etag, size=version.size
        )
        version = replace(version, sequencer=known.deletions.sequencer_of(version))
        if version.sequencer is None:
            # Its own event, which may be on its way, knows better.
            wanted = known.deletions.knowing(version)
            if wanted != known.deletions and not (yield from self._record(wanted, known)):
                return
        replica = yield from self._copying.prepare(source, head)
        replica = replace(replica, provenance=version).on_top_of(seen and seen[1])
        condition = {"IfNoneMatch": "*"} if seen is None else {"IfMatch": seen[0]}
        try:
            written = yield from self._copying.write(replica, condition)
        except S3Error as error:
            if harmless(source, error) is None and not self._may_be_a_marker(source, error):
                raise
            written = False
        if not written:
            yield from self._lose()
            return
        size = self._settled.size + version.size
        self._settled = replace(self._settled, acted=True, size=size)
        self._known = None

    def _may_be_a_marker(self, source: ObjectVersion, error: S3Error) -> bool:
        """Whether a delete marker may have come in place of "null" since the source was asked.

        S3 refuses to copy one in the words that it has for much else, so it is asked again, twice.
        """
        if error.status != 400 or source.version_id != "null":
            return False
        self._doubts += 1
        return self._doubts <= MAX_DOUBTS

    def _record(self, wanted: Deletions, known: Recorded) -> Steps[Recorded | None]:
        """Change the record, if it is still the one that was seen; None if not."""
        # Also if not: a write that is refused may be the second try of one whose answer was lost.
        self._settled = replace(self._settled, recorded=True)
        self._known = yield from self._records.write(self._place, wanted, known)
        if self._known is None:
            self._refusals += known.etag is None
            yield from self._lose()
        return self._known

    def _lose(self) -> Steps[None]:
        """Let somebody else go first."""
        self._known = None
        self._lost += 1
        longest = min(FIRST_PAUSE_SECONDS * 2 ** (self._lost - 1), LONGEST_PAUSE_SECONDS)
        pause = longest * self._asking.jitter()
        if pause >= self._asking.seconds_left():
            raise _contention()
        yield Wait(pause)


def current(asking: Asking, place: ObjectVersion) -> Steps[Mapping[str, Any] | None]:
    """What the source shows of a key: HeadObject's answer, None if nothing."""
    try:
        return (yield from asking.ask("HeadObject", **asking.in_source(place)))
    except S3Error as error:
        if error.status == 404:
            return None
        raise


def version_of(head: Mapping[str, Any]) -> Provenance:
    """The version that HeadObject told about without being asked for one."""
    return Provenance.of(head, head.get("VersionId"))


def _verdict(deletions: Deletions, seen: Seen) -> Verdict:
    return Verdict.UNCLEAR if seen[1] is None else deletions.verdict(seen[1])


def _contention() -> Failed:
    return Failed(
        "other writers were always faster to change what is recorded of this key; "
        "redrive the event",
        kind="Contention",
        retryable=True,
    )
