"""`BackupAlarms`: the alarms of a stack, each sending to one topic."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import alarms
from .alarms import Alarm, Subject


class QuietBucket(TypedDict):
    """A source bucket that somebody writes to all the time."""

    bucket: str
    """Name of the bucket."""
    function_name: pulumi.Input[str]
    """Name of the function that backs it up."""
    hours: int
    """Hours, at most 168, that it may be without a backup."""


class BackupAlarmsArgs(TypedDict):
    """What `BackupAlarms` must and can be told."""

    topic_arn: pulumi.Input[str]
    """Topic that hears when an alarm is raised and when it is over."""
    backup_bucket_name: pulumi.Input[str]
    """Name of the backup bucket, by which the functions count."""
    function_names: list[pulumi.Input[str]]
    """Names of the functions that copy."""
    failure_queue_arn: pulumi.Input[str]
    """ARN of the queue for events that could not be handled."""
    direct: NotRequired[bool]
    """Whether S3 invokes the functions itself. Default true."""
    event_queue_arns: NotRequired[list[pulumi.Input[str]]]
    """ARNs of the queues through which the functions get events. Default: none."""
    announced: NotRequired[bool]
    """Whether the functions tell an event bus what happens. Default false."""
    only: NotRequired[list[str]]
    """Names of the wanted ones of the standard alarms. Default: all."""
    lag_seconds: NotRequired[int]
    """Seconds that an event may take to be copied. Default 3600; 0 means no alarm."""
    sources: NotRequired[list[str]]
    """Names of the source buckets, for `verify_days` and `drill_days`. Default: none."""
    verify_days: NotRequired[int]
    """Days, at most 7, that a bucket may be without a verification. Default 0, which means neither
    this alarm nor one on what verifications find."""
    drill_days: NotRequired[int]
    """Days, at most 7, that a bucket may be without a drill. Default 0, which means neither this
    alarm nor one on drills that fail."""
    quiet: NotRequired[list[QuietBucket]]
    """Buckets that are not to be without a backup for long. Default: none."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of all alarms."""


class BackupAlarms(pulumi.ComponentResource):
    """Alarms for everything that can keep objects from being backed up.

    Which there are, what each means and what to do is in `alarms`. Alarms of a function exist once
    for each: CloudWatch bills an alarm by the metrics that it watches, so one alarm on the sum of
    several would cost the same and not tell which function it is.
    """

    alarm_arns: pulumi.Output[list[str]]
    """ARNs of all alarms."""

    def __init__(
        self,
        name: str,
        args: BackupAlarmsArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the alarms.

        :param name: start of the logical name of each.
        :param args: see `BackupAlarmsArgs`.
        :param opts: options of the component.
        :raises ValueError: for a name in `only` that no standard alarm has.
        """
        queues = args.get("event_queue_arns", [])
        wanted = alarms.chosen(
            args.get("only"),
            args.get("lag_seconds", 3600),
            direct=args.get("direct", True),
            queued=bool(queues),
            announced=args.get("announced", False),
        )
        super().__init__("s3-backup:index:BackupAlarms", name, None, opts)
        self._args = args
        stack = {"BackupBucket": args["backup_bucket_name"]}
        declared: list[aws.cloudwatch.MetricAlarm] = []
        for alarm in wanted:
            whose: list[Mapping[str, pulumi.Input[str]]]
            match alarm.subject:
                case Subject.FUNCTION:
                    whose = [{"FunctionName": function} for function in args["function_names"]]
                case Subject.EVENT_QUEUE:
                    whose = [{"QueueName": _queue_name(arn)} for arn in queues]
                case Subject.FAILURE_QUEUE:
                    whose = [{"QueueName": _queue_name(args["failure_queue_arn"])}]
                case _:
                    whose = [stack]
            for number, dimensions in enumerate(whose, start=1):
                prefix = name if number == 1 else f"{name}-{number}"
                declared.append(self._declare(f"{prefix}-{alarm.name}", alarm, dimensions))
        for quiet in args.get("quiet", []):
            # Numbers may come as floats from other languages.
            alarm = alarms.quiet(int(quiet["hours"]))
            bucket = quiet["bucket"]
            whom = {"FunctionName": quiet["function_name"], "SourceBucket": bucket}
            declared.append(self._declare(f"{name}-{alarm.name}-{bucket}", alarm, whom))
        verify_days, drill_days = int(args.get("verify_days", 0)), int(args.get("drill_days", 0))
        checks = alarms.verification(verify_days) if verify_days else []
        checks += alarms.drill(drill_days) if drill_days else []
        for bucket in args.get("sources", []):
            for alarm in checks:
                whom = {"SourceBucket": bucket}
                declared.append(self._declare(f"{name}-{alarm.name}-{bucket}", alarm, whom))
        self.alarm_arns = pulumi.Output.all(*(alarm.arn for alarm in declared))
        self.register_outputs({"alarm_arns": self.alarm_arns})

    def _declare(
        self, name: str, alarm: Alarm, whose: Mapping[str, pulumi.Input[str]]
    ) -> aws.cloudwatch.MetricAlarm:
        topic = [self._args["topic_arn"]]
        return aws.cloudwatch.MetricAlarm(
            name,
            alarm_description=pulumi.Output.concat(
                self._args["backup_bucket_name"], ": ", alarm.description
            ),
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions={**whose, **alarm.dimensions},
            statistic=alarm.statistic,
            period=alarm.period,
            evaluation_periods=alarm.periods,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            treat_missing_data=alarm.missing,
            warm_up_configuration={"warm_up_period_duration_in_minutes": alarm.warm_up_minutes}
            if alarm.warm_up_minutes
            else None,
            alarm_actions=topic,
            ok_actions=topic,
            tags=self._args.get("tags"),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _queue_name(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.from_input(arn).apply(lambda text: text.rpartition(":")[2])
