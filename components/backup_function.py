"""`BackupFunction`: the Lambda that copies objects, and everything it needs to run."""

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
from .standard_bucket import BackupTarget

# A failed event waits here for a person, so as long as SQS allows.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
FAILURE_RETENTION_SECONDS = 14 * 24 * 60 * 60

# How often a queue hands a message over before it gives it up. Fewer would give up messages that
# the function, when it is throttled, never saw.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
MAX_RECEIVES = 5


class FailureQueue(TypedDict):
    """A queue for events that could not be handled."""

    arn: pulumi.Input[str]
    """ARN of the queue."""
    url: pulumi.Input[str]
    """URL of the queue."""


class BackupFunctionArgs(TypedDict):
    """What a `BackupFunction` must and can be told."""

    backup_bucket_name: pulumi.Input[str]
    """Name of the bucket that receives the copies."""
    backup_bucket_arn: pulumi.Input[str]
    """ARN of that bucket."""
    code: NotRequired[pulumi.Input[pulumi.Archive]]
    """The deployment package, with the package `handler` at its top. This or `signed_code`."""
    signed_code: NotRequired[SignedCode]
    """The same, signed: Lambda then takes no other code."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """KMS key of the backup bucket, which encrypts the failure queue, the logs and the environment
    too; its policy must let CloudWatch Logs use it. Default: no KMS."""
    failure_queue: NotRequired[FailureQueue]
    """Where events go that could not be handled. Default: the function gets its own queue."""
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


class BackupFunction(pulumi.ComponentResource):
    """A function that copies objects to the backup bucket, with a role of its own.

    The role may write logs, add objects to the backup bucket and report failures. What it may read
    is granted bucket by bucket, by each `StandardBucket` that has this function as its target.
    """

    function_name: pulumi.Output[str]
    """Name of the function."""
    function_arn: pulumi.Output[str]
    """ARN of the function, known once it is ready for events."""
    role_id: pulumi.Output[str]
    """Name of the function's role."""
    log_group_name: pulumi.Output[str]
    """Name of the function's log group."""
    failure_queue_arn: pulumi.Output[str]
    """ARN of the queue that receives events which could not be handled."""
    failure_queue_url: pulumi.Output[str]
    """URL of that queue."""

    def __init__(
        self,
        name: str,
        args: BackupFunctionArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the function.

        :param name: unique logical name; resources beside the function add a suffix to it.
        :param args: see `BackupFunctionArgs`.
        :param opts: options of the component.
        :raises ValueError: unless there is exactly one of `code` and `signed_code`.
        """
        require_one_package(name, args)
        super().__init__("s3-backup:index:BackupFunction", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._kms_key_arn = args.get("kms_key_arn")

        queue = args["failure_queue"] if "failure_queue" in args else _queue(name, args, child)
        self.failure_queue_arn = pulumi.Output.from_input(queue["arn"])
        self.failure_queue_url = pulumi.Output.from_input(queue["url"])
        own = HandlerFunction(
            self,
            name,
            args,
            entry_point="handler.main.handler",
            description="Copies created objects to the backup bucket",
            policy_name=f"{name}-write",
            statements=pulumi.Output.all(self.failure_queue_arn, args["backup_bucket_arn"]).apply(
                lambda arns: [
                    *policies.send_statements(arns[0]),
                    *policies.write_statements(arns[1]),
                ]
            ),
            key_services=["s3", "sqs"],
            environment={
                "FAILURE_QUEUE_URL": self.failure_queue_url,
                "MAX_RECEIVES": str(MAX_RECEIVES),
            },
        )
        function = own.function
        invocation = aws.lambda_.FunctionEventInvokeConfig(
            f"{name}-async",
            function_name=function.name,
            maximum_retry_attempts=2,
            maximum_event_age_in_seconds=6 * 60 * 60,
            destination_config={"on_failure": {"destination": self.failure_queue_arn}},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[own.rights[0]]),
        )

        # Whoever gets the ARN waits for the destination too: an event that failed before it
        # exists would be lost.
        self.function_arn = pulumi.Output.all(function.arn, invocation.id).apply(lambda ids: ids[0])
        self.function_name = function.name
        self.role_id = own.role.id
        self.log_group_name = own.log_group.name
        self.register_outputs(
            {
                "function_name": self.function_name,
                "function_arn": self.function_arn,
                "role_id": self.role_id,
                "log_group_name": self.log_group_name,
                "failure_queue_arn": self.failure_queue_arn,
                "failure_queue_url": self.failure_queue_url,
            }
        )

    @property
    def target(self) -> BackupTarget:
        """What a `StandardBucket` needs to know to be backed up by this function."""
        target = BackupTarget(
            function_arn=self.function_arn,
            function_name=self.function_name,
            role_id=self.role_id,
        )
        if self._kms_key_arn is not None:
            target["kms_key_arn"] = self._kms_key_arn
        return target

    @property
    def failure_queue(self) -> FailureQueue:
        """The queue in use, for other functions to share."""
        return {"arn": self.failure_queue_arn, "url": self.failure_queue_url}


def _queue(name: str, args: BackupFunctionArgs, opts: pulumi.ResourceOptions) -> FailureQueue:
    queue = aws.sqs.Queue(
        f"{name}-failures",
        message_retention_seconds=FAILURE_RETENTION_SECONDS,
        kms_master_key_id=args.get("kms_key_arn"),
        sqs_managed_sse_enabled=None if "kms_key_arn" in args else True,
        tags=args.get("tags"),
        opts=opts,
    )
    # Functions that share the queue have names that begin with this one's, and so have their roles.
    policy = aws.sqs.QueuePolicy(
        f"{name}-failures-policy",
        queue_url=queue.url,
        policy=pulumi.Output.json_dumps(
            queue.arn.apply(lambda arn: policies.queue_policy(arn, f"{name}*-role-*"))
        ),
        opts=opts,
    )
    # Whoever gets these waits for the policy: nothing is sent before it is known who may.
    return {
        "arn": pulumi.Output.all(queue.arn, policy.id).apply(lambda ids: ids[0]),
        "url": pulumi.Output.all(queue.url, policy.id).apply(lambda ids: ids[0]),
    }
