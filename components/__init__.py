"""Pulumi components of S3 Backup."""

from .access_log_bucket import AccessLogBucket, AccessLogBucketArgs
from .backup_function import BackupFunction, BackupFunctionArgs, FailureQueue
from .deployment_package import deployment_package
from .encryption_key import EncryptionKey, EncryptionKeyArgs
from .standard_bucket import (
    BackupTarget,
    BucketProtection,
    KeyFilter,
    Lifecycle,
    ObjectLock,
    StandardBucket,
    StandardBucketArgs,
)

__all__ = [
    "AccessLogBucket",
    "AccessLogBucketArgs",
    "BackupFunction",
    "BackupFunctionArgs",
    "BackupTarget",
    "BucketProtection",
    "EncryptionKey",
    "EncryptionKeyArgs",
    "FailureQueue",
    "KeyFilter",
    "Lifecycle",
    "ObjectLock",
    "StandardBucket",
    "StandardBucketArgs",
    "deployment_package",
]
