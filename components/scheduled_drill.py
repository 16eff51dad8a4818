"""`ScheduledDrill`: restores a sample of every source now and then, in Lambda, and compares it."""

import json
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict, cast

import pulumi
import pulumi_aws as aws

from . import policies
from .handler_function import (
    FunctionNetwork,
    HandlerFunction,
    HandlerFunctionArgs,
    SignedCode,
    require_one_package,
)
from .private_bucket import BucketSettings, PrivateBucket, expiry_rule

# IAM allows 10,240 characters for all policies of a role; tests prove that so many of the longest
# names fit. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
SOURCES_PER_FUNCTION = 35

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Target.html
MAX_INPUT = 8192


class DrilledSource(TypedDict):
    """A bucket that is drilled, wholly or in part."""

    bucket_name: str
    """Name of the bucket."""
    bucket_arn: pulumi.Input[str]
    """ARN of the bucket."""
    prefixes: NotRequired[list[str]]
    """Keys that are backed up start with one of them. Default: all."""
    suffixes: NotRequired[list[str]]
    """Keys that are backed up end with one of them. Default: all."""


class ScheduledDrillArgs(TypedDict):
    """What a `ScheduledDrill` must and can be told."""

    backup_bucket_name: pulumi.Input[str]
    """Name of the bucket that holds the copies."""
    backup_bucket_arn: pulumi.Input[str]
    """ARN of that bucket."""
    sources: list[DrilledSource]
    """The buckets to drill, one at least."""
    days: int
    """Days from one drill to the next, 1 or more. The first comes so many days after the schedule
    was made."""
    sample: int
    """Objects of each source, 1 to 1,000."""
    code: NotRequired[pulumi.Input[pulumi.Archive]]
    """The deployment package, with the packages `backupctl` and `handler` at its top. This or
    `signed_code`."""
    signed_code: NotRequired[SignedCode]
    """The same, signed: Lambda then takes no other code."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """KMS key of all the buckets, which encrypts the logs and the environment too; its policy must
    let CloudWatch Logs use it. Default: no KMS."""
    access_log_bucket: NotRequired[pulumi.Input[str]]
    """Bucket that receives the access logs of the scratch bucket. Default: no logs."""
    memory_size: NotRequired[pulumi.Input[int]]
    """Memory in MiB, 128 to 10,240; CPU grows with it. Default 512."""
    timeout: NotRequired[pulumi.Input[int]]
    """Seconds that one drill may take, 1 to 900; what is not tried by then is left out. Default
    900."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """Days for which logs are kept. Default 365."""
    network: NotRequired[FunctionNetwork]
    """Run in a VPC. Default: in Lambda's own network, from which nothing can be reached but AWS and
    the internet."""
    tracing: NotRequired[bool]
    """Send traces to X-Ray. Default false."""
    permissions_boundary_arn: NotRequired[pulumi.Input[str]]
    """ARN of the policy that limits what the role can ever be allowed. Default: none."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of all resources."""


class ScheduledDrill(pulumi.ComponentResource):
    """A scratch bucket, and functions that a schedule invokes to try restores into it.

    What a function finds is in its log, in CloudWatch metrics and in the backup bucket. Its role
    may read, but in the backup bucket write nothing except these results.
    """

    bucket_name: pulumi.Output[str]
    """Name of the scratch bucket, known once it is as it should be."""
    bucket_arn: pulumi.Output[str]
    """ARN of the scratch bucket."""
    function_arns: pulumi.Output[list[str]]
    """ARNs of the functions."""

    def __init__(
        self,
        name: str,
        args: ScheduledDrillArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare bucket, functions and schedules.

        :param name: unique logical name of the first function; everything else adds a suffix.
        :param args: see `ScheduledDrillArgs`.
        :param opts: options of the component.
        :raises ValueError: unless there is exactly one of `code` and `signed_code`, and a source;
            or if the filters of a source are too long for EventBridge.
        """
        # All that these have in common is the same in both.
        common = cast("HandlerFunctionArgs", args)
        require_one_package(name, common)
        if not args["sources"]:
            raise ValueError(f"{name}: there is no source to drill")
        groups = _groups(name, args)
        super().__init__("s3-backup:index:ScheduledDrill", name, None, opts)
        scratch = _scratch_bucket(self, f"{name}-scratch", args, opts)
        self.bucket_arn = pulumi.Output.from_input(scratch.bucket.arn)
        self.bucket_name = pulumi.Output.all(scratch.bucket.bucket, scratch.settled.id).apply(
            lambda known: known[0]
        )
        self._function_arns = [
            self._function(name if number == 1 else f"{name}-{number}", args, common, group)
            for number, group in enumerate(groups, start=1)
        ]
        self.function_arns = pulumi.Output.all(*self._function_arns)
        self.register_outputs(
            {
                "bucket_name": self.bucket_name,
                "bucket_arn": self.bucket_arn,
                "function_arns": self.function_arns,
            }
        )

    @property
    def each_function_arn(self) -> list[pulumi.Output[str]]:
        """The same, one by one."""
        return list(self._function_arns)

    def _function(
        self,
        name: str,
        args: ScheduledDrillArgs,
        common: HandlerFunctionArgs,
        sources: Sequence[DrilledSource],
    ) -> pulumi.Output[str]:
        """A function for some of the sources, and its schedule; returns its ARN."""
        child = pulumi.ResourceOptions(parent=self)
        function = HandlerFunction(
            self,
            name,
            common,
            entry_point="backupctl.scheduled_drill.handler",
            description="Restores a sample of the backups to a scratch bucket and compares it",
            policy_name=f"{name}-restore",
            statements=pulumi.Output.all(
                args["backup_bucket_arn"],
                self.bucket_arn,
                *(source["bucket_arn"] for source in sources),
            ).apply(lambda arns: policies.drill_statements(arns[0], arns[1], arns[2:])),
            key_services=["s3"],
            environment={"SCRATCH_BUCKET": self.bucket_name},
        ).function
        aws.lambda_.FunctionEventInvokeConfig(
            f"{name}-async",
            function_name=function.name,
            # The next one comes by itself, and the alarm tells if it does not.
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=60 * 60,
            opts=child,
        )
        # Numbers from other languages come as floats.
        days = int(args["days"])
        rule = aws.cloudwatch.EventRule(
            f"{name}-schedule",
            description="Tries whether backups can be restored",
            schedule_expression=f"rate({days} {'day' if days == 1 else 'days'})",
            tags=args.get("tags"),
            opts=child,
        )
        permission = aws.lambda_.Permission(
            f"{name}-permission",
            function=function.name,
            action="lambda:InvokeFunction",
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=child,
        )
        aws.cloudwatch.EventTarget(
            f"{name}-target",
            rule=rule.name,
            arn=function.arn,
            input=_input(args, sources),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )
        return function.arn


def _scratch_bucket(
    owner: ScheduledDrill,
    name: str,
    args: ScheduledDrillArgs,
    opts: pulumi.ResourceOptions | None,
) -> PrivateBucket:
    return PrivateBucket(
        owner,
        name,
        BucketSettings(
            policy=lambda arn: arn.apply(
                lambda arn: policies.document(*policies.tls_only_statements(arn))
            ),
            versioning=True,
            kms_key_arn=args.get("kms_key_arn"),
            # A drill removes what it wrote; this is for one that was stopped.
            lifecycle_rules=[expiry_rule(1, upload_days=1)],
            access_log_bucket=args.get("access_log_bucket"),
            # There is nothing in it that is not in the backup too.
            force_destroy=True,
            tags=args.get("tags"),
        ),
        opts,
    )


def _groups(name: str, args: ScheduledDrillArgs) -> list[list[DrilledSource]]:
    """The sources, in their order, as many at a time as one function can serve."""
    groups: list[list[DrilledSource]] = [[]]
    for source in args["sources"]:
        size = len(_input(args, [source]))
        if size > MAX_INPUT:
            raise ValueError(
                f"{name}: the filters of {source['bucket_name']} take {size:,} characters, of "
                f"which EventBridge takes {MAX_INPUT:,}; use fewer or shorter ones"
            )
        together = [*groups[-1], source]
        if len(together) > SOURCES_PER_FUNCTION or len(_input(args, together)) > MAX_INPUT:
            groups.append([source])
        else:
            groups[-1] = together
    return groups


def _input(args: ScheduledDrillArgs, sources: Sequence[DrilledSource]) -> str:
    """The event that a function gets every time."""
    filters: dict[str, dict[str, list[str]]] = {}
    for source in sources:
        prefixes, suffixes = source.get("prefixes", []), source.get("suffixes", [])
        filters[source["bucket_name"]] = {
            **({"prefix": prefixes} if prefixes else {}),
            **({"suffix": suffixes} if suffixes else {}),
        }
    return json.dumps({"sources": filters, "sample": int(args["sample"])})
