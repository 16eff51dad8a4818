"""S3 for many objects at a time."""

from typing import TYPE_CHECKING, Any

from .listing import Listed, ListedVersion

if TYPE_CHECKING:
    from .client import S3Client

__all__ = ["Listed", "ListedVersion", "S3Client"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - https://peps.python.org/pep-0562/
    # What only reads listings also runs where the client's HTTP parser is not installed.
    if name == "S3Client":
        from .client import S3Client  # noqa: PLC0415

        return S3Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
