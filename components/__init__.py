"""Pulumi components of S3 Backup."""

from .access_log_bucket import AccessLogBucket, AccessLogBucketArgs
from .backup_function import (
    BackupFunction,
    BackupFunctionArgs,
    FailureQueue,
    FunctionNetwork,
    SignedCode,
)
from .deployment_package import deployment_package, zipped_package
from .encryption_key import EncryptionKey, EncryptionKeyArgs
from .signed_package import SignedPackage, SignedPackageArgs
from .standard_bucket import (
    BackupTarget,
    BucketProtection,
    Expiration,
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
    "Expiration",
    "FailureQueue",
    "FunctionNetwork",
    "KeyFilter",
    "Lifecycle",
    "ObjectLock",
    "SignedCode",
    "SignedPackage",
    "SignedPackageArgs",
    "StandardBucket",
    "StandardBucketArgs",
    "deployment_package",
    "zipped_package",
]
