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
    """AWS services, such as cloudwatch.amazonaws.com, that may use the key for this account.
    Default: none."""
    log_groups: NotRequired[list[str]]
    """Names of log groups that CloudWatch Logs may encrypt with the key; `*` stands for the rest of
    a name. Default: none."""
    trails: NotRequired[list[str]]
    """Names of CloudTrail trails that may be encrypted with the key. Default: none."""
    break_glass_role_arn: NotRequired[pulumi.Input[str]]
    """Role that alone may disable the key or schedule its deletion, and may change its policy.
    Default: IAM decides who may."""
    deployer_role_arns: NotRequired[list[pulumi.Input[str]]]
    """Roles that may change the key's policy too. They have no meaning without a break-glass role.
    Default: only that one may."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of the key."""


class EncryptionKey(pulumi.ComponentResource):
    """A customer managed key that rotates every year, with an alias.

    Its policy is KMS's default, so IAM decides who in the account may use it, and names the AWS
    services that may do so for this account.
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
        invoke = pulumi.InvokeOutputOptions(parent=self)
        policy = pulumi.Output.all(
            aws.get_caller_identity_output(opts=invoke).arn,
            aws.get_region_output(opts=invoke).region,
            args.get("break_glass_role_arn"),
            args.get("deployer_role_arns", []),
        ).apply(
            lambda known: policies.key_policy(
                known[0],
                known[1],
                services=args.get("services", []),
                log_groups=args.get("log_groups", []),
                trails=args.get("trails", []),
                break_glass_role_arn=known[2],
                deployer_role_arns=known[3],
            )
        )
        key = aws.kms.Key(
            name,
            description=args["description"],
            # Stated also where it is the default: taken out of the program, a policy would stay.
            policy=pulumi.Output.json_dumps(policy),
            enable_key_rotation=True,
            # The longest that KMS offers: objects whose key is gone are gone too.
            deletion_window_in_days=30,
            tags=args.get("tags"),
            opts=options,
        )
        aws.kms.Alias(f"{name}-alias", target_key_id=key.key_id, opts=options)
        self.key_arn = key.arn
        self.register_outputs({"key_arn": key.arn})
