"""`FailureRedrive`: where queues put the messages that keep failing."""

from typing import TypedDict

import pulumi
import pulumi_aws as aws

from .backup_function import MAX_RECEIVES, FailureQueue

MAX_NAMED_QUEUES = 10


class FeedingQueue(TypedDict):
    """A queue whose messages can fail."""

    arn: pulumi.Input[str]
    """ARN of the queue."""
    url: pulumi.Input[str]
    """URL of the queue."""


class FailureRedriveArgs(TypedDict):
    """What a `FailureRedrive` must be told."""

    failure_queue: FailureQueue
    """Where the messages go."""
    queues: list[FeedingQueue]
    """Whose messages."""


class FailureRedrive(pulumi.ComponentResource):
    """Lets these queues, and no others, put what keeps failing into the failure queue.

    SQS can name ten of them; with more, any queue of the account may.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html

    It is the net under the function, which puts there what it gives up itself, and with the
    reason: only messages that it never finished come this way.
    """

    def __init__(
        self,
        name: str,
        args: FailureRedriveArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare both sides of it.

        :param name: unique logical name; that of each queue's side has its number, from 1.
        :param args: see `FailureRedriveArgs`.
        :param opts: options of the component.
        """
        super().__init__("s3-backup:index:FailureRedrive", name, None, opts)
        allowed_queues = (
            {
                "redrivePermission": "byQueue",
                "sourceQueueArns": [queue["arn"] for queue in args["queues"]],
            }
            if len(args["queues"]) <= MAX_NAMED_QUEUES
            else {"redrivePermission": "allowAll"}
        )
        # A property of the queues it could not be: each side names the other.
        allowed = aws.sqs.RedriveAllowPolicy(
            name,
            queue_url=args["failure_queue"]["url"],
            redrive_allow_policy=pulumi.Output.json_dumps(allowed_queues),
            opts=pulumi.ResourceOptions(parent=self),
        )
        for number, queue in enumerate(args["queues"], start=1):
            aws.sqs.RedrivePolicy(
                f"{name}-{number}",
                queue_url=queue["url"],
                redrive_policy=pulumi.Output.json_dumps(
                    {
                        "deadLetterTargetArn": args["failure_queue"]["arn"],
                        "maxReceiveCount": MAX_RECEIVES,
                    }
                ),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
            )
        self.register_outputs({})
