"""S3's operations as HTTP requests, compiled from botocore's model of S3."""

import base64
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from botocore.serialize import create_serializer

# What a key may have besides letters and digits without being encoded.
# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
_PLAIN_IN_PATHS = "-._~/"
_PLAIN = "-._~"


class Prepared(NamedTuple):
    """A request without address and signature."""

    method: str
    path: str
    """What follows the bucket: empty, or a slash and the encoded key."""
    query: str
    """Encoded and sorted."""
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes


class RequestWriter:
    """Writes the requests of one operation.

    :param model: botocore's `OperationModel`.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - botocore has no static types
        self._model = model
        self._method: str = model.http["method"]
        path, _, query = model.http["requestUri"].partition("?")
        self._has_key = "{Key" in path
        self._query = [tuple(pair.partition("=")[::2]) for pair in query.split("&") if pair]
        self._body = model.input_shape.serialization.get("payload")
        self._headers: dict[str, _Place] = {}
        self._in_query: dict[str, _Place] = {}
        self._prefixes: dict[str, str] = {}
        self._in_path: set[str] = set()
        for name, shape in model.input_shape.members.items():
            match shape.serialization.get("location"):
                case "header":
                    self._headers[name] = _Place.of(name, shape)
                case "querystring":
                    self._in_query[name] = _Place.of(name, shape)
                case "headers":
                    self._prefixes[name] = shape.serialization["name"].lower()
                case "uri":
                    self._in_path.add(name)
                case _:
                    continue

    def write(self, parameters: Mapping[str, Any]) -> Prepared:
        """Make a request of the operation's parameters.

        :raises KeyError, TypeError, ValueError: if they are not such.
        """
        path = ""
        query = self._query
        headers: dict[str, str] = {}
        body = b""
        for name, value in parameters.items():
            if name in self._headers:
                place = self._headers[name]
                headers[place.name] = place.text(value)
            elif name in self._in_path:
                if name == "Key":
                    path = f"/{quote(_text(value), safe=_PLAIN_IN_PATHS)}"
            elif name in self._in_query:
                place = self._in_query[name]
                query = [*query, (place.name, place.text(value))]
            elif name in self._prefixes:
                prefix = self._prefixes[name]
                for key, text in value.items():
                    headers[f"{prefix}{_ascii(key).lower()}"] = _ascii(text)
            elif name == self._body:
                body = self._written_body(parameters)
            else:
                raise KeyError(name)
        if self._has_key and len(path) < 2:
            raise ValueError("there is no key")
        if body and self._model.http_checksum:
            _add_checksum(headers, body)
        return Prepared(self._method, path, _encoded(query) if query else "", headers, body)

    def _written_body(self, parameters: Mapping[str, Any]) -> bytes:
        content = parameters[self._body]
        if self._model.input_shape.members[self._body].type_name == "blob":
            return content if isinstance(content, bytes) else bytes(content)
        # Few requests have a structure as their body: botocore writes those.
        wanted = {
            name: parameters[name] for name in ("Bucket", "Key", self._body) if name in parameters
        }
        serializer = create_serializer(self._model.service_model.protocol, include_validation=False)
        written: Any = serializer.serialize_to_request(wanted, self._model)["body"]
        return bytes(written)


class _Place(NamedTuple):
    """Where in a request a parameter goes."""

    name: str
    text: Callable[[Any], str]

    @classmethod
    def of(cls, name: str, shape: Any) -> "_Place":  # noqa: ANN401
        wire = shape.serialization.get("name", name)
        text = _copy_source if name == "CopySource" else _TEXT[shape.type_name]
        return cls(wire if shape.serialization["location"] == "querystring" else wire.lower(), text)


def _encoded(query: Iterable[tuple[str, ...]]) -> str:
    """Sorted, as the signature needs it."""
    pairs = sorted((quote(key, safe=_PLAIN), quote(value, safe=_PLAIN)) for key, value in query)
    return "&".join(map("=".join, pairs))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _ascii(value: object) -> str:
    # botocore refuses it too: nobody knows in which encoding it would be read.
    text = _text(value)
    if not text.isascii():
        raise ValueError(f"{text!r} is not ASCII")
    return text


def _number(value: object) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a whole number")
    return str(value)


def _boolean(value: object) -> str:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return "true" if value else "false"


def _time(value: object) -> str:
    # A text is sent as it is: the Expires of an object need not be a date.
    return format_datetime(value, usegmt=True) if isinstance(value, datetime) else _text(value)


def _list(value: object) -> str:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is not a list")
    return ",".join(map(_text, value))


def _copy_source(value: Mapping[str, str]) -> str:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    place = quote(f"{value['Bucket']}/{value['Key']}", safe=_PLAIN_IN_PATHS)
    version = value.get("VersionId")
    return place if version is None else f"{place}?versionId={quote(version, safe=_PLAIN)}"


_TEXT: Mapping[str, Callable[[Any], str]] = {
    "boolean": _boolean,
    "integer": _number,
    "list": _list,
    "long": _number,
    "map": _text,
    "string": _text,
    "timestamp": _time,
}


def _add_checksum(headers: dict[str, str], body: bytes) -> None:
    """Where objects are locked by default, S3 takes no body without a checksum.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
    """
    if not any(name.startswith("x-amz-checksum-") for name in headers):
        headers["x-amz-sdk-checksum-algorithm"] = "CRC32"
        crc = zlib.crc32(body).to_bytes(4, "big")
        headers["x-amz-checksum-crc32"] = base64.b64encode(crc).decode()
