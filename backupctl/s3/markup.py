"""XML as S3 sends it, by the expat parser. What S3 never sends, a document type with its entities
foremost, is refused."""

from typing import NoReturn
from xml.parsers import expat


class BadMarkup(Exception):
    """It is no XML, or XML that S3 does not send."""


class Element:
    """One element, without attributes and namespaces."""

    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        """Directly in the element."""
        self.children: list[Element] = []


def parser() -> "expat.XMLParserType":
    """A parser that refuses document types, for whoever wants to handle elements itself."""
    made = expat.ParserCreate()
    made.buffer_text = True
    made.StartDoctypeDeclHandler = _refuse
    return made


def parse(body: bytes) -> Element:
    """The root element.

    :raises BadMarkup: as the class says.
    """
    top = Element("")
    open_elements = [top]
    texts: list[str] = []
    text = texts.append

    def start(name: str, _attributes: object) -> None:
        texts.clear()
        element = Element(name.rpartition(":")[2])
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_name: str) -> None:
        open_elements.pop().text = "".join(texts)
        texts.clear()

    made = parser()
    made.StartElementHandler = start
    made.EndElementHandler = end
    made.CharacterDataHandler = text
    try:
        made.Parse(body, True)
    # Of encodings that it does not know, or that are not of texts, Python complains itself.
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise BadMarkup(f"the answer is no XML: {error}") from error
    return top.children[0]


def _refuse(*_: object) -> NoReturn:
    raise BadMarkup("the answer has a document type, which S3 never sends")
