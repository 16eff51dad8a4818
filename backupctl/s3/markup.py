"""XML as S3 sends it, by the standard library's parser.

What S3 never sends, a document type with its entities foremost, is refused.
"""

from xml.etree.ElementTree import Element, ParseError, fromstring

_DOCUMENT_TYPE = b"<!DOCTYPE"


class BadMarkup(Exception):
    """It is no XML, or XML that S3 does not send."""


def parse(body: bytes) -> Element:
    """The root element.

    :raises BadMarkup: as the class says.
    """
    # In UTF-16 there are zeros between the letters. No other encoding that the parser takes writes
    # this in another way.
    if _DOCUMENT_TYPE in body.replace(b"\0", b""):
        raise BadMarkup("the answer has a document type, which S3 never sends")
    try:
        # Entities cannot be declared without one.
        return fromstring(body)  # noqa: S314 - see above
    # Of encodings that it does not know, or that are not of texts, Python complains itself.
    except (ParseError, LookupError, ValueError) as error:
        raise BadMarkup(f"the answer is no XML: {error}") from error


def local_name(element: Element) -> str:
    """What an element is called, without its namespace."""
    return element.tag.rpartition("}")[2]


def text(element: Element) -> str:
    """What is written directly in an element."""
    return element.text or ""
