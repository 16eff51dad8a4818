"""`EncryptionKey`: the KMS key that a stack encrypts its buckets and queues with."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import policies


class EncryptionKeyArgs(TypedDict):
    """What an `EncryptionKey` can be told."""

    description: pulumi.Input[str]
    """What the key is for, as people see it in the console."""
    services: NotRequired[list[str]]
    """AWS services, such as s3.amazonaws.com, that may use the key for this account. Default: none,
    IAM alone decides."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of the key."""


class EncryptionKey(pulumi.ComponentResource):
    """A customer managed key that rotates every year, with an alias.

    Its policy begins as KMS's default one: the account decides through IAM who may use it.
    `services` may use it beside those.
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """

    key_arn: pulumi.Output[str]
    """ARN of the key."""

    def __init__(
        self,
        name: str,
        args: EncryptionKeyArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the key.

        :param name: unique logical name.
        :param args: see `EncryptionKeyArgs`.
        :param opts: options of the component. `protect` and `retain_on_delete` hold for the
            resources in it too.
        """
        super().__init__("s3-backup:index:EncryptionKey", name, None, opts)
        options = pulumi.ResourceOptions(
            parent=self, retain_on_delete=opts.retain_on_delete if opts else None
        )
        account = aws.get_caller_identity_output(
            opts=pulumi.InvokeOutputOptions(parent=self)
        ).account_id
        key = aws.kms.Key(
            name,
            description=args["description"],
            # Stated also where it is the default: taken out of the program, a policy would stay.
            policy=pulumi.Output.json_dumps(
                pulumi.Output.all(account, args.get("services", [])).apply(
                    lambda known: policies.key_for_services(*known)
                )
            ),
            enable_key_rotation=True,
            # The longest that KMS offers: objects whose key is gone are gone too.
            deletion_window_in_days=30,
            tags=args.get("tags"),
            opts=options,
        )
        aws.kms.Alias(f"{name}-alias", target_key_id=key.key_id, opts=options)
        self.key_arn = key.arn
        self.register_outputs({"key_arn": key.arn})
