"""`StandardBucket`: a private bucket that, if asked to, has its objects backed up."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import policies
from .private_bucket import BucketSettings, PrivateBucket


class BackupTarget(TypedDict):
    """Whoever backs objects up: a function, the role that it runs as, and how it is told."""

    function_arn: pulumi.Input[str]
    """ARN of the function that S3 notifies."""
    function_name: pulumi.Input[str]
    """Name of that function."""
    role_id: pulumi.Input[str]
    """Name of the function's role, which gets the permission to read."""
    queue_arn: NotRequired[pulumi.Input[str]]
    """ARN of a queue that feeds the function and that S3 notifies instead. It must let this bucket
    send to it. Default: S3 notifies the function itself."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """KMS key that the role may use already, through S3. Default: none."""


class KeyFilter(TypedDict):
    """Restricts the backup to keys that have both the prefix and the suffix."""

    prefix: NotRequired[str]
    """What the key must start with."""
    suffix: NotRequired[str]
    """What the key must end with."""


class Expiration(TypedDict):
    """How long S3 keeps what lies under a prefix."""

    prefix: str
    """What the keys start with."""
    days: pulumi.Input[int]
    """Days after which an object is deleted, counted from when it was written last."""


class Lifecycle(TypedDict):
    """How long S3 keeps what nobody sees."""

    noncurrent_days: pulumi.Input[int]
    """Days after which a version that was overwritten or deleted is removed."""
    abort_upload_days: NotRequired[pulumi.Input[int]]
    """Days after which an unfinished multipart upload is removed. Default 7."""
    expirations: NotRequired[list[Expiration]]
    """What is deleted after a time. Default: nothing."""


class ObjectLock(TypedDict):
    """Default retention of every object version."""

    mode: pulumi.Input[str]
    """GOVERNANCE (an authorised principal can lift it) or COMPLIANCE (nobody can)."""
    days: pulumi.Input[int]
    """Days for which a version can be neither deleted nor overwritten."""


class BucketProtection(TypedDict):
    """Who may do what destroys backups. Roles are given by their ARNs."""

    break_glass_role_arn: NotRequired[pulumi.Input[str]]
    """May delete versions and lift retentions, and may change the bucket. Default: nobody may the
    former, and the latter is not restricted, because nobody could undo it."""
    deployer_role_arns: NotRequired[list[pulumi.Input[str]]]
    """May change the bucket's policy and settings too. They have no meaning without a break-glass
    role. Default: only that one may."""


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
    protection: NotRequired[BucketProtection]
    """Refuse, in the bucket's own policy, what destroys backups. Default: IAM alone decides."""
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
    track_deletes: NotRequired[bool]
    """Tell the target about deleted objects too, which it must be ready for. Default false."""


class StandardBucket(pulumi.ComponentResource):
    """A private, encrypted bucket that answers to TLS only and knows no ACLs.

    With `backup`, S3 tells the target about every created object, itself or through a queue, and
    the target's role may read this bucket. Without it, no notification exists and nobody gets a
    permission.
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
        own = PrivateBucket(self, name, _settings(args), opts)
        bucket, settled = own.bucket, own.settled
        if "backup" in args:
            settled = self._declare_backup(name, args, args["backup"], own)

        # Whoever gets these waits for the settings: what is written before them would be neither
        # versioned nor encrypted nor backed up as asked.
        self.bucket_name = pulumi.Output.all(bucket.bucket, settled.id).apply(lambda ids: ids[0])
        self.bucket_arn = pulumi.Output.all(bucket.arn, settled.id).apply(lambda ids: ids[0])
        self.register_outputs({"bucket_name": self.bucket_name, "bucket_arn": self.bucket_arn})

    def _declare_backup(
        self, name: str, args: StandardBucketArgs, target: BackupTarget, own: PrivateBucket
    ) -> pulumi.CustomResource:
        bucket = own.bucket
        account = aws.get_caller_identity_output(
            opts=pulumi.InvokeOutputOptions(parent=self)
        ).account_id
        # There also with a queue: S3 goes on invoking the function for minutes after the
        # notification was changed, and refused events would be lost.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-enable-disable-notification-intro.html
        permission = aws.lambda_.Permission(
            f"{name}-invoke",
            action="lambda:InvokeFunction",
            function=target["function_name"],
            principal="s3.amazonaws.com",
            source_arn=bucket.arn,
            source_account=account,
            # Dots are not allowed here, and underscores cannot be in a bucket's name.
            statement_id=bucket.bucket.apply(lambda text: f"s3-{text.replace('.', '_')}"),
            opts=own.child,
        )
        statements = pulumi.Output.all(
            bucket.arn, args.get("kms_key_arn"), target.get("kms_key_arn")
        ).apply(_read_permissions)
        read_policy = aws.iam.RolePolicy(
            f"{name}-read",
            role=target["role_id"],
            policy=pulumi.Output.json_dumps(statements),
            opts=own.child,
        )
        # S3 refuses a notification whose function does not allow the bucket yet, and an event
        # before the read policy would fail.
        return aws.s3.BucketNotification(
            f"{name}-notification",
            bucket=bucket.bucket,
            **_destination(target, _events(args), args.get("backup_filters") or [KeyFilter()]),
            opts=own.options([own.settled, permission, read_policy]),
        )


def _events(args: StandardBucketArgs) -> list[str]:
    created = ["s3:ObjectCreated:*"]
    if not args.get("track_deletes"):
        return created
    # What a lifecycle rule deletes is announced apart from what somebody deletes.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-configure-notification.html
    return [*created, "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"]


def _settings(args: StandardBucketArgs) -> BucketSettings:
    lock = args.get("object_lock")
    return BucketSettings(
        policy=lambda arn: _policy(args, arn),
        bucket_name=args.get("bucket_name"),
        versioning=args.get("versioning", False),
        kms_key_arn=args.get("kms_key_arn"),
        lifecycle_rules=_lifecycle_rules(args["lifecycle"]) if "lifecycle" in args else [],
        retention={"mode": lock["mode"], "days": lock["days"]} if lock is not None else None,
        access_log_bucket=args.get("access_log_bucket"),
        tags=args.get("tags"),
        force_destroy=args.get("force_destroy", False),
    )


def _policy(args: StandardBucketArgs, arn: pulumi.Output[str]) -> pulumi.Output[policies.Document]:
    protection = args.get("protection")
    if protection is None:
        return arn.apply(lambda arn: policies.document(*policies.tls_only_statements(arn)))
    return pulumi.Output.all(
        arn, protection.get("break_glass_role_arn"), protection.get("deployer_role_arns", [])
    ).apply(
        lambda known: policies.document(
            *policies.tls_only_statements(known[0]), *policies.protection_statements(*known)
        )
    )


def _read_permissions(arns: Sequence[Any]) -> policies.Document:
    """IAM counts every character of a role's policies, so nothing is granted twice."""
    bucket_arn, kms_key_arn, granted_key_arn = arns
    key = None if kms_key_arn == granted_key_arn else kms_key_arn
    return policies.document(*policies.read_statements(bucket_arn, key))


def _lifecycle_rules(
    lifecycle: Lifecycle,
) -> list[aws.s3.BucketLifecycleConfigurationRuleArgsDict]:
    return [
        {
            "id": "remove-what-nobody-sees",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "noncurrent_version_expiration": {"noncurrent_days": lifecycle["noncurrent_days"]},
            "expiration": {"expired_object_delete_marker": True},
            "abort_incomplete_multipart_upload": {
                "days_after_initiation": lifecycle.get("abort_upload_days", 7)
            },
        },
        *(
            aws.s3.BucketLifecycleConfigurationRuleArgsDict(
                id=f"expire-{expiration['prefix']}",
                status="Enabled",
                filter={"prefix": expiration["prefix"]},
                expiration={"days": expiration["days"]},
            )
            for expiration in lifecycle.get("expirations", [])
        ),
    ]


class _Destination(TypedDict, total=False):
    """The arguments of a notification that say where events go; one of the two is there."""

    lambda_functions: list[aws.s3.BucketNotificationLambdaFunctionArgsDict]
    queues: list[aws.s3.BucketNotificationQueueArgsDict]


def _destination(target: BackupTarget, events: list[str], filters: list[KeyFilter]) -> _Destination:
    if "queue_arn" in target:
        arn = target["queue_arn"]
        return {
            "queues": [
                {"queue_arn": arn, "events": events, **_notification_filter(key_filter)}
                for key_filter in filters
            ]
        }
    arn = target["function_arn"]
    return {
        "lambda_functions": [
            {"lambda_function_arn": arn, "events": events, **_notification_filter(key_filter)}
            for key_filter in filters
        ]
    }


class _NotificationFilter(TypedDict, total=False):
    """What a notification is restricted to; the same for functions and queues."""

    filter_prefix: str
    filter_suffix: str


def _notification_filter(key_filter: KeyFilter) -> _NotificationFilter:
    wanted = _NotificationFilter()
    if prefix := key_filter.get("prefix"):
        wanted["filter_prefix"] = prefix
    if suffix := key_filter.get("suffix"):
        wanted["filter_suffix"] = suffix
    return wanted
