"""What commands tell the stack's event bus."""

from collections.abc import Mapping, Sequence
from typing import Any

from handler import event_bus

from .errors import BackupctlError, WrongUse, one_line
from .options import Settings

MOST_FINDINGS = 1000
"""So many findings of a source become events; the summary counts them all."""


def bus_of(settings: Settings) -> str:
    """ARN of the stack's bus.

    :raises WrongUse: if there is none.
    """
    bus = settings.stack.exports.get("eventBus") if settings.stack else None
    if not isinstance(bus, str):
        raise WrongUse("--event needs --stack, and in its config events.bus; see docs/events.md")
    return bus


def announce(settings: Settings, detail_type: str, details: Sequence[Mapping[str, Any]]) -> None:
    """Send events.

    :raises BackupctlError: if the bus did not take all of them.
    """
    bus = bus_of(settings)
    common = {"backupBucket": settings.backup_bucket}
    entries = [event_bus.entry(bus, detail_type, {**common, **detail}) for detail in details]
    unsent = event_bus.put(settings.aws.client("events"), entries)
    if unsent:
        raise BackupctlError(
            f"{len(unsent)} of {len(entries)} events were not sent to {bus}: {one_line(unsent[0])}"
        )
