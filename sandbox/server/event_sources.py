"""The condition key `events:source`, which MiniStack does not know.

AWS compares it with the source of each event that PutEvents brings.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
"""

import contextvars
import json
from typing import Any

from ministack.core import iam_actions, iam_evaluator

_sources: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("_sources", default=())
_buses: Any = iam_actions.eventbridge_resource_arns


def install() -> None:
    """Let policies see the sources of events; to be called once, after other corrections."""
    known: Any = iam_evaluator._resolve_condition_key  # noqa: SLF001

    def condition_key(key: str, context: Any) -> Any:
        if key.lower() == "events:source" and context.action == "events:PutEvents":
            different = set(_sources.get())
            # Policies here name one source, and a request of several is none of that one.
            return different.pop() if len(different) == 1 else None
        return known(key, context)

    def buses(body: bytes, region: str, account_id: str) -> Any:
        entries = json.loads(body or b"{}").get("Entries", [])
        _sources.set(tuple(str(entry.get("Source")) for entry in entries))
        return _buses(body, region, account_id)

    iam_evaluator._resolve_condition_key = condition_key  # noqa: SLF001
    iam_actions.eventbridge_resource_arns = buses
