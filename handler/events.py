"""Events as AWS delivers them -> `ObjectVersion` records. Makes no AWS calls."""

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from .records import ObjectVersion

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html says to
# compare the major version for equality and to tolerate newer minor ones.
_MAJOR_VERSION = "2"


class UnknownEvent(Exception):
    """The event is not one that this function understands; the message says what is odd."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A record that cannot be read. Its neighbours can still be backed up."""

    problem: str


def parse(event: object) -> Iterator[tuple[Any, ObjectVersion | Damaged]]:
    """Read what S3 sent, or the failure record of an earlier try.

    :param event: the decoded JSON of the invocation.
    :returns: each record as it came and as it was understood, in order; nothing for
        `s3:TestEvent`, which S3 sends when a notification is set up.
    :raises UnknownEvent: if the event as a whole is neither.
    """
    if isinstance(event, Mapping):
        # https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        if "requestContext" in event and "requestPayload" in event:
            return parse(event["requestPayload"])
        if event.get("Event") == "s3:TestEvent":
            return iter(())
        records = event.get("Records")
        if isinstance(records, list) and records:
            return ((record, _read(record)) for record in records)
    raise UnknownEvent(
        "not an S3 notification: expected an object with a non-empty list 'Records'; "
        "invoke this function only through the bucket notifications of its stack"
    )


def _read(record: object) -> ObjectVersion | Damaged:
    try:
        return _object_version(record)
    except Exception as error:
        # Whatever is wrong with one record, the others are still read.
        return Damaged(f"unreadable record: {type(error).__name__}: {error}")


def _object_version(record: Any) -> ObjectVersion:  # noqa: ANN401
    if record["eventSource"] != "aws:s3":
        raise ValueError(f"eventSource is {reprlib.repr(record['eventSource'])}, not 'aws:s3'")
    if str(record["eventVersion"]).split(".")[0] != _MAJOR_VERSION:
        raise ValueError(
            f"eventVersion is {reprlib.repr(record['eventVersion'])}, not {_MAJOR_VERSION}.x"
        )
    if not record["eventName"].startswith("ObjectCreated:"):
        raise ValueError(
            f"eventName is {reprlib.repr(record['eventName'])}, not 'ObjectCreated:...'"
        )
    entity = record["s3"]["object"]
    return ObjectVersion(
        bucket=_text(record["s3"]["bucket"], "name"),
        # S3 form-encodes the key. Decoding twice would turn '%2541' into 'A'.
        key=unquote_plus(_text(entity, "key"), errors="strict"),
        version_id=_optional_text(entity, "versionId"),
        etag=_optional_text(entity, "eTag"),
        size=_optional_size(entity),
        sequencer=_optional_text(entity, "sequencer"),
        event_time=_time(record["eventTime"]),
    )


def _text(holder: Mapping[str, object], field: str) -> str:
    value = holder[field]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{field} is {reprlib.repr(value)}, not a non-empty text")
    return value


def _optional_text(holder: Mapping[str, object], field: str) -> str | None:
    return None if holder.get(field) is None else _text(holder, field)


def _optional_size(entity: Mapping[str, object]) -> int | None:
    size = entity.get("size")
    if size is None:
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"size is {reprlib.repr(size)}, not a number of bytes")
    return size


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"eventTime {text!r} has no time zone")
    return time
