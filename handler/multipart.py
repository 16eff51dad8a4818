"""Copies what is too large for one request, in parts."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from .asking import Asking, copy_seconds
from .failures import Failed, worth_retrying
from .replica import Replica
from .requests import S3Error, Steps, Together

MIB = 1024**2
GIB = 1024**3

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_PARTS = 10_000

# "several minutes": https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
COMPLETION_SECONDS = 600.0


@dataclass(frozen=True)
class MultipartCopy:
    """Copies in parts.

    :param asking: whoever asks S3.
    :param storage_class: of the copies.
    :param part_size: bytes per part, more where 10,000 parts would not suffice.
    """

    asking: Asking
    storage_class: str
    part_size: int

    def run(self, replica: Replica, condition: Mapping[str, str]) -> Steps[Mapping[str, Any]]:
        """Make one copy.

        :param condition: what must hold of the backup at the end, as parameters of S3.
        :returns: CompleteMultipartUpload's answer.
        :raises S3Error: if S3 refuses; 412 of another operation than UploadPartCopy is about the
            condition.
        :raises Failed: if it cannot be done.
        """
        if replica.metadata_is_hidden:
            raise Failed(
                "the object has metadata that S3 does not show as it is, so it cannot be copied in "
                "parts; rewrite the object with headers and metadata in ASCII",
                kind="MissingMeta",
                retryable=False,
            )
        target = self.asking.in_backup(replica.target_key)
        # Asked for even where HeadObject counts no tags: it also leaves the count out for whoever
        # may not read them, and then the tags would be lost without a word.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        tags = yield from self.asking.ask(
            "GetObjectTagging", **self.asking.in_source(replica.source)
        )
        tagging: dict[str, Any] = {
            "Tagging": urlencode([(tag["Key"], tag["Value"]) for tag in tags["TagSet"]])
        }
        created = yield from self.asking.ask(
            "CreateMultipartUpload",
            **target,
            **replica.carried(),
            **(tagging if tags["TagSet"] else {}),
            StorageClass=self.storage_class,
        )
        upload = {**target, "UploadId": created["UploadId"]}
        try:
            parts = yield from self._copy_parts(replica, upload)
            return (
                yield from self.asking.ask(
                    "CompleteMultipartUpload",
                    seconds=COMPLETION_SECONDS,
                    **upload,
                    **condition,
                    MultipartUpload={"Parts": parts},
                )
            )
        except S3Error:
            # The first error is the one to report; a lifecycle rule removes what stays behind.
            yield from self.asking.ask_once("AbortMultipartUpload", **upload)
            raise

    def _copy_parts(
        self, replica: Replica, upload: Mapping[str, Any]
    ) -> Steps[list[dict[str, Any]]]:
        pointless: list[S3Error] = []
        # Where one part cannot be helped, there is no time for the others.
        asking = replace(
            self.asking, seconds_left=lambda: 0 if pointless else self.asking.seconds_left()
        )

        def part(number: int, first: int, last: int) -> Steps[dict[str, Any]]:
            try:
                answer = yield from asking.ask(
                    "UploadPartCopy",
                    seconds=copy_seconds(last - first + 1),
                    **upload,
                    **asking.copied_from(replica.source, replica.source_etag),
                    PartNumber=number,
                    CopySourceRange=f"bytes={first}-{last}",
                )
            except S3Error as error:
                if not worth_retrying(error):
                    pointless.append(error)
                raise
            return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

        parts = plan_parts(replica.size, self.part_size)
        answers: list[Any] = yield Together([part(*numbers) for numbers in parts])
        for failure in (*pointless, *answers):
            if isinstance(failure, Exception):
                raise failure
        return answers


def plan_parts(size: int, part_size: int) -> Iterator[tuple[int, int, int]]:
    """Divide an object into parts of equal size, the last one excepted.

    :param size: the object's size in bytes, above 0.
    :param part_size: the size wanted, in bytes; made larger if more than 10,000 parts would follow.
    :returns: number (from 1), first and last byte (inclusive) of each part.
    """
    step = max(part_size, math.ceil(size / MAX_PARTS))
    for number, first in enumerate(range(0, size, step), start=1):
        yield number, first, min(first + step, size) - 1
