"""The list of what a job of S3 Batch Operations shall copy, written to S3 while it grows.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-create-job.html
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from .aws import Client
from .object_names import check_key, check_version_id

PART_SIZE = 8 * 1024 * 1024
"""Bytes that are kept in memory. 10,000 such parts hold more rows than a job can have tasks."""
# S3 Batch Operations reads no manifest that is encrypted with a KMS key.
_ENCRYPTION = {"ServerSideEncryption": "AES256"}


@dataclass(frozen=True)
class Manifest:
    """A list that is complete."""

    key: str
    """Where it is in the backup bucket."""
    etag: str
    rows: int
    versions: bool
    """Whether each row names a version; else the one is meant that is current."""


@dataclass
class ManifestWriter:
    """Writes rows, some megabytes at a time; until it is closed there is no manifest.

    :param s3: a client of botocore's.
    :param bucket: the backup bucket.
    :param key: of the manifest.
    :param owner: the account that must own the bucket.
    :param versions: whether each row names a version.
    :param part_size: bytes, at least 5 MiB on AWS.
    """

    s3: Client
    bucket: str
    key: str
    owner: str
    versions: bool = False
    part_size: int = PART_SIZE
    rows: int = 0
    _waiting: bytearray = field(default_factory=bytearray)
    _upload: str | None = None
    _parts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def add(self, source: str, key: str, version_id: str | None) -> None:
        """Write one row.

        :raises ValueError: if there is a version id and must be none, or the other way round; for
            what is no name of S3's, and so might read as something else, or as two rows.
        """
        if (version_id is not None) is not self.versions:
            raise ValueError(f"{source}/{key}: version id {version_id!r}")
        if quote(source, safe="") != source:
            raise ValueError(f"the bucket {source!r} is none of S3")
        check_key(key)
        if version_id is not None:
            check_version_id(version_id)
        # Encoded, no key has a comma, a quote or a line feed in it.
        fields = [source, quote(key), *([version_id] if version_id is not None else [])]
        self._waiting += f"{','.join(fields)}\n".encode()
        self.rows += 1

    @property
    def is_full(self) -> bool:
        """Whether a part waits to be sent."""
        return len(self._waiting) >= self.part_size

    def send(self) -> None:
        """Send what waits, as one part."""
        if self._upload is None:
            created = self.s3.create_multipart_upload(**self._place, **_ENCRYPTION)
            self._upload = created["UploadId"]
        number = len(self._parts) + 1
        sent = self.s3.upload_part(
            **self._place,
            UploadId=self._upload,
            PartNumber=number,
            Body=bytes(self._waiting),
        )
        # S3 wants to be told of the checksums that it was sent, which are up to botocore.
        sums = {name: value for name, value in sent.items() if name.startswith("Checksum")}
        sums.pop("ChecksumType", None)
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"], **sums})
        self._waiting.clear()

    def close(self) -> Manifest | None:
        """Make a manifest of all rows; None if there are none."""
        if not self.rows:
            return None
        if self._upload is None:
            put = self.s3.put_object(**self._place, **_ENCRYPTION, Body=bytes(self._waiting))
            self._waiting.clear()
            return self._manifest(put["ETag"])
        if self._waiting:
            self.send()
        completed = self.s3.complete_multipart_upload(
            **self._place, UploadId=self._upload, MultipartUpload={"Parts": self._parts}
        )
        self._upload = None
        return self._manifest(completed["ETag"])

    def give_up(self) -> None:
        """Leave nothing behind, if it is not closed."""
        if self._upload is not None:
            self.s3.abort_multipart_upload(**self._place, UploadId=self._upload)
            self._upload = None

    @property
    def _place(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key, "ExpectedBucketOwner": self.owner}

    def _manifest(self, etag: str) -> Manifest:
        return Manifest(self.key, etag.strip('"'), self.rows, self.versions)
