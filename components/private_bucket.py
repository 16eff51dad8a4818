"""What every bucket has, whatever it is for: private, encrypted, TLS only, without ACLs.

Not a component: it declares the children of the component that the bucket belongs to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from . import policies


@dataclass(frozen=True, kw_only=True)
class BucketSettings:
    """What a bucket can be told; what is left out is not declared."""

    policy: Callable[[pulumi.Output[str]], pulumi.Input[policies.Document]]
    """The bucket policy, from the bucket's ARN."""
    bucket_name: pulumi.Input[str] | None = None
    """Physical name. Default: Pulumi derives one from the resource name."""
    versioning: bool = False
    """Keep overwritten and deleted versions."""
    kms_key_arn: pulumi.Input[str] | None = None
    """KMS key for default encryption (SSE-KMS with a bucket key). Default: SSE-S3."""
    lifecycle_rules: Sequence[aws.s3.BucketLifecycleConfigurationRuleArgsDict] = ()
    """What S3 removes by itself, and when."""
    retention: aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgsDict | None = None
    """Object lock's default retention of new versions."""
    access_log_bucket: pulumi.Input[str] | None = None
    """Bucket that receives server access logs, under this bucket's name."""
    tags: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None
    """Tags of the bucket."""
    force_destroy: pulumi.Input[bool] = False
    """Delete all objects when the bucket is destroyed."""


class PrivateBucket:
    """A bucket with its settings, each made after the one before it.

    S3 answers 409 OperationAborted to concurrent changes of one bucket.
    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """

    bucket: aws.s3.Bucket
    """The bucket itself, before its settings."""
    settled: pulumi.CustomResource
    """The last of its settings: whoever waits for it finds the bucket as it should be."""
    child: pulumi.ResourceOptions
    """Options of whatever else belongs to the same component."""

    def __init__(
        self,
        owner: pulumi.ComponentResource,
        name: str,
        settings: BucketSettings,
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        """Declare the bucket.

        :param owner: the component that it becomes part of.
        :param name: unique logical name; resources of their own add a suffix to it.
        :param settings: see `BucketSettings`.
        :param opts: options of the component. `protect` and `retain_on_delete` hold for the bucket
            and its settings too.
        """
        # The SDK hands `protect` down to children by itself, but not this option.
        self.child = pulumi.ResourceOptions(
            parent=owner, retain_on_delete=opts.retain_on_delete if opts else None
        )
        self._name = name
        self.bucket = aws.s3.Bucket(
            name,
            bucket=settings.bucket_name,
            force_destroy=settings.force_destroy,
            # For a new bucket only: S3 then versions it from the first object on. Turned on later,
            # the lock comes with its configuration below, and the bucket is not replaced.
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-configure.html
            object_lock_enabled=True if settings.retention is not None else None,
            tags=settings.tags,
            opts=pulumi.ResourceOptions.merge(
                self.child, pulumi.ResourceOptions(ignore_changes=["objectLockEnabled"])
            ),
        )
        self.settled = self._declare(settings)

    def options(self, depends_on: list[pulumi.Resource]) -> pulumi.ResourceOptions:
        """Options of whatever is a setting of the bucket too."""
        # Deleted with the bucket, not before it: S3 refuses to delete a bucket that is not empty,
        # and until then it must stay private, encrypted and backed up.
        return pulumi.ResourceOptions.merge(
            self.child, pulumi.ResourceOptions(depends_on=depends_on, deleted_with=self.bucket)
        )

    def _declare(self, settings: BucketSettings) -> pulumi.CustomResource:
        name, bucket = self._name, self.bucket.bucket
        last: pulumi.Resource = aws.s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=self.options([]),
        )
        last = aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.options([last]),
        )
        last = aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket,
            rules=[_encryption_rule(settings.kms_key_arn)],
            opts=self.options([last]),
        )
        if settings.versioning:
            last = aws.s3.BucketVersioning(
                f"{name}-versioning",
                bucket=bucket,
                versioning_configuration={"status": "Enabled"},
                opts=self.options([last]),
            )
        if settings.retention is not None:
            last = aws.s3.BucketObjectLockConfiguration(
                f"{name}-object-lock",
                bucket=bucket,
                object_lock_enabled="Enabled",
                rule={"default_retention": settings.retention},
                opts=self.options([last]),
            )
        if settings.lifecycle_rules:
            last = aws.s3.BucketLifecycleConfiguration(
                f"{name}-lifecycle",
                bucket=bucket,
                rules=list(settings.lifecycle_rules),
                opts=self.options([last]),
            )
        if settings.access_log_bucket is not None:
            last = aws.s3.BucketLogging(
                f"{name}-access-log",
                bucket=bucket,
                target_bucket=settings.access_log_bucket,
                target_prefix=pulumi.Output.concat(bucket, "/"),
                opts=self.options([last]),
            )
        return aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket,
            policy=pulumi.Output.json_dumps(settings.policy(self.bucket.arn)),
            opts=self.options([last]),
        )


def expiry_rule(
    days: pulumi.Input[int], upload_days: int = 7
) -> aws.s3.BucketLifecycleConfigurationRuleArgsDict:
    """Remove every object of a versioned bucket so many days after it came, versions included.

    :param upload_days: days after which uploads that were not completed are removed.
    """
    return {
        "id": "remove-what-is-old",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "expiration": {"days": days},
        "noncurrent_version_expiration": {"noncurrent_days": 1},
        "abort_incomplete_multipart_upload": {"days_after_initiation": upload_days},
    }


def _encryption_rule(
    kms_key_arn: pulumi.Input[str] | None,
) -> aws.s3.BucketServerSideEncryptionConfigurationRuleArgsDict:
    rule: aws.s3.BucketServerSideEncryptionConfigurationRuleArgsDict = {
        # What is encrypted with a key that only its writer has could not be backed up. S3 blocks
        # it for new buckets anyway.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/blocking-unblocking-s3-c-encryption-gpb.html
        "blocked_encryption_types": ["SSE-C"],
    }
    if kms_key_arn is not None:
        rule["bucket_key_enabled"] = True
        rule["apply_server_side_encryption_by_default"] = {
            "sse_algorithm": "aws:kms",
            "kms_master_key_id": kms_key_arn,
        }
    else:
        rule["apply_server_side_encryption_by_default"] = {"sse_algorithm": "AES256"}
    return rule
