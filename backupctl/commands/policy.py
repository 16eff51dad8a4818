"""`backupctl policy`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import click

from backupctl import permissions
from backupctl.announcing import bus_of
from backupctl.commands.drill import destination
from backupctl.errors import DONE, WrongUse
from backupctl.options import Command, Settings
from backupctl.permissions import Statement
from backupctl.stack import Stack


@dataclass(frozen=True)
class _Wanted:
    """What a policy is for."""

    settings: Settings
    sources: Sequence[str]
    keys: Sequence[str]
    to: str | None = None
    exact: bool = False

    @property
    def bucket(self) -> str:
        return self.settings.backup_bucket

    @property
    def stack(self) -> Stack:
        """:raises WrongUse: without --stack."""
        if self.settings.stack is None:
            raise WrongUse("which stack? set --stack; the policy for this command names its parts")
        return self.settings.stack

    @property
    def tracked(self) -> bool:
        return self.settings.stack is not None and self.settings.stack.track_deletes

    @property
    def announcing(self) -> list[Statement]:
        """For --event, where the stack has a bus."""
        stack = self.settings.stack
        if stack is None or not stack.exports.get("eventBus"):
            return []
        return permissions.announce(bus_of(self.settings))


def _backfill(wanted: _Wanted) -> list[Statement]:
    stack = wanted.settings.stack
    statements = permissions.backfill(
        wanted.bucket, wanted.sources, wanted.keys, track_deletes=wanted.tracked
    )
    if stack is not None and stack.batch is not None:
        here = stack.functions[0].arn
        statements += permissions.batch_backfill(wanted.bucket, here, stack.batch.role_arn)
    return statements


def _verify(wanted: _Wanted) -> list[Statement]:
    allowed = permissions.verify(
        wanted.bucket, wanted.sources, wanted.keys, track_deletes=wanted.tracked
    )
    return [*allowed, *wanted.announcing]


def _restore(wanted: _Wanted) -> list[Statement]:
    return [
        statement
        for name in wanted.sources
        for statement in permissions.restore(wanted.bucket, name, wanted.keys, exact=wanted.exact)
    ]


def _drill(wanted: _Wanted) -> list[Statement]:
    there = destination(wanted.settings, wanted.sources, wanted.to)
    allowed = permissions.drill(
        wanted.bucket, wanted.sources, there.bucket, there.prefix, wanted.keys
    )
    return [*allowed, *wanted.announcing]


def _redrive(wanted: _Wanted) -> list[Statement]:
    stack = wanted.stack
    return permissions.redrive(
        wanted.bucket,
        wanted.sources,
        stack.failure_queue_arn,
        wanted.keys,
        track_deletes=stack.track_deletes,
    )


def _status(wanted: _Wanted) -> list[Statement]:
    queues = [wanted.stack.failure_queue_arn, *wanted.stack.queue_arns]
    return permissions.status(wanted.bucket, wanted.sources, queues, wanted.keys)


def _doctor(wanted: _Wanted) -> list[Statement]:
    stack = wanted.stack
    functions = [function.arn for function in stack.functions]
    # The program names them so; Pulumi adds the end.
    roles = [f"arn:{stack.partition}:iam::{stack.account_id}:role/backup*-role-*"]
    return permissions.doctor(wanted.bucket, wanted.sources, functions, roles, wanted.keys)


_WRITERS: Mapping[str, Callable[[_Wanted], list[Statement]]] = {
    "status": _status,
    "backfill": _backfill,
    "verify": _verify,
    "restore": _restore,
    "drill": _drill,
    "redrive": _redrive,
    "doctor": _doctor,
}


@click.command(cls=Command, example="backupctl --stack prod policy backfill > policy.json")
@click.argument("command", type=click.Choice(list(_WRITERS)))
@click.argument("buckets", nargs=-1)
@click.option(
    "--kms-key-arn",
    multiple=True,
    metavar="ARN",
    help="A key that a bucket is encrypted with, beside the stack's.",
)
@click.option("--to", metavar="BUCKET[/PREFIX]", help="For drill: as drill's --to.")
@click.option("--exact", is_flag=True, help="For restore: also what its --exact needs.")
@click.pass_obj
def policy(
    settings: Settings,
    command: str,
    buckets: tuple[str, ...],
    kms_key_arn: tuple[str, ...],
    to: str | None,
    exact: bool,
) -> int:
    """Print the IAM policy that a role needs for a COMMAND on BUCKETS, or on all of a stack's.

    It allows that and nothing more. What verify --fix needs is what verify and backfill need. For
    restore, BUCKETS are those to restore to.
    """
    if to is not None and command != "drill":
        raise WrongUse("--to is for drill; for restore, name the bucket to restore to")
    if exact and command != "restore":
        raise WrongUse("--exact is for restore")
    # One may restore to a bucket that the stack does not know.
    anywhere = command == "restore" and buckets
    sources = list(buckets if anywhere else (source.name for source in settings.sources(buckets)))
    keys = list(kms_key_arn)
    described: list[Statement] = []
    if settings.stack is not None and settings.stack_name is not None:
        described = permissions.description(settings.stack.parameter_arn(settings.stack_name))
        keys = [*filter(None, [settings.stack.kms_key_arn]), *keys]
    wanted = _Wanted(settings, sources, keys, to, exact)
    statements = [*_WRITERS[command](wanted), *described]
    print(json.dumps(permissions.document(statements), indent=2))
    return DONE
