"""The copy engine: one version of one object -> the backup bucket, server-side. No event shapes."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import BotoCoreError, ClientError

from .records import Backup, ObjectVersion, Outcome, Refused

MIB = 1024**2
GIB = 1024**3

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
COPY_OBJECT_MAX_BYTES = 5 * GIB
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_PARTS = 10_000
MAX_KEY_BYTES = 1024

# System metadata that CopyObject carries over by itself and a multipart upload must be told.
_CARRIED_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
)

# HeadObject has no body, so botocore can only name its errors by status.
_GONE = {"404", "NoSuchKey", "NoSuchVersion"}
_CHANGED = {"412", "PreconditionFailed"}


def backup_key(source: ObjectVersion) -> str:
    """Where a version's copy lives in the backup bucket: the source's name, a slash, the key.

    :raises Refused: if that is longer than S3 allows.
    """
    key = f"{source.bucket}/{source.key}"
    if len(key.encode()) > MAX_KEY_BYTES:
        raise Refused(
            f"'{source.bucket}/' and the key make {len(key.encode())} bytes, S3 allows "
            f"{MAX_KEY_BYTES}; rename the object"
        )
    return key


class Copier:
    """Copies versions into one backup bucket.

    :param s3: a boto3 S3 client.
    :param backup_bucket: name of the bucket that receives the copies.
    :param owner: the 12-digit account id that must own both buckets; S3 refuses any other, so a
        bucket deleted and claimed by a stranger is neither read nor written.
    :param multipart_above: bytes above which an object is copied in parts.
    :param part_size: bytes per part, more where 10,000 parts would not suffice.
    :param parts_in_flight: how many parts are copied at the same time.
    """

    def __init__(
        self,
        s3: Any,  # noqa: ANN401 - boto3 clients have no static type
        *,
        backup_bucket: str,
        owner: str,
        multipart_above: int = COPY_OBJECT_MAX_BYTES,
        part_size: int = 64 * MIB,
        parts_in_flight: int = 32,
    ) -> None:
        self._s3 = s3
        s3.meta.events.register("before-call.s3.CopyObject", _exclude_annotations)
        self._backup_bucket = backup_bucket
        self._owner = owner
        self._multipart_above = multipart_above
        self._part_size = part_size
        self._parts_in_flight = parts_in_flight

    def copy(self, source: ObjectVersion) -> Backup:
        """Copy exactly the version that `source` names.

        :returns: `COPIED` with the size, or `GONE` or `SUPERSEDED` if there is nothing to copy.
        :raises Refused: if `source` can never be copied.
        :raises botocore.exceptions.ClientError: as S3 answers; the copy may be tried again.
        """
        if source.bucket == self._backup_bucket:
            raise Refused(
                "the backup bucket is no source: its copies would be copied for ever; "
                "remove the notification from the backup bucket"
            )
        target_key = backup_key(source)
        try:
            head = self._s3.head_object(
                **self._read_arguments(source),
                **({"IfMatch": source.etag} if source.etag else {}),
            )
            if head["ContentLength"] <= self._multipart_above:
                self._copy_whole(source, head, target_key)
            else:
                self._copy_in_parts(source, head, target_key)
        except ClientError as error:
            outcome = self._harmless(source, error)
            if outcome is None:
                raise
            return Backup(outcome)
        return Backup(Outcome.COPIED, head["ContentLength"])

    def _harmless(self, source: ObjectVersion, error: ClientError) -> Outcome | None:
        """What an error means when it only says that the source has moved on."""
        code = error.response["Error"]["Code"]
        if code in _GONE:
            return Outcome.GONE
        # Where versioning is suspended, a deletion puts a delete marker in place of "null".
        if code in {"405", "MethodNotAllowed"} and source.version_id == "null":
            return Outcome.GONE
        # Only an unversioned object, or the "null" version, can change under its own name. For any
        # other version a different ETag means that the event is wrong.
        if code in _CHANGED and source.version_id in {None, "null"}:
            return Outcome.SUPERSEDED
        return None

    def _read_arguments(self, source: ObjectVersion) -> dict[str, Any]:
        return {
            "Bucket": source.bucket,
            "Key": source.key,
            "ExpectedBucketOwner": self._owner,
            **({"VersionId": source.version_id} if source.version_id else {}),
        }

    def _copy_arguments(
        self, source: ObjectVersion, head: dict[str, Any], target_key: str
    ) -> dict[str, Any]:
        copy_source = {"Bucket": source.bucket, "Key": source.key}
        if source.version_id:
            copy_source["VersionId"] = source.version_id
        return {
            "Bucket": self._backup_bucket,
            "Key": target_key,
            "ExpectedBucketOwner": self._owner,
            "CopySource": copy_source,
            "CopySourceIfMatch": source.etag or head["ETag"],
            "ExpectedSourceBucketOwner": self._owner,
        }

    def _copy_whole(self, source: ObjectVersion, head: dict[str, Any], target_key: str) -> None:
        self._s3.copy_object(
            **self._copy_arguments(source, head, target_key),
            MetadataDirective="COPY",
            TaggingDirective="COPY",
        )

    def _copy_in_parts(self, source: ObjectVersion, head: dict[str, Any], target_key: str) -> None:
        target = {
            "Bucket": self._backup_bucket,
            "Key": target_key,
            "ExpectedBucketOwner": self._owner,
        }
        upload = {
            **target,
            "UploadId": self._s3.create_multipart_upload(
                **target, **_carried(head), **self._tagging(source)
            )["UploadId"],
        }
        arguments = {**self._copy_arguments(source, head, target_key), **upload}

        def copy_part(number: int, first: int, last: int) -> dict[str, Any]:
            answer = self._s3.upload_part_copy(
                **arguments, PartNumber=number, CopySourceRange=f"bytes={first}-{last}"
            )
            return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

        try:
            with ThreadPoolExecutor(self._parts_in_flight) as pool:
                futures = [
                    pool.submit(copy_part, *part)
                    for part in plan_parts(head["ContentLength"], self._part_size)
                ]
                try:
                    parts = [future.result() for future in futures]
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
            self._s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            # The first error is the one to report; a lifecycle rule removes what stays behind.
            with suppress(ClientError, BotoCoreError):
                self._s3.abort_multipart_upload(**upload)
            raise

    def _tagging(self, source: ObjectVersion) -> dict[str, str]:
        # Asked for even where HeadObject counts no tags: it also leaves the count out for whoever
        # may not read them, and then the tags would be lost without a word.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        tags = self._s3.get_object_tagging(**self._read_arguments(source))["TagSet"]
        return {"Tagging": urlencode([(tag["Key"], tag["Value"]) for tag in tags])} if tags else {}


def plan_parts(size: int, part_size: int) -> Iterator[tuple[int, int, int]]:
    """Divide an object into parts of equal size, the last one excepted.

    :param size: the object's size in bytes, above 0.
    :param part_size: the size wanted, in bytes; made larger if more than 10,000 parts would follow.
    :returns: number (from 1), first and last byte (inclusive) of each part.
    """
    step = max(part_size, math.ceil(size / MAX_PARTS))
    for number, first in enumerate(range(0, size, step), start=1):
        yield number, first, min(first + step, size) - 1


def _carried(head: dict[str, Any]) -> dict[str, Any]:
    headers = {name: head[name] for name in _CARRIED_HEADERS if head.get(name)}
    return {**headers, "Metadata": head.get("Metadata", {})}


def _exclude_annotations(params: dict[str, Any], **_: object) -> None:
    # S3 copies them by default and then demands permissions to read and write them. As a header,
    # because the SDK in Lambda may be older than annotations.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    params["headers"]["x-amz-object-annotation-directive"] = "EXCLUDE"
