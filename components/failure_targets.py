"""`FailureTargets`: who else gets each failure that is announced on an event bus."""

import hashlib
import json
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from .handler_function import EVENT_SOURCE


class FailureTargetsArgs(TypedDict):
    """What `FailureTargets` must be told."""

    bus_name: pulumi.Input[str]
    """Name of the bus, in this account."""
    backup_bucket_name: str
    """Name of the backup bucket whose failures are meant."""
    target_arns: list[str]
    """ARNs of SNS topics and Lambda functions. A topic must let EventBridge publish."""


class FailureTargets(pulumi.ComponentResource):
    """A rule that hands each announced failure to topics and functions.

    What EventBridge cannot deliver is lost there, but is in the failure queue all the same.
    """

    def __init__(
        self,
        name: str,
        args: FailureTargetsArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the rule and its targets.

        :param name: unique logical name; resources beside the rule add a suffix to it.
        :param args: see `FailureTargetsArgs`.
        :param opts: options of the component.
        """
        super().__init__("s3-backup:index:FailureTargets", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        pattern = {
            "source": [EVENT_SOURCE],
            "detail-type": ["Backup Failed"],
            "detail": {"backupBucket": [args["backup_bucket_name"]]},
        }
        rule = aws.cloudwatch.EventRule(
            name,
            description="Objects that could not be backed up",
            event_bus_name=args["bus_name"],
            event_pattern=json.dumps(pattern),
            opts=child,
        )
        for arn in args["target_arns"]:
            service = arn.split(":")[2]
            digest = hashlib.sha256(arn.encode()).hexdigest()[:8]
            needed: list[pulumi.Resource] = []
            if service == "lambda":
                needed.append(
                    aws.lambda_.Permission(
                        f"{name}-invoke-{digest}",
                        action="lambda:InvokeFunction",
                        function=arn,
                        principal="events.amazonaws.com",
                        source_arn=rule.arn,
                        opts=child,
                    )
                )
            aws.cloudwatch.EventTarget(
                f"{name}-{service}-{digest}",
                rule=rule.name,
                event_bus_name=args["bus_name"],
                arn=arn,
                opts=pulumi.ResourceOptions(parent=self, depends_on=needed),
            )
        self.register_outputs({})
