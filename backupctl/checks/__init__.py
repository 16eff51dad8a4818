"""What `backupctl doctor` looks at: one module per subject, each finding with its cure."""

from collections.abc import Callable, Iterator

from backupctl.condition import Finding

from . import access, clock, delivery, quotas, storage
from .patient import Patient

Check = Callable[[Patient], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "functions": delivery.functions,
    "queues": delivery.queues,
    "notifications": delivery.announcements,
    "permissions": access.permissions,
    "backup bucket": storage.backup_bucket,
    "keys": storage.keys,
    "role policies": quotas.role_policies,
    "function policies": quotas.function_policies,
    "notification entries": quotas.notification_entries,
    "concurrency": quotas.concurrency,
    "clock": clock.clock,
}
"""By name, in the order in which they are made."""

__all__ = ["CHECKS", "Check", "Patient"]
