"""Pages of listings."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote_plus
from xml.parsers import expat

from .markup import BadMarkup, parser


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


Decode = Callable[[str], str]

_KEYS = ("KeyMarker", "NextKeyMarker", "Prefix", "StartAfter")
_ENTRIES = frozenset({"CommonPrefixes", "Contents", "DeleteMarker", "Version"})


def read_page(body: bytes) -> Page:
    """Read an answer to ListObjectsV2 or ListObjectVersions.

    :raises BadMarkup: if it is none, or not a whole one.
    """
    about: dict[str, str] = {}
    entries: list[tuple[str, dict[str, str]]] = []
    # What an element is is told by its name: none of those wanted stands in different places.
    entry = about
    texts: list[str] = []

    def start(name: str, _attributes: object) -> None:
        nonlocal entry
        texts.clear()
        if name in _ENTRIES:
            entry = {}
            entries.append((name, entry))

    def end(name: str) -> None:
        nonlocal entry
        if name in _ENTRIES:
            entry = about
        else:
            entry[name] = "".join(texts)
            texts.clear()

    made = parser()
    made.StartElementHandler = start
    made.EndElementHandler = end
    made.CharacterDataHandler = texts.append
    try:
        made.Parse(body, True)
        # As botocore does: what was to be encoded is so only if the page says it.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html (EncodingType)
        decode = _decoded if about.get("EncodingType") == "url" else str
        about |= {name: decode(about[name]) for name in _KEYS if name in about}
        return Page(
            [_listed(entry, decode) for name, entry in entries if name == "Contents"],
            [
                _version(entry, decode, is_marker=name == "DeleteMarker")
                for name, entry in entries
                if name in {"DeleteMarker", "Version"}
            ],
            [decode(entry["Prefix"]) for name, entry in entries if name == "CommonPrefixes"],
            is_last={"true": False, "false": True}[about["IsTruncated"]],
            about=about,
        )
    except (expat.ExpatError, KeyError, ValueError) as error:
        raise BadMarkup(f"the page is damaged: {type(error).__name__}: {error}") from error


def _listed(entry: dict[str, str], decode: Decode) -> Listed:
    return Listed(
        decode(entry["Key"]),
        entry.get("ETag", "").strip('"'),
        int(entry["Size"]),
        datetime.fromisoformat(entry["LastModified"]),
        entry.get("StorageClass", "STANDARD"),
    )


def _version(entry: dict[str, str], decode: Decode, *, is_marker: bool) -> ListedVersion:
    return ListedVersion(
        decode(entry["Key"]),
        entry.get("VersionId", "null"),
        entry["IsLatest"] == "true",
        is_marker,
        entry.get("ETag", "").strip('"'),
        int(entry.get("Size", "0")),
        datetime.fromisoformat(entry["LastModified"]),
        entry.get("StorageClass", ""),
    )


def _decoded(key: str) -> str:
    # A key without either is as it is, and most are.
    return unquote_plus(key, errors="strict") if "%" in key or "+" in key else key
