"""What S3's listings say about objects."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A current object."""

    key: str
    etag: str
    size: int
    modified: datetime
    storage_class: str = "STANDARD"


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """A version or a delete marker."""

    key: str
    version_id: str
    is_latest: bool
    is_marker: bool
    etag: str
    size: int
    modified: datetime
    storage_class: str = "STANDARD"
