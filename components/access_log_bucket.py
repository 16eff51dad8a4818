"""`AccessLogBucket`: where S3 writes down who did what to the stack's other buckets."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import policies
from .private_bucket import BucketSettings, PrivateBucket, expiry_rule


class AccessLogBucketArgs(TypedDict):
    """What an `AccessLogBucket` must and can be told."""

    source_names: list[str]
    """Names of the buckets whose logs it takes; one that Pulumi completes ends in `*`."""
    retention_days: NotRequired[pulumi.Input[int]]
    """Days for which logs are kept. Default 365."""
    break_glass_role_arn: NotRequired[pulumi.Input[str]]
    """Role that may delete logs before their time, and may change the bucket. Default:
    nobody may the former, and IAM decides about the latter."""
    deployer_role_arns: NotRequired[list[pulumi.Input[str]]]
    """Roles that may change the bucket too. They have no meaning without a break-glass role.
    Default: only that one may."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of the bucket."""


class AccessLogBucket(pulumi.ComponentResource):
    """A private bucket for the server access logs of other buckets of the same account and region.

    Encrypted with S3's own keys, the only ones that log delivery can use. It has no access log of
    its own, because delivering that would be logged again, and no object lock, which S3 refuses
    for such a bucket; instead its policy lets nobody delete or overwrite a version.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """

    bucket_name: pulumi.Output[str]
    """Physical name of the bucket, known once it takes logs."""

    def __init__(
        self,
        name: str,
        args: AccessLogBucketArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the bucket.

        :param name: unique logical name; its settings add a suffix to it.
        :param args: see `AccessLogBucketArgs`.
        :param opts: options of the component. `protect` and `retain_on_delete` hold for the
            resources in it too.
        """
        super().__init__("s3-backup:index:AccessLogBucket", name, None, opts)
        account = aws.get_caller_identity_output(
            opts=pulumi.InvokeOutputOptions(parent=self)
        ).account_id

        def policy(arn: pulumi.Output[str]) -> pulumi.Output[policies.Document]:
            return pulumi.Output.all(
                arn,
                account,
                args.get("break_glass_role_arn"),
                args.get("deployer_role_arns", []),
            ).apply(
                lambda known: policies.document(
                    *policies.tls_only_statements(known[0]),
                    *policies.log_delivery_statements(known[0], known[1], args["source_names"]),
                    *policies.evidence_statements(known[0], known[2], known[3]),
                )
            )

        own = PrivateBucket(
            self,
            name,
            BucketSettings(
                policy=policy,
                versioning=True,
                lifecycle_rules=[expiry_rule(args.get("retention_days", 365))],
                tags=args.get("tags"),
            ),
            opts,
        )
        self.bucket_name = pulumi.Output.all(own.bucket.bucket, own.settled.id).apply(
            lambda ids: ids[0]
        )
        self.register_outputs({"bucket_name": self.bucket_name})
