"""What a stack's dashboard shows and its saved log queries ask, as data. Declares no resources.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .alarms import LAMBDA, OURS, SQS

Widget = dict[str, Any]

COLUMNS = 24
_HEIGHT = 6
_DAY = 86_400
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html#CloudWatch-Dashboard-Properties-Alarm-Widget-Object
_MOST_ALARMS = 100
# A dashboard takes 2,500 metrics. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
_MOST_COUNTED = 1000
_MOST_CHECKED = 150
# As docs/cost.py has it.
DOLLARS_PER_COPY = 0.0004 / 1000 + 0.005 / 1000 + 0.20 / 1e6 + 0.1 * 0.5 * 0.0000133334
DOLLARS_PER_GIGABYTE_MONTH = 0.023

OUTCOMES = ("BackedUp", "Duplicate", "Gone", "Removed", "Superseded", "Failed")

QUERIES: Mapping[str, str] = {
    "failures": """\
filter outcome = "failed"
| stats count(*) as records, latest(@timestamp) as last, latest(problem) as example
    by bucket, kind, retryable
| sort records desc
""",
    "object-history": """\
# Put the object's key between the quotes.
filter key = "KEY"
| sort @timestamp asc
| display @timestamp, bucket, key, version, outcome, bytes, kind, problem
""",
    "slowest-copies": """\
filter outcome = "copied"
| sort milliseconds desc
| display @timestamp, bucket, key, bytes, milliseconds, secondsSinceEvent
| limit 100
""",
}
"""Name to query, for the functions' logs. docs/outcomes.md says what the fields are."""


@dataclass(frozen=True)
class Scope:
    """What a dashboard is about."""

    region: str
    backup_bucket: str
    """Name of the backup bucket."""
    functions: Mapping[str, Sequence[str]]
    """Name of each function to the names of the source buckets that it serves."""
    failure_queue: str
    """Name of the queue."""
    event_queues: Sequence[str]
    """Names of the queues through which events come."""
    log_groups: Sequence[str]
    """Names of the functions' log groups."""
    alarm_arns: Sequence[str]
    """ARNs of all alarms."""
    by_bucket: bool
    """Whether there are metrics of each bucket."""


def body(scope: Scope) -> dict[str, Any]:
    """The dashboard's body; rows of widgets, the most urgent ones on top."""
    rows = [row for row in _rows(scope) if row]
    widgets: list[Widget] = []
    for number, row in enumerate(rows):
        width = COLUMNS // len(row)
        for column, widget in enumerate(row):
            place = {"x": column * width, "y": number * _HEIGHT, "width": width, "height": _HEIGHT}
            widgets.append({**widget, **place})
    return {"start": "-P7D", "periodOverride": "inherit", "widgets": widgets}


def _rows(scope: Scope) -> Iterator[list[Widget]]:
    stack = ["BackupBucket", scope.backup_bucket]
    waiting = [
        [SQS, "ApproximateNumberOfMessagesVisible", "QueueName", scope.failure_queue],
        *(
            [SQS, "ApproximateNumberOfMessagesVisible", "QueueName", queue]
            for queue in scope.event_queues
        ),
    ]
    yield [
        *_alarms(scope.alarm_arns),
        _metrics(scope, "Failures and events that wait", waiting, "Maximum", view="singleValue"),
        _metrics(
            scope,
            "Backed up",
            [[OURS, "BackedUp", *stack], [OURS, "Bytes", *stack]],
            "Sum",
            view="singleValue",
            setPeriodToTimeRange=True,
        ),
    ]
    yield [
        _metrics(
            scope, "Outcomes", [[OURS, name, *stack] for name in OUTCOMES], "Sum", stacked=True
        ),
        _metrics(
            scope,
            "Seconds from event to backup",
            [
                [OURS, "Lag", *stack, {"stat": stat, "label": stat}]
                for stat in ("p50", "p90", "p99", "Maximum")
            ],
            "Maximum",
        ),
    ]
    counted = sum(map(len, scope.functions.values())) <= _MOST_COUNTED
    for function, sources in scope.functions.items() if scope.by_bucket and counted else ():
        yield [
            _metrics(
                scope,
                f"{what} of each bucket, by {function}",
                [
                    [OURS, metric, "FunctionName", function, "SourceBucket", source]
                    for source in sources
                ],
                "Sum",
            )
            for metric, what in (("BackedUp", "Objects"), ("Bytes", "Bytes"))
            if sources
        ]
    yield [
        _metrics(
            scope,
            "What Lambda reports",
            [
                [LAMBDA, metric, "FunctionName", function]
                for metric in ("Errors", "Throttles", "DestinationDeliveryFailures")
                for function in scope.functions
            ],
            "Sum",
        ),
        _costs(scope, stack),
    ]
    yield [_results(scope, "verification"), _results(scope, "drill")]
    sources = " | ".join(f"SOURCE '{group}'" for group in scope.log_groups)
    yield [
        {
            "type": "log",
            "properties": {
                "region": scope.region,
                "title": "Failures",
                "query": f"{sources} | {QUERIES['failures']}",
                "view": "table",
            },
        }
    ]


def _alarms(arns: Sequence[str]) -> list[Widget]:
    properties = {"title": "Alarms", "alarms": list(arns[:_MOST_ALARMS])}
    return [{"type": "alarm", "properties": properties}] if arns else []


def _results(scope: Scope, kind: str) -> Widget:
    name = kind.capitalize()
    sources = [source for served in scope.functions.values() for source in served]
    which = f"the first {_MOST_CHECKED} buckets" if len(sources) > _MOST_CHECKED else "each bucket"
    return _metrics(
        scope,
        f"What the last {kind} of {which} found",
        [[OURS, f"{name}Findings", "SourceBucket", one] for one in sources[:_MOST_CHECKED]],
        "Maximum",
        period=_DAY,
    )


def _costs(scope: Scope, stack: list[str]) -> Widget:
    stored = ["BucketName", scope.backup_bucket, "StorageType", "StandardStorage"]
    hidden = {"visible": False}
    month = f"{DOLLARS_PER_GIGABYTE_MONTH} / 30"
    return _metrics(
        scope,
        "Estimated cost per day in $, at prices of us-east-1",
        [
            [OURS, "BackedUp", *stack, {**hidden, "id": "copies"}],
            ["AWS/S3", "BucketSizeBytes", *stored, {**hidden, "id": "stored", "stat": "Average"}],
            [{"expression": f"copies * {DOLLARS_PER_COPY:.9f}", "label": "copies", "id": "c"}],
            [{"expression": f"stored / 1000000000 * {month}", "label": "storage", "id": "s"}],
        ],
        "Sum",
        stacked=True,
        period=_DAY,
    )


def _metrics(
    scope: Scope,
    title: str,
    metrics: list[list[Any]],
    stat: str,
    *,
    view: str = "timeSeries",
    period: int = 300,
    **more: Any,  # noqa: ANN401 - whatever the widget takes
) -> Widget:
    properties = {
        "region": scope.region,
        "title": title,
        "metrics": metrics,
        "stat": stat,
        "period": period,
        "view": view,
        **more,
    }
    return {"type": "metric", "properties": properties}
