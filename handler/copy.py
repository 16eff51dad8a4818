"""The copy engine: one version of one object -> the backup bucket, server-side.

It decides and does no I/O: `Engine.copy` is a generator that yields requests and is sent the
answers, so that the Lambda drives it over botocore and any other client can drive it as well. It
knows no event shapes.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from . import backup_keys
from .asking import Asking, copy_seconds
from .catalogue import Catalogue
from .deletion_records import Recorded
from .failures import Failed, harmless
from .provenance import PREFIX, Provenance
from .records import Backup, ObjectVersion, Outcome, Removal
from .removal import Removals
from .replica import Replica
from .requests import S3Error, Steps
from .units import GIB, MIB

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
COPY_OBJECT_MAX_BYTES = 5 * GIB

# Writers that overtake each other on one key; more than that is no accident.
MAX_RACES = 5


@dataclass(frozen=True)
class Engine:
    """Copies versions into one backup bucket, each exactly once and never a newer under an older.

    :param backup_bucket: name of the bucket that receives the copies; it must be versioned.
    :param owner: the 12-digit account id that must own both buckets; S3 refuses any other, so a
        bucket deleted and claimed by a stranger is neither read nor written.
    :param storage_class: of the copies; what is recorded beside them is STANDARD.
    :param multipart_above: bytes above which an object is copied in parts.
    :param part_size: bytes per part, more where 10,000 parts would not suffice.
    :param seconds_left: how long an attempt may still take.
    :param jitter: a number from 0 to 1, another one each time.
    :param track_deletes: whether the backup shows what was deleted in the source as deleted.
    """

    backup_bucket: str
    owner: str
    storage_class: str = "STANDARD"
    multipart_above: int = COPY_OBJECT_MAX_BYTES
    part_size: int = 64 * MIB
    seconds_left: Callable[[], float] = lambda: math.inf
    jitter: Callable[[], float] = field(default=random.random)
    track_deletes: bool = False

    def remove(self, removal: Removal) -> Steps[Backup]:
        """Record a deletion in the source, and put a delete marker on what it deleted.

        Only with `track_deletes`, and never more than a marker: no version is removed.

        :returns: what became of it.
        :raises Failed: if it could not be recorded; says whether another call may succeed.
        """
        self._check_source(removal.bucket)
        if not self.track_deletes:
            raise Failed(
                "deletions are not tracked; set trackDeletes, or stop announcing them",
                kind="DeletesNotTracked",
                retryable=False,
            )
        try:
            return (yield from self._removals.remove(removal))
        except S3Error as error:
            raise Failed.of(error) from error

    def copy(self, source: ObjectVersion, *, again: bool = False) -> Steps[Backup]:
        """Copy exactly the version that `source` names.

        :param again: whether to replace a copy of the same version that is the current backup:
            for whoever knows that it has other bytes.
        :returns: what became of it.
        :raises Failed: if it could not be copied; says whether another call may succeed.
        """
        self._check_source(source.bucket)
        for look_again in (True, True, False):
            try:
                return (yield from self._copy(source, again=again))
            except S3Error as error:
                outcome = harmless(source, error)
                if outcome is not None:
                    yield from self._leave(source)
                    return Backup(outcome)
                # "null" may be a delete marker by now, and S3 refuses to copy one in the words
                # that it has for much else.
                if not (look_again and error.status == 400 and source.version_id == "null"):
                    raise Failed.of(error) from error
        raise AssertionError("unreachable")

    def _check_source(self, bucket: str) -> None:
        if bucket == self.backup_bucket:
            raise Failed(
                "the backup bucket is no source: its copies would be copied for ever; "
                "remove the notification from the backup bucket",
                kind="BackupBucketAsSource",
                retryable=False,
            )

    def _leave(self, source: ObjectVersion) -> Steps[None]:
        """See to it that an earlier try, stopped halfway, left nothing on show that is gone."""
        try:
            yield from self._removals.leave(source)
        except S3Error as error:
            raise Failed.of(error) from error

    def _copy(self, source: ObjectVersion, *, again: bool) -> Steps[Backup]:
        asking, removals = self._asking, self._removals
        as_announced: dict[str, Any] = {"IfMatch": source.etag} if source.etag else {}
        head = yield from asking.ask("HeadObject", **asking.in_source(source), **as_announced)
        if source.version_id is None and source.etag is None:
            # Whoever names only the key means what is current, which is what S3 has just shown.
            source = replace(source, version_id=head.get("VersionId"))
        replica = yield from self.prepare(source, head)
        recorded: Recorded | None = None
        condition = {"IfNoneMatch": "*"}
        refusals = 0
        for race in range(MAX_RACES):
            if race > 1 and source.replaceable:
                # Not every 412 says what it is about: it may be the source that has changed.
                yield from asking.ask(
                    "HeadObject", **asking.in_source(source), IfMatch=head["ETag"]
                )
            if recorded is None:
                recorded = yield from removals.read(source)
                if (yield from removals.is_deleted(source, replica.provenance, recorded)):
                    return (yield from self._keep_deleted(replica))
                if recorded.deletions.covers(replica.provenance):
                    # If it was uncovered since, whoever was told of that shows it again.
                    yield from removals.leave(source)
                    return Backup(Outcome.DUPLICATE)
                replica = replica.on_top_of(None)
            # A copy in parts is too dear to be refused at its end: look first.
            if race > 0 or not self._in_parts(replica):
                if (yield from self.write(replica, condition)):
                    yield from removals.check(source, replica.provenance, recorded)
                    return Backup(Outcome.COPIED, replica.size)
                refusals += "IfNoneMatch" in condition
            existing = yield from self._catalogue.present(
                source, replica.target_key, refusals=refusals
            )
            if existing is None:
                condition = {"IfNoneMatch": "*"}
                recorded = None
                continue
            etag, present = existing
            if present is not None and again and present.same_version(replica.provenance):
                condition = {"IfMatch": etag}
                replica = replica.instead_of(present)
                again = False
                continue
            if present is not None and not (
                yield from removals.replaces(source, replica.provenance, present, recorded)
            ):
                if not present.same_version(replica.provenance):
                    return (yield from self._keep_late(replica, present))
                # Of an earlier delivery, or of this one, whose answer was lost: one cannot tell.
                yield from removals.confirm(source, replica.provenance, present, recorded)
                return Backup(Outcome.DUPLICATE)
            condition = {"IfMatch": etag}
            replica = replica.on_top_of(present)
        raise Failed(
            f"{MAX_RACES} other writers overtook this copy; redrive the event",
            kind="Contention",
            retryable=True,
        )

    def prepare(self, source: ObjectVersion, head: Mapping[str, Any]) -> Steps[Replica]:
        """Get ready to copy a version to where its key's backup is shown.

        :param head: HeadObject's answer about it.
        :raises Failed: if nobody could tell afterwards what it is a copy of.
        """
        sequencer = self._removals.sequencer(source, head)
        replica = Replica(
            source,
            head,
            Provenance.of(head, source.version_id, sequencer),
            backup_keys.backup_key(source.bucket, source.key),
        )
        if replica.metadata_is_hidden and replica.pretends_provenance:
            raise Failed(
                f"the object has metadata under {PREFIX}, which is reserved, beside what only S3 "
                "itself can copy; rewrite the object without",
                kind="ReservedMetadata",
                retryable=False,
            )
        if backup_keys.needs_key_record(source.bucket, source.key):
            yield from self._catalogue.record_key(source)
        return replica

    def write(self, replica: Replica, condition: Mapping[str, str]) -> Steps[bool]:
        """Copy, if the backup is as expected; returns whether it was."""
        try:
            if self._in_parts(replica):
                # Rarely needed, and the first copy of a process would wait for it.
                from .multipart import MultipartCopy  # noqa: PLC0415

                parts = MultipartCopy(self._asking, self.storage_class, self.part_size)
                answer = yield from parts.run(replica, condition)
            else:
                answer = yield from self._copy_whole(replica, condition)
        except S3Error as error:
            if error.status == 412 and not _about_the_source(error):
                return False
            # The upload is completed, and the answer that said so got lost; or it was given up.
            if error.code == "NoSuchUpload":
                return False
            # The source is gone, or the backup that was to be replaced.
            if error.code == "NoSuchKey" and "IfMatch" in condition:
                return False
            raise
        if not replica.carries_provenance:
            yield from self._catalogue.record_provenance(replica, answer.get("VersionId", "null"))
        return True

    def _copy_whole(
        self, replica: Replica, condition: Mapping[str, str]
    ) -> Steps[Mapping[str, Any]]:
        asking = self._asking
        return (
            yield from asking.ask(
                "CopyObject",
                seconds=copy_seconds(replica.size),
                **asking.in_backup(replica.target_key),
                **asking.copied_from(replica.source, replica.source_etag),
                **replica.carried(),
                **condition,
                MetadataDirective="COPY" if replica.metadata_is_hidden else "REPLACE",
                TaggingDirective="COPY",
                # Annotations need permissions of their own, which the role does not have.
                AnnotationDirective="EXCLUDE",
                StorageClass=self.storage_class,
            )
        )

    def _keep_deleted(self, replica: Replica) -> Steps[Backup]:
        """Keep a version that was deleted before it could be copied, without showing it."""
        source = replica.source
        existing = yield from self._catalogue.present(source, replica.target_key)
        present = existing[1] if existing else None
        if present is not None and present.same_version(replica.provenance):
            # An earlier try copied it and was stopped before it saw the deletion.
            yield from self._removals.leave(source)
            return Backup(Outcome.DUPLICATE)
        return (yield from self._keep_late(replica, present))

    def _keep_late(self, replica: Replica, present: Provenance | None) -> Steps[Backup]:
        """Keep a version that must not be shown, beside the backup.

        :param present: the provenance of the backup that is shown, if any.
        """
        source = replica.source
        if source.replaceable:
            # What S3 has now under this name is not what the event announced.
            return Backup(Outcome.SUPERSEDED)
        # In this order: what leaves the view is recorded before.
        removals = self._removals
        recorded = yield from removals.read(source)
        earlier = present.earlier if present else ()
        if replica.provenance.identity in earlier or recorded.deletions.covers(replica.provenance):
            yield from removals.leave(source)
            return Backup(Outcome.DUPLICATE)
        yield from self._catalogue.record_key(source)
        key = backup_keys.late_key(source.bucket, source.key, str(source.version_id))
        late = replace(replica.on_top_of(None), target_key=key)
        for refusals in range(MAX_RACES):
            if refusals or self._in_parts(late):
                existing = yield from self._catalogue.present(source, key, refusals=refusals)
                if existing is not None:
                    yield from removals.confirm(source, replica.provenance, existing[1], recorded)
                    return Backup(Outcome.SUPERSEDED)
            if (yield from self.write(late, {"IfNoneMatch": "*"})):
                return Backup(Outcome.SUPERSEDED, replica.size)
        raise Failed(
            "the copy of a late version kept vanishing; redrive the event",
            kind="Contention",
            retryable=True,
        )

    def _in_parts(self, replica: Replica) -> bool:
        return replica.size > self.multipart_above

    @cached_property
    def _asking(self) -> Asking:
        return Asking(self.backup_bucket, self.owner, self.seconds_left, self.jitter)

    @cached_property
    def _catalogue(self) -> Catalogue:
        return Catalogue(self._asking)

    @cached_property
    def _removals(self) -> Removals:
        return Removals(self._asking, self._catalogue, self, self.track_deletes)


def _about_the_source(error: S3Error) -> bool:
    # Parts have no other condition.
    return error.operation == "UploadPartCopy" or (
        error.condition is not None and "copy-source" in error.condition.lower()
    )
