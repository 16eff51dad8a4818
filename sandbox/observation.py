"""What an operator would look at: the function's log lines and the failure queue."""

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from .aliases import Client

T = TypeVar("T")


class NotInTimeError(TimeoutError):
    """What was waited for did not happen."""


def wait_for(look: Callable[[], T], what: str, seconds: float = 60) -> T:
    """Look again and again until there is something true to see.

    :raises NotInTimeError: after so many seconds, with what was seen last.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise NotInTimeError(f"{what}: not within {seconds:g} seconds; last seen: {seen!r}")
        time.sleep(0.1)


def outcomes(logs: Client, log_group: str) -> list[dict[str, Any]]:
    """The function's own log lines, one per record that it handled, oldest first."""
    events: list[dict[str, Any]] = []
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=log_group):
        events += page["events"]
    events.sort(key=lambda event: event["timestamp"])
    lines = [event["message"] for event in events if event["message"].startswith("{")]
    return [line for line in map(json.loads, lines) if "outcome" in line]


def failures(sqs: Client, queue_url: str) -> list[dict[str, Any]]:
    """The records in the failure queue, which stay there."""
    found: dict[str, dict[str, Any]] = {}
    while True:
        messages = sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, VisibilityTimeout=2
        ).get("Messages", [])
        new = [message for message in messages if message["MessageId"] not in found]
        if not new:
            return list(found.values())
        found |= {message["MessageId"]: json.loads(message["Body"]) for message in new}
