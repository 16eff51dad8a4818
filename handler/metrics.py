"""CloudWatch metrics as log lines, in the embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from collections.abc import Iterable, Mapping, Set
from datetime import datetime
from typing import Any, NamedTuple

from .failures import Failed
from .records import Backup, Outcome

NAMESPACE = "S3Backup"

# Sets of dimensions. CloudWatch bills each set of values of each metric, and an alarm or a widget
# takes few metrics, so there is a sum over all buckets beside the numbers of each.
STACK = ("BackupBucket",)
BUCKET = ("FunctionName", "SourceBucket")
KIND = ("BackupBucket", "Kind")


class Metric(NamedTuple):
    """How a metric is emitted."""

    unit: str
    """One of CloudWatch's units."""
    dimensions: tuple[tuple[str, ...], ...]
    """The sets of dimensions; the value counts once in each."""


METRICS: Mapping[str, Metric] = {
    "BackedUp": Metric("Count", (STACK, BUCKET)),
    "Bytes": Metric("Bytes", (STACK, BUCKET)),
    "Lag": Metric("Seconds", (STACK, BUCKET)),
    "Duplicate": Metric("Count", (STACK, BUCKET)),
    "Gone": Metric("Count", (STACK, BUCKET)),
    "Removed": Metric("Count", (STACK, BUCKET)),
    "Superseded": Metric("Count", (STACK, BUCKET)),
    "Failed": Metric("Count", (STACK, BUCKET, KIND)),
    "EventsNotSent": Metric("Count", (STACK,)),
}

_COUNTED = {
    Outcome.COPIED: "BackedUp",
    Outcome.DUPLICATE: "Duplicate",
    Outcome.GONE: "Gone",
    Outcome.REMOVED: "Removed",
    Outcome.SUPERSEDED: "Superseded",
}


def line(
    now: datetime,
    backup_bucket: str,
    function: str,
    source_bucket: str,
    backup: Backup | None,
    failure: Failed | None,
    lag: float | None,
    *,
    by_bucket: bool = True,
) -> dict[str, Any]:
    """The metrics of one record.

    :param now: when it was done (UTC).
    :param function: name of the function that did it.
    :param lag: seconds from the event to then, if known.
    :param by_bucket: whether there are metrics for each source bucket beside those of the stack.
    :returns: a structure that becomes one line of JSON.
    """
    values: dict[str, float] = {}
    names = {"BackupBucket": backup_bucket}
    if by_bucket:
        names |= {"FunctionName": function, "SourceBucket": source_bucket}
    if backup is not None:
        values[_COUNTED[backup.outcome]] = 1
        if backup.outcome is Outcome.COPIED or backup.size:
            values["Bytes"] = backup.size
        if lag is not None and backup.outcome is Outcome.COPIED:
            values["Lag"] = lag
    if failure is not None:
        values["Failed"] = 1
        names["Kind"] = failure.kind
    return _line(now, names, values)


def unsent(now: datetime, backup_bucket: str, count: int) -> dict[str, Any]:
    """The metric of events that an event bus did not take.

    :param now: when it was tried (UTC).
    :returns: a structure that becomes one line of JSON.
    """
    return _line(now, {"BackupBucket": backup_bucket}, {"EventsNotSent": count})


def _line(now: datetime, names: Mapping[str, str], values: Mapping[str, float]) -> dict[str, Any]:
    return {
        "_aws": {
            "Timestamp": int(now.timestamp() * 1000),
            "CloudWatchMetrics": _directives(values, names.keys()),
        },
        **names,
        **values,
    }


def _directives(values: Iterable[str], known: Set[str]) -> list[dict[str, Any]]:
    """One directive for all metrics that have the same dimensions."""
    together: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for name in values:
        sets = tuple(set_ for set_ in METRICS[name].dimensions if known >= set(set_))
        together.setdefault(sets, []).append(name)
    return [
        {
            "Namespace": NAMESPACE,
            "Dimensions": [list(set_) for set_ in sets],
            "Metrics": [{"Name": name, "Unit": METRICS[name].unit} for name in names],
        }
        for sets, names in together.items()
    ]
