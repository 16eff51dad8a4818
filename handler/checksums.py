"""The checksum that S3 keeps beside an object, and how a copy in parts gets one like it.

CopyObject takes a checksum along by itself. An upload in parts has to be told at its beginning
which one to compute. https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# These can be computed of the whole object, whatever its parts: where the source's is such a one,
# the copy's is equal to it.
_WHOLE = ("CRC64NVME", "CRC32C", "CRC32")
# Of an upload in parts these are made of the parts' own, so they are equal only if the parts are.
_OF_PARTS = ("SHA256", "SHA1")


@dataclass(frozen=True)
class Checksum:
    """What the copy is to have.

    :param algorithm: in S3's words; None leaves it to S3, which then takes CRC64NVME.
    :param whole: the checksum of the whole object, if the source has one of that kind.
    """

    algorithm: str | None = None
    whole: str | None = None

    @classmethod
    def of(cls, head: Mapping[str, Any]) -> Self:
        """The one of an object.

        :param head: HeadObject's answer with ChecksumMode ENABLED.
        """
        for algorithm in (*_WHOLE, *_OF_PARTS):
            value = head.get(f"Checksum{algorithm}")
            if value:
                is_whole = algorithm in _WHOLE and head.get("ChecksumType") == "FULL_OBJECT"
                return cls(algorithm, value if is_whole else None)
        return cls()

    def to_begin(self) -> dict[str, Any]:
        """Parameters of CreateMultipartUpload."""
        if self.algorithm is None:
            return {}
        kind = "FULL_OBJECT" if self.algorithm in _WHOLE else "COMPOSITE"
        return {"ChecksumAlgorithm": self.algorithm, "ChecksumType": kind}

    def of_part(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """What CompleteMultipartUpload wants to know of a part.

        Without it S3 refuses to complete an upload with checksums of parts.

        :param part: UploadPartCopy's or ListParts' answer about it.
        """
        name = f"Checksum{self.algorithm}"
        return {name: part[name]} if part.get(name) else {}

    def to_complete(self) -> dict[str, Any]:
        """Parameters of CompleteMultipartUpload: S3 refuses a copy with any other checksum."""
        if self.whole is None:
            return {}
        return {f"Checksum{self.algorithm}": self.whole, "ChecksumType": "FULL_OBJECT"}
