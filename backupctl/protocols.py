"""What the logic needs of a client for S3, and a fake of one must have."""

from collections.abc import AsyncGenerator
from typing import Protocol

from .driver import Asks
from .s3.listing import Listed, ListedVersion


class Lists(Protocol):
    """Whatever lists buckets, page by page, in the order of the keys' UTF-8."""

    def list_objects(self, bucket: str, prefix: str = "") -> AsyncGenerator[list[Listed]]:
        """The objects whose keys begin so."""
        ...

    def list_versions(self, bucket: str, prefix: str = "") -> AsyncGenerator[list[ListedVersion]]:
        """All versions of the keys that begin so, each key's newest first."""
        ...


class S3(Asks, Lists, Protocol):
    """Whatever answers requests and lists buckets."""
