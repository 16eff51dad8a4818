"""Reads pages of listings."""

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element

from .listing import Listed, ListedVersion, Page
from .markup import BadMarkup, local_name, parse, text

Decode = Callable[[str], str]
Column = Sequence[str | None]
"""What the entries of a page have in one of their elements; None where there is no such element."""

_ENCODED = ("KeyMarker", "NextKeyMarker", "Prefix", "StartAfter")
_tag, _text = attrgetter("tag"), attrgetter("text")


class _Entries(NamedTuple):
    """The entries of a page, by columns: what is done to a column is done by loops in C.

    A page has up to 1,000 entries, and reading them is most of the work of whoever compares
    listings.
    """

    tag: Sequence[str]
    """Of the entry itself."""
    key: Column
    modified: Column
    etag: Column
    size: Column
    storage_class: Column
    version_id: Column
    is_latest: Column


_FIELDS = ("Key", "LastModified", "ETag", "Size", "StorageClass", "VersionId", "IsLatest")
"""The elements of `_Entries`' columns."""


def read_page(body: bytes) -> Page:
    """Read an answer to ListObjectsV2 or ListObjectVersions.

    :raises BadMarkup: if it is none, or not a whole one.
    """
    root = parse(body)
    # All elements have the namespace of the root, if it has one.
    space = root.tag.removesuffix(local_name(root))
    kinds = {f"{space}{name}" for name in ("Contents", "Version", "DeleteMarker")}
    entries = [child for child in root if child.tag in kinds]
    others = [child for child in root if child.tag not in kinds]
    about = {local_name(child): text(child) for child in others if not len(child)}
    # As botocore does: what was to be encoded is so only if the page says it.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html (EncodingType)
    decode = _decoded if about.get("EncodingType") == "url" else str
    objects = [entry for entry in entries if entry.tag == f"{space}Contents"]
    versions = [entry for entry in entries if entry.tag != f"{space}Contents"]
    prefixes = root.iterfind(f"{space}CommonPrefixes/{space}Prefix")
    try:
        about |= {name: decode(about[name]) for name in _ENCODED if name in about}
        return Page(
            _objects(_columns(root, objects, space), decode),
            _versions(_columns(root, versions, space), decode),
            [decode(text(prefix)) for prefix in prefixes],
            is_last={"true": False, "false": True}[about["IsTruncated"]],
            about=about,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadMarkup(f"the page is damaged: {type(error).__name__}: {error}") from error


def _columns(root: Element, entries: Sequence[Element], space: str) -> _Entries:
    fields = [f"{space}{field}" for field in _FIELDS]
    columns = _of_twins(root, entries, fields) or _of_any(entries, fields)
    return _Entries([*map(_tag, entries)], *columns)


def _of_twins(
    root: Element, entries: Sequence[Element], fields: Sequence[str]
) -> list[Column] | None:
    """The columns of entries that all have the same elements in the same order, as objects mostly
    do, and stand right after one another; None if they do not."""
    if not entries:
        return [[] for _ in fields]
    tags = [*map(_tag, entries[0].iter())]
    elements = [*root.iter()]
    begin = elements.index(entries[0])
    end = begin + len(entries) * len(tags)
    if [*map(_tag, elements[begin:end])] != tags * len(entries):
        return None
    # Of an element that is there twice the last one counts.
    places = {tag: begin + place for place, tag in enumerate(tags)}
    nothing: Column = [None] * len(entries)
    return [
        [said or "" for said in map(_text, elements[places[field] : end : len(tags)])]
        if field in places
        else nothing
        for field in fields
    ]


def _of_any(entries: Sequence[Element], fields: Sequence[str]) -> list[Column]:
    """The columns of any entries."""
    rows = [{child.tag: text(child) for child in entry} for entry in entries]
    return [[row.get(field) for row in rows] for field in fields]


def _objects(entries: _Entries, decode: Decode) -> list[Listed]:
    return list(
        map(
            Listed,
            map(decode, _all(entries.key)),
            [(said or "").strip('"') for said in entries.etag],
            map(int, _all(entries.size)),
            map(datetime.fromisoformat, _all(entries.modified)),
            ["STANDARD" if said is None else said for said in entries.storage_class],
        )
    )


def _versions(entries: _Entries, decode: Decode) -> list[ListedVersion]:
    return list(
        map(
            ListedVersion,
            map(decode, _all(entries.key)),
            ["null" if said is None else said for said in entries.version_id],
            [said == "true" for said in _all(entries.is_latest)],
            [tag.endswith("DeleteMarker") for tag in entries.tag],
            [(said or "").strip('"') for said in entries.etag],
            [0 if said is None else int(said) for said in entries.size],
            map(datetime.fromisoformat, _all(entries.modified)),
            ["" if said is None else said for said in entries.storage_class],
        )
    )


def _all(column: Column) -> list[str]:
    """A column of which none may be missing."""
    said = [each for each in column if each is not None]
    if len(said) < len(column):
        raise ValueError("an entry lacks an element")
    return said


def _decoded(key: str) -> str:
    # A key without either is as it is, and most are.
    return unquote_plus(key, errors="strict") if "%" in key or "+" in key else key
