"""`AuditTrail`: a CloudTrail trail that records who touched the stack's objects and functions."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import policies
from .private_bucket import BucketSettings, PrivateBucket, expiry_rule


class AuditTrailArgs(TypedDict):
    """What an `AuditTrail` must and can be told."""

    trail_name: str
    """Name of the trail, chosen beforehand because policies name it."""
    bucket_arns: list[pulumi.Input[str]]
    """ARNs of the buckets whose objects are watched: every reading and writing is recorded."""
    function_arns: list[pulumi.Input[str]]
    """ARNs of the functions whose invocations are recorded."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """KMS key of the trail, whose policy lets CloudTrail use it. Default: S3's own keys."""
    retention_days: NotRequired[pulumi.Input[int]]
    """Days for which records are kept. Default 365."""
    access_log_bucket: NotRequired[pulumi.Input[str]]
    """Bucket that receives the access logs of the trail's bucket. Default: no logs."""
    break_glass_role_arn: NotRequired[pulumi.Input[str]]
    """Role that may delete records before their time, and may change the bucket. Default:
    nobody may the former, and IAM decides about the latter."""
    deployer_role_arns: NotRequired[list[pulumi.Input[str]]]
    """Roles that may change the bucket too. They have no meaning without a break-glass role.
    Default: only that one may."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of bucket and trail."""


class AuditTrail(pulumi.ComponentResource):
    """A trail for all regions, whose files are validated and kept in a bucket of their own.

    It records all management events of the account, and data events of the given buckets and
    functions. `retain_on_delete` of its options holds for the bucket; the trail itself ends with
    the stack.
    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-data-events-with-cloudtrail.html
    """

    trail_arn: pulumi.Output[str]
    """ARN of the trail."""
    bucket_name: pulumi.Output[str]
    """Name of the bucket with its records."""

    def __init__(
        self,
        name: str,
        args: AuditTrailArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare trail and bucket.

        :param name: unique logical name of both.
        :param args: see `AuditTrailArgs`.
        :param opts: options of the component.
        """
        super().__init__("s3-backup:index:AuditTrail", name, None, opts)
        tags = args.get("tags")
        invoke = pulumi.InvokeOutputOptions(parent=self)
        caller_arn = aws.get_caller_identity_output(opts=invoke).arn
        region = aws.get_region_output(opts=invoke).region

        def policy(arn: pulumi.Output[str]) -> pulumi.Output[policies.Document]:
            return pulumi.Output.all(
                arn,
                caller_arn,
                region,
                args.get("break_glass_role_arn"),
                args.get("deployer_role_arns", []),
            ).apply(
                lambda known: policies.document(
                    *policies.tls_only_statements(known[0]),
                    *policies.trail_statements(known[0], known[1], known[2], args["trail_name"]),
                    *policies.evidence_statements(known[0], known[3], known[4]),
                )
            )

        own = PrivateBucket(
            self,
            name,
            BucketSettings(
                policy=policy,
                versioning=True,
                lifecycle_rules=[expiry_rule(args.get("retention_days", 365))],
                access_log_bucket=args.get("access_log_bucket"),
                tags=tags,
            ),
            opts,
        )
        trail = aws.cloudtrail.Trail(
            name,
            name=args["trail_name"],
            s3_bucket_name=own.bucket.bucket,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_log_file_validation=True,
            kms_key_id=args.get("kms_key_arn"),
            advanced_event_selectors=[
                {
                    "name": "management",
                    "field_selectors": [{"field": "eventCategory", "equals": ["Management"]}],
                },
                {
                    "name": "objects",
                    "field_selectors": [
                        {"field": "eventCategory", "equals": ["Data"]},
                        {"field": "resources.type", "equals": ["AWS::S3::Object"]},
                        {
                            "field": "resources.ARN",
                            "starts_withs": [
                                pulumi.Output.concat(arn, "/") for arn in args["bucket_arns"]
                            ],
                        },
                    ],
                },
                {
                    "name": "functions",
                    "field_selectors": [
                        {"field": "eventCategory", "equals": ["Data"]},
                        {"field": "resources.type", "equals": ["AWS::Lambda::Function"]},
                        {"field": "resources.ARN", "equals": args["function_arns"]},
                    ],
                },
            ],
            tags=tags,
            # CloudTrail refuses a bucket that does not let it write.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[own.settled]),
        )
        self.trail_arn = trail.arn
        self.bucket_name = pulumi.Output.all(own.bucket.bucket, own.settled.id).apply(
            lambda ids: ids[0]
        )
        self.register_outputs({"trail_arn": self.trail_arn, "bucket_name": self.bucket_name})
