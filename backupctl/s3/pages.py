"""Reads pages of listings.

A page has up to 1,000 entries, and reading them is most of the work of whoever compares listings.
S3 writes entries as elements with nothing but plain text in them. Those a regular expression reads
in a fraction of the time that an XML parser takes; the parser reads what is around them, or, if a
single entry is different, all of the page.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from urllib.parse import unquote_plus
from xml.parsers import expat

from .listing import Listed, ListedVersion, Page
from .markup import BadMarkup, parser

Fields = tuple[str | None, ...]
"""Of one entry: its element's name, then the texts of `_FIELDS`; None for what it does not have."""

_FIELDS = ("Key", "LastModified", "ETag", "Size", "StorageClass", "VersionId", "IsLatest")
_ENTRIES = ("Contents", "DeleteMarker", "Version")
_PARENTS = frozenset({*_ENTRIES, "CommonPrefixes"})
_ENCODED = ("KeyMarker", "NextKeyMarker", "Prefix", "StartAfter")

# Of printable ASCII, what markup is not made of: such a text means itself in any encoding that an
# XML parser takes this page in.
_TEXT = "[ -%'-;=?-~]*"
_QUOTE = "(?:&quot;|&#34;)?"
_TEXTS = dict.fromkeys(_FIELDS, f"({_TEXT})") | {"ETag": f"{_QUOTE}({_TEXT}){_QUOTE}"}
_OPENING = f"<({'|'.join(_ENTRIES)})>"
# No two of these match the same element: else what does not match would take forever to give up.
_ELEMENTS = (
    *(f"<{name}>{text}</{name}>" for name, text in _TEXTS.items()),
    f"<Owner>(?:<(?:ID>{_TEXT}</ID|DisplayName>{_TEXT}</DisplayName)>)+</Owner>",
    rf"<(?!(?:{'|'.join(_FIELDS)})>)(?P<other>[A-Z][A-Za-z]*)>{_TEXT}</(?P=other)>",
)
_FIRST = re.compile(_OPENING)
# In any order; of an element that is there twice the last one counts, as with the parser.
_ENTRY = re.compile(rf"{_OPENING}(?:{'|'.join(_ELEMENTS)})*</\1>")


def read_page(body: bytes) -> Page:
    """Read an answer to ListObjectsV2 or ListObjectVersions.

    :raises BadMarkup: if it is none, or not a whole one.
    """
    try:
        plain, rest = _plain_entries(body)
        about, entries, prefixes = _parsed(rest)
        if plain:
            if entries == [_PLACEHOLDER]:
                entries = plain
            else:
                about, entries, prefixes = _parsed(body)
        # As botocore does: what was to be encoded is so only if the page says it.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html (EncodingType)
        encoded = about.get("EncodingType") == "url"
        about |= {name: _keys([about[name]], encoded)[0] for name in _ENCODED if name in about}
        return Page(
            _objects([entry for entry in entries if entry[0] == "Contents"], encoded),
            _versions([entry for entry in entries if entry[0] != "Contents"], encoded),
            _keys(prefixes, encoded),
            is_last={"true": False, "false": True}[about["IsTruncated"]],
            about=about,
        )
    except (expat.ExpatError, LookupError, TypeError, ValueError) as error:
        raise BadMarkup(f"the page is damaged: {type(error).__name__}: {error}") from error


# An entry without fields, which stands for all that were taken out: only if the parser finds it,
# and no other one, they were where elements are and not in a comment, say.
_PLACEHOLDER: Fields = (_ENTRIES[0], *(None for _ in _FIELDS))


def _plain_entries(body: bytes) -> tuple[list[Fields], bytes]:
    """The entries of a page if all are plain, and the page without them; else none, and all."""
    # One character a byte, whatever it is: what is no ASCII does not match.
    text = body.decode("latin-1")
    first = _FIRST.search(text)
    if first is None:
        return [], body
    found: list[Fields] = []
    begin = end = first.start()
    while match := _ENTRY.match(text, end):
        found.append(match.groups())
        end = match.end()
    if _FIRST.search(text, end):
        return [], body
    return found, b"%b<%b/>%b" % (body[:begin], _ENTRIES[0].encode(), body[end:])


def _parsed(body: bytes) -> tuple[dict[str, str], list[Fields], list[str]]:
    """What a page says of itself, its entries, and the common prefixes."""
    about: dict[str, str] = {}
    entries: list[tuple[str, dict[str, str]]] = []
    # What an element is is told by its name: none of those wanted stands in different places.
    entry = about
    texts: list[str] = []

    def start(name: str, _attributes: object) -> None:
        nonlocal entry
        texts.clear()
        if name in _PARENTS:
            entry = {}
            entries.append((name, entry))

    def end(name: str) -> None:
        nonlocal entry
        if name in _PARENTS:
            entry = about
        else:
            entry[name] = "".join(texts)
            texts.clear()

    made = parser()
    made.StartElementHandler = start
    made.EndElementHandler = end
    made.CharacterDataHandler = texts.append
    made.Parse(body, True)
    return (
        about,
        [(name, *map(entry.get, _FIELDS)) for name, entry in entries if name in _ENTRIES],
        [entry["Prefix"] for name, entry in entries if name == "CommonPrefixes"],
    )


# Columns, because what is done to a column is done by loops in C.


def _objects(entries: list[Fields], encoded: bool) -> list[Listed]:
    if not entries:
        return []
    _, keys, modified, etags, sizes, storage_classes, *_ = zip(*entries, strict=True)
    return list(
        map(
            Listed,
            _keys(keys, encoded),
            _unquoted(etags),
            map(int, sizes),
            map(datetime.fromisoformat, modified),
            ["STANDARD" if said is None else said for said in storage_classes],
        )
    )


def _versions(entries: list[Fields], encoded: bool) -> list[ListedVersion]:
    if not entries:
        return []
    columns = zip(*entries, strict=True)
    names, keys, modified, etags, sizes, storage_classes, ids, latest, *_ = columns
    if None in latest:
        raise KeyError("IsLatest")
    return list(
        map(
            ListedVersion,
            _keys(keys, encoded),
            ["null" if said is None else said for said in ids],
            [said == "true" for said in latest],
            [name == "DeleteMarker" for name in names],
            _unquoted(etags),
            [0 if said is None else int(said) for said in sizes],
            map(datetime.fromisoformat, modified),
            ["" if said is None else said for said in storage_classes],
        )
    )


def _keys(said: Sequence[str | None], encoded: bool) -> list[str]:
    keys = [key for key in said if key is not None]
    if len(keys) < len(said):
        raise KeyError("Key")
    if not encoded:
        return keys
    # A key without either is as it is, and most are.
    return [unquote_plus(key, errors="strict") if "%" in key or "+" in key else key for key in keys]


def _unquoted(etags: Iterable[str | None]) -> list[str]:
    return ["" if etag is None else etag.strip('"') for etag in etags]
