"""`StandardBucket`: a private bucket that, if asked to, has its objects backed up."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import policies


class BackupTarget(TypedDict):
    """Whoever backs objects up: a function and the role that it runs as."""

    function_arn: pulumi.Input[str]
    """ARN of the function that S3 notifies."""
    function_name: pulumi.Input[str]
    """Name of that function."""
    role_id: pulumi.Input[str]
    """Name of the function's role, which gets the permission to read."""


class KeyFilter(TypedDict):
    """Restricts the backup to keys that have both the prefix and the suffix."""

    prefix: NotRequired[str]
    """What the key must start with."""
    suffix: NotRequired[str]
    """What the key must end with."""


class Lifecycle(TypedDict):
    """How long S3 keeps what nobody sees."""

    noncurrent_days: pulumi.Input[int]
    """Days after which a version that was overwritten or deleted is removed."""
    abort_upload_days: NotRequired[pulumi.Input[int]]
    """Days after which an unfinished multipart upload is removed. Default 7."""


class ObjectLock(TypedDict):
    """Default retention of every object version."""

    mode: pulumi.Input[str]
    """GOVERNANCE (an authorised principal can lift it) or COMPLIANCE (nobody can)."""
    days: pulumi.Input[int]
    """Days for which a version can be neither deleted nor overwritten."""


class StandardBucketArgs(TypedDict):
    """What a `StandardBucket` can be told."""

    bucket_name: NotRequired[pulumi.Input[str]]
    """Physical name. Default: Pulumi derives one from the resource name."""
    versioning: NotRequired[bool]
    """Keep overwritten and deleted versions. Default false; object lock needs true."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """KMS key for default encryption (SSE-KMS with a bucket key). Default: SSE-S3."""
    lifecycle: NotRequired[Lifecycle]
    """Removal of old versions and unfinished uploads. Default: nothing is ever removed."""
    object_lock: NotRequired[ObjectLock]
    """Default retention of new versions. Default: none."""
    access_log_bucket: NotRequired[pulumi.Input[str]]
    """Bucket that receives server access logs, under this bucket's name. Default: no logs."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of the bucket."""
    force_destroy: NotRequired[pulumi.Input[bool]]
    """Delete all objects when the bucket is destroyed. Default false: a full bucket stays."""
    backup: NotRequired[BackupTarget]
    """Back up created objects to this target. Default: no notification, no permission."""
    backup_filters: NotRequired[list[KeyFilter]]
    """Back up only what matches one of these. They must not overlap. Default: everything."""


class StandardBucket(pulumi.ComponentResource):
    """A private, encrypted bucket that answers to TLS only and knows no ACLs.

    With `backup`, S3 tells the target about every created object and the target's role may read
    this bucket. Without it, no notification exists and nobody gets a permission.
    """

    bucket_name: pulumi.Output[str]
    """Physical name of the bucket."""
    bucket_arn: pulumi.Output[str]
    """ARN of the bucket."""

    def __init__(
        self,
        name: str,
        args: StandardBucketArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the bucket.

        :param name: unique logical name; resources of their own add a suffix to it.
        :param args: see `StandardBucketArgs`.
        :param opts: options of the component. `protect` and `retain_on_delete` hold for the
            resources in it too.
        :raises ValueError: if `object_lock` is asked for without `versioning`.
        """
        if "object_lock" in args and not args.get("versioning"):
            raise ValueError(f"{name}: object_lock needs versioning: true")
        super().__init__("s3-backup:index:StandardBucket", name, None, opts)
        self._name = name
        # The SDK hands `protect` down to children by itself, but not this option.
        self._retain = opts.retain_on_delete if opts else None

        bucket = aws.s3.Bucket(
            name,
            bucket=args.get("bucket_name"),
            force_destroy=args.get("force_destroy", False),
            # For a new bucket only: S3 then versions it from the first object on. Turned on later,
            # the lock comes with its configuration below, and the bucket is not replaced.
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-configure.html
            object_lock_enabled=True if "object_lock" in args else None,
            tags=args.get("tags"),
            opts=pulumi.ResourceOptions.merge(
                self._child(), pulumi.ResourceOptions(ignore_changes=["objectLockEnabled"])
            ),
        )
        self._bucket = bucket
        settled = self._declare_settings(args)
        if "backup" in args:
            settled = self._declare_backup(args, args["backup"], settled)

        # Whoever gets these waits for the settings: what is written before them would be neither
        # versioned nor encrypted nor backed up as asked.
        self.bucket_name = pulumi.Output.all(bucket.bucket, settled.id).apply(lambda ids: ids[0])
        self.bucket_arn = pulumi.Output.all(bucket.arn, settled.id).apply(lambda ids: ids[0])
        self.register_outputs({"bucket_name": self.bucket_name, "bucket_arn": self.bucket_arn})

    def _part_of_the_bucket(
        self, depends_on: list[pulumi.Resource] | None = None
    ) -> pulumi.ResourceOptions:
        # Deleted with the bucket, not before it: S3 refuses to delete a bucket that is not empty,
        # and until then it must stay private, encrypted and backed up.
        return pulumi.ResourceOptions.merge(
            self._child(), pulumi.ResourceOptions(depends_on=depends_on, deleted_with=self._bucket)
        )

    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, retain_on_delete=self._retain)

    def _declare_settings(self, args: StandardBucketArgs) -> pulumi.CustomResource:
        """Declare every setting of the bucket, each after the one before it.

        S3 answers 409 OperationAborted to concurrent changes of one bucket.
        https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html

        :returns: the last of them.
        """
        name, bucket = self._name, self._bucket
        last: pulumi.Resource = aws.s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=bucket.bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=self._part_of_the_bucket(),
        )
        last = aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._part_of_the_bucket([last]),
        )
        last = aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.bucket,
            rules=[_encryption_rule(args)],
            opts=self._part_of_the_bucket([last]),
        )
        if args.get("versioning"):
            last = aws.s3.BucketVersioning(
                f"{name}-versioning",
                bucket=bucket.bucket,
                versioning_configuration={"status": "Enabled"},
                opts=self._part_of_the_bucket([last]),
            )
        if "object_lock" in args:
            last = aws.s3.BucketObjectLockConfiguration(
                f"{name}-object-lock",
                bucket=bucket.bucket,
                object_lock_enabled="Enabled",
                rule={
                    "default_retention": {
                        "mode": args["object_lock"]["mode"],
                        "days": args["object_lock"]["days"],
                    }
                },
                opts=self._part_of_the_bucket([last]),
            )
        if "lifecycle" in args:
            last = aws.s3.BucketLifecycleConfiguration(
                f"{name}-lifecycle",
                bucket=bucket.bucket,
                rules=[_lifecycle_rule(args["lifecycle"])],
                opts=self._part_of_the_bucket([last]),
            )
        if "access_log_bucket" in args:
            last = aws.s3.BucketLogging(
                f"{name}-access-log",
                bucket=bucket.bucket,
                target_bucket=args["access_log_bucket"],
                target_prefix=pulumi.Output.concat(bucket.bucket, "/"),
                opts=self._part_of_the_bucket([last]),
            )
        return aws.s3.BucketPolicy(
            f"{name}-tls-only",
            bucket=bucket.bucket,
            policy=pulumi.Output.json_dumps(bucket.arn.apply(policies.tls_only)),
            opts=self._part_of_the_bucket([last]),
        )

    def _declare_backup(
        self, args: StandardBucketArgs, target: BackupTarget, settled: pulumi.Resource
    ) -> pulumi.CustomResource:
        name, bucket = self._name, self._bucket
        account = aws.get_caller_identity_output(
            opts=pulumi.InvokeOutputOptions(parent=self)
        ).account_id
        permission = aws.lambda_.Permission(
            f"{name}-invoke",
            action="lambda:InvokeFunction",
            function=target["function_name"],
            principal="s3.amazonaws.com",
            source_arn=bucket.arn,
            source_account=account,
            # Dots are not allowed here, and underscores cannot be in a bucket's name.
            statement_id=bucket.bucket.apply(lambda text: f"s3-{text.replace('.', '_')}"),
            opts=self._child(),
        )
        statements = pulumi.Output.all(bucket.arn, args.get("kms_key_arn")).apply(
            lambda arns: policies.document(*policies.read_statements(*arns))
        )
        read_policy = aws.iam.RolePolicy(
            f"{name}-read",
            role=target["role_id"],
            policy=pulumi.Output.json_dumps(statements),
            opts=self._child(),
        )
        # S3 refuses a notification whose function does not allow the bucket yet, and an event
        # before the read policy would fail.
        return aws.s3.BucketNotification(
            f"{name}-notification",
            bucket=bucket.bucket,
            lambda_functions=[
                {
                    "lambda_function_arn": target["function_arn"],
                    "events": ["s3:ObjectCreated:*"],
                    **_notification_filter(key_filter),
                }
                for key_filter in args.get("backup_filters") or [KeyFilter()]
            ],
            opts=self._part_of_the_bucket([settled, permission, read_policy]),
        )


def _encryption_rule(
    args: StandardBucketArgs,
) -> aws.s3.BucketServerSideEncryptionConfigurationRuleArgsDict:
    rule: aws.s3.BucketServerSideEncryptionConfigurationRuleArgsDict = {
        # What is encrypted with a key that only its writer has could not be backed up. S3 blocks
        # it for new buckets anyway.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/blocking-unblocking-s3-c-encryption-gpb.html
        "blocked_encryption_types": ["SSE-C"],
    }
    if "kms_key_arn" in args:
        rule["bucket_key_enabled"] = True
        rule["apply_server_side_encryption_by_default"] = {
            "sse_algorithm": "aws:kms",
            "kms_master_key_id": args["kms_key_arn"],
        }
    else:
        rule["apply_server_side_encryption_by_default"] = {"sse_algorithm": "AES256"}
    return rule


def _lifecycle_rule(
    lifecycle: Lifecycle,
) -> aws.s3.BucketLifecycleConfigurationRuleArgsDict:
    return {
        "id": "remove-what-nobody-sees",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "noncurrent_version_expiration": {"noncurrent_days": lifecycle["noncurrent_days"]},
        "expiration": {"expired_object_delete_marker": True},
        "abort_incomplete_multipart_upload": {
            "days_after_initiation": lifecycle.get("abort_upload_days", 7)
        },
    }


def _notification_filter(
    key_filter: KeyFilter,
) -> aws.s3.BucketNotificationLambdaFunctionArgsDict:
    filters = {
        "filter_prefix": key_filter.get("prefix"),
        "filter_suffix": key_filter.get("suffix"),
    }
    return {field: value for field, value in filters.items() if value}  # pyright: ignore
