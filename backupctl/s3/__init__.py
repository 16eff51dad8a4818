"""S3 for many objects at a time."""

from .client import S3Client
from .listing import Listed, ListedVersion

__all__ = ["Listed", "ListedVersion", "S3Client"]
