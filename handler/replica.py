"""What a copy takes along from its source, and what it says about it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from .provenance import MAX_METADATA_BYTES, PREFIX, Provenance, metadata_bytes, without_provenance
from .records import ObjectVersion

_CARRIED_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
)


@dataclass(frozen=True)
class Replica:
    """A copy about to be made.

    :param source: what is copied.
    :param head: HeadObject's answer about it.
    :param provenance: what the copy is to say about itself.
    :param target_key: where in the backup bucket it goes.
    """

    source: ObjectVersion
    head: Mapping[str, Any]
    provenance: Provenance
    target_key: str

    @property
    def size(self) -> int:
        """Bytes."""
        return self.head["ContentLength"]

    @property
    def source_etag(self) -> str:
        """The ETag that the source must have while it is copied."""
        return self.source.etag or self.head["ETag"]

    def on_top_of(self, present: Provenance | None) -> "Replica":
        """The same copy, replacing that backup."""
        provenance = self.provenance.on_top_of(present)
        return self if provenance is self.provenance else replace(self, provenance=provenance)

    def instead_of(self, present: Provenance) -> "Replica":
        """The same copy, replacing one of the same version."""
        provenance = replace(self.provenance, earlier=present.earlier)
        return replace(self, provenance=provenance)

    @cached_property
    def metadata_is_hidden(self) -> bool:
        """Whether there are metadata or headers that only S3 itself can copy as they are.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html (MissingMeta)
        """
        if self.head.get("MissingMeta"):
            return True
        # What is not ASCII in a header would be sent in another encoding than it came in.
        return any(not str(self.head.get(name, "")).isascii() for name in _CARRIED_HEADERS)

    @property
    def pretends_provenance(self) -> bool:
        """Whether the source itself carries what only backups may."""
        return any(key.startswith(PREFIX) for key in self.head.get("Metadata", {}))

    @cached_property
    def carries_provenance(self) -> bool:
        """Whether there is room for provenance beside the user's metadata."""
        if self.metadata_is_hidden:
            return False
        return metadata_bytes(self._metadata_with_provenance) <= MAX_METADATA_BYTES

    def carried(self) -> dict[str, Any]:
        """Headers and user metadata of the copy."""
        if self.metadata_is_hidden:
            return {}
        metadata = self._metadata_with_provenance if self.carries_provenance else self._own_metadata
        headers = {name: self.head[name] for name in _CARRIED_HEADERS if self.head.get(name)}
        # As it is written: it need not be a date.
        if self.head.get("ExpiresString"):
            headers["Expires"] = self.head["ExpiresString"]
        return {**headers, "Metadata": {key: _mailsafe(metadata[key]) for key in metadata}}

    @cached_property
    def _own_metadata(self) -> dict[str, str]:
        # What a writer of the source put under the reserved prefix must not pass for provenance.
        return without_provenance(self.head.get("Metadata", {}))

    @cached_property
    def _metadata_with_provenance(self) -> dict[str, str]:
        return self._own_metadata | self.provenance.to_metadata()


def _mailsafe(value: str) -> str:
    """What is not ASCII as S3 takes and shows it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html (RFC 2047)
    """
    if value.isascii():
        return value
    return f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="
