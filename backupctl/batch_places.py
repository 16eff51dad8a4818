"""Where S3 Batch Operations and backupctl keep in the backup bucket what they tell each other."""

from handler.backup_keys import RESERVED

_PLACE = f"{RESERVED}batch/"
MANIFESTS = f"{_PLACE}manifests/"
"""What jobs shall copy; they may read here."""
REPORTS = f"{_PLACE}reports"
"""What they say in the end; they may write below it."""
RECORDS = f"{_PLACE}jobs/"
"""Which job is the last one for a source; theirs to neither read nor write."""
