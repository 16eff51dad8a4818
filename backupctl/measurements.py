"""Reads metrics from CloudWatch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from .aws import Aws

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
_MOST_QUERIES = 500


@dataclass(frozen=True)
class Metric:
    """What to ask for.

    :param statistic: one of CloudWatch's.
    :param period: seconds that one value is of.
    """

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str = "Maximum"
    period: int = 300


class Value(NamedTuple):
    """One value."""

    time: datetime
    """When the period began that it is of (UTC)."""
    value: float


def latest(
    aws: Aws, metrics: Sequence[Metric], since: timedelta, now: datetime
) -> dict[Metric, Value]:
    """The newest value of each metric.

    :param since: how far to look back.
    :returns: nothing for metrics without a value since then.
    """
    found: dict[Metric, Value] = {}
    for first in range(0, len(metrics), _MOST_QUERIES):
        some = metrics[first : first + _MOST_QUERIES]
        queries = [_query(number, metric) for number, metric in enumerate(some)]
        pages = (
            aws.client("cloudwatch")
            .get_paginator("get_metric_data")
            .paginate(
                MetricDataQueries=queries,
                StartTime=now - since,
                EndTime=now,
                ScanBy="TimestampDescending",
            )
        )
        for page in pages:
            for result in page["MetricDataResults"]:
                metric = some[int(result["Id"].removeprefix("m"))]
                for time, value in zip(result["Timestamps"], result["Values"], strict=True):
                    seen = found.get(metric)
                    if seen is None or seen.time < time:
                        found[metric] = Value(time.astimezone(UTC), value)
    return found


def known(
    aws: Aws, namespace: str, name: str, dimensions: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """The dimensions of all metrics of a name that had values in the last two weeks.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html

    :param dimensions: those that they must have.
    """
    wanted = [{"Name": key, "Value": value} for key, value in (dimensions or {}).items()]
    pages = (
        aws.client("cloudwatch")
        .get_paginator("list_metrics")
        .paginate(Namespace=namespace, MetricName=name, Dimensions=wanted)
    )
    return [
        {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}
        for page in pages
        for metric in page["Metrics"]
    ]


def _query(number: int, metric: Metric) -> dict[str, Any]:
    return {
        "Id": f"m{number}",
        "MetricStat": {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
            },
            "Period": metric.period,
            "Stat": metric.statistic,
        },
    }
