"""Pages of listings, compared with what a plain reading of their markup gives."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote_plus, unquote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from backupctl.s3 import Listed, ListedVersion, pages
from backupctl.s3.listing import Page
from backupctl.s3.markup import BadMarkup, parse
from backupctl.s3.pages import read_page
from tests.backupctl.s3.bodies import AWKWARD, objects_page

WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


FIELDS = {"Key", "LastModified", "ETag", "Size", "StorageClass", "VersionId", "IsLatest"}


def plainly_read(body: bytes) -> Page:
    """The page, slowly.

    :raises BadMarkup: if it is no XML.
    :raises Exception: if it lacks something.
    """
    root = parse(body)
    assert _name(root) in {"ListBucketResult", "ListVersionsResult"}
    assert {etree.QName(child).namespace for child in root} <= {etree.QName(root).namespace}
    # Of what is there twice, the first counts.
    about = {_name(child): child.text or "" for child in reversed(root)}
    assert [_name(child) for child in root].count("IsTruncated") == 1
    encoded = about.get("EncodingType") == "url"
    decode = partial(unquote_plus, errors="strict") if encoded else str
    objects: list[Listed] = []
    versions: list[ListedVersion] = []
    prefixes: list[str] = []
    for child in root:
        said = {_name(field): field.text or "" for field in reversed(child)}
        if _name(child) in {"Contents", "Version", "DeleteMarker"}:
            assert not [field for field in child if _name(field) in FIELDS and len(field)]
            assert datetime.fromisoformat(said["LastModified"]).tzinfo
        match _name(child):
            case "Contents":
                objects.append(
                    Listed(
                        decode(said["Key"]),
                        said.get("ETag", "").strip('"'),
                        int(said["Size"]),
                        datetime.fromisoformat(said["LastModified"]),
                        said.get("StorageClass", "STANDARD"),
                    )
                )
            case "Version" | "DeleteMarker" as name:
                versions.append(
                    ListedVersion(
                        decode(said["Key"]),
                        said.get("VersionId", "null"),
                        {"true": True}.get(said["IsLatest"], False),
                        name == "DeleteMarker",
                        said.get("ETag", "").strip('"'),
                        int(said.get("Size", "0")),
                        datetime.fromisoformat(said["LastModified"]),
                        said.get("StorageClass", ""),
                    )
                )
            case "CommonPrefixes":
                prefixes.append(decode(said["Prefix"]))
            case _:
                pass
    is_last = {"true": False, "false": True}[about["IsTruncated"]]
    return Page(objects, versions, prefixes, is_last, about)


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname


NAMES = ("EncodingType", "IsTruncated", "NextContinuationToken", "NextVersionIdMarker")


def told(read: Callable[[bytes], Page], body: bytes) -> Any:
    """What the page lists and whether it is the last one, or that it is none."""
    try:
        page = read(body)
    except BadMarkup:
        return "damaged"
    except Exception:
        assert read is plainly_read
        return "damaged"
    return page[:-1], {name: page.about.get(name) for name in NAMES}


# ---- pages as S3 and its likes send them --------------------------------------------------------

KEYS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1
) | st.sampled_from(AWKWARD)
WRITTEN_HOW: list[Callable[[str], str]] = [
    lambda text: escape(text, {'"': "&quot;"}),
    lambda text: escape(text, {'"': "&#34;"}),
    escape,
    lambda text: "".join(f"&#{ord(character)};" for character in text),
    lambda text: f"<![CDATA[{text}]]>" if "]]>" not in text else escape(text),
    lambda text: f"<!-- before -->{escape(text)}<?or after?>",
]
# Most pages are written in one way from beginning to end.
USUALLY = st.just(WRITTEN_HOW[0])
UNUSUALLY = st.sampled_from(WRITTEN_HOW)
ETAGS = st.sampled_from(['"abc"', "abc", '"abc-12"', '""', "", '"'])
TIMES = st.sampled_from(["2026-03-04T05:06:07.000Z", "2007-11-30T23:59:59.999Z"])
OTHERS = st.lists(
    st.sampled_from(
        [
            "<Owner><ID>o</ID><DisplayName>d&amp;d</DisplayName></Owner>",
            "<Owner><ID>o</ID></Owner>",
            "<Owner/>",
            "<Owner></Owner>",
            "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>",
            "<ChecksumType>FULL_OBJECT</ChecksumType>",
            "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress></RestoreStatus>",
            '<Type attribute="a">Normal</Type>',
            "\n  ",
            "<!-- a note -->",
        ]
    ),
    max_size=2,
)


@st.composite
def entries(draw: st.DrawFn, name: str, how: st.SearchStrategy[Any], *, encoded: bool) -> str:
    """One entry."""
    key = draw(KEYS)
    fields = {
        "Key": quote_plus(key, safe="/") if encoded else key,
        "LastModified": draw(TIMES),
        "ETag": draw(ETAGS),
        "Size": str(draw(st.integers(0, 5 << 40))),
        "StorageClass": draw(st.sampled_from(["STANDARD", "GLACIER", "DEEP_ARCHIVE"])),
    }
    if name != "Contents":
        fields["VersionId"] = draw(st.sampled_from(["null", "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"]))
        fields["IsLatest"] = draw(st.sampled_from(["true", "false"]))
    # Each may be missing now and then, even if it never should.
    left = draw(st.lists(st.sampled_from(sorted(fields)), max_size=1))
    missing = left if draw(st.integers(0, 9)) == 0 else []
    if name == "DeleteMarker":
        missing = [*missing, "ETag", "Size", "StorageClass"]
    elements = [
        f"<{field}>{draw(how)(text)}</{field}>"
        for field, text in fields.items()
        if field not in missing
    ]
    elements += draw(OTHERS)
    if draw(st.booleans()):
        elements = draw(st.permutations(elements))
    return f"<{name}>{''.join(elements)}</{name}>"


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A page of objects or of versions."""
    encoded = draw(st.booleans())
    names = draw(
        st.sampled_from([["Contents"], ["Version", "DeleteMarker"], ["Contents", "Version"]])
    )
    how = draw(st.sampled_from([USUALLY, UNUSUALLY]))
    listed = draw(
        st.lists(
            st.sampled_from(names).flatmap(lambda n: entries(n, how, encoded=encoded)), max_size=4
        )
    )
    prefixes = [
        f"<CommonPrefixes><Prefix>{escape(quote_plus(key) if encoded else key)}</Prefix>"
        "</CommonPrefixes>"
        for key in draw(st.lists(KEYS, max_size=2))
    ]
    about = [
        "<Name>b</Name>",
        "<Prefix/>",
        f"<IsTruncated>{draw(st.sampled_from(['true', 'false']))}</IsTruncated>",
        *(["<EncodingType>url</EncodingType>"] if encoded else []),
    ]
    parts = draw(st.sampled_from([[*about, *listed, *prefixes], [*prefixes, *listed, *about]]))
    root = draw(st.sampled_from(["ListBucketResult", "ListVersionsResult"]))
    head = draw(st.sampled_from(['<?xml version="1.0" encoding="UTF-8"?>\n', ""]))
    between = draw(st.sampled_from(["", "", "\n "]))
    space = draw(st.sampled_from([NAMESPACE, ""]))
    return f"{head}<{root}{space}>{between.join(parts)}</{root}>".encode()


@given(bodies())
def test_a_page_says_what_its_markup_says(body: bytes) -> None:
    assert told(read_page, body) == told(plainly_read, body)


@given(st.data())
def test_a_page_with_a_fault_says_what_its_markup_says(data: st.DataObject) -> None:
    body = data.draw(bodies())
    place = data.draw(st.integers(0, len(body)))
    length = data.draw(st.integers(0, 12))
    instead = data.draw(st.sampled_from([b"", b"<", b">", b"&", b'"', b" ", b"\0", b"\xff", b"1"]))
    damaged = body[:place] + instead + body[place + length :]
    assert told(read_page, damaged) == told(plainly_read, damaged)


ENTRY = (
    "<Contents><Key>k</Key><LastModified>2026-03-04T05:06:07.000Z</LastModified>"
    "<ETag>&quot;e&quot;</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
AROUND = f"<ListBucketResult{NAMESPACE}><IsTruncated>false</IsTruncated>%s</ListBucketResult>"


@pytest.mark.parametrize(
    "markup",
    [
        f"<!-- {ENTRY} -->",
        f"<![CDATA[{ENTRY}]]>",
        f"<?note {ENTRY} ?>",
        f'<Note about="{ENTRY}"/>',
        f"<!-- {ENTRY} -->{ENTRY}",
        f"{ENTRY}<!-- {ENTRY} -->",
        f"{ENTRY}{ENTRY.replace('<Key>', '<Key >')}{ENTRY}",
        f"{ENTRY}<Contents/>",
        f"{ENTRY.replace('Contents>', 'Version>')}",
        ENTRY.replace("</Contents>", "</Version>"),
        ENTRY.replace("<Size>1</Size>", "<Size>1</Key>"),
        ENTRY.replace("<Size>1</Size>", "<Size>1</Size><Other>2</Another>"),
        ENTRY.replace("<Size>1</Size>", "<Size>1</Size><Size>2</Size>"),
        ENTRY.replace("<Size>1</Size><StorageClass>STANDARD</StorageClass>", "<Size>1</Size>" * 2),
        ENTRY.replace("<StorageClass>STANDARD</StorageClass>", "<Size>2</Size>"),
        ENTRY.replace("<Key>k</Key>", "<Key></Key>"),
        ENTRY.replace("<Key>k</Key>", "<Key/>"),
        ENTRY.replace("<Key>k</Key>", "<Key>]]></Key>"),
        ENTRY.replace("<Key>k</Key>", "<Key>k&nothing;</Key>"),
        ENTRY.replace("<Key>k</Key>", "<Key>\x7f</Key>"),
        ENTRY.replace("<Key>k</Key>", "<Key>\x01</Key>"),
        ENTRY.replace("<Key>k</Key>", "<Key>a\r\nb</Key>"),
        ENTRY.replace("<Key>k</Key>", ""),
        ENTRY.replace("<Key>k</Key>", "<Key>a</Key><Key>b</Key>")
        + ENTRY.replace("<Key>k</Key>", ""),
        ENTRY.replace("<Key>k</Key>", "<Key>a<x/>b</Key>") + ENTRY.replace("<Key>k</Key>", ""),
        ENTRY.replace("<Key>k</Key>", "<Key><x/>b</Key>"),
        ENTRY.replace("000Z", "000"),
        ENTRY.replace("<Contents>", f"<Contents{NAMESPACE}>"),
        ENTRY.replace("<Contents>", '<Contents xmlns="">'),
        ENTRY.replace("<Contents>", '<Contents xmlns="urn:other">'),
        ENTRY.replace("<Key>", '<Key xmlns="urn:other">'),
        f"{ENTRY}<IsTruncated>true</IsTruncated>",
    ],
)
@pytest.mark.parametrize("space", [NAMESPACE, ""])
def test_what_only_looks_like_an_entry_is_none(markup: str, space: str) -> None:
    body = (AROUND % markup).replace(NAMESPACE, space, 1).encode()
    assert told(read_page, body) == told(plainly_read, body)


def test_a_page_in_another_encoding_is_read_in_it() -> None:
    text = AROUND % ENTRY.replace(">k<", ">k\u00e9<")
    expected = [Listed("k\u00e9", "e", 1, WHEN, "STANDARD")]
    assert read_page(text.encode("utf-16")).objects == expected
    declared = f'<?xml version="1.0" encoding="ISO-8859-1"?>{text}'
    assert read_page(declared.encode("latin-1")).objects == expected
    with pytest.raises(BadMarkup):
        read_page(text.encode("latin-1"))


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE ListBucketResult>",
        '<!DOCTYPE a [<!ENTITY b "c">]>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_page_with_a_document_type_is_refused(doctype: str, encoding: str) -> None:
    with pytest.raises(BadMarkup, match="document type"):
        read_page((doctype + AROUND % ENTRY).encode(encoding))


@pytest.mark.parametrize(
    "odd",
    [
        "<Key>k</Key>" * 60 + "<b/>",
        "<ETag>&quot;e&quot;</ETag>" * 60 + "<b/>",
        "<Owner><ID>o</ID></Owner>" * 60 + "<b/>",
        "<Owner></Owner>" * 60 + "<b/>",
        "<Other>o</Other>" * 60 + "<b/>",
        "<Owner>" + "<ID>o</ID>" * 60 + "<b/></Owner>",
        f"<Other>{'o' * 5_000_000}</Other>",
    ],
    ids=lambda odd: odd[:12],
)
def test_an_odd_entry_takes_no_longer_than_its_length(odd: str) -> None:
    body = (AROUND % ENTRY.replace("</Contents>", f"{odd}</Contents>")).encode()
    assert read_page(body).objects == [Listed("k", "e", 1, WHEN, "STANDARD")]


# After the examples in https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html, with the elements
# that their syntax has beside those.
OWNER = "<Owner><ID>75aa57f09aa0c8ca</ID><DisplayName>someone</DisplayName></Owner>"
WRITTEN = "<LastModified>2026-03-04T05:06:07.000Z</LastModified>"
OBJECT = (
    f"<Key>k</Key>{WRITTEN}<ETag>&quot;e&quot;</ETag>%s<Size>1</Size>"
    f"<StorageClass>STANDARD</StorageClass>"
)
CHECKSUM = (
    "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
)
OF_A_VERSION = "<VersionId>v</VersionId><IsLatest>true</IsLatest>"


TWINS = [
    f"<Contents>{OBJECT % ''}</Contents>" * 3,
    f"<Contents>{OBJECT % CHECKSUM}{OWNER}</Contents>" * 3,
    f"<Version>{OBJECT % ''}{OF_A_VERSION}{OWNER}</Version>" * 2,
]


@pytest.mark.parametrize("listed", TWINS, ids=["plain", "with checksums", "versions"])
def test_usual_pages_are_read_the_fast_way(listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pages, "_row")
    body = (AROUND % listed).encode()
    assert told(read_page, body) == told(plainly_read, body)


@pytest.mark.parametrize(
    "listed",
    [
        f"<Contents>{OBJECT % ''}</Contents><Contents>{OBJECT % CHECKSUM}</Contents>",
        f"{TWINS[2]}<DeleteMarker><Key>k</Key>{OF_A_VERSION}{WRITTEN}{OWNER}</DeleteMarker>",
        f"{TWINS[0]}<Other/>{TWINS[0]}",
        f"<Other>{TWINS[0]}</Other>{TWINS[0]}",
        f"{TWINS[0]}{TWINS[2]}",
        f"{TWINS[0]}<Contents><Key/>{WRITTEN}<ETag/><Size>1</Size></Contents>",
        f"{TWINS[0]}<Contents>{OBJECT.replace('<Key>k</Key>', '') % ''}<Key>k</Key></Contents>",
        f"<Contents>{OBJECT % ''}<A/><B/></Contents><Contents>{OBJECT % ''}<B/><A/></Contents>",
    ],
    ids=[
        "some checksums",
        "a marker",
        "one between",
        "nested",
        "both",
        "empty",
        "another order",
        "others",
    ],
)
def test_others_are_read_as_well(listed: str) -> None:
    body = (AROUND % listed).encode()
    assert told(read_page, body) == told(plainly_read, body) != "damaged"


def test_objects_with_all_that_is_said_of_them() -> None:
    page = read_page(objects_page(AWKWARD, "t"))
    assert page.objects == [Listed(key, "abc", 1, WHEN, "GLACIER") for key in AWKWARD]
    assert not page.is_last
    assert page.about["NextContinuationToken"] == "t"


def test_versions_and_delete_markers_in_their_order() -> None:
    entry = "<Key>a%2Bb</Key><LastModified>2026-03-04T05:06:07.000Z</LastModified>"
    body = (
        "<ListVersionsResult><NextKeyMarker>a%2Bb</NextKeyMarker>"
        "<NextVersionIdMarker>v1</NextVersionIdMarker><IsTruncated>true</IsTruncated>"
        f"<DeleteMarker>{entry}<VersionId>v3</VersionId><IsLatest>true</IsLatest>"
        "<Owner><ID>o</ID></Owner></DeleteMarker>"
        f"<Version>{entry}<VersionId>v1</VersionId><IsLatest>false</IsLatest><Size>7</Size>"
        "<ETag>&quot;x&quot;</ETag><StorageClass>STANDARD</StorageClass></Version>"
        "<CommonPrefixes><Prefix>c%20d/</Prefix></CommonPrefixes>"
        "<EncodingType>url</EncodingType></ListVersionsResult>"
    )
    page = read_page(body.encode())
    assert page.versions == [
        ListedVersion("a+b", "v3", True, True, "", 0, WHEN, ""),
        ListedVersion("a+b", "v1", False, False, "x", 7, WHEN, "STANDARD"),
    ]
    assert page.prefixes == ["c d/"]
    assert page.about["NextKeyMarker"] == "a+b"


def test_keys_are_decoded_only_where_the_page_says_that_they_are_encoded() -> None:
    body = objects_page(["a b"]).replace(b"<EncodingType>url</EncodingType>", b"")
    assert [entry.key for entry in read_page(body).objects] == ["a+b"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<ListBucketResult></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>false</IsTruncated>",
        b"<html>busy</html>",
        b"<Other><IsTruncated>false</IsTruncated></Other>",
        objects_page(["k"]).replace(b"<Size>1</Size>", b""),
        objects_page(["k"]).replace(b"<Size>1</Size>", b"<Size>many</Size>"),
        objects_page(["k"]).replace(b"2026", b"today"),
        objects_page(["k"]).replace(b"<Key>k</Key>", b"<Key>%FF</Key>"),
        objects_page(["k"])[:-20],
        objects_page(["k"]).replace(b"UTF-8", b"unheard-of"),
        b"<b>" * 5000 + b"</b>" * 5000,
    ],
    ids=lambda body: body[:400].decode(),
)
def test_a_damaged_page_is_no_page(body: bytes) -> None:
    with pytest.raises(BadMarkup):
        read_page(body)
