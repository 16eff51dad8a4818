"""CloudWatch metrics as log lines, in the embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from datetime import datetime
from typing import Any

from .failures import Failed
from .records import Backup, Outcome

NAMESPACE = "S3Backup"

_COUNTED = {
    Outcome.COPIED: "BackedUp",
    Outcome.DUPLICATE: "Duplicate",
    Outcome.GONE: "Gone",
    Outcome.SUPERSEDED: "Superseded",
}
_DIMENSIONS = ["FunctionName", "SourceBucket"]


def line(
    now: datetime,
    function: str,
    bucket: str,
    backup: Backup | None,
    failure: Failed | None,
    lag: float | None,
) -> dict[str, Any]:
    """The metrics of one record.

    :param now: when it was done (UTC).
    :param lag: seconds from the event to then, if known.
    :returns: a structure that becomes one line of JSON.
    """
    values: dict[str, tuple[float, str]] = {}
    dimensions = [_DIMENSIONS]
    names = {"FunctionName": function, "SourceBucket": bucket}
    if backup is not None:
        values[_COUNTED[backup.outcome]] = (1, "Count")
        values["Bytes"] = (backup.size, "Bytes")
        if lag is not None and backup.outcome is Outcome.COPIED:
            values["Lag"] = (lag, "Seconds")
    if failure is not None:
        values["Failed"] = (1, "Count")
        # Once for the alarm on any failure, once by kind.
        dimensions = [_DIMENSIONS, [*_DIMENSIONS, "Kind"]]
        names["Kind"] = failure.kind
    return {
        "_aws": {
            "Timestamp": int(now.timestamp() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": dimensions,
                    "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()],
                }
            ],
        },
        **names,
        **{name: value for name, (value, _) in values.items()},
    }
