"""Pulumi components of S3 Backup."""

from .backup_function import BackupFunction, BackupFunctionArgs, FailureQueue
from .deployment_package import deployment_package
from .encryption_key import EncryptionKey, EncryptionKeyArgs
from .standard_bucket import (
    BackupTarget,
    KeyFilter,
    Lifecycle,
    ObjectLock,
    StandardBucket,
    StandardBucketArgs,
)

__all__ = [
    "BackupFunction",
    "BackupFunctionArgs",
    "BackupTarget",
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
