"""Asks AWS for the condition of a stack."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar

from botocore.exceptions import ClientError

from handler.metrics import NAMESPACE

from . import measurements, notifications
from .aws import Aws
from .condition import Amount, Condition, SourceCondition, Waiting
from .measurements import Metric, Value
from .stack import Source, Stack

T = TypeVar("T")
R = TypeVar("R")

# S3 publishes how much is in a bucket once a day, for the day before.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html
_DAY = 24 * 60 * 60
_DAYS = timedelta(days=4)
# CloudWatch keeps values of five minutes for longer, but lists a metric for so long.
_WEEKS = timedelta(days=14)
_JUST_NOW = timedelta(minutes=15)
_AT_ONCE = 8
_WAITING = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)


class Inspection:
    """One look at a stack.

    :param stack: what it says of itself.
    :param sources: the buckets to look at.
    :param now: the time of the look (UTC).
    :param advance: told how many things were looked at since it was told last.
    """

    def __init__(
        self,
        aws: Aws,
        stack: Stack,
        sources: Sequence[Source],
        now: datetime,
        advance: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._aws = aws
        self._stack = stack
        self._sources = sources
        self._now = now
        self._advance = advance

    def run(self) -> Condition:
        """Look.

        :raises botocore.exceptions.ClientError: if AWS refuses.
        """
        names = [source.name for source in self._sources]
        backup = self._stack.backup_bucket
        conditions = self._each(self._sources, self._source)
        amounts = self._amounts([backup, *names])
        newest = self._newest(names)
        for condition in conditions:
            condition.amount = amounts[condition.name]
            condition.newest_backup = newest.get(condition.name)
        failures, *events = self._each(
            [self._stack.failure_queue_url, *self._stack.queue_urls], self._queue
        )
        return Condition(
            backup, amounts[backup], conditions, [*self._functions(), *events], failures
        )

    def _each(self, items: Iterable[T], look: Callable[[T], R]) -> list[R]:
        def looked(item: T) -> R:
            result = look(item)
            self._advance(1)
            return result

        with ThreadPoolExecutor(_AT_ONCE, "look") as threads:
            return list(threads.map(looked, items))

    def _source(self, source: Source) -> SourceCondition:
        condition = SourceCondition(source.name)
        try:
            answer = self._aws.client("s3").get_bucket_notification_configuration(
                Bucket=source.name, ExpectedBucketOwner=self._stack.account_id
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"404", "NoSuchBucket"}:
                raise
            condition.problem = "there is no such bucket"
            return condition
        targets = {
            *(function.arn for function in self._stack.functions),
            *self._stack.queue_arns,
        }
        condition.notification = notifications.judge(
            notifications.entries(answer),
            source,
            targets,
            track_deletes=self._stack.track_deletes,
        )
        return condition

    def _amounts(self, buckets: Sequence[str]) -> dict[str, Amount]:
        def metrics(bucket: str) -> list[Metric]:
            return [
                Metric("AWS/S3", name, tuple(sorted(dimensions.items())), "Average", _DAY)
                for name in ("NumberOfObjects", "BucketSizeBytes")
                for dimensions in measurements.known(
                    self._aws, "AWS/S3", name, {"BucketName": bucket}
                )
            ]

        by_bucket = dict(zip(buckets, self._each(buckets, metrics), strict=True))
        every = [metric for metrics in by_bucket.values() for metric in metrics]
        values = measurements.latest(self._aws, every, _DAYS, self._now)
        return {bucket: _amount(by_bucket[bucket], values) for bucket in buckets}

    def _newest(self, names: Sequence[str]) -> dict[str, datetime]:
        functions = {function.name for function in self._stack.functions}
        metrics = [
            Metric(NAMESPACE, "BackedUp", tuple(sorted(dimensions.items())), "Sum")
            for dimensions in measurements.known(self._aws, NAMESPACE, "BackedUp")
            if dimensions.get("SourceBucket") in names
            and dimensions.get("FunctionName") in functions
        ]
        newest: dict[str, datetime] = {}
        for metric, value in measurements.latest(self._aws, metrics, _WEEKS, self._now).items():
            name = dict(metric.dimensions)["SourceBucket"]
            newest[name] = max(value.time, newest.get(name, value.time))
        return newest

    def _queue(self, url: str) -> Waiting:
        answer = self._aws.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=list(_WAITING)
        )["Attributes"]
        waiting = sum(int(answer.get(name, 0)) for name in _WAITING)
        name = url.rpartition("/")[2]
        metric = Metric("AWS/SQS", "ApproximateAgeOfOldestMessage", (("QueueName", name),))
        return Waiting(name, waiting, self._age(metric, 1) if waiting else None)

    def _functions(self) -> list[Waiting]:
        # Lambda says how old events were when it handed them over; the next ones are hardly older.
        return [
            Waiting(
                function.name,
                None,
                self._age(
                    Metric("AWS/Lambda", "AsyncEventAge", (("FunctionName", function.name),)), 1000
                ),
            )
            for function in self._stack.functions
        ]

    def _age(self, metric: Metric, per_second: int) -> timedelta | None:
        found = measurements.latest(self._aws, [metric], _JUST_NOW, self._now)
        if metric not in found:
            return None
        return timedelta(seconds=found[metric].value / per_second)


def _amount(metrics: Iterable[Metric], values: dict[Metric, Value]) -> Amount:
    """All storage classes of a bucket together, on the last day on which any was measured."""
    known = [(metric, values[metric]) for metric in metrics if metric in values]
    if not known:
        return Amount()
    day = max(value.time for _, value in known)

    def total(name: str) -> int | None:
        there = [value for metric, value in known if metric.name == name]
        newest = max((value.time for value in there), default=None)
        return round(sum(value.value for value in there if value.time == newest)) if there else None

    return Amount(total("NumberOfObjects"), total("BucketSizeBytes"), day)
