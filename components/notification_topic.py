"""`NotificationTopic`: where alarms go, and who hears of them."""

import hashlib
from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import policies


class Subscription(TypedDict):
    """Somebody who hears of every alarm."""

    protocol: str
    """How: email, email-json, https, sms, sqs or lambda."""
    endpoint: str
    """Where: an address, a URL, a number or an ARN, as the protocol wants it."""


class NotificationTopicArgs(TypedDict):
    """What a `NotificationTopic` must and can be told."""

    kms_key_arn: pulumi.Input[str]
    """Key that encrypts the messages. Its policy must let CloudWatch use it: a message of an
    alarm that may not is lost, and with SNS's own key none may."""
    subscriptions: NotRequired[list[Subscription]]
    """Who hears of alarms. Default: nobody yet."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of the topic."""


class NotificationTopic(pulumi.ComponentResource):
    """An encrypted SNS topic that only the account's own CloudWatch alarms may publish to."""

    topic_arn: pulumi.Output[str]
    """ARN of the topic, known once it is ready for messages."""

    def __init__(
        self,
        name: str,
        args: NotificationTopicArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the topic.

        :param name: unique logical name; resources beside the topic add a suffix to it.
        :param args: see `NotificationTopicArgs`.
        :param opts: options of the component.
        """
        super().__init__("s3-backup:index:NotificationTopic", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic(
            name,
            kms_master_key_id=args["kms_key_arn"],
            tags=args.get("tags"),
            opts=child,
        )
        policy = aws.sns.TopicPolicy(
            f"{name}-policy",
            arn=topic.arn,
            policy=pulumi.Output.json_dumps(topic.arn.apply(policies.alarms_only)),
            opts=child,
        )
        for subscription in args.get("subscriptions", []):
            protocol, endpoint = subscription["protocol"], subscription["endpoint"]
            # An endpoint may hold a key, as those of paging services do, and names are shown.
            digest = hashlib.sha256(endpoint.encode()).hexdigest()[:8]
            aws.sns.TopicSubscription(
                f"{name}-{protocol}-{digest}",
                topic=topic.arn,
                protocol=protocol,
                endpoint=endpoint,
                opts=child,
            )
        self.topic_arn = pulumi.Output.all(topic.arn, policy.id).apply(lambda ids: ids[0])
        self.register_outputs({"topic_arn": self.topic_arn})
