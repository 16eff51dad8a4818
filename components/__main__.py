"""Hosts the components as a Pulumi package, for programs in any Pulumi language."""

import sys
from importlib import util
from pathlib import Path
from types import ModuleType

from pulumi.provider.experimental import component_provider_host

VERSION = "0.1.0"


def load_package() -> ModuleType:
    """Import this folder as the package `components`, whatever Pulumi called the folder."""
    folder = Path(__file__).resolve().parent
    spec = util.spec_from_file_location(
        "components", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} holds no __init__.py")
    package = util.module_from_spec(spec)
    sys.modules["components"] = package
    spec.loader.exec_module(package)
    return package


if __name__ == "__main__":
    package = load_package()
    component_provider_host(
        name="s3-backup",
        version=VERSION,
        components=[
            package.AccessLogBucket,
            package.AuditTrail,
            package.BackupAlarms,
            package.BackupDashboard,
            package.BackupFunction,
            package.BackupQueue,
            package.BatchFunction,
            package.BatchJobRole,
            package.EncryptionKey,
            package.FailureRedrive,
            package.FailureTargets,
            package.LogQueries,
            package.NotificationTopic,
            package.ScheduledDrill,
            package.SignedPackage,
            package.StandardBucket,
        ],
    )
