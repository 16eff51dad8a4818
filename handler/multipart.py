"""Copies what is too large for one request, in parts."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from .asking import OUT_OF_TIME, Asking, copy_seconds
from .catalogue import absent
from .checksums import Checksum
from .failures import Failed, worth_retrying
from .replica import Replica
from .requests import S3Error, Steps, Together
from .uploads import Parts, Upload, Uploads, digest_of

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_PARTS = 10_000

# "several minutes": https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
COMPLETION_SECONDS = 600.0


# Other calls that complete the same upload at the same time; more than that is no accident.
MAX_RACES = 5


@dataclass(frozen=True)
class MultipartCopy:
    """Copies in parts.

    :param asking: whoever asks S3.
    :param storage_class: of the copies.
    :param part_size: bytes per part, more where 10,000 parts would not suffice.
    :param resumable: whether what is copied stays for the next call, with a note about it in the
        bucket. If not, it is given up when it cannot be completed.
    """

    asking: Asking
    storage_class: str
    part_size: int
    resumable: bool = True

    def run(self, replica: Replica, condition: Mapping[str, str]) -> Steps[Mapping[str, Any]]:
        """Make one copy, or go on with one that an earlier call began.

        :param condition: what must hold of the backup at the end, as parameters of S3.
        :returns: CompleteMultipartUpload's answer.
        :raises S3Error: if S3 refuses for good; 412 of another operation than UploadPartCopy is
            about the condition, NoSuchUpload says that another call completed the upload or gave
            it up. What was copied is given up.
        :raises Failed: if it cannot be done; or, retryable, if time is up or S3 is out of order,
            and then the next call goes on where this one ended.
        """
        if replica.metadata_is_hidden:
            raise Failed(
                "the object has metadata that S3 does not show as it is, so it cannot be copied in "
                "parts; rewrite the object with headers and metadata in ASCII",
                kind="MissingMeta",
                retryable=False,
            )
        job = yield from self._open(replica, condition)
        try:
            return (yield from job.finish(condition))
        except S3Error as error:
            # Parts of which the whole is not what it should be are of no use to the next call.
            if self.resumable and worth_retrying(error) and error.code != "BadDigest":
                raise job.unfinished(str(error), error.code) from error
            # If it is gone, somebody else has completed it or given it up.
            if error.code != "NoSuchUpload":
                yield from job.upload.abort()
            raise
        except Failed as failure:
            if not self.resumable:
                yield from job.upload.abort()
            elif failure.kind == OUT_OF_TIME:
                raise job.unfinished("time was up", OUT_OF_TIME) from failure
            raise

    def _open(self, replica: Replica, condition: Mapping[str, str]) -> Steps["_Job"]:
        """Find out what is to be done, and what of it is done already."""
        uploads = Uploads(self.asking, replica)
        # Tags are asked for even where HeadObject counts none: it also leaves the count out for
        # whoever may not read them, and then they would be lost without a word.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        source = self.asking.in_source(replica.source)
        tags, head, *notes = yield from self.asking.together(
            self.asking.ask("GetObjectTagging", **source),
            self.asking.ask("HeadObject", **source, ChecksumMode="ENABLED"),
            *([uploads.noted()] if self.resumable else []),
        )
        # If the source has changed since, no part of it is copied.
        checksum = Checksum.of(head)
        wanted = {
            **replica.carried(),
            **checksum.to_begin(),
            "StorageClass": self.storage_class,
        }
        if tags["TagSet"]:
            wanted["Tagging"] = urlencode([(tag["Key"], tag["Value"]) for tag in tags["TagSet"]])
        plan = {number: rest for number, *rest in plan_parts(replica.size, self.part_size)}
        digest = digest_of(
            self.asking.copied_from(replica.source, replica.source_etag), wanted, plan[1]
        )
        for note in filter(None, notes):
            try:
                found = yield from uploads.resume(note, digest)
            except S3Error as error:
                if error.code != "NoSuchUpload":
                    raise
                yield from self._check(replica, condition)
            else:
                if found is not None:
                    upload, there = found
                    job = _Job(self.asking, replica, upload, plan, checksum)
                    job.take(there)
                    return job
        upload = yield from uploads.begin(wanted, digest if self.resumable else None)
        return _Job(self.asking, replica, upload, plan, checksum)

    def _check(self, replica: Replica, condition: Mapping[str, str]) -> Steps[None]:
        """Refuse as S3 would, were the condition to be met now."""
        etag = None
        try:
            head = yield from self.asking.ask(
                "HeadObject", **self.asking.in_backup(replica.target_key)
            )
            etag = head["ETag"]
        except S3Error as error:
            if not absent(error):
                raise
        if etag != condition.get("IfMatch"):
            raise S3Error("HeadObject", "PreconditionFailed", 412, "the backup has changed")


@dataclass
class _Job:
    """One copy under way.

    :param plan: first and last byte of each part, by its number.
    :param copied: what CompleteMultipartUpload wants to know of each part that is there.
    """

    asking: Asking
    replica: Replica
    upload: Upload
    plan: Mapping[int, Sequence[int]]
    checksum: Checksum
    copied: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    slowest: float = 0.0
    """Seconds that a part has taken at most."""
    pointless: S3Error | None = None
    """What no other part can succeed after."""

    def take(self, there: Parts) -> None:
        """Count those parts as copied."""
        self.copied = {
            number: self._as_completed(number, part)
            for number, part in there.items()
            if part["Size"] == self._length(number)
        }

    def unfinished(self, reason: str, kind: str) -> Failed:
        """How to say that the next call goes on."""
        done = sum(map(self._length, self.copied))
        return Failed(
            f"{reason}; {done:,} of {self.replica.size:,} bytes are copied, and the next try goes "
            f"on with the upload {self.upload.upload_id}",
            kind=kind,
            retryable=True,
        )

    def finish(self, condition: Mapping[str, str]) -> Steps[Mapping[str, Any]]:
        """Copy what is missing, and complete the upload."""
        for _ in range(MAX_RACES):
            yield from self._copy_missing()
            try:
                return (
                    yield from self.asking.ask(
                        "CompleteMultipartUpload",
                        seconds=COMPLETION_SECONDS,
                        **self.upload.parameters,
                        **condition,
                        **self.checksum.to_complete(),
                        MpuObjectSize=self.replica.size,
                        MultipartUpload={
                            "Parts": [self.copied[number] for number in sorted(self.copied)]
                        },
                    )
                )
            except S3Error as error:
                if error.code != "InvalidPart":
                    raise
            # Another call, which goes on with the same upload, has copied a part once more: the
            # same bytes, but with KMS under another ETag.
            self.take((yield from self.upload.parts()))
        raise self.unfinished("other calls kept replacing parts of the same upload", "Contention")

    def _copy_missing(self) -> Steps[None]:
        answers: list[Any] = yield Together(
            [self._copy(number) for number in self.plan if number not in self.copied]
        )
        failures = [answer for answer in answers if isinstance(answer, Exception)]
        # What nothing can help is what a person has to know; that time was up matters least.
        failures.sort(key=lambda failure: isinstance(failure, Failed))
        for failure in filter(None, (self.pointless, *failures)):
            raise failure

    def _copy(self, number: int) -> Steps[None]:
        first, last = self.plan[number]
        began = self.asking.seconds_left()
        if began <= self.slowest:
            raise Failed("no part was fast enough for this one", kind=OUT_OF_TIME, retryable=True)
        # Where one part cannot be helped, there is no time for the others.
        asking = replace(
            self.asking, seconds_left=lambda: 0 if self.pointless else self.asking.seconds_left()
        )
        try:
            answer = yield from asking.ask(
                "UploadPartCopy",
                seconds=copy_seconds(last - first + 1),
                **self.upload.parameters,
                **asking.copied_from(self.replica.source, self.replica.source_etag),
                PartNumber=number,
                CopySourceRange=f"bytes={first}-{last}",
            )
        except S3Error as error:
            if not worth_retrying(error):
                self.pointless = self.pointless or error
            raise
        self.copied[number] = self._as_completed(number, answer["CopyPartResult"])
        if math.isfinite(began):
            self.slowest = max(self.slowest, began - self.asking.seconds_left())

    def _as_completed(self, number: int, part: Mapping[str, Any]) -> dict[str, Any]:
        return {"PartNumber": number, "ETag": part["ETag"], **self.checksum.of_part(part)}

    def _length(self, number: int) -> int:
        first, last = self.plan[number]
        return last - first + 1


def plan_parts(size: int, part_size: int) -> Iterator[tuple[int, int, int]]:
    """Divide an object into parts of equal size, the last one excepted.

    :param size: the object's size in bytes, above 0.
    :param part_size: the size wanted, in bytes; made larger if more than 10,000 parts would follow.
    :returns: number (from 1), first and last byte (inclusive) of each part.
    """
    step = max(part_size, math.ceil(size / MAX_PARTS))
    for number, first in enumerate(range(0, size, step), start=1):
        yield number, first, min(first + step, size) - 1
