"""`EncryptionKey`: the KMS key that a stack encrypts its buckets and queues with."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws


class EncryptionKeyArgs(TypedDict):
    """What an `EncryptionKey` can be told."""

    description: pulumi.Input[str]
    """What the key is for, as people see it in the console."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of the key."""


class EncryptionKey(pulumi.ComponentResource):
    """A customer managed key that rotates every year, with an alias.

    It has KMS's default key policy: the account decides through IAM who may use it.
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
        key = aws.kms.Key(
            name,
            description=args["description"],
            enable_key_rotation=True,
            # The longest that KMS offers: objects whose key is gone are gone too.
            deletion_window_in_days=30,
            tags=args.get("tags"),
            opts=options,
        )
        aws.kms.Alias(f"{name}-alias", target_key_id=key.key_id, opts=options)
        self.key_arn = key.arn
        self.register_outputs({"key_arn": key.arn})
