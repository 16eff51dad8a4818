"""XML as S3 sends it, by the parser of lxml.

What S3 never sends, a document type with its entities foremost, is refused.
"""

from lxml import etree

Element = etree._Element  # noqa: SLF001 - that is its public name, https://lxml.de/api.html

# Comments and instructions are no elements; they would be met among these.
_PARSER = etree.XMLParser(
    resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
)


class BadMarkup(Exception):
    """It is no XML, or XML that S3 does not send."""


def parse(body: bytes) -> Element:
    """The root element.

    :raises BadMarkup: as the class says.
    """
    try:
        root = etree.fromstring(body, _PARSER)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadMarkup(f"the answer is damaged, and no XML: {error}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadMarkup("the answer has a document type, which S3 never sends")
    return root


def local_name(element: Element) -> str:
    """What an element is called, without its namespace."""
    return element.tag.rpartition("}")[2]


def text(element: Element) -> str:
    """What is written directly in an element."""
    return element.text or ""
