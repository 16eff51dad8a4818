"""What listings say."""

from datetime import datetime
from typing import NamedTuple


class Listed(NamedTuple):
    """One object of a listing."""

    key: str
    etag: str
    """Without quotes."""
    size: int
    """Bytes."""
    modified: datetime
    """UTC."""
    storage_class: str


class ListedVersion(NamedTuple):
    """One version, or delete marker, of a listing of versions."""

    key: str
    version_id: str
    is_latest: bool
    is_marker: bool
    """Whether it is a delete marker, which has neither ETag nor bytes."""
    etag: str
    """Without quotes."""
    size: int
    """Bytes."""
    modified: datetime
    """UTC."""
    storage_class: str
