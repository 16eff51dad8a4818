"""What the entry points and the copy engine talk about; no event shapes, no AWS calls."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of one object that a source bucket announced.

    Whatever announced it (S3, a queue, a redrive, a listing) ends up as one of these.
    """

    bucket: str
    """Name of the source bucket."""
    key: str
    """The object's key, decoded; any sequence of characters, never to be treated as a path."""
    version_id: str | None = None
    """The version, or None in a bucket that has never been versioned."""
    etag: str | None = None
    """Without quotes. None if the announcement had none."""
    size: int | None = None
    """Bytes, as announced."""
    sequencer: str | None = None
    """Orders events of the same key: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    event_time: datetime | None = None
    """When S3 finished the request that made this version (UTC)."""

    @property
    def replaceable(self) -> bool:
        """Whether S3 may have something else under this name by now.

        So it is without a version id, and with "null", the one of a bucket that is not, or no
        longer, versioned: https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
        """
        return self.version_id in {None, "null"}


def sequence(sequencer: str) -> tuple[int, str]:
    """What sequencers of events of the same key are compared by.

    They are hexadecimal; of different length, the shorter is padded with zeros on its left:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    digits = sequencer.upper().lstrip("0")
    return len(digits), digits


@dataclass(frozen=True, slots=True)
class Removal:
    """One deletion in a source bucket."""

    bucket: str
    """Name of the source bucket."""
    key: str
    """The object's key, decoded."""
    version_id: str | None
    """The delete marker that was put, or the version (or marker) that was removed for good; None
    in a bucket that has never been versioned."""
    marker: bool
    """Whether a delete marker was put. If not, something was removed for good."""
    event_time: datetime
    """When S3 finished the request (UTC)."""
    sequencer: str | None = None
    """Orders it among the events of the same key, those of written versions included."""


class Outcome(StrEnum):
    """How the handling of one record ended. All are successes: nothing is left to be done."""

    COPIED = "copied"
    """The version is in the backup bucket now."""
    DUPLICATE = "duplicate"
    """It was there already."""
    GONE = "gone"
    """It was deleted before it could be copied."""
    REMOVED = "removed"
    """A deletion is recorded, and the backup bucket shows of the key what the source does."""
    SUPERSEDED = "superseded"
    """The source or the backup has a newer one: an unversioned object was overwritten meanwhile,
    or a late event announced a version that a newer one has overtaken, or a deletion of what is
    overwritten since. An overtaken version of a versioned bucket is kept beside the backup, a
    deletion in the record."""


@dataclass(frozen=True, slots=True)
class Backup:
    """The result of handling one `ObjectVersion` or `Removal`."""

    outcome: Outcome
    size: int = 0
    """Bytes copied."""
