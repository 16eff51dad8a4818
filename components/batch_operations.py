"""What jobs of S3 Batch Operations need: functions that answer them, and a role that runs them.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html
"""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import policies
from .handler_function import (
    EventBus,
    FunctionNetwork,
    HandlerFunction,
    SignedCode,
    require_one_package,
)


class BatchFunctionArgs(TypedDict):
    """What a `BatchFunction` must and can be told."""

    source_bucket_arns: list[pulumi.Input[str]]
    """ARNs of the buckets that it may read."""
    backup_bucket_name: pulumi.Input[str]
    """Name of the bucket that receives the copies."""
    backup_bucket_arn: pulumi.Input[str]
    """ARN of that bucket."""
    code: NotRequired[pulumi.Input[pulumi.Archive]]
    """The deployment package, with the package `handler` at its top. This or `signed_code`."""
    signed_code: NotRequired[SignedCode]
    """The same, signed: Lambda then takes no other code."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """KMS key of the backup bucket, which encrypts the logs and the environment too; its policy
    must let CloudWatch Logs use it. Default: no KMS."""
    memory_size: NotRequired[pulumi.Input[int]]
    """Memory in MiB, 128 to 10,240; CPU grows with it. Default 512."""
    timeout: NotRequired[pulumi.Input[int]]
    """Seconds that one invocation may take, 1 to 900. Default 900."""
    reserved_concurrency: NotRequired[pulumi.Input[int]]
    """Concurrent invocations set aside for, and granted to, this function. Default: none."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """Days for which logs are kept. Default 365."""
    bucket_metrics: NotRequired[bool]
    """Metrics of each source bucket, beside those of all together. Default true."""
    track_deletes: NotRequired[bool]
    """Show and record in the backup bucket what was deleted in a source. The role may then put
    delete markers there. Default false."""
    storage_class: NotRequired[pulumi.Input[str]]
    """S3 storage class of the backups, such as GLACIER_IR. Default STANDARD."""
    event_bus: NotRequired[EventBus]
    """Where to announce failures. Default: nowhere."""
    network: NotRequired[FunctionNetwork]
    """Run in a VPC. Default: in Lambda's own network, from which nothing can be reached but AWS and
    the internet."""
    tracing: NotRequired[bool]
    """Send traces to X-Ray. Default false."""
    permissions_boundary_arn: NotRequired[pulumi.Input[str]]
    """ARN of the policy that limits what the role can ever be allowed. Default: none."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of all resources."""


class BatchFunction(pulumi.ComponentResource):
    """A function that copies what the tasks of a job name, with a role of its own.

    AWS asks for another function than the one that handles events, because it has to answer.
    Nothing invokes it but a job, whose role is a `BatchJobRole`. What fails is in the job's report,
    so there is no failure queue.
    """

    function_name: pulumi.Output[str]
    """Name of the function."""
    function_arn: pulumi.Output[str]
    """ARN of the function."""

    def __init__(
        self,
        name: str,
        args: BatchFunctionArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the function.

        :param name: unique logical name; resources beside the function add a suffix to it.
        :param args: see `BatchFunctionArgs`.
        :param opts: options of the component.
        :raises ValueError: unless there is exactly one of `code` and `signed_code`.
        """
        require_one_package(name, args)
        super().__init__("s3-backup:index:BatchFunction", name, None, opts)
        function = HandlerFunction(
            self,
            name,
            args,
            entry_point="handler.batch.handler",
            description="Copies what jobs of S3 Batch Operations name to the backup bucket",
            policy_name=f"{name}-copy",
            statements=pulumi.Output.all(
                args["backup_bucket_arn"], *args["source_bucket_arns"]
            ).apply(
                lambda arns: [
                    *(statement for arn in arns[1:] for statement in policies.read_statements(arn)),
                    *policies.write_statements(arns[0]),
                ]
            ),
            key_services=["s3"],
            environment={},
        ).function
        self.function_name = function.name
        self.function_arn = function.arn
        self.register_outputs(
            {"function_name": self.function_name, "function_arn": self.function_arn}
        )


class BatchJobRoleArgs(TypedDict):
    """What a `BatchJobRole` must and can be told."""

    function_arns: list[pulumi.Input[str]]
    """ARNs of the functions that a job may invoke."""
    backup_bucket_arn: pulumi.Input[str]
    """ARN of the bucket that holds manifests and reports."""
    permissions_boundary_arn: NotRequired[pulumi.Input[str]]
    """ARN of the policy that limits what the role can ever be allowed. Default: none."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of the role."""


class BatchJobRole(pulumi.ComponentResource):
    """The role that jobs run as: it invokes certain functions, reads manifests, writes reports.

    It needs no KMS key: S3 takes no manifest that is encrypted with one, and encrypts reports with
    its own keys.
    """

    role_arn: pulumi.Output[str]
    """ARN of the role, known once it may do all that."""

    def __init__(
        self,
        name: str,
        args: BatchJobRoleArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the role.

        :param name: unique logical name; its policy adds a suffix to it.
        :param args: see `BatchJobRoleArgs`.
        :param opts: options of the component.
        """
        super().__init__("s3-backup:index:BatchJobRole", name, None, opts)
        invoke = pulumi.InvokeOutputOptions(parent=self)
        trust = pulumi.Output.all(
            args["backup_bucket_arn"],
            aws.get_region_output(opts=invoke).region,
            aws.get_caller_identity_output(opts=invoke).account_id,
        ).apply(lambda known: policies.batch_trust(*known))
        role = aws.iam.Role(
            name,
            description="What jobs of S3 Batch Operations may do",
            assume_role_policy=pulumi.Output.json_dumps(trust),
            permissions_boundary=args.get("permissions_boundary_arn"),
            tags=args.get("tags"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        statements = pulumi.Output.all(args["backup_bucket_arn"], *args["function_arns"]).apply(
            lambda arns: policies.document(*policies.batch_job_statements(arns[0], arns[1:]))
        )
        run = aws.iam.RolePolicy(
            f"{name}-run",
            role=role.id,
            policy=pulumi.Output.json_dumps(statements),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.role_arn = pulumi.Output.all(role.arn, run.id).apply(lambda ids: ids[0])
        self.register_outputs({"role_arn": self.role_arn})
