"""What deletions of the source mean for the backup, and for copies that are being made.

docs/backup-bucket.md says how deletions are recorded and why it ends well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .asking import Asking
from .catalogue import Catalogue
from .deletion_records import DeletionRecords, Recorded
from .deletions import Deletion, Deletions, Verdict
from .provenance import Provenance, identity_of
from .records import Backup, ObjectVersion, Outcome, Removal, sequence
from .requests import Steps

if TYPE_CHECKING:
    from .settlement import Change, Copying, Settled


@dataclass(frozen=True)
class Removals:
    """Keeps the records of deletions and the delete markers of the backup bucket.

    :param asking: whoever asks S3.
    :param catalogue: whoever knows what the backups are copies of.
    :param copying: whoever copies what came back.
    :param tracking: whether deletions are tracked. If not, nothing is asked and nothing changed.
    """

    asking: Asking
    catalogue: Catalogue
    copying: "Copying"
    tracking: bool

    def remove(self, removal: Removal) -> Steps[Backup]:
        """Record a deletion, and have the backup show what it left.

        :raises S3Error: if S3 refuses.
        :raises Failed: if others were always faster, or there is no time.
        """
        deletion = Deletion.of(removal)
        # What was removed for good may have been a marker, or have lain on an older version.
        removed = None if removal.marker else removal.version_id
        settled = yield from self._settle(
            ObjectVersion(removal.bucket, removal.key),
            lambda deletions: deletions.adding(deletion),
            removed,
        )
        if not (settled.recorded or settled.acted):
            return Backup(Outcome.DUPLICATE)
        overtaken = settled.shown and removed is None
        return Backup(Outcome.SUPERSEDED if overtaken else Outcome.REMOVED, settled.size)

    # For copies that are being made

    def read(self, source: ObjectVersion) -> Steps[Recorded]:
        """Look at what is recorded of a version's key."""
        if not self.tracking:
            return Recorded(Deletions(source.key))
        return (yield from DeletionRecords(self.asking).read(source))

    def sequencer(self, source: ObjectVersion, head: Mapping[str, Any]) -> str | None:
        """A version's place in the order, if its event tells.

        :param head: HeadObject's answer about it.
        """
        replaceable = self.tracking and source.replaceable
        if replaceable and source.event_time and head["LastModified"] > source.event_time:
            # The same bytes, written again since: a deletion between was not one of these.
            return None
        return source.sequencer

    def is_deleted(
        self, source: ObjectVersion, version: Provenance, recorded: Recorded
    ) -> Steps[bool]:
        """Whether the source does not show a version any more because it was deleted."""
        if not self.tracking:
            return False
        verdict = recorded.deletions.verdict(version)
        if verdict is Verdict.UNCLEAR:
            return not (yield from self._is_current(source, version))
        return verdict is Verdict.DELETED

    def replaces(
        self,
        source: ObjectVersion,
        version: Provenance,
        present: Provenance,
        recorded: Recorded,
    ) -> Steps[bool]:
        """Whether a version that is not deleted belongs on top of the backup there is.

        If not, it is the same one or was overtaken by it.
        """
        if present.same_version(version):
            return False
        if not self.tracking:
            if version.ordered_with(present):
                return not version.older_than(present)
            # Under a name that S3 uses again, the same bytes may have come back within the second.
            if version.identity in present.earlier and not source.replaceable:
                return False
            # Whoever names no version has seen the one that is current, and copies no other.
            if source.version_id is None:
                return True
            shown = yield from self._current(source)
            if shown is None or not (shown.same_version(version) or shown.same_version(present)):
                return present.older_than(version)
            return shown.same_version(version)
        verdict = recorded.deletions.verdict(present)
        one, other = map(recorded.deletions.sequencer_of, (version, present))
        if verdict is not Verdict.UNCLEAR and one and other:
            return sequence(one) > sequence(other)
        # The source's times give no order: that of an upload in parts is when it began.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
        return (yield from self._is_current(source, version))

    def check(self, source: ObjectVersion, version: Provenance, before: Recorded) -> Steps[None]:
        """Look again at the record, after a copy was made or found.

        :param before: the record as it was before.
        """
        if not self.tracking:
            return
        now = yield from self.read(source)
        if now.etag != before.etag and now.deletions.verdict(version) is not Verdict.STANDS:
            yield from self._settle(source)

    def confirm(
        self,
        source: ObjectVersion,
        version: Provenance,
        present: Provenance | None,
        before: Recorded,
    ) -> Steps[None]:
        """Look again at the record, after a version was found to be there already.

        :param present: the same version, as the backup tells, if it does.
        :param before: the record as it was before.
        """
        if not self.tracking:
            return
        one, other = version.sequencer, present and before.deletions.sequencer_of(present)
        if present and one and (other is None or sequence(one) > sequence(other)):
            yield from self._settle(source, lambda deletions: deletions.knowing(version))
        else:
            yield from self.check(source, version, before)

    def leave(self, source: ObjectVersion) -> Steps[None]:
        """See to a version that is not there any more, or was copied and covered before."""
        if not self.tracking:
            return
        if source.replaceable:
            yield from self._settle(source)
        else:
            identity = identity_of(str(source.version_id))
            yield from self._settle(
                source, lambda deletions: deletions.told(identity, source.sequencer)
            )

    def _is_current(self, source: ObjectVersion, version: Provenance) -> Steps[bool]:
        shown = yield from self._current(source)
        return shown is not None and shown.same_version(version)

    def _current(self, source: ObjectVersion) -> Steps[Provenance | None]:
        """The version that the source shows of a key."""
        from .settlement import current, version_of  # noqa: PLC0415

        head = yield from current(self.asking, ObjectVersion(source.bucket, source.key))
        return None if head is None else version_of(head)

    def _settle(
        self,
        place: ObjectVersion,
        change: "Change" = lambda deletions: deletions,
        removed: str | None = None,
    ) -> "Steps[Settled]":
        # Needed by few, and the first copy of a process would wait for it.
        from .settlement import Settlement  # noqa: PLC0415

        return (
            yield from Settlement(
                self.asking, self.catalogue, self.copying, place, change, removed
            ).run()
        )
