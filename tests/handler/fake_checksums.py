"""Checksums as S3 computes them.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import base64
import hashlib
from collections.abc import Sequence

# Polynomial, its bits in reverse, and width.
_POLYNOMIALS = {
    "CRC32": (0xEDB88320, 32),
    "CRC32C": (0x82F63B78, 32),
    "CRC64NVME": (0x9A6C9329AC4BC9B5, 64),
}
WHOLE = tuple(_POLYNOMIALS)
"""Those that can be of a whole object, whatever its parts."""
OF_PARTS = ("SHA1", "SHA256")


def _digest(algorithm: str, content: bytes) -> bytes:
    if algorithm in OF_PARTS:
        return hashlib.new(algorithm, content, usedforsecurity=False).digest()
    polynomial, width = _POLYNOMIALS[algorithm]
    ones = (1 << width) - 1
    crc = ones
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (polynomial if crc & 1 else 0)
    return (crc ^ ones).to_bytes(width // 8, "big")


def whole(algorithm: str, content: bytes) -> dict[str, str]:
    """What HeadObject tells of an object that was written at once."""
    value = base64.b64encode(_digest(algorithm, content)).decode()
    return {f"Checksum{algorithm}": value, "ChecksumType": "FULL_OBJECT"}


def composite(algorithm: str, parts: Sequence[bytes]) -> dict[str, str]:
    """What it tells of one whose checksum is made of its parts'."""
    digests = b"".join(_digest(algorithm, part) for part in parts)
    value = base64.b64encode(_digest(algorithm, digests)).decode()
    return {f"Checksum{algorithm}": f"{value}-{len(parts)}", "ChecksumType": "COMPOSITE"}
