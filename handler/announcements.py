"""Tells an event bus what became of records. Loaded only where the environment names a bus.

No event is worth a backup: what cannot be sent in time is counted, and the records end as they did.
"""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import backup_keys, clients, event_bus, log
from .events import Damaged
from .failure_queue import short
from .records import ObjectVersion, Outcome

if TYPE_CHECKING:
    from .attempts import Attempt

# What one request may take with the client's timeouts, and a little for the answer.
_SECONDS_FOR_A_REQUEST = 6.0


def send(attempts: Sequence["Attempt"], context: Any) -> None:  # noqa: ANN401 - Lambda's own class
    """Announce each failure, and each backup where the environment asks for it.

    :param attempts: all of them have ended.
    :param context: Lambda's context object.
    """
    entries = list(_entries(attempts, context))
    if not entries:
        return

    def may_go_on() -> bool:
        return context.get_remaining_time_in_millis() / 1000 >= _SECONDS_FOR_A_REQUEST

    try:
        unsent = event_bus.put(clients.events(), entries, may_go_on)
    except Exception as error:
        unsent = [f"{type(error).__name__}: {error}"] * len(entries)
    if unsent:
        log.unsent(len(unsent), unsent[0])


def _entries(attempts: Sequence["Attempt"], context: Any) -> Iterator[event_bus.Entry]:  # noqa: ANN401
    bus = os.environ["EVENT_BUS"]
    success = os.environ.get("EVENT_SUCCESS") == "on"
    for attempt in attempts:
        item, backup, failure = attempt.item, attempt.backup, attempt.failure
        about: dict[str, Any] = {
            "backupBucket": os.environ["BACKUP_BUCKET"],
            "sourceBucket": None,
            "key": None,
            "versionId": None,
            "eventTime": None,
            "functionArn": context.invoked_function_arn,
            "requestId": context.aws_request_id,
        }
        if not isinstance(item, Damaged):
            about |= {"sourceBucket": item.bucket, "key": item.key, "versionId": item.version_id}
            about["eventTime"] = item.event_time.isoformat() if item.event_time else None
        if failure is not None:
            why = {
                "kind": failure.kind,
                "problem": short(str(failure)),
                "retryable": failure.retryable,
            }
            yield event_bus.entry(bus, event_bus.FAILED, {**about, **why})
        elif (
            success
            and isinstance(item, ObjectVersion)
            and backup is not None
            and backup.outcome is Outcome.COPIED
        ):
            copied = {
                "backupKey": backup_keys.backup_key(item.bucket, item.key),
                "bytes": backup.size,
            }
            yield event_bus.entry(bus, event_bus.BACKED_UP, {**about, **copied})
