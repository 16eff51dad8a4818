"""Pulumi components of S3 Backup."""

from .access_log_bucket import AccessLogBucket, AccessLogBucketArgs
from .audit_trail import AuditTrail, AuditTrailArgs
from .backup_alarms import BackupAlarms, BackupAlarmsArgs, QuietBucket
from .backup_dashboard import (
    BackupDashboard,
    BackupDashboardArgs,
    DashboardFunction,
    LogQueries,
    LogQueriesArgs,
)
from .backup_function import BackupFunction, BackupFunctionArgs, FailureQueue
from .backup_queue import BackupQueue, BackupQueueArgs
from .batch_operations import BatchFunction, BatchFunctionArgs, BatchJobRole, BatchJobRoleArgs
from .deployment_package import deployment_package, zipped_package
from .encryption_key import EncryptionKey, EncryptionKeyArgs
from .failure_redrive import FailureRedrive, FailureRedriveArgs, FeedingQueue
from .failure_targets import FailureTargets, FailureTargetsArgs
from .handler_function import EventBus, FunctionNetwork, HandlerFunctionArgs, SignedCode
from .notification_topic import NotificationTopic, NotificationTopicArgs, Subscription
from .scheduled_drill import DrilledSource, ScheduledDrill, ScheduledDrillArgs
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
    "AuditTrail",
    "AuditTrailArgs",
    "BackupAlarms",
    "BackupAlarmsArgs",
    "BackupDashboard",
    "BackupDashboardArgs",
    "BackupFunction",
    "BackupFunctionArgs",
    "BackupQueue",
    "BackupQueueArgs",
    "BackupTarget",
    "BatchFunction",
    "BatchFunctionArgs",
    "BatchJobRole",
    "BatchJobRoleArgs",
    "BucketProtection",
    "DashboardFunction",
    "DrilledSource",
    "EncryptionKey",
    "EncryptionKeyArgs",
    "EventBus",
    "Expiration",
    "FailureQueue",
    "FailureRedrive",
    "FailureRedriveArgs",
    "FailureTargets",
    "FailureTargetsArgs",
    "FeedingQueue",
    "FunctionNetwork",
    "HandlerFunctionArgs",
    "KeyFilter",
    "Lifecycle",
    "LogQueries",
    "LogQueriesArgs",
    "NotificationTopic",
    "NotificationTopicArgs",
    "ObjectLock",
    "QuietBucket",
    "ScheduledDrill",
    "ScheduledDrillArgs",
    "SignedCode",
    "SignedPackage",
    "SignedPackageArgs",
    "StandardBucket",
    "StandardBucketArgs",
    "Subscription",
    "deployment_package",
    "zipped_package",
]
