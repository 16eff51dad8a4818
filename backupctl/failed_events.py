"""Messages of the failure queue: which records failed and why, whoever put them there.

There are envelopes of Lambda's (an invocation failed for the last time), the function's own in the
same form (handler/failure_queue.py), and messages that SQS moved there itself, without a reason.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handler.concurrency import lanes
from handler.events import Damaged, UnknownEvent, parse
from handler.records import ObjectVersion, Removal

from .reasons import DAMAGED, NEVER_FINISHED, UNKNOWN

Record = ObjectVersion | Removal | Damaged


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """One message."""

    id: str
    handle: str
    """SQS's receipt, good until somebody else receives the message."""
    since: datetime
    """When it was sent; if SQS moved it, when the event was."""
    body: str
    reason: str
    """A word or code for the kind of failure."""
    problem: str
    """What went wrong, in the words of who gave it up; may be empty."""
    records: tuple[Record, ...]
    """Those of one key in the source's order."""

    @classmethod
    def of(cls, message_id: str, handle: str, since: datetime, body: str) -> "FailedEvent":
        """Understand a message; whatever is in it, it is no error."""
        try:
            event = json.loads(body)
            records = tuple(one.item for lane in lanes(parse(event)) for one in lane)
        except (UnknownEvent, RecursionError, ValueError) as error:
            # There is nothing that an envelope could be around.
            records = (Damaged(f"unreadable message: {error}"),)
            return cls(message_id, handle, since, body, DAMAGED, "", records)
        reason, problem = _reason(event)
        return cls(message_id, handle, since, body, reason, problem, records)

    @property
    def buckets(self) -> set[str]:
        """Names of the source buckets that it is about."""
        return {one.bucket for one in self.records if not isinstance(one, Damaged)}

    @property
    def damaged(self) -> bool:
        """Whether there is anything in it that nobody can read."""
        return any(isinstance(one, Damaged) for one in self.records)


def _reason(event: Mapping[str, Any]) -> tuple[str, str]:
    """Kind of failure, and its description.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    if "requestContext" not in event or "requestPayload" not in event:
        return NEVER_FINISHED, ""
    response, context = event.get("responsePayload"), event["requestContext"]
    said: Mapping[str, Any] = response if isinstance(response, Mapping) else {}
    about: Mapping[str, Any] = context if isinstance(context, Mapping) else {}
    reasons = (said.get("errorType"), about.get("condition"))
    reason = next((one for one in reasons if isinstance(one, str) and one), UNKNOWN)
    problem = said.get("errorMessage")
    return reason, problem if isinstance(problem, str) else ""
