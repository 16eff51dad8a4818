"""S3's HTTP answers in the form that botocore gives them, compiled from botocore's model of S3."""

import base64
import http.client
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from handler.answers import check, status_of
from handler.requests import S3Error

from .connections import Answer
from .markup import BadMarkup, Element, local_name, parse, text


class AnswerReader:
    """Reads the answers to one operation.

    :param model: botocore's `OperationModel`.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - botocore has no static types
        self._operation: str = model.name
        self._headers: dict[str, tuple[str, Callable[[str], Any]]] = {}
        self._prefixed: tuple[str, str] | None = None
        self._blob: str | None = None
        self._result: tuple[str, Callable[[Element], Any]] | None = None
        self._results: Callable[[Element], Any] | None = None
        output = model.output_shape
        if output is None:
            return
        in_body: dict[str, Any] = {}
        for name, shape in output.members.items():
            match shape.serialization.get("location"):
                case "header":
                    read = _IN_HEADERS[shape.type_name]
                    self._headers[shape.serialization["name"].lower()] = (name, read)
                case "headers":
                    self._prefixed = (shape.serialization["name"].lower(), name)
                case _:
                    in_body[name] = shape
        payload = output.serialization.get("payload")
        if payload is None:
            self._results = _structure(in_body) if in_body else None
        elif in_body[payload].type_name == "blob":
            self._blob = payload
        else:
            self._result = (payload, _value(in_body[payload]))

    def read(self, answer: Answer) -> dict[str, Any]:
        """What S3 answered.

        :raises S3Error: if it refused, or if its answer is damaged or lacks its result.
        """
        if answer.status >= http.client.MULTIPLE_CHOICES:
            raise refusal(self._operation, answer)
        try:
            found = self._from_headers(answer.headers)
            if self._blob is not None:
                found[self._blob] = answer.body
            elif answer.body:
                root = parse(answer.body)
                if local_name(root) == "Error":
                    raise _error(self._operation, root, http.client.INTERNAL_SERVER_ERROR)
                if self._result is not None:
                    payload, read = self._result
                    found[payload] = read(root)
                elif self._results is not None:
                    found |= self._results(root)
        except (BadMarkup, ValueError) as error:
            raise S3Error(self._operation, "ResponseParserError", 0, str(error)) from error
        check(self._operation, found)
        return found

    def _from_headers(self, headers: Mapping[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        prefix, prefixed = self._prefixed or ("", "")
        if prefix:
            found[prefixed] = {
                name[len(prefix) :]: value
                for name, value in headers.items()
                if name.startswith(prefix)
            }
        for wire, value in headers.items():
            known = self._headers.get(wire)
            if known is None:
                continue
            name, read = known
            if name == "Expires":
                # It need not be a date.
                found["ExpiresString"] = value
                try:
                    found[name] = read(value)
                except ValueError:
                    continue
            else:
                found[name] = read(value)
        return found


def refusal(operation: str, answer: Answer) -> S3Error:
    """The error that an answer is."""
    try:
        root = parse(answer.body) if answer.body else None
    except BadMarkup:
        root = None
    if root is not None and local_name(root) == "Error":
        return _error(operation, root, answer.status)
    reason = http.client.responses.get(answer.status, "")
    return S3Error(operation, str(answer.status), answer.status, reason)


def _error(operation: str, root: Element, status: int) -> S3Error:
    said = {local_name(child): text(child) for child in root}
    code = said.get("Code") or str(status)
    return S3Error(
        operation, code, status_of(code, status), said.get("Message", ""), said.get("Condition")
    )


@lru_cache(maxsize=4096)
def _http_time(text: str) -> datetime:
    # Objects come in bursts: many have the same second.
    return parsedate_to_datetime(text).astimezone(UTC)


def _boolean(text: str) -> bool:
    return text.lower() == "true"


_IN_HEADERS: Mapping[str, Callable[[str], Any]] = {
    "boolean": _boolean,
    "integer": int,
    "long": int,
    "string": str,
    "timestamp": _http_time,
}
_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "blob": base64.b64decode,
    "boolean": _boolean,
    "integer": int,
    "long": int,
    "string": str,
    "timestamp": datetime.fromisoformat,
}


def _value(shape: Any) -> Callable[[Element], Any]:  # noqa: ANN401
    match shape.type_name:
        case "structure":
            return _structure(shape.members)
        case "list":
            wanted = shape.member.serialization.get("name", "member")
            member = _value(shape.member)
            return lambda element: [
                member(child) for child in element if local_name(child) == wanted
            ]
        case scalar:
            read = _SCALARS[scalar]
            return lambda element: read(text(element))


def _structure(members: Mapping[str, Any]) -> Callable[[Element], dict[str, Any]]:
    single: dict[str, tuple[str, Callable[[Element], Any]]] = {}
    repeated: dict[str, tuple[str, Callable[[Element], Any]]] = {}
    for name, shape in members.items():
        wire = shape.serialization.get("name", name)
        if shape.type_name == "list" and shape.serialization.get("flattened"):
            wire = shape.member.serialization.get("name", wire)
            repeated[wire] = (name, _value(shape.member))
        else:
            single[wire] = (name, _value(shape))

    def read(element: Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in element:
            wire = local_name(child)
            if wire in single:
                member, value = single[wire]
                found[member] = value(child)
            elif wire in repeated:
                member, value = repeated[wire]
                found.setdefault(member, []).append(value(child))
        return found

    return read
