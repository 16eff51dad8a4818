"""Which source version a backup is a copy of, written into the backup's user metadata."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from .records import sequence

PREFIX = "s3-backup-"
"""Reserved: user metadata under this prefix is the project's own, in backups only."""

# "the sum of the number of bytes in the UTF-8 encoding of each key and value"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
MAX_METADATA_BYTES = 2048

# How many replaced versions a backup remembers; 12 bytes of metadata each, and a comma.
MAX_EARLIER = 32


@dataclass(frozen=True, slots=True)
class Provenance:
    """Identity and time of a source version."""

    etag: str
    """Without quotes."""
    modified: datetime
    """When the source got it (UTC, whole seconds, as S3 tells)."""
    size: int
    """Bytes."""
    version_id: str | None = None
    """None if the source bucket was not versioned."""
    sequencer: str | None = None
    """Of the event; None if no event announced the version."""
    earlier: tuple[str, ...] = ()
    """`identity` of the versions that were the current backup before this one, the latest first.
    Says nothing about the source; tells a late event that its version is there already."""

    @classmethod
    def of(
        cls, head: Mapping[str, Any], version_id: str | None = None, sequencer: str | None = None
    ) -> Self:
        """Of a source version, from HeadObject's answer."""
        return cls(
            etag=head["ETag"].strip('"'),
            modified=head["LastModified"],
            size=head["ContentLength"],
            version_id=version_id,
            sequencer=sequencer,
        )

    def to_metadata(self) -> dict[str, str]:
        """The metadata that a backup carries."""
        fields = {
            "etag": self.etag,
            "modified": _written(self.modified),
            "size": str(self.size),
            "version": self.version_id,
            "sequencer": self.sequencer,
            "earlier": ",".join(self.earlier) or None,
        }
        return {f"{PREFIX}{name}": value for name, value in fields.items() if value is not None}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self | None:
        """Read it back; None if there is none, or none that makes sense."""
        try:
            return cls(
                etag=metadata[f"{PREFIX}etag"],
                modified=_time(metadata[f"{PREFIX}modified"]),
                size=int(metadata[f"{PREFIX}size"]),
                version_id=metadata.get(f"{PREFIX}version"),
                sequencer=metadata.get(f"{PREFIX}sequencer"),
                earlier=tuple(filter(None, metadata.get(f"{PREFIX}earlier", "").split(","))),
            )
        except (KeyError, OverflowError, TypeError, ValueError):
            return None

    @property
    def identity(self) -> str:
        """A short name of the source version, the same for `same_version`s and for no others."""
        if self.version_id not in {None, "null"}:
            return identity_of(str(self.version_id))
        return _short(f"e{self.etag} {self.modified.timestamp()}")

    def on_top_of(self, other: "Provenance | None") -> "Provenance":
        """The same, for a copy that replaces another one as the current backup."""
        earlier = () if other is None else (other.identity, *other.earlier)[:MAX_EARLIER]
        return self if earlier == self.earlier else replace(self, earlier=earlier)

    def same_version(self, other: "Provenance") -> bool:
        """Whether both name the same source version.

        A version id says it alone. Without one, S3 has no better identity than content and time:
        two writes of the same bytes within one second are one.
        """
        pinned = {self.version_id, other.version_id} - {None, "null"}
        if pinned:
            return self.version_id == other.version_id
        return (self.etag, self.modified) == (other.etag, other.modified)

    def ordered_with(self, other: "Provenance") -> bool:
        """Whether it is certain which of them the source had before the other.

        Times alone do not tell if that of an upload in parts is the earlier: it is when the upload
        began, and the version came when it was completed.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
        """
        if self.sequencer and other.sequencer and self.sequencer != other.sequencer:
            return True
        earlier = self if self.modified < other.modified else other
        return self.modified != other.modified and not earlier.made_in_parts

    @property
    def made_in_parts(self) -> bool:
        """Whether the source's ETag is one of an upload in parts.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
        """
        return "-" in self.etag

    def older_than(self, other: "Provenance") -> bool:
        """Whether the source had this version before the other.

        By sequencer where both have one, else by the source's time. Of two versions of the same
        second without sequencers neither is older.
        """
        if self.sequencer and other.sequencer and self.sequencer != other.sequencer:
            return sequence(self.sequencer) < sequence(other.sequencer)
        return self.modified < other.modified


def _written(time: datetime) -> str:
    return f"{time.astimezone(UTC).isoformat()[:19]}Z"


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    # Other ways to write a time are not ours, and one without its zone would compare with no other.
    if time.tzinfo is None or _written(time) != text:
        raise ValueError(f"{text!r} is no time of ours")
    return time.astimezone(UTC)


def identity_of(version_id: str) -> str:
    """`Provenance.identity` of a version that has an id of its own."""
    return _short(f"v{version_id}")


def _short(name: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()[:9]).decode()


def metadata_bytes(metadata: Mapping[str, str]) -> int:
    """How much of S3's limit some user metadata takes."""
    return sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())


def without_provenance(metadata: Mapping[str, str]) -> dict[str, str]:
    """A user's own metadata."""
    return {key: value for key, value in metadata.items() if not key.startswith(PREFIX)}
