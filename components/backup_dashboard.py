"""`BackupDashboard` and `LogQueries`: what people look at, and ask."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import dashboards


class DashboardFunction(TypedDict):
    """A function and what it backs up."""

    name: pulumi.Input[str]
    """Name of the function."""
    log_group: pulumi.Input[str]
    """Name of its log group."""
    sources: list[str]
    """Names of the source buckets."""


class BackupDashboardArgs(TypedDict):
    """What a `BackupDashboard` must and can be told."""

    dashboard_name: str
    """Name of the dashboard, unique in the account."""
    backup_bucket_name: pulumi.Input[str]
    """Name of the backup bucket, by which the functions count."""
    functions: list[DashboardFunction]
    """The functions."""
    failure_queue_arn: pulumi.Input[str]
    """ARN of the queue for events that could not be handled."""
    event_queue_arns: NotRequired[list[pulumi.Input[str]]]
    """ARNs of the queues through which the functions get events. Default: none."""
    alarm_arns: NotRequired[pulumi.Input[list[pulumi.Input[str]]]]
    """ARNs of the alarms to show. Default: none."""
    bucket_metrics: NotRequired[bool]
    """Whether there are metrics of each source bucket. Default true."""


class BackupDashboard(pulumi.ComponentResource):
    """One dashboard: alarms, what waits, what was backed up how late, and what it costs."""

    dashboard_arn: pulumi.Output[str]
    """ARN of the dashboard."""

    def __init__(
        self,
        name: str,
        args: BackupDashboardArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the dashboard.

        :param name: unique logical name.
        :param args: see `BackupDashboardArgs`.
        :param opts: options of the component.
        """
        super().__init__("s3-backup:index:BackupDashboard", name, None, opts)
        functions = args["functions"]
        body = pulumi.Output.all(
            region=aws.get_region_output(opts=pulumi.InvokeOutputOptions(parent=self)).region,
            backup_bucket=args["backup_bucket_name"],
            names=pulumi.Output.all(*(function["name"] for function in functions)),
            log_groups=pulumi.Output.all(*(function["log_group"] for function in functions)),
            failure_queue=args["failure_queue_arn"],
            event_queues=pulumi.Output.all(*args.get("event_queue_arns", [])),
            alarm_arns=args.get("alarm_arns", []),
        ).apply(
            lambda known: dashboards.body(
                dashboards.Scope(
                    region=known["region"],
                    backup_bucket=known["backup_bucket"],
                    functions=dict(
                        zip(known["names"], (f["sources"] for f in functions), strict=True)
                    ),
                    failure_queue=_queue_name(known["failure_queue"]),
                    event_queues=[_queue_name(arn) for arn in known["event_queues"]],
                    log_groups=known["log_groups"],
                    alarm_arns=known["alarm_arns"],
                    by_bucket=args.get("bucket_metrics", True),
                )
            )
        )
        dashboard = aws.cloudwatch.Dashboard(
            name,
            dashboard_name=args["dashboard_name"],
            dashboard_body=pulumi.Output.json_dumps(body),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.dashboard_arn = dashboard.dashboard_arn
        self.register_outputs({"dashboard_arn": self.dashboard_arn})


class LogQueriesArgs(TypedDict):
    """What `LogQueries` must be told."""

    folder: str
    """Where CloudWatch shows the queries, such as `s3-backup/prod`."""
    log_groups: list[pulumi.Input[str]]
    """Names of the log groups that they search."""


class LogQueries(pulumi.ComponentResource):
    """Saved queries for Logs Insights; they cost nothing until somebody runs one."""

    def __init__(
        self,
        name: str,
        args: LogQueriesArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the queries.

        :param name: start of the logical name of each.
        :param args: see `LogQueriesArgs`.
        :param opts: options of the component.
        """
        super().__init__("s3-backup:index:LogQueries", name, None, opts)
        for query, text in dashboards.QUERIES.items():
            aws.cloudwatch.QueryDefinition(
                f"{name}-{query}",
                name=f"{args['folder']}/{query}",
                log_group_names=_first(args["log_groups"]),
                query_string=text,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})


def _first(log_groups: Sequence[pulumi.Input[str]]) -> list[pulumi.Input[str]]:
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutQueryDefinition.html
    return list(log_groups[:50])


def _queue_name(arn: str) -> str:
    return arn.rpartition(":")[2]
