"""Reads pages of listings.

A page has up to 1,000 entries, and reading them is most of the work of whoever compares listings:
so they are read by columns, with loops in C.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import cast
from urllib.parse import unquote_plus

from lxml import etree

from .listing import Listed, ListedVersion, Page
from .markup import BadMarkup, Element, local_name, parse, text

Decode = Callable[[list[str]], list[str]]
Column = Sequence[str | None]
"""What the entries of a page have in one of their elements; None where there is no such element."""

_ABOUT = ("EncodingType", "IsTruncated", "NextContinuationToken", "NextVersionIdMarker")
_ENCODED = ("KeyMarker", "NextKeyMarker", "Prefix", "StartAfter")
_OF_OBJECTS = ("Key", "LastModified", "ETag", "Size", "StorageClass")
_OF_VERSIONS = (*_OF_OBJECTS, "VersionId", "IsLatest")


def read_page(body: bytes) -> Page:
    """Read an answer to ListObjectsV2 or ListObjectVersions.

    :raises BadMarkup: if it is none, or not a whole one.
    """
    root = parse(body)
    # All elements have the namespace of the root, if it has one.
    space = root.tag.removesuffix(local_name(root))
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
            is_last={"true": False, "false": True}[about["IsTruncated"]],
            about=about,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadMarkup(f"the page is damaged: {type(error).__name__}: {error}") from error


def _columns(root: Element, entries: Sequence[Element], fields: Sequence[str]) -> list[Column]:
    """The texts of these elements of entries.

    :param entries: all that the root has of their kind, or kinds.
    """
    columns = [cast("list[str]", path(root)) for path in _paths(entries[0].tag, fields)]
    # S3 writes no element of an entry twice: as many texts as entries are one of each.
    if {*map(len, columns)} == {len(entries)}:
        return [*columns]
    # They are of two kinds, or some lack an element.
    rows = [{local_name(child): text(child) for child in entry} for entry in entries]
    return [[row.get(field) for row in rows] for field in fields]


@cache
def _paths(tag: str, fields: Sequence[str]) -> list[etree.XPath]:
    name = etree.QName(tag)
    space, spaces = ("s:", {"s": name.namespace}) if name.namespace else ("", None)
    return [
        etree.XPath(
            f"{space}{name.localname}/{space}{field}/text()", namespaces=spaces, smart_strings=False
        )
        for field in fields
    ]


def _objects(root: Element, entries: Sequence[Element], decode: Decode) -> list[Listed]:
    key, modified, etag, size, storage_class = _columns(root, entries, _OF_OBJECTS)
    return list(
        map(
            Listed,
            decode(_all(key)),
            [(said or "").strip('"') for said in etag],
            map(int, _all(size)),
            map(datetime.fromisoformat, _all(modified)),
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
            map(datetime.fromisoformat, _all(modified)),
            ["" if said is None else said for said in storage_class],
        )
    )


def _all(column: Column) -> list[str]:
    """A column of which none may be missing."""
    said = [each for each in column if each is not None]
    if len(said) < len(column):
        raise ValueError("an entry lacks an element")
    return said


def _decoded(keys: list[str]) -> list[str]:
    # A key without either is as it is, and most are.
    return [unquote_plus(key, errors="strict") if "%" in key or "+" in key else key for key in keys]
