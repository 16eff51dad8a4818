"""Events on an EventBridge bus: their envelope, and how they get there. docs/events.md has them.

Loaded only where there is a bus.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SOURCE = "s3-backup"
VERSION = "1"
"""Of every event's `detail`. Fields may be added within a version; none goes or changes."""

BACKED_UP = "Object Backed Up"
FAILED = "Backup Failed"
FINDING = "Verification Finding"
DRILLED = "Drill Result"

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
_BATCH = 10
_TRIES = 2

Entry = Mapping[str, Any]


def entry(bus: str, detail_type: str, detail: Mapping[str, Any]) -> Entry:
    """One event, as PutEvents takes it.

    :param bus: ARN of the bus.
    :param detail: what becomes JSON, beside its version.
    """
    return {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": detail_type,
        "Detail": json.dumps({"version": VERSION, **detail}),
    }


def put(
    client: Any,  # noqa: ANN401 - botocore's clients have no static type
    entries: Sequence[Entry],
    may_go_on: Callable[[], bool] = lambda: True,
) -> list[str]:
    """Send events, ten at a time, and once more what the bus did not take.

    :param client: for EventBridge.
    :param may_go_on: whether there is time for another request.
    :returns: for each event that was not sent, why.
    """
    unsent: list[str] = []
    for start in range(0, len(entries), _BATCH):
        batch = entries[start : start + _BATCH]
        problems = ["there was no time left"] * len(batch)
        for _ in range(_TRIES):
            if not batch or not may_go_on():
                break
            batch, problems = _once(client, batch)
        unsent += problems
    return unsent


def _once(client: Any, batch: Sequence[Entry]) -> tuple[list[Entry], list[str]]:  # noqa: ANN401
    """Send one batch; returns what the bus did not take, and why."""
    try:
        answer = client.put_events(Entries=list(batch))
    except Exception as error:
        # Whatever it is, no event is worth a backup.
        return list(batch), [f"{type(error).__name__}: {error}"] * len(batch)
    left = [
        (one, f"{result['ErrorCode']}: {result.get('ErrorMessage', '')}")
        for one, result in zip(batch, answer["Entries"], strict=True)
        if result.get("ErrorCode")
    ]
    return [one for one, _ in left], [problem for _, problem in left]
