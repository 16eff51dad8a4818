"""What CloudWatch does with a stack's metrics and alarms, and the local AWS does not.

MiniStack makes no metrics of log lines, reports nothing on queues, and decides on alarms without
looking at dimensions or missing data. So the metrics are collected here, from the function's log,
the queues and what MiniStack does count, and each alarm is decided as AWS documents it, from its
definition as deployed. MiniStack then keeps the state and sends the messages.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.ministack import MiniStack

_COMPARISONS = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
}
_STATISTICS = {"Sum": sum, "Maximum": max}
# What MiniStack counts by itself.
_LAMBDA_METRICS = (
    "DestinationDeliveryFailures",
    "Errors",
    "RecursiveInvocationsDropped",
    "Throttles",
)


@dataclass(frozen=True)
class Point:
    """One value of one metric."""

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    time: datetime
    value: float


@dataclass
class CloudWatch:
    """Metrics collected so far, and a stack's alarms."""

    ministack: MiniStack
    alarms: Mapping[str, str]
    """Name of each alarm to what the program calls it."""
    since: datetime
    """What happened before is not looked at."""
    points: list[Point] = field(default_factory=list[Point])

    def collect(self, log_groups: list[str], queue_urls: list[str], functions: list[str]) -> None:
        """Look at everything once more; what was collected before from logs is read anew."""
        now = datetime.now(UTC)
        self.points = [*self._lambda(functions, now), *self._sqs(queue_urls, now)]
        logs = self.ministack.client("logs")
        for group in log_groups:
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
                for event in page["events"]:
                    if event["message"].startswith('{"_aws"'):
                        found = embedded(json.loads(event["message"]))
                        self.points += [point for point in found if point.time >= self.since]

    def states(self, at: datetime | None = None) -> dict[str, str]:
        """Decide on every alarm as of now or another time."""
        client = self.ministack.client("cloudwatch")
        found: dict[str, str] = {}
        names = list(self.alarms)
        for page in client.get_paginator("describe_alarms").paginate(AlarmNames=names):
            for alarm in page["MetricAlarms"]:
                state = decide(alarm, self.points, at or datetime.now(UTC))
                if state != alarm["StateValue"]:
                    client.set_alarm_state(
                        AlarmName=alarm["AlarmName"], StateValue=state, StateReason="decided"
                    )
                found[self.alarms[alarm["AlarmName"]]] = state
        return found

    def _lambda(self, functions: list[str], now: datetime) -> Iterator[Point]:
        client = self.ministack.client("cloudwatch")
        for function in functions:
            for metric in _LAMBDA_METRICS:
                answer = client.get_metric_statistics(
                    Namespace="AWS/Lambda",
                    MetricName=metric,
                    Dimensions=[{"Name": "FunctionName", "Value": function}],
                    # A value's time is the beginning of its minute.
                    StartTime=self.since.replace(second=0, microsecond=0),
                    EndTime=now + timedelta(minutes=1),
                    Period=60,
                    Statistics=["Sum"],
                )
                for point in answer["Datapoints"]:
                    whose = {"FunctionName": function}
                    yield Point("AWS/Lambda", metric, whose, point["Timestamp"], point["Sum"])

    def _sqs(self, queue_urls: list[str], now: datetime) -> Iterator[Point]:
        names = {
            "ApproximateNumberOfMessages": "ApproximateNumberOfMessagesVisible",
        }
        for url in queue_urls:
            attributes = self.ministack.client("sqs").get_queue_attributes(
                QueueUrl=url, AttributeNames=list(names)
            )["Attributes"]
            for attribute, metric in names.items():
                whose = {"QueueName": url.rpartition("/")[2]}
                yield Point("AWS/SQS", metric, whose, now, float(attributes[attribute]))


def embedded(line: Mapping[str, Any]) -> Iterator[Point]:
    """The values in one line of the embedded metric format.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    time = datetime.fromtimestamp(line["_aws"]["Timestamp"] / 1000, UTC)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for set_ in directive["Dimensions"]:
            dimensions = {name: line[name] for name in set_}
            for metric in directive["Metrics"]:
                name = metric["Name"]
                yield Point(directive["Namespace"], name, dimensions, time, line[name])


def decide(alarm: Mapping[str, Any], points: list[Point], now: datetime) -> str:
    """The state that CloudWatch documents for an alarm.

    :param alarm: as DescribeAlarms tells.
    """
    dimensions = {entry["Name"]: entry["Value"] for entry in alarm["Dimensions"]}
    mine = [
        point
        for point in points
        if (point.namespace, point.metric) == (alarm["Namespace"], alarm["MetricName"])
        and point.dimensions == dimensions
    ]
    period = timedelta(seconds=alarm["Period"])
    breaching: list[bool | None] = []
    for number in range(alarm["EvaluationPeriods"]):
        end = now - number * period
        values = [point.value for point in mine if end - period < point.time <= end]
        breaching.append(
            _COMPARISONS[alarm["ComparisonOperator"]](
                _STATISTICS[alarm["Statistic"]](values), alarm["Threshold"]
            )
            if values
            else {"breaching": True, "notBreaching": False, "ignore": None}[
                alarm["TreatMissingData"]
            ]
        )
    if None in breaching:
        return str(alarm["StateValue"])
    return "ALARM" if all(breaching) else "OK"
