"""The function's log: lines of JSON on standard output, one event each, whole in any thread."""

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from . import metrics
from .events import Damaged
from .failures import Failed
from .records import Backup, ObjectVersion, Removal

_writing = threading.Lock()


def outcome(
    item: ObjectVersion | Removal | Damaged,
    backup: Backup | None,
    failure: Failed | None,
    seconds: float,
) -> None:
    """Say what became of one record, in a line for people and one with its metrics.

    :param backup: the result, if there is one.
    :param failure: why there is none.
    :param seconds: how long it took.
    """
    now = datetime.now(UTC)
    line: dict[str, Any] = {}
    lag = None
    if not isinstance(item, Damaged):
        line |= {"bucket": item.bucket, "key": item.key, "version": item.version_id}
        if item.event_time:
            lag = round((now - item.event_time).total_seconds(), 3)
            line["secondsSinceEvent"] = lag
    if backup is not None:
        line |= {"outcome": backup.outcome, "bytes": backup.size}
    if failure is not None:
        line |= {
            "outcome": "failed",
            "kind": failure.kind,
            "retryable": failure.retryable,
            "problem": str(failure),
        }
    line["milliseconds"] = round(seconds * 1000)
    counted = metrics.line(
        now,
        os.environ["BACKUP_BUCKET"],
        # Lambda sets it: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "unknown"),
        "unknown" if isinstance(item, Damaged) else item.bucket,
        backup,
        failure,
        lag,
        by_bucket=os.environ.get("BUCKET_METRICS") != "off",
    )
    write({**_head(now, "ERROR" if failure else "INFO"), **line}, counted)


def unsent(count: int, problem: str) -> None:
    """Say that an event bus did not take so many events, and why it did not take the first."""
    now = datetime.now(UTC)
    text = f"{count} events were not sent to the bus: {problem}"
    counted = metrics.unsent(now, os.environ["BACKUP_BUCKET"], count)
    write({**_head(now, "ERROR"), "problem": text}, counted)


def problem(text: str) -> None:
    """Say that something went wrong beside the records."""
    note("ERROR", {"problem": text})


def note(level: str, line: Mapping[str, Any]) -> None:
    """Say something else.

    :param level: INFO or ERROR.
    :param line: what becomes JSON.
    """
    write({**_head(datetime.now(UTC), level), **line})


def _head(now: datetime, level: str) -> dict[str, str]:
    # Without a time Lambda takes every line for INFO.
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    return {"timestamp": now.isoformat(), "level": level}


def write(*lines: Mapping[str, Any]) -> None:
    """Write lines as they are, whole and beside each other."""
    # Lambda passes a line of JSON on as it is, one log event each. `print` writes a line and its
    # end one after the other, and another thread could come in between.
    with _writing:
        for line in lines:
            print(json.dumps(line), flush=True)
