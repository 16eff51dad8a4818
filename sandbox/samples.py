"""Real files, and the keys that break naive backups."""

import os
import struct
import subprocess
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024**2


@dataclass(frozen=True)
class Sample:
    """An object to upload."""

    key: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Arguments of PutObject beside the body: ContentType, CacheControl and the like."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


AWKWARD_KEYS = (
    "spaces in the name.txt",
    "plus+sign.txt",
    "percent%41 100%.txt",
    "double//slash.txt",
    "../up/./and/../away.txt",
    "/leading slash.txt",
    "trailing slash/",
    "emoji 🪣 é ü 漢字.txt",
    "tab\tcharacter.txt",
    "<&>\"'`?#[]{}|\\^~.txt",
    ("long/" * 200)[:1000],
)


def awkward() -> list[Sample]:
    """One small object for each awkward key, each with other metadata and tags."""
    return [
        Sample(
            key,
            f"content of {key!r}".encode(),
            headers={"ContentType": "text/plain; charset=utf-8"},
            metadata={"number": str(number)},
            tags={"kind": "awkward", "number": str(number)},
        )
        for number, key in enumerate(AWKWARD_KEYS)
    ]


def repository(root: Path, limit: int = 24) -> list[Sample]:
    """The project's own files, as far as git knows them (or the folder, without git)."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z"], capture_output=True, check=True
        ).stdout
        names = [name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = [str(file.relative_to(root)) for file in root.glob("*/*.py")]
    files = [root / name for name in sorted(names) if (root / name).is_file()]
    return [
        Sample(
            f"repository/{file.relative_to(root).as_posix()}",
            file.read_bytes(),
            headers={"ContentType": "text/plain", "CacheControl": "max-age=60"},
            metadata={"lines": str(file.read_bytes().count(b"\n"))},
        )
        for file in files[:limit]
    ]


def image(key: str) -> Sample:
    """A PNG of a colour gradient."""
    width = height = 256
    rows = b"".join(
        b"\0" + b"".join(bytes((x, y, (x * y) >> 8)) for x in range(width)) for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return Sample(
        key,
        png,
        headers={
            "ContentType": "image/png",
            "ContentDisposition": 'inline; filename="gradient.png"',
            "ContentLanguage": "en",
            "Expires": "Fri, 01 Jan 2027 00:00:00 GMT",
        },
        metadata={"camera": "none"},
        tags={"album": "demo & test", "rating": "5"},
    )


def large(key: str, size: int = 64 * MIB) -> Sample:
    """Bytes that do not compress, enough for a multipart upload."""
    return Sample(
        key,
        os.urandom(size),
        headers={"ContentType": "application/octet-stream", "ContentEncoding": "identity"},
        # No tags: MiniStack forgets those that a multipart upload begins with.
        metadata={"parts": "8"},
    )
