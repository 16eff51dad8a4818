"""What all commands share: the options that say where to look, and a help text with an example.

@click.command(cls=Command, example="backupctl --stack prod status")
@click.pass_obj
def status(settings: Settings) -> int: ...
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from handler.copy import Engine

from .aws import Aws
from .errors import WrongUse
from .stack import Source, Stack

if TYPE_CHECKING:
    _ParamType = click.ParamType[datetime]
else:
    _ParamType = click.ParamType

BUCKET_VARIABLE = "S3_BACKUP_BUCKET"


@dataclass
class Settings:
    """What the shared options say, and what follows from them. Asks AWS only when it must."""

    backup_bucket_option: str | None = None
    stack_name: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None

    @cached_property
    def aws(self) -> Aws:
        """The account, as the credentials and the environment see it."""
        return Aws.of_environment(self.profile, self.region, self.endpoint_url)

    @cached_property
    def stack(self) -> Stack | None:
        """What the stack says of itself; None without --stack."""
        return None if self.stack_name is None else Stack.read(self.aws, self.stack_name)

    @cached_property
    def backup_bucket(self) -> str:
        """Name of the backup bucket: as the option, the stack or the environment says.

        :raises WrongUse: if none of them does.
        """
        if self.backup_bucket_option:
            return self.backup_bucket_option
        if self.stack is not None:
            return self.stack.backup_bucket
        bucket = os.environ.get(BUCKET_VARIABLE)
        if bucket:
            return bucket
        raise WrongUse(
            f"which backup bucket? set --stack, --backup-bucket or the variable {BUCKET_VARIABLE}"
        )

    @cached_property
    def owner(self) -> str:
        """The 12-digit id of the account that owns the buckets."""
        if self.stack is not None and self.stack.functions:
            return self.stack.account_id
        return self.aws.account_id

    def engine(self, storage_class: str = "STANDARD", *, track_deletes: bool) -> Engine:
        """What copies into the backup bucket.

        :param storage_class: of the copies, where no stack says it.
        :param track_deletes: whether deletions are tracked.
        """
        if self.stack is not None:
            storage_class = self.stack.storage_class
        return Engine(self.backup_bucket, self.owner, storage_class, track_deletes=track_deletes)

    def place(self, to: str) -> tuple[str, str]:
        """Bucket and prefix that --to names.

        :raises WrongUse: if it names no bucket, or the backup bucket.
        """
        bucket, _, prefix = to.removeprefix("s3://").partition("/")
        if not bucket:
            raise WrongUse(f"--to {to} names no bucket; write it as BUCKET or BUCKET/PREFIX")
        if bucket == self.backup_bucket:
            raise WrongUse(
                f"{bucket} is the backup bucket, which is only read; choose another --to"
            )
        return bucket, prefix

    def sources(self, names: tuple[str, ...] = ()) -> list[Source]:
        """The source buckets to work on, with the filters that the stack has for them.

        :param names: those that a person named; empty for all of the stack's.
        :raises WrongUse: if there is no telling which.
        """
        known = {} if self.stack is None else self.stack.sources
        if not names and self.stack is None:
            raise WrongUse("which buckets? name them, or set --stack to take all of a stack's")
        unknown = [name for name in names if self.stack is not None and name not in known]
        if unknown:
            raise WrongUse(
                f"the stack {self.stack_name} does not back up {', '.join(unknown)}; "
                f"it does {', '.join(known)}"
            )
        if self.backup_bucket in names:
            raise WrongUse(f"{self.backup_bucket} is the backup bucket, not a source")
        return [known.get(name, Source(name)) for name in dict.fromkeys(names or known)]


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    settings = ctx.ensure_object(Settings)
    # Given before and after the command's name, the latter counts.
    if value is not None:
        setattr(settings, str(param.name), value)


def SHARED() -> list[click.Parameter]:  # noqa: N802 - reads as the constant that click's mutable options cannot be
    """The options that say where to look, accepted before and after a command's name."""
    common: dict[str, Any] = {"expose_value": False, "callback": _remember}
    return [
        click.Option(
            ["--backup-bucket", "backup_bucket_option"],
            metavar="NAME",
            help=f"The backup bucket. Without it: --stack's, or the variable {BUCKET_VARIABLE}.",
            **common,
        ),
        click.Option(
            ["--stack", "stack_name"],
            metavar="NAME",
            help="A deployed stack; what it made is read from its SSM parameter.",
            **common,
        ),
        click.Option(
            ["--endpoint-url"],
            metavar="URL",
            help="Of another S3, or a local AWS. Without it: AWS's, or AWS_ENDPOINT_URL.",
            **common,
        ),
        click.Option(["--region"], metavar="NAME", help="The AWS region.", **common),
        click.Option(["--profile"], metavar="NAME", help="From your AWS configuration.", **common),
    ]


class Example(click.Command):
    """A command whose help ends with an example."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Add the example."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"  {line}\n")


class Command(Example):
    """A command that accepts the shared options too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.params += SHARED()


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
