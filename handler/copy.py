"""The copy engine: one version of one object -> the backup bucket, server-side.

It decides and does no I/O: `Engine.copy` is a generator that yields requests and is sent the
answers, so that the Lambda drives it over botocore and any other client can drive it as well. It
knows no event shapes.
"""

import base64
import itertools
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from . import backup_keys
from .failures import Failed, worth_retrying
from .provenance import MAX_METADATA_BYTES, PREFIX, Provenance, metadata_bytes, without_provenance
from .records import Backup, ObjectVersion, Outcome
from .requests import Request, S3Error, Steps, Together, Wait

MIB = 1024**2
GIB = 1024**3

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
COPY_OBJECT_MAX_BYTES = 5 * GIB
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_PARTS = 10_000

# Pauses double from the first to the longest, each shortened at random.
# https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
MAX_TRIES = 8
# Writers that overtake each other on one key; more than that is no accident.
MAX_RACES = 5

_CARRIED_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
)


@dataclass(frozen=True)
class Engine:
    """Copies versions into one backup bucket, each exactly once and never a newer under an older.

    :param backup_bucket: name of the bucket that receives the copies; it must be versioned.
    :param owner: the 12-digit account id that must own both buckets; S3 refuses any other, so a
        bucket deleted and claimed by a stranger is neither read nor written.
    :param storage_class: of the copies.
    :param multipart_above: bytes above which an object is copied in parts.
    :param part_size: bytes per part, more where 10,000 parts would not suffice.
    :param seconds_left: how long an attempt may still take.
    """

    backup_bucket: str
    owner: str
    storage_class: str = "STANDARD"
    multipart_above: int = COPY_OBJECT_MAX_BYTES
    part_size: int = 64 * MIB
    seconds_left: Callable[[], float] = lambda: math.inf
    jitter: Callable[[], float] = field(default=random.random)

    def copy(self, source: ObjectVersion) -> Steps[Backup]:
        """Copy exactly the version that `source` names.

        :returns: what became of it.
        :raises Failed: if it could not be copied; says whether another call may succeed.
        """
        if source.bucket == self.backup_bucket:
            raise Failed(
                "the backup bucket is no source: its copies would be copied for ever; "
                "remove the notification from the backup bucket",
                kind="BackupBucketAsSource",
                retryable=False,
            )
        for look_again in (True, True, False):
            try:
                return (yield from self._copy(source))
            except S3Error as error:
                outcome = _harmless(source, error)
                if outcome is not None:
                    return Backup(outcome)
                # "null" may be a delete marker by now, and S3 refuses to copy one in the words
                # that it has for much else.
                if not (look_again and error.status == 400 and source.version_id == "null"):
                    raise Failed.of(error) from error
        raise AssertionError("unreachable")

    def _copy(self, source: ObjectVersion) -> Steps[Backup]:
        head = yield from self._ask(
            "HeadObject",
            **self._read(source),
            **({"IfMatch": source.etag} if source.etag else {}),
        )
        copy = _Copy(
            source,
            head,
            Provenance.of(head, source.version_id, source.sequencer),
            backup_keys.backup_key(source.bucket, source.key),
        )
        if copy.metadata_is_hidden and copy.pretends_provenance:
            raise Failed(
                f"the object has metadata under {PREFIX}, which is reserved, beside what only S3 "
                "itself can copy; rewrite the object without",
                kind="ReservedMetadata",
                retryable=False,
            )
        if backup_keys.needs_key_record(source.bucket, source.key):
            yield from self._record_key(source)

        condition = {"IfNoneMatch": "*"}
        for race in range(MAX_RACES):
            if race > 1 and source.replaceable:
                # Not every 412 says what it is about: it may be the source that has changed.
                yield from self._ask("HeadObject", **self._read(source), IfMatch=head["ETag"])
            # A copy in parts is too dear to be refused at its end: look first.
            look_first = race == 0 and head["ContentLength"] > self.multipart_above
            if not look_first and (yield from self._write(copy, condition)):
                return Backup(Outcome.COPIED, head["ContentLength"])
            try:
                existing = yield from self._existing(copy)
            except S3Error as error:
                # Without s3:ListBucket on the backup bucket S3 answers 403 for what is not there.
                if race > 1 or error.status != 403:
                    raise
                existing = None
            if existing is None:
                condition = {"IfNoneMatch": "*"}
                copy = copy.on_top_of(None)
                continue
            etag, present = existing
            if present is not None and present.same_version(copy.provenance):
                # Of an earlier delivery, or of this one, whose answer was lost: one cannot tell.
                return Backup(Outcome.DUPLICATE)
            if present is not None and copy.provenance.older_than(present):
                return (yield from self._keep_late(copy, present))
            condition = {"IfMatch": etag}
            copy = copy.on_top_of(present)
        raise Failed(
            f"{MAX_RACES} other writers overtook this copy; redrive the event",
            kind="Contention",
            retryable=True,
        )

    def _write(self, copy: "_Copy", condition: Mapping[str, str]) -> Steps[bool]:
        """Copy, if the backup is as expected; returns whether it was."""
        try:
            if copy.head["ContentLength"] <= self.multipart_above:
                answer = yield from self._copy_whole(copy, condition)
            else:
                answer = yield from self._copy_in_parts(copy, condition)
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
        if not copy.carries_provenance:
            yield from self._record_provenance(copy, answer.get("VersionId", "null"))
        return True

    def _copy_whole(self, copy: "_Copy", condition: Mapping[str, str]) -> Steps[Mapping[str, Any]]:
        return (
            yield from self._ask(
                "CopyObject",
                **self._target(copy.target_key),
                **self._copy_source(copy),
                **copy.carried(),
                **condition,
                MetadataDirective="COPY" if copy.metadata_is_hidden else "REPLACE",
                TaggingDirective="COPY",
                # Annotations need permissions of their own, which the role does not have.
                AnnotationDirective="EXCLUDE",
                StorageClass=self.storage_class,
            )
        )

    def _copy_in_parts(
        self, copy: "_Copy", condition: Mapping[str, str]
    ) -> Steps[Mapping[str, Any]]:
        if copy.metadata_is_hidden:
            raise Failed(
                "the object has metadata that S3 does not show as it is, so it cannot be copied in "
                "parts; rewrite the object with headers and metadata in ASCII",
                kind="MissingMeta",
                retryable=False,
            )
        target = self._target(copy.target_key)
        # Asked for even where HeadObject counts no tags: it also leaves the count out for whoever
        # may not read them, and then the tags would be lost without a word.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        tags = (yield from self._ask("GetObjectTagging", **self._read(copy.source)))["TagSet"]
        tagging = urlencode([(tag["Key"], tag["Value"]) for tag in tags])
        created = yield from self._ask(
            "CreateMultipartUpload",
            **target,
            **copy.carried(),
            **({"Tagging": tagging} if tagging else {}),
            StorageClass=self.storage_class,
        )
        upload = {**target, "UploadId": created["UploadId"]}
        try:
            parts = yield from self._copy_parts(copy, upload)
            return (
                yield from self._ask(
                    "CompleteMultipartUpload",
                    **upload,
                    **condition,
                    MultipartUpload={"Parts": parts},
                )
            )
        except S3Error:
            # The first error is the one to report; a lifecycle rule removes what stays behind.
            yield from self._try("AbortMultipartUpload", **upload)
            raise

    def _copy_parts(self, copy: "_Copy", upload: Mapping[str, Any]) -> Steps[list[dict[str, Any]]]:
        missing = {
            number: Request(
                "UploadPartCopy",
                {
                    **upload,
                    **self._copy_source(copy),
                    "PartNumber": number,
                    "CopySourceRange": f"bytes={first}-{last}",
                },
            )
            for number, first, last in plan_parts(copy.head["ContentLength"], self.part_size)
        }
        copied: dict[int, str] = {}
        for attempt in itertools.count(1):
            self._need_time()
            answers = yield Together(tuple(missing.values()))
            failed: list[S3Error] = []
            for number, answer in zip(list(missing), answers, strict=True):
                if isinstance(answer, S3Error):
                    failed.append(answer)
                else:
                    copied[number] = answer["CopyPartResult"]["ETag"]
                    del missing[number]
            if not missing:
                break
            for error in failed:
                # The one that cannot be helped, if there is one, is what a person has to know.
                if not worth_retrying(error):
                    raise error
            yield from self._pause(attempt, failed[0])
        return [{"PartNumber": number, "ETag": copied[number]} for number in sorted(copied)]

    def _existing(self, copy: "_Copy") -> Steps[tuple[str, Provenance | None] | None]:
        """ETag and provenance of the backup there is, None if there is none."""
        try:
            head = yield from self._ask("HeadObject", **self._target(copy.target_key))
        except S3Error as error:
            if error.status == 404:
                return None
            raise
        provenance = Provenance.from_metadata(head.get("Metadata", {}))
        if provenance is None:
            provenance = yield from self._recorded_provenance(
                copy.source, head.get("VersionId", "null")
            )
        return head["ETag"], provenance

    def _keep_late(self, copy: "_Copy", newer: Provenance) -> Steps[Backup]:
        """Keep a version that a newer one has overtaken, beside the backup."""
        source = copy.source
        if source.replaceable:
            # What S3 has now under this name is not what the event announced.
            return Backup(Outcome.SUPERSEDED)
        if copy.provenance.identity in newer.earlier:
            return Backup(Outcome.DUPLICATE)
        yield from self._record_key(source)
        key = backup_keys.late_key(source.bucket, source.key, str(source.version_id))
        late = replace(copy.on_top_of(None), target_key=key)
        for _ in range(MAX_RACES):
            if (yield from self._write(late, {"IfNoneMatch": "*"})):
                return Backup(Outcome.SUPERSEDED, copy.head["ContentLength"])
            if (yield from self._is_there(late)):
                return Backup(Outcome.SUPERSEDED)
        raise Failed(
            "the copy of a late version kept vanishing; redrive the event",
            kind="Contention",
            retryable=True,
        )

    def _is_there(self, copy: "_Copy") -> Steps[bool]:
        try:
            return (yield from self._existing(copy)) is not None
        except S3Error as error:
            # Without s3:ListBucket on the backup bucket S3 answers 403 for what is not there.
            if error.status == 403:
                return False
            raise

    def _record_key(self, source: ObjectVersion) -> Steps[None]:
        try:
            yield from self._ask(
                "PutObject",
                **self._target(backup_keys.key_record(source.bucket, source.key)),
                Body=source.key.encode(),
                ContentType="text/plain; charset=utf-8",
                IfNoneMatch="*",
            )
        except S3Error as error:
            if error.status != 412:
                raise

    def _record_provenance(self, copy: "_Copy", version_id: str) -> Steps[None]:
        yield from self._ask(
            "PutObject",
            **self._target(
                backup_keys.provenance_key(copy.source.bucket, copy.source.key, version_id)
            ),
            Body=json.dumps(copy.provenance.to_metadata()).encode(),
            ContentType="application/json",
        )

    def _recorded_provenance(
        self, source: ObjectVersion, version_id: str
    ) -> Steps[Provenance | None]:
        key = backup_keys.provenance_key(source.bucket, source.key, version_id)
        try:
            answer = yield from self._ask("GetObject", **self._target(key))
            return Provenance.from_metadata(json.loads(answer["Body"]))
        except ValueError:
            return None
        except S3Error as error:
            # Without s3:ListBucket on the backup bucket S3 answers 403 for what is not there.
            if error.status in {403, 404}:
                return None
            raise

    def _read(self, source: ObjectVersion) -> dict[str, Any]:
        return {
            "Bucket": source.bucket,
            "Key": source.key,
            "ExpectedBucketOwner": self.owner,
            **({"VersionId": source.version_id} if source.version_id else {}),
        }

    def _target(self, key: str) -> dict[str, Any]:
        return {"Bucket": self.backup_bucket, "Key": key, "ExpectedBucketOwner": self.owner}

    def _copy_source(self, copy: "_Copy") -> dict[str, Any]:
        source = {"Bucket": copy.source.bucket, "Key": copy.source.key}
        if copy.source.version_id:
            source["VersionId"] = copy.source.version_id
        return {
            "CopySource": source,
            "CopySourceIfMatch": copy.source.etag or copy.head["ETag"],
            "ExpectedSourceBucketOwner": self.owner,
        }

    def _try(self, operation: str, **parameters: Any) -> Steps[None]:  # noqa: ANN401
        """Ask once, for something that does not matter enough to fail."""
        try:
            yield Request(operation, parameters)
        except S3Error:
            return

    def _ask(self, operation: str, **parameters: Any) -> Steps[Any]:  # noqa: ANN401
        """Ask, and ask again while that may help and there is time."""
        for attempt in itertools.count(1):
            self._need_time()
            try:
                return (yield Request(operation, parameters))
            except S3Error as error:
                yield from self._pause(attempt, error)
        raise AssertionError("unreachable")

    def _need_time(self) -> None:
        if self.seconds_left() <= 0:
            raise Failed(
                "no time was left for another request; the repeated event goes on",
                kind="OutOfTime",
                retryable=True,
            )

    def _pause(self, attempt: int, error: S3Error) -> Steps[None]:
        """Wait before another attempt, or raise the error if there is to be none."""
        longest = min(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
        pause = longest * self.jitter()
        if not worth_retrying(error) or attempt == MAX_TRIES or pause >= self.seconds_left():
            raise error
        yield Wait(pause)


@dataclass(frozen=True)
class _Copy:
    """A copy about to be made."""

    source: ObjectVersion
    head: Mapping[str, Any]
    provenance: Provenance
    target_key: str

    def on_top_of(self, present: Provenance | None) -> "_Copy":
        """The same copy, replacing that backup."""
        return replace(self, provenance=self.provenance.on_top_of(present))

    @property
    def metadata_is_hidden(self) -> bool:
        """Whether there are metadata or headers that only S3 itself can copy as they are.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html (MissingMeta)
        """
        if self.head.get("MissingMeta"):
            return True
        # What is not ASCII in a header would be sent in another encoding than it came in.
        return any(not str(self.head.get(name, "")).isascii() for name in _CARRIED_HEADERS)

    @property
    def pretends_provenance(self) -> bool:
        """Whether the source itself carries what only backups may."""
        return any(key.startswith(PREFIX) for key in self.head.get("Metadata", {}))

    @property
    def carries_provenance(self) -> bool:
        """Whether there is room for provenance beside the user's metadata."""
        both = self._own_metadata() | self.provenance.to_metadata()
        return not self.metadata_is_hidden and metadata_bytes(both) <= MAX_METADATA_BYTES

    def carried(self) -> dict[str, Any]:
        """Headers and user metadata of the copy."""
        if self.metadata_is_hidden:
            return {}
        metadata = self._own_metadata()
        if self.carries_provenance:
            metadata |= self.provenance.to_metadata()
        headers = {name: self.head[name] for name in _CARRIED_HEADERS if self.head.get(name)}
        # As it is written: it need not be a date.
        if self.head.get("ExpiresString"):
            headers["Expires"] = self.head["ExpiresString"]
        return {**headers, "Metadata": {key: _mailsafe(metadata[key]) for key in metadata}}

    def _own_metadata(self) -> dict[str, str]:
        # What a writer of the source put under the reserved prefix must not pass for provenance.
        return without_provenance(self.head.get("Metadata", {}))


def _mailsafe(value: str) -> str:
    """What is not ASCII as S3 takes and shows it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html (RFC 2047)
    """
    if value.isascii():
        return value
    return f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="


def _harmless(source: ObjectVersion, error: S3Error) -> Outcome | None:
    """What an error means when it only says that the source has moved on."""
    if error.status == 404 and error.code in {"404", "NoSuchKey", "NoSuchVersion"}:
        return Outcome.GONE
    # Where versioning is suspended, a deletion puts a delete marker in place of "null".
    if error.status == 405 and source.version_id == "null":
        return Outcome.GONE
    # Only an unversioned object, or the "null" version, can change under its own name. For any
    # other version a different ETag means that the event is wrong.
    if error.status == 412 and source.replaceable:
        return Outcome.SUPERSEDED
    return None


def _about_the_source(error: S3Error) -> bool:
    # Parts have no other condition.
    return error.operation == "UploadPartCopy" or (
        error.condition is not None and "copy-source" in error.condition.lower()
    )


def plan_parts(size: int, part_size: int) -> Iterator[tuple[int, int, int]]:
    """Divide an object into parts of equal size, the last one excepted.

    :param size: the object's size in bytes, above 0.
    :param part_size: the size wanted, in bytes; made larger if more than 10,000 parts would follow.
    :returns: number (from 1), first and last byte (inclusive) of each part.
    """
    step = max(part_size, math.ceil(size / MAX_PARTS))
    for number, first in enumerate(range(0, size, step), start=1):
        yield number, first, min(first + step, size) - 1
