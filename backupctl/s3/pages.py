"""Reads pages of listings.

A page has up to 1,000 entries, and reading them is most of the work of whoever compares listings:
so they are read by columns, with loops in C.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, cast
from urllib.parse import unquote_plus

from lxml import etree

from .listing import Listed, ListedVersion, Page
from .markup import BadMarkup, Element, local_name, parse, text

Decode = Callable[[list[str]], list[str]]
Column = Sequence[str | None]
"""What the entries of a page have in one of their elements; None where there is no such element."""

_ROOTS = {"ListBucketResult", "ListVersionsResult"}
_ABOUT = ("EncodingType", "IsTruncated", "NextContinuationToken", "NextVersionIdMarker")
_ENCODED = ("KeyMarker", "NextKeyMarker", "Prefix", "StartAfter")
_OF_OBJECTS = ("Key", "LastModified", "ETag", "Size", "StorageClass")
_OF_VERSIONS = (*_OF_OBJECTS, "VersionId", "IsLatest")


def read_page(body: bytes) -> Page:
    """Read an answer to ListObjectsV2 or ListObjectVersions.

    :raises BadMarkup: if it is none, or not a whole one.
    """
    root = parse(body)
    space = f"{{{etree.QName(root).namespace or ''}}}"
    # What is in another namespace would not be found, and the page seem to have less on it.
    if local_name(root) not in _ROOTS or len(root.findall(f"{space}*")) != len(root):
        raise BadMarkup("the answer is damaged, and no listing")
    said = {name: root.findtext(f"{space}{name}") for name in (*_ABOUT, *_ENCODED)}
    about = {name: value for name, value in said.items() if value is not None}
    # As botocore does: what was to be encoded is so only if the page says it.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html (EncodingType)
    decode = _decoded if about.get("EncodingType") == "url" else list[str]
    objects = root.findall(f"{space}Contents")
    versions = root.findall(f"{space}Version")
    if root.find(f"{space}DeleteMarker") is not None:
        versions = [*root.iterchildren(f"{space}Version", f"{space}DeleteMarker")]
    try:
        about |= {name: decode([about[name]])[0] for name in _ENCODED if name in about}
        return Page(
            _objects(root, objects, decode) if objects else [],
            _versions(root, versions, decode) if versions else [],
            decode([*map(text, root.iterfind(f"{space}CommonPrefixes/{space}Prefix"))]),
            is_last=_is_last(root.findall(f"{space}IsTruncated")),
            about=about,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadMarkup(f"the page is damaged: {type(error).__name__}: {error}") from error


def _columns(root: Element, entries: Sequence[Element], fields: Sequence[str]) -> list[Column]:
    """The texts of these elements of entries.

    :param entries: all that the root has of their kind, or kinds.
    """
    paths = _paths(entries[0].tag, fields)
    if not (paths.nested(root) and paths.nested_in_fields(root)):
        columns = [cast("list[str]", texts(root)) for texts in paths.texts]
        # At most one of each entry: as many as entries are one of each.
        if {*map(len, columns)} == {len(entries)}:
            return [*columns]
    # They are of two kinds, or some lack an element.
    rows = [_row(entry, fields) for entry in entries]
    return [[row.get(field) for row in rows] for field in fields]


def _row(entry: Element, fields: Sequence[str]) -> dict[str, str]:
    row: dict[str, str] = {}
    for child in entry:
        name = local_name(child)
        if name in fields:
            if len(child):
                raise ValueError(f"{name} has elements in it")
            row.setdefault(name, text(child))
    return row


class _Paths(NamedTuple):
    """Where things are in a page."""

    texts: list[etree.XPath]
    """The first text of the first element of each entry, for each field."""
    nested: etree.XPath
    """Whether elements of entries have elements in them."""
    nested_in_fields: etree.XPath
    """Whether fields have."""


@lru_cache(maxsize=16)
def _paths(tag: str, fields: Sequence[str]) -> _Paths:
    name = etree.QName(tag)
    space, spaces = ("s:", {"s": name.namespace}) if name.namespace else ("", None)
    entry = f"{space}{name.localname}"

    def path(expression: str) -> etree.XPath:
        return etree.XPath(expression, namespaces=spaces, smart_strings=False)

    return _Paths(
        [path(f"{entry}/{space}{field}[1]/text()[1]") for field in fields],
        path(f"boolean({entry}/*/*)"),
        path(f"boolean({'|'.join(f'{entry}/{space}{field}/*' for field in fields)})"),
    )


def _is_last(truncated: Sequence[Element]) -> bool:
    [said] = truncated
    return {"true": False, "false": True}[text(said)]


def _objects(root: Element, entries: Sequence[Element], decode: Decode) -> list[Listed]:
    key, modified, etag, size, storage_class = _columns(root, entries, _OF_OBJECTS)
    return list(
        map(
            Listed,
            decode(_all(key)),
            [(said or "").strip('"') for said in etag],
            map(int, _all(size)),
            _times(modified),
            ["STANDARD" if said is None else said for said in storage_class],
        )
    )


def _versions(root: Element, entries: Sequence[Element], decode: Decode) -> list[ListedVersion]:
    columns = _columns(root, entries, _OF_VERSIONS)
    key, modified, etag, size, storage_class, version_id, is_latest = columns
    return list(
        map(
            ListedVersion,
            decode(_all(key)),
            ["null" if said is None else said for said in version_id],
            [said == "true" for said in _all(is_latest)],
            [local_name(entry) == "DeleteMarker" for entry in entries],
            [(said or "").strip('"') for said in etag],
            [0 if said is None else int(said) for said in size],
            _times(modified),
            ["" if said is None else said for said in storage_class],
        )
    )


def _all(column: Column) -> list[str]:
    """A column of which none may be missing."""
    said = [each for each in column if each is not None]
    if len(said) < len(column):
        raise ValueError("an entry lacks an element")
    return said


def _times(column: Column) -> list[datetime]:
    times = [*map(datetime.fromisoformat, _all(column))]
    if not all(time.tzinfo for time in times):
        raise ValueError("a time has no zone")
    return times


def _decoded(keys: list[str]) -> list[str]:
    # A key without either is as it is, and most are.
    return [unquote_plus(key, errors="strict") if "%" in key or "+" in key else key for key in keys]
