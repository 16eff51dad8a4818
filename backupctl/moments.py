"""Points in time as S3 has them and as people read them."""

from datetime import UTC, datetime


def second(moment: datetime) -> datetime:
    """The second that a moment is in: S3 dates versions by whole seconds, if not everywhere."""
    return moment.replace(microsecond=0)


def shown(moment: datetime) -> str:
    """For people and machines: `2026-03-04T05:06:07Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
