"""What listings list."""

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


class Page(NamedTuple):
    """A page of a listing with whatever says how to go on."""

    objects: list[Listed]
    versions: list[ListedVersion]
    prefixes: list[str]
    """Common to the keys that were rolled up at a delimiter."""
    is_last: bool
    """Whether there are no others."""
    about: dict[str, str]
    """What the page says of itself, by S3's names; keys decoded."""
