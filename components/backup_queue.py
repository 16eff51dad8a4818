"""`BackupQueue`: a queue between buckets and the function that backs them up."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import policies

# As long as SQS allows: what waits is not backed up yet, and its age goes on counting in the
# failure queue.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
RETENTION_SECONDS = 14 * 24 * 60 * 60

# Lambda needs the time to try again where the function is throttled.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_PER_TIMEOUT = 6


class BackupQueueArgs(TypedDict):
    """What a `BackupQueue` must and can be told."""

    bucket_names: list[pulumi.Input[str]]
    """Names of the buckets whose events are taken. They need not exist yet: a bucket waits for its
    queue."""
    function_name: pulumi.Input[str]
    """Name of the function that handles the events."""
    function_timeout: pulumi.Input[int]
    """Seconds that one invocation of it may take."""
    role_id: pulumi.Input[str]
    """Name of the function's role, which gets the permission to receive."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """KMS key that encrypts the queue. Its policy must let S3 use it, and the function's role must
    be allowed to, as that of a `BackupFunction` with this key is. Default: SQS's own keys."""
    batch_size: NotRequired[pulumi.Input[int]]
    """Events that one invocation gets at most, 1 to 10,000. Default 10; more needs a window."""
    batch_window: NotRequired[pulumi.Input[int]]
    """Seconds to wait for a batch to fill, 0 to 300. Default 0."""
    max_concurrency: NotRequired[pulumi.Input[int]]
    """Invocations at the same time, 2 to 1,000. Default: as many as Lambda makes."""
    protect_messages: NotRequired[bool]
    """Let Pulumi refuse to delete the queue, and with it what waits there. Default false."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of the resources."""


class BackupQueue(pulumi.ComponentResource):
    """An encrypted queue that takes events of certain buckets only and feeds one function.

    The function is told to name the messages of a batch that failed, so that only those come
    again. Where messages go that keep failing is up to `FailureRedrive`.
    """

    queue_arn: pulumi.Output[str]
    """ARN of the queue, known once it takes events and the function gets them."""
    queue_url: pulumi.Output[str]
    """URL of the queue."""

    def __init__(
        self,
        name: str,
        args: BackupQueueArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the queue.

        :param name: unique logical name; resources beside the queue add a suffix to it.
        :param args: see `BackupQueueArgs`.
        :param opts: options of the component.
        """
        super().__init__("s3-backup:index:BackupQueue", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        window = args.get("batch_window", 0)
        queue = aws.sqs.Queue(
            name,
            message_retention_seconds=RETENTION_SECONDS,
            visibility_timeout_seconds=pulumi.Output.all(args["function_timeout"], window).apply(
                lambda seconds: int(VISIBILITY_PER_TIMEOUT * seconds[0] + seconds[1])
            ),
            kms_master_key_id=args.get("kms_key_arn"),
            sqs_managed_sse_enabled=None if "kms_key_arn" in args else True,
            tags=args.get("tags"),
            opts=pulumi.ResourceOptions(parent=self, protect=args.get("protect_messages")),
        )
        senders = aws.sqs.QueuePolicy(
            f"{name}-senders",
            queue_url=queue.url,
            policy=pulumi.Output.json_dumps(
                pulumi.Output.all(queue.arn, args["bucket_names"]).apply(
                    lambda known: policies.events_only(*known)
                )
            ),
            opts=child,
        )
        receive = aws.iam.RolePolicy(
            f"{name}-receive",
            role=args["role_id"],
            policy=pulumi.Output.json_dumps(
                queue.arn.apply(lambda arn: policies.document(*policies.receive_statements(arn)))
            ),
            opts=child,
        )
        # Lambda refuses a queue that the role may not receive from.
        mapping = aws.lambda_.EventSourceMapping(
            f"{name}-mapping",
            event_source_arn=queue.arn,
            function_name=args["function_name"],
            batch_size=args.get("batch_size", 10),
            maximum_batching_window_in_seconds=window,
            scaling_config={"maximum_concurrency": args["max_concurrency"]}
            if "max_concurrency" in args
            else None,
            function_response_types=["ReportBatchItemFailures"],
            tags=args.get("tags"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[receive]),
        )
        self.queue_url = queue.url
        self.queue_arn = pulumi.Output.all(queue.arn, senders.id, mapping.id).apply(
            lambda known: known[0]
        )
        self.register_outputs({"queue_arn": self.queue_arn, "queue_url": self.queue_url})
