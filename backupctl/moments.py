"""Points in time as people write them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    _ParamType = click.ParamType[datetime]
else:
    _ParamType = click.ParamType


class Moment(_ParamType):
    """Any ISO 8601 time; UTC where it names no zone."""

    name = "time"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read it."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            self.fail(
                f"{value!r} is no ISO 8601 time; write it like 2026-03-04T05:06:07Z (UTC) or "
                "2026-03-04T06:06:07+01:00",
                param,
                ctx,
            )
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def second(moment: datetime) -> datetime:
    """The second that a moment is in: S3 dates versions by whole seconds, if not everywhere."""
    return moment.replace(microsecond=0)


def shown(moment: datetime) -> str:
    """For people and machines: `2026-03-04T05:06:07Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
