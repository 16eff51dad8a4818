"""Whether this machine and AWS agree on the time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from backupctl.condition import Finding

from .patient import Patient

# AWS refuses what is signed 15 minutes off. `--at`, `--grace` and ages are of this clock, and S3
# tells times in seconds.
TOLERATED = timedelta(seconds=30)


def clock(patient: Patient) -> Iterator[Finding]:
    """Compare with the Date of an answer."""
    answer = patient.aws.client("sts").get_caller_identity()
    told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if told is None:
        return
    skew = datetime.now(UTC) - parsedate_to_datetime(told)
    if abs(skew) > TOLERATED:
        way = "ahead of" if skew > timedelta() else "behind"
        yield Finding(
            "clock",
            f"this machine's clock is {abs(skew).total_seconds():,.0f} seconds {way} AWS's",
            "set it, or have it set (NTP)",
        )
