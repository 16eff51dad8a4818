"""Events as AWS delivers them -> `Announced` records. Makes no AWS calls."""

import json
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard
from urllib.parse import unquote_plus

from .records import ObjectVersion, Removal

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html says to
# compare the major version for equality and to tolerate newer minor ones.
_MAJOR_VERSION = "2"

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-configure-notification.html
_PUTS_MARKER = {
    "ObjectRemoved:Delete": False,
    "ObjectRemoved:DeleteMarkerCreated": True,
    "LifecycleExpiration:Delete": False,
    "LifecycleExpiration:DeleteMarkerCreated": True,
}


class UnknownEvent(Exception):
    """The event is not one that this function understands; the message says what is odd."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A record that cannot be read. Its neighbours can still be backed up."""

    problem: str


@dataclass(frozen=True, slots=True)
class Message:
    """The message of a queue that brought a record."""

    id: str
    """What the queue is told of, if the message shall come again."""
    receives: int
    """How often it has come, this time included."""


@dataclass(frozen=True, slots=True)
class Announced:
    """One record of an event, whatever way it came."""

    raw: Any
    """As it came: S3's record, or the message around what cannot be read."""
    item: ObjectVersion | Removal | Damaged
    """As it was understood."""
    message: Message | None = None
    """None if no queue is waiting for an answer."""


def parse(event: object) -> list[Announced]:
    """Read what S3 sent, directly or through a queue, or the failure record of an earlier try.

    :param event: the decoded JSON of the invocation.
    :returns: its records in order; nothing for `s3:TestEvent`, which S3 sends when a notification
        is set up.
    :raises UnknownEvent: if the event as a whole is none of these.
    """
    if not from_queue(event):
        return list(_records(event, None))
    return [
        announced
        for record in event["Records"]
        for announced in _record(record, _message(record) if _is_message(record) else None)
    ]


def from_queue(event: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a queue hands over messages, and expects to be told which of them failed.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    records = event.get("Records") if isinstance(event, Mapping) else None
    return isinstance(records, list) and any(map(_is_message, records))


def _is_message(record: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(record, Mapping) and record.get("eventSource") == "aws:sqs"


def _message(record: Mapping[str, Any]) -> Message | None:
    """None if nobody can be told its id, so that it comes again only with its whole batch."""
    message_id = record.get("messageId")
    if not isinstance(message_id, str) or not message_id:
        return None
    try:
        return Message(message_id, int(record["attributes"]["ApproximateReceiveCount"]))
    except (KeyError, TypeError, ValueError):
        return Message(message_id, 1)


def _records(event: object, message: Message | None) -> Iterator[Announced]:
    # https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    while isinstance(event, Mapping) and "requestContext" in event and "requestPayload" in event:
        event = event["requestPayload"]
    if isinstance(event, Mapping):
        if event.get("Event") == "s3:TestEvent":
            return
        records = event.get("Records")
        if isinstance(records, list) and records:
            for record in records:
                yield from _record(record, message)
            return
    raise UnknownEvent(
        "not an S3 notification: expected an object with a non-empty list 'Records'; "
        "invoke this function only through the bucket notifications of its stack"
    )


def _record(record: object, message: Message | None) -> list[Announced]:
    """What one record holds: itself, or as a message another event.

    :param message: which message all of it came in, if an answer is expected.
    """
    if not _is_message(record):
        return [Announced(record, _read(record), message)]
    try:
        return list(_records(json.loads(record["body"]), message))
    except Exception as error:
        # Whatever is wrong with one message, the others are still read.
        problem = f"unreadable message: {type(error).__name__}: {error}"
        return [Announced(record, Damaged(problem), message)]


def _read(record: object) -> ObjectVersion | Removal | Damaged:
    try:
        return _understood(record)
    except Exception as error:
        # Whatever is wrong with one record, the others are still read.
        return Damaged(f"unreadable record: {type(error).__name__}: {error}")


def _understood(record: Any) -> ObjectVersion | Removal:  # noqa: ANN401
    if record["eventSource"] != "aws:s3":
        raise ValueError(f"eventSource is {reprlib.repr(record['eventSource'])}, not 'aws:s3'")
    if str(record["eventVersion"]).split(".")[0] != _MAJOR_VERSION:
        raise ValueError(
            f"eventVersion is {reprlib.repr(record['eventVersion'])}, not {_MAJOR_VERSION}.x"
        )
    name, entity = record["eventName"], record["s3"]["object"]
    bucket = _text(record["s3"]["bucket"], "name")
    # S3 form-encodes the key. Decoding twice would turn '%2541' into 'A'.
    key = unquote_plus(_text(entity, "key"), errors="strict")
    version_id = _optional_text(entity, "versionId")
    sequencer = _optional_text(entity, "sequencer")
    time = _time(record["eventTime"])
    if name in _PUTS_MARKER:
        return Removal(bucket, key, version_id, _PUTS_MARKER[name], time, sequencer)
    if not name.startswith("ObjectCreated:"):
        raise ValueError(
            f"eventName is {reprlib.repr(name)}, neither 'ObjectCreated:...' nor a deletion"
        )
    return ObjectVersion(
        bucket,
        key,
        version_id,
        etag=_optional_text(entity, "eTag"),
        size=_optional_size(entity),
        sequencer=sequencer,
        event_time=time,
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
