"""Brings one key back: decides what has to be done and does it, with as few requests as possible.

`Restorer.plan` only reads, `Restorer.carry_out` does what was decided. Both do no I/O: they yield
requests. The backup bucket is only read.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from handler.asking import Asking, copy_seconds
from handler.backup_keys import MAX_KEY_BYTES
from handler.copy import COPY_OBJECT_MAX_BYTES
from handler.multipart import MultipartCopy
from handler.records import ObjectVersion
from handler.replica import Replica
from handler.requests import S3Error, Steps
from handler.units import MIB

from . import likeness
from .moments import second
from .s3.listing import Listed
from .timeline import History, Seen, Timeline

# Larger objects about which S3 tells nothing are rather copied again than read: a copy costs one
# request, whatever the size.
MAX_BYTES_TO_READ = 8 * MIB
# Writers that come between a look and a copy; more than that is no accident.
MAX_RACES = 3

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/archived-objects.html
_ARCHIVED = {"GLACIER", "DEEP_ARCHIVE", "ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"}


class Verb(StrEnum):
    """What is to be done about a key."""

    WRITE = "write"
    """Copy the backup there."""
    DELETE = "delete"
    """It did not exist then."""
    KEEP = "keep"
    """It is as it was."""
    LEAVE = "leave"
    """It did not exist then; nobody asked to delete it."""
    NOTHING = "nothing"
    """It neither existed then nor does it now."""
    STUCK = "stuck"
    """It cannot be brought back; the reason says what to do."""


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done about one key, and why."""

    verb: Verb
    key: str
    """The source's."""
    target: str
    """The destination's key."""
    held: Seen | None = None
    """The copy of what is to be there."""
    present: Listed | None = None
    """What is there."""
    reason: str = ""
    certain: bool = True
    """Whether all is on record that was deleted of it."""

    @property
    def size(self) -> int:
        """Bytes to be written."""
        return self.held.copy.size if self.verb is Verb.WRITE and self.held else 0


class Result(StrEnum):
    """How an action ended."""

    RESTORED = "restored"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    """Nothing had to be done."""
    CONFLICT = "conflict"
    """Somebody wrote there after it was listed, and that was left alone."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where objects are restored to."""

    bucket: str
    prefix: str = ""
    """Put before each key as it is."""
    versioned: bool = True
    """Whether what is deleted there can be had back."""


@dataclass(frozen=True, kw_only=True)
class Restorer:
    """Brings keys of one source bucket back.

    :param asking: how S3 is asked about the backup bucket.
    :param source: name of the source bucket.
    :param destination: where to.
    :param at: the moment whose state is wanted (UTC).
    :param version_id: if given, that version is wanted instead: the id that it has in the source
        or that its copy has in the backup.
    :param include_deleted: whether what was deleted by then is wanted as well.
    :param exact: whether what did not exist then is to be deleted.
    :param multipart_above: bytes above which an object is copied in parts.
    :param part_size: bytes of a part.
    """

    asking: Asking
    source: str
    destination: Destination
    at: datetime
    version_id: str | None = None
    include_deleted: bool = False
    exact: bool = False
    multipart_above: int = COPY_OBJECT_MAX_BYTES
    part_size: int = 64 * MIB

    @property
    def in_place(self) -> bool:
        """Whether objects go back to where they came from."""
        return self.destination.bucket == self.source and not self.destination.prefix

    def plan(self, history: History, present: Listed | None) -> Steps[Action]:
        """Decide what is to be done about a key.

        :param history: what the backup has of it.
        :param present: what the destination has of it, as listed.
        :raises S3Error: if S3 refuses a look that is needed.
        """
        target = self.destination.prefix + history.key
        action = Action(Verb.KEEP, history.key, target, present=present)
        if len(target.encode()) > MAX_KEY_BYTES:
            limit = f"the key would be longer than {MAX_KEY_BYTES} bytes; choose a shorter --to"
            return replace(action, verb=Verb.STUCK, reason=limit)
        if present is not None and self._as_it_was(history, present):
            return action
        timeline = Timeline(self.asking, history)
        if self.version_id is not None:
            copy = yield from timeline.version(self.version_id)
            if copy is None:
                missing = f"the backup has no version {self.version_id}"
                return replace(action, verb=Verb.STUCK, reason=missing)
        else:
            state = yield from timeline.state(self.at)
            action = replace(action, certain=state.certain)
            copy = state.held or (state.deleted if self.include_deleted else None)
            if copy is None:
                return (yield from self._plan_absence(action, timeline))
        held = yield from timeline.look(copy)
        if held is None:
            gone = "its copy has just left the backup; run this again"
            return replace(action, verb=Verb.STUCK, reason=gone)
        return (yield from self._plan_presence(replace(action, held=held), held))

    def carry_out(self, action: Action) -> Steps[Result]:
        """Do what was decided.

        :raises S3Error, Failed: if it cannot be done.
        """
        if action.verb is Verb.DELETE and action.present is not None:
            return (yield from self._delete(action.target, action.present))
        if action.verb is Verb.WRITE and action.held is not None:
            return (yield from self._write(action, action.held))
        return Result.UNCHANGED

    def _as_it_was(self, history: History, present: Listed) -> bool:
        """Whether listings alone tell that the source has what it had.

        What it got by then and still has, it had then; unless a newer version was removed since.
        Then the backup has a copy of that one, beside the one of what is there.
        """
        if not self.in_place or self.version_id is not None or second(present.modified) > self.at:
            return False
        since = [
            copy
            for copy in (*history.copies, *history.late)
            if not copy.is_marker and copy.modified >= present.modified
        ]
        sizes = [copy.size for copy in since]
        return history.deletions is None and sizes in ([], [present.size])

    def _plan_absence(self, action: Action, timeline: Timeline) -> Steps[Action]:
        present = action.present
        if present is None:
            return replace(action, verb=Verb.NOTHING)
        if not self.exact:
            return replace(action, verb=Verb.LEAVE)
        if self.in_place and not (yield from self._is_saved(present, timeline)):
            unsaved = "it did not exist then, but the backup does not have it; run backfill first"
            return replace(action, verb=Verb.STUCK, reason=unsaved)
        return replace(action, verb=Verb.DELETE)

    def _is_saved(self, present: Listed, timeline: Timeline) -> Steps[bool]:
        """Whether a deletion can be undone."""
        if not timeline.copies or self.destination.versioned:
            return bool(timeline.copies)
        newest = yield from timeline.look(timeline.copies[0])
        return newest is not None and _is_copy_of(newest, present)

    def _plan_presence(self, action: Action, held: Seen) -> Steps[Action]:
        present = action.present
        archived = self._archived(held)
        if present is not None and present.size == held.copy.size:
            if self.in_place and _is_copy_of(held, present):
                return action
            if (yield from self._same(action.target, present.etag, held, readable=not archived)):
                return action
        if archived:
            return replace(action, verb=Verb.STUCK, reason=archived)
        return replace(action, verb=Verb.WRITE)

    def _same(self, target: str, etag: str, held: Seen, *, readable: bool = True) -> Steps[bool]:
        """Whether an object there, of the size that is wanted, is what is wanted.

        :param readable: whether the copy in the backup can be read.
        """
        there, here = self._there(target), self._here(held)
        one = yield from self._ask_head({**there, "IfMatch": etag})
        if one is None:
            return False
        other = yield from self.asking.ask("HeadObject", **here, ChecksumMode="ENABLED")
        content = likeness.same_content(one, other)
        if content is False or not likeness.same_description(one, other):
            return False
        if one.get("TagCount", 0) != other.get("TagCount", 0):
            return False
        if one.get("TagCount") and not (yield from likeness.same_tags(self.asking, there, here)):
            return False
        if content is None and readable and held.copy.size <= MAX_BYTES_TO_READ:
            there, here = {**there, "IfMatch": etag}, {**here, "IfMatch": other["ETag"]}
            return (yield from likeness.same_bytes(self.asking, there, here, held.copy.size))
        return bool(content)

    def _ask_head(self, place: Mapping[str, Any]) -> Steps[Mapping[str, Any] | None]:
        """HeadObject's answer; None if the object is not there, or not that one."""
        try:
            return (yield from self.asking.ask("HeadObject", **place, ChecksumMode="ENABLED"))
        except S3Error as error:
            if error.status in {404, 412}:
                return None
            raise

    def _write(self, action: Action, held: Seen) -> Steps[Result]:
        present = action.present
        condition = {"IfMatch": present.etag} if present else {"IfNoneMatch": "*"}
        for _ in range(MAX_RACES):
            try:
                yield from self._copy(action.target, held, condition)
            except S3Error as error:
                # 404: what was to be replaced is gone, or the upload is complete and the answer
                # that said so was lost.
                if error.status != 412 and error.code not in {"NoSuchKey", "NoSuchUpload"}:
                    raise
                now = yield from self._ask_head(self._there(action.target))
                if now is not None:
                    # It may be our own, made by a first try.
                    etag = now["ETag"]
                    if now["ContentLength"] == held.copy.size and (
                        yield from self._same(action.target, etag, held)
                    ):
                        return Result.RESTORED
                    return Result.CONFLICT
                condition = {"IfNoneMatch": "*"}
            else:
                return Result.RESTORED
        return Result.CONFLICT

    def _copy(self, target: str, held: Seen, condition: Mapping[str, str]) -> Steps[None]:
        copy = held.copy
        version = ObjectVersion(self.asking.backup_bucket, copy.key, copy.version_id)
        replica = _WayBack(version, held.head, held.dated, target)
        # Seen from here the destination is what the backup bucket is to the engine.
        there = replace(self.asking, backup_bucket=self.destination.bucket)
        if replica.size > self.multipart_above:
            parts = MultipartCopy(there, "STANDARD", self.part_size, resumable=False)
            yield from parts.run(replica, condition)
            return
        own = (
            {"MetadataDirective": "REPLACE", **replica.carried()}
            if replica.pretends_provenance and not replica.metadata_is_hidden
            else {"MetadataDirective": "COPY"}
        )
        yield from there.ask(
            "CopyObject",
            seconds=copy_seconds(replica.size),
            **there.in_backup(target),
            **there.copied_from(version, replica.source_etag),
            **own,
            **condition,
            TaggingDirective="COPY",
            AnnotationDirective="EXCLUDE",
        )

    def _delete(self, target: str, present: Listed) -> Steps[Result]:
        try:
            yield from self.asking.ask(
                "DeleteObject", **self._there(target), IfMatch=f'"{present.etag}"'
            )
        except S3Error as error:
            if error.status == 404:
                return Result.UNCHANGED
            if error.status == 412:
                return Result.CONFLICT
            raise
        return Result.DELETED

    def _archived(self, held: Seen) -> str:
        """What to do about a copy that cannot be read as it is; empty if it can be."""
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        tier: str = held.head.get("ArchiveStatus") or held.head.get("StorageClass", "STANDARD")
        progress: str = held.head.get("Restore", "")
        if tier not in _ARCHIVED or 'ongoing-request="false"' in progress:
            return ""
        if 'ongoing-request="true"' in progress:
            return f"{tier}: S3 is bringing it back; run this again when it is done"
        # What comes back within INTELLIGENT_TIERING stays.
        days = "" if held.head.get("ArchiveStatus") else "Days=7,"
        return (
            f"{tier}: bring it back and run this again: aws s3api restore-object "
            f"--bucket {self.asking.backup_bucket} --key {shlex.quote(held.copy.key)} "
            f"--version-id {held.copy.version_id} "
            f"--restore-request '{days}GlacierJobParameters={{Tier=Standard}}'"
        )

    def _there(self, target: str) -> dict[str, Any]:
        owner = self.asking.owner
        return {"Bucket": self.destination.bucket, "Key": target, "ExpectedBucketOwner": owner}

    def _here(self, held: Seen) -> dict[str, Any]:
        return {**self.asking.in_backup(held.copy.key), "VersionId": held.copy.version_id}


class _WayBack(Replica):
    """A copy that says nothing about itself."""

    @cached_property
    def carries_provenance(self) -> bool:
        return False


def _is_copy_of(held: Seen, present: Listed) -> bool:
    """Whether a copy says that it is of exactly what the source has now."""
    version = held.provenance
    return version is not None and (version.etag, version.modified) == (
        present.etag,
        second(present.modified),
    )
