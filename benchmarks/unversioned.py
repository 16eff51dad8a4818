"""`python -m benchmarks.unversioned`: backupctl, for an S3 whose buckets never keep versions."""

import sys

from backupctl import cli
from backupctl.commands import backfill

if __name__ == "__main__":
    # It refuses to copy to such a bucket otherwise. Nothing else is changed.
    backfill.check_versioning = lambda *_: None
    sys.exit(cli.main())
