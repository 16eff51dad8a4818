"""An S3 in memory, with the versions, conditions and limits that the copy engine rests on."""

import hashlib
import io
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import parse_qsl

from handler.copy import COPY_OBJECT_MAX_BYTES
from handler.failures import Failed
from handler.provenance import MAX_METADATA_BYTES, metadata_bytes
from handler.requests import Request, S3Error, Steps, Together, Wait

from . import fake_checksums

T = TypeVar("T")

OWNER = "111122223333"
PARTS_PER_PAGE = 2
_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
)


class Versioning(StrEnum):
    """A bucket's versioning."""

    NEVER = "never"
    ENABLED = "enabled"
    SUSPENDED = "suspended"


@dataclass(frozen=True)
class Stored:
    """One version of an object, or a delete marker."""

    key: str
    version_id: str
    modified: datetime
    content: bytes = b""
    etag: str = ""
    is_delete_marker: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    hidden_metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """User metadata that S3 keeps and copies but does not show."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    storage_class: str = "STANDARD"
    checksum: Mapping[str, str] = field(default_factory=dict[str, str])
    """What HeadObject tells of it where it is asked to."""
    told: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else HeadObject tells."""
    huge: int | None = None
    """A size to pretend."""

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if self.huge is None else self.huge


@dataclass
class Bucket:
    """A bucket; each key's versions are kept oldest first."""

    name: str
    versioning: Versioning = Versioning.ENABLED
    kms: bool = True
    """Where objects are encrypted with KMS, equal bytes do not have equal ETags."""
    owner: str = OWNER
    lists: bool = True
    """Whether the caller may list the bucket; if not, S3 answers 403 for what is not there."""
    scratch: bool = False
    """Whether versions may be removed."""
    keys: dict[str, list[Stored]] = field(default_factory=dict[str, list[Stored]])

    def current(self, key: str) -> Stored | None:
        """What GET without a version id finds."""
        versions = self.keys.get(key)
        if not versions or versions[-1].is_delete_marker:
            return None
        return versions[-1]

    def under(self, prefix: str) -> list[Stored]:
        """All versions, oldest first, of all keys that begin so."""
        return [
            version
            for key in sorted(self.keys)
            if key.startswith(prefix)
            for version in self.keys[key]
        ]

    def add(self, version: Stored) -> None:
        """Put a version on top."""
        versions = self.keys.setdefault(version.key, [])
        if version.version_id == "null":
            versions[:] = [old for old in versions if old.version_id != "null"]
        versions.append(version)


@dataclass(frozen=True)
class Part:
    """A part of an upload."""

    etag: str
    content: bytes
    size: int
    """Bytes, or those to pretend."""
    checksum: Mapping[str, str]

    def told(self) -> dict[str, Any]:
        """What S3 says about it."""
        return {"ETag": f'"{self.etag}"', **self.checksum}


@dataclass
class _Upload:
    target: Mapping[str, Any]
    algorithm: str | None
    whole: bool
    """Whether its checksum is one of the whole object."""
    parts: dict[int, Part] = field(default_factory=dict[int, Part])

    def checksum_of(self, content: bytes) -> dict[str, str]:
        """What S3 says of a part's checksum."""
        if self.algorithm is None:
            return {}
        name = f"Checksum{self.algorithm}"
        return {name: fake_checksums.whole(self.algorithm, content)[name]}

    def checksum(self, parts: Sequence[bytes]) -> dict[str, str]:
        """That of the object."""
        if self.algorithm is not None and not self.whole:
            return fake_checksums.composite(self.algorithm, parts)
        return fake_checksums.whole(self.algorithm or "CRC64NVME", b"".join(parts))


class When(StrEnum):
    """When a fault strikes."""

    BEFORE = "before"
    """Nothing was done."""
    AFTER = "after"
    """It was done, and the answer got lost."""


Fault = tuple[When, S3Error]


class FakeS3:
    """Answers `Request`s.

    :param buckets: those that exist.
    """

    def __init__(self, *buckets: Bucket) -> None:
        self.buckets = {bucket.name: bucket for bucket in buckets}
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.requests: list[Request] = []
        self.uploads: dict[str, _Upload] = {}
        self.names_conditions = True
        """Whether a 412 says which condition failed."""
        self.repeats_completion = False
        """Whether a completed upload can be completed again, which does nothing."""
        self.fault: Callable[[Request], Fault | None] = lambda _request: None
        self._serial = itertools.count(1)
        self._completed: dict[str, dict[str, Any]] = {}

    @property
    def operations(self) -> list[str]:
        """What was asked, in order."""
        return [request.operation for request in self.requests]

    @property
    def counts(self) -> Counter[str]:
        """How often each operation was asked."""
        return Counter(self.operations)

    def tick(self, seconds: float = 1) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def write(self, bucket: str, key: str, content: bytes = b"", **more: Any) -> Stored:
        """What some client of S3 puts there; `more` are fields of `Stored`."""
        there = self.buckets[bucket]
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if there.kms:
            etag = f"{next(self._serial):032x}"
        more = {"etag": etag} | more
        version = Stored(
            key,
            f"v{next(self._serial)}" if there.versioning is Versioning.ENABLED else "null",
            self.now.replace(microsecond=0),
            content,
            **more,
        )
        there.add(version)
        return version

    def delete(self, bucket: str, key: str, version_id: str | None = None) -> Stored | None:
        """Delete an object, or one version of it for good; returns the delete marker, if any."""
        there = self.buckets[bucket]
        versions = there.keys.get(key, [])
        if version_id is not None:
            versions[:] = [old for old in versions if old.version_id != version_id]
            return None
        if there.versioning is Versioning.NEVER:
            versions.clear()
            return None
        enabled = there.versioning is Versioning.ENABLED
        marker = f"v{next(self._serial)}" if enabled else "null"
        there.add(put := Stored(key, marker, self.now, is_delete_marker=True))
        return put

    def answer(self, request: Request) -> dict[str, Any]:
        """Do what is asked.

        :raises S3Error: as S3 would refuse it.
        """
        self.requests.append(request)
        fault = self.fault(request)
        if fault is not None and fault[0] is When.BEFORE:
            raise fault[1]
        done = _METHODS[request.operation](self, dict(request.parameters))
        if fault is not None:
            raise fault[1]
        return done

    def _bucket(self, operation: str, name: str, owner: str | None) -> Bucket:
        bucket = self.buckets.get(name)
        if bucket is None:
            raise refused(operation, "NoSuchBucket", 404)
        if owner != bucket.owner:
            raise refused(operation, "AccessDenied", 403)
        return bucket

    def _target(self, operation: str, asked: Mapping[str, Any]) -> Bucket:
        if len(asked["Key"].encode()) > 1024:
            raise refused(operation, "KeyTooLongError", 400)
        return self._bucket(operation, asked["Bucket"], asked.get("ExpectedBucketOwner"))

    def _find(
        self, operation: str, bucket: Bucket, key: str, version_id: str | None, marker_status: int
    ) -> Stored:
        if version_id is None:
            current = bucket.current(key)
            if current is None:
                raise refused(operation, "NoSuchKey", 404)
            return current
        for version in bucket.keys.get(key, []):
            if version.version_id == version_id:
                if version.is_delete_marker:
                    code = "MethodNotAllowed" if marker_status == 405 else "InvalidRequest"
                    raise refused(operation, code, marker_status)
                return version
        raise refused(operation, "NoSuchVersion", 404)

    def _unmet(self, operation: str, condition: str) -> S3Error:
        named = condition if self.names_conditions else None
        return refused(operation, "PreconditionFailed", 412, named)

    def _check(self, operation: str, bucket: Bucket, asked: Mapping[str, Any]) -> None:
        current = bucket.current(asked["Key"])
        if "IfNoneMatch" in asked and current is not None:
            assert asked["IfNoneMatch"] == "*"
            raise self._unmet(operation, "If-None-Match")
        if "IfMatch" in asked:
            if current is None:
                raise refused(operation, "NoSuchKey", 404)
            if asked["IfMatch"].strip('"') != current.etag:
                raise self._unmet(operation, "If-Match")

    def _read(self, operation: str, asked: Mapping[str, Any]) -> Stored:
        bucket = self._target(operation, asked)
        try:
            found = self._find(operation, bucket, asked["Key"], asked.get("VersionId"), 405)
        except S3Error as error:
            if error.status == 404 and not bucket.lists:
                raise refused(operation, "AccessDenied", 403) from error
            raise
        if "IfMatch" in asked and asked["IfMatch"].strip('"') != found.etag:
            raise self._unmet(operation, "If-Match")
        return found

    def _copy_source(self, operation: str, asked: Mapping[str, Any]) -> Stored:
        place = asked["CopySource"]
        bucket = self._bucket(operation, place["Bucket"], asked.get("ExpectedSourceBucketOwner"))
        found = self._find(operation, bucket, place["Key"], place.get("VersionId"), 400)
        if "CopySourceIfMatch" in asked and asked["CopySourceIfMatch"].strip('"') != found.etag:
            raise self._unmet(operation, "x-amz-copy-source-If-Match")
        return found

    def _head(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            found = self._read("HeadObject", asked)
        except S3Error as error:
            # There is no body that could tell more than the status.
            code = str(error.status)
            raise S3Error("HeadObject", code, error.status, "") from error
        answer = {
            "ContentLength": found.size,
            "ETag": f'"{found.etag}"',
            "LastModified": found.modified,
            "Metadata": dict(found.metadata),
            "ServerSideEncryption": "aws:kms" if self.buckets[asked["Bucket"]].kms else "AES256",
            **found.headers,
        }
        if "Expires" in answer:
            answer["ExpiresString"] = answer.pop("Expires")
        if found.hidden_metadata:
            answer["MissingMeta"] = len(found.hidden_metadata)
        if found.tags:
            answer["TagCount"] = len(found.tags)
        if found.storage_class != "STANDARD":
            answer["StorageClass"] = found.storage_class
        answer |= found.told
        if asked.get("ChecksumMode") == "ENABLED":
            answer |= found.checksum
        if self.buckets[asked["Bucket"]].versioning is not Versioning.NEVER:
            answer["VersionId"] = found.version_id
        return answer

    def _get(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._read("GetObject", asked)
        first, last = 0, len(found.content) - 1
        if "Range" in asked:
            first, last = map(int, asked["Range"].removeprefix("bytes=").split("-"))
            if first >= found.size:
                raise refused("GetObject", "InvalidRange", 416)
        return {"Body": found.content[first : last + 1], "ETag": f'"{found.etag}"'}

    def _get_tags(self, asked: dict[str, Any]) -> dict[str, Any]:
        tags = self._read("GetObjectTagging", asked).tags
        return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def _copy(self, asked: dict[str, Any]) -> dict[str, Any]:
        bucket = self._target("CopyObject", asked)
        source = self._copy_source("CopyObject", asked)
        if source.size > COPY_OBJECT_MAX_BYTES:
            raise refused("CopyObject", "InvalidRequest", 400)
        self._check("CopyObject", bucket, asked)
        own = _own("CopyObject", asked)
        if asked["MetadataDirective"] == "COPY":
            own |= {
                "metadata": source.metadata,
                "hidden_metadata": source.hidden_metadata,
                "headers": source.headers,
            }
        assert asked["TaggingDirective"] == "COPY"
        own["tags"] = source.tags
        own["checksum"] = source.checksum
        if source.checksum.get("ChecksumType") != "FULL_OBJECT":
            algorithm = next(iter(source.checksum), "ChecksumCRC64NVME").removeprefix("Checksum")
            own["checksum"] = fake_checksums.whole(algorithm, source.content)
        stored = self.write(bucket.name, asked["Key"], source.content, huge=source.huge, **own)
        return {"CopyObjectResult": {"ETag": f'"{stored.etag}"'}, "VersionId": stored.version_id}

    def _delete(self, asked: dict[str, Any]) -> dict[str, Any]:
        bucket = self._target("DeleteObject", asked)
        assert "VersionId" not in asked or bucket.scratch, "nobody may remove versions"
        self._check("DeleteObject", bucket, asked)
        marker = self.delete(bucket.name, asked["Key"], asked.get("VersionId"))
        return {} if marker is None else {"DeleteMarker": True, "VersionId": marker.version_id}

    def _put(self, asked: dict[str, Any]) -> dict[str, Any]:
        bucket = self._target("PutObject", asked)
        self._check("PutObject", bucket, asked)
        body = io.BytesIO(asked["Body"]).read()
        stored = self.write(bucket.name, asked["Key"], body, **_own("PutObject", asked))
        return {"ETag": f'"{stored.etag}"', "VersionId": stored.version_id}

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._target("CreateMultipartUpload", asked)
        _own("CreateMultipartUpload", asked)
        algorithm = asked.get("ChecksumAlgorithm")
        default = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
        kind = asked.get("ChecksumType", default)
        possible = fake_checksums.WHOLE if kind == "FULL_OBJECT" else ("CRC32", "CRC32C")
        if kind == "COMPOSITE":
            possible += fake_checksums.OF_PARTS
        if algorithm not in {None, *possible} or (algorithm is None and "ChecksumType" in asked):
            raise refused("CreateMultipartUpload", "InvalidRequest", 400)
        upload = f"upload{next(self._serial)}"
        self.uploads[upload] = _Upload(asked, algorithm, kind == "FULL_OBJECT")
        return {"UploadId": upload}

    def _upload(self, operation: str, asked: Mapping[str, Any]) -> _Upload:
        upload = self.uploads.get(asked["UploadId"])
        if upload is None or upload.target["Key"] != asked["Key"]:
            raise refused(operation, "NoSuchUpload", 404)
        return upload

    def _part(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._target("UploadPartCopy", asked)
        source = self._copy_source("UploadPartCopy", asked)
        upload = self._upload("UploadPartCopy", asked)
        first, last = (
            int(end) for end in asked["CopySourceRange"].removeprefix("bytes=").split("-")
        )
        if not first <= last < source.size:
            raise refused("UploadPartCopy", "InvalidRange", 416)
        content = source.content[first : last + 1]
        part = Part(
            f"{next(self._serial):032x}", content, last - first + 1, upload.checksum_of(content)
        )
        upload.parts[asked["PartNumber"]] = part
        return {"CopyPartResult": part.told()}

    def _complete(self, asked: dict[str, Any]) -> dict[str, Any]:
        bucket = self._target("CompleteMultipartUpload", asked)
        if self.repeats_completion and asked["UploadId"] in self._completed:
            return self._completed[asked["UploadId"]]
        upload = self._upload("CompleteMultipartUpload", asked)
        self._check("CompleteMultipartUpload", bucket, asked)
        pieces: list[bytes] = []
        size = 0
        numbers = [part["PartNumber"] for part in asked["MultipartUpload"]["Parts"]]
        if numbers != sorted(set(numbers)):
            raise refused("CompleteMultipartUpload", "InvalidPartOrder", 400)
        for claimed in asked["MultipartUpload"]["Parts"]:
            number, etag, *checksum = claimed.items()
            part = upload.parts.get(number[1])
            if part is None or etag[1].strip('"') != part.etag:
                raise refused("CompleteMultipartUpload", "InvalidPart", 400)
            if dict(checksum) != part.checksum and (checksum or not upload.whole):
                raise refused("CompleteMultipartUpload", "InvalidRequest", 400)
            pieces.append(part.content)
            size += part.size
        checksum = upload.checksum(pieces)
        if any(asked.get(name, value) != value for name, value in checksum.items()):
            raise refused("CompleteMultipartUpload", "BadDigest", 400)
        if asked.get("MpuObjectSize", size) != size:
            raise refused("CompleteMultipartUpload", "InvalidRequest", 400)
        content = b"".join(pieces)
        own = _own("CreateMultipartUpload", upload.target)
        own["checksum"] = checksum
        own["tags"] = dict(parse_qsl(upload.target.get("Tagging", ""), keep_blank_values=True))
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if not bucket.kms:
            own["etag"] = f"{md5}-{len(numbers)}"
        del self.uploads[asked["UploadId"]]
        stored = self.write(bucket.name, asked["Key"], content, **own)
        answer = {"ETag": f'"{stored.etag}"', "VersionId": stored.version_id}
        self._completed[asked["UploadId"]] = answer
        return answer

    def _list_parts(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._target("ListParts", asked)
        parts = self._upload("ListParts", asked).parts
        after = asked.get("PartNumberMarker", 0)
        page = sorted(number for number in parts if number > after)
        shown = page[:PARTS_PER_PAGE]
        return {
            "UploadId": asked["UploadId"],
            "Parts": [
                {"PartNumber": number, "Size": parts[number].size, **parts[number].told()}
                for number in shown
            ],
            "IsTruncated": len(page) > len(shown),
            **({"NextPartNumberMarker": shown[-1]} if len(page) > len(shown) else {}),
        }

    def _abort(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._target("AbortMultipartUpload", asked)
        self._upload("AbortMultipartUpload", asked)
        del self.uploads[asked["UploadId"]]
        return {}


_METHODS: Mapping[str, Callable[[FakeS3, dict[str, Any]], dict[str, Any]]] = {
    "AbortMultipartUpload": FakeS3._abort,
    "CompleteMultipartUpload": FakeS3._complete,
    "CopyObject": FakeS3._copy,
    "CreateMultipartUpload": FakeS3._create,
    "DeleteObject": FakeS3._delete,
    "GetObject": FakeS3._get,
    "GetObjectTagging": FakeS3._get_tags,
    "HeadObject": FakeS3._head,
    "ListParts": FakeS3._list_parts,
    "PutObject": FakeS3._put,
    "UploadPartCopy": FakeS3._part,
}


def refused(operation: str, code: str, status: int, condition: str | None = None) -> S3Error:
    """S3's refusal."""
    return S3Error(operation, code, status, "", condition)


def _own(operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    metadata: dict[str, str] = asked.get("Metadata", {})
    if not all(f"{key}{value}".isascii() for key, value in metadata.items()):
        raise refused(operation, "InvalidParameter", 400)
    if metadata_bytes(metadata) > MAX_METADATA_BYTES:
        raise refused(operation, "MetadataTooLarge", 400)
    return {
        "metadata": {key.lower(): value for key, value in metadata.items()},
        "headers": {name: asked[name] for name in _HEADERS if name in asked},
        "storage_class": asked.get("StorageClass", "STANDARD"),
    }


class S3(Protocol):
    """Whoever answers requests."""

    def answer(self, request: Request) -> Mapping[str, Any]:
        """Do what is asked.

        :raises S3Error: if it is refused.
        """
        ...


class Stepper(Generic[T]):
    """Runs a conversation request by request, so that several can be interleaved.

    What the engine wants together is asked in turns, a request of each, for as many as
    `IN_FLIGHT` at a time.
    """

    IN_FLIGHT = 2

    def __init__(self, steps: Steps[T], s3: S3) -> None:
        self._steps = steps
        self._s3 = s3
        self._together: list[Stepper[Any]] = []
        self._waiting: Iterator[Steps[Any]] = iter(())
        self._turns: deque[Stepper[Any]] = deque()
        self._waited = 0.0
        self._resume(lambda: next(steps))

    result: T
    """Once it is done without an error."""
    error: S3Error | Failed | None = None
    """What it raised."""
    done = False

    @property
    def waited(self) -> float:
        """Seconds of all pauses."""
        return self._waited + sum(stepper.waited for stepper in self._together)

    def advance(self) -> bool:
        """Answer what was asked for; returns whether there is nothing more.

        :raises Failed: as the engine does.
        """
        self._advance()
        if self.error is not None:
            raise self.error
        return self.done

    def crash(self) -> None:
        """Stop for good; nothing more is asked."""
        self._steps.close()

    def _resume(self, go: Callable[[], Request | Together | Wait]) -> None:
        self._waited, self._together = self.waited, []
        try:
            self._pending = go()
        except StopIteration as end:
            self.result = end.value
            self.done = True
        except (S3Error, Failed) as error:
            self.error = error
            self.done = True
        else:
            if isinstance(self._pending, Together):
                self._waiting = iter(self._pending.conversations)
                self._next_turn()

    def _advance(self) -> None:
        if self.done:
            return
        match self._pending:
            case Wait(seconds):
                self._waited += seconds
                self._resume(lambda: self._steps.send(None))
            case Together():
                turn = self._turns.popleft()
                turn._advance()
                if not turn.done:
                    self._turns.append(turn)
                self._next_turn()
            case Request() as request:
                try:
                    answer = self._s3.answer(request)
                except S3Error as error:
                    thrown = error
                    self._resume(lambda: self._steps.throw(thrown))
                else:
                    self._resume(lambda: self._steps.send(answer))

    def _next_turn(self) -> None:
        while len(self._turns) < self.IN_FLIGHT:
            steps = next(self._waiting, None)
            if steps is None:
                break
            began = Stepper(steps, self._s3)
            self._together.append(began)
            if not began.done:
                self._turns.append(began)
        if not self._turns:
            together = self._together
            self._resume(
                lambda: self._steps.send(
                    [one.result if one.error is None else one.error for one in together]
                )
            )


def drive(steps: Steps[T], s3: FakeS3) -> T:
    """Run a generator to its end."""
    stepper = Stepper(steps, s3)
    while not stepper.advance():
        pass
    return stepper.result
