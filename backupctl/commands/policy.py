"""`backupctl policy`."""

import json
from collections.abc import Callable, Mapping, Sequence

import click

from backupctl import permissions
from backupctl.errors import DONE, WrongUse
from backupctl.options import Command, Settings
from backupctl.permissions import Statement
from backupctl.stack import Stack

_Write = Callable[[Settings, Sequence[str], Sequence[str]], list[Statement]]


def _backfill(settings: Settings, sources: Sequence[str], keys: Sequence[str]) -> list[Statement]:
    stack = settings.stack
    tracked = stack is not None and stack.track_deletes
    bucket = settings.backup_bucket
    statements = permissions.backfill(bucket, sources, keys, track_deletes=tracked)
    if stack is not None and stack.batch is not None:
        here = stack.functions[0].arn
        statements += permissions.batch_backfill(bucket, here, stack.batch.role_arn)
    return statements


def _verify(settings: Settings, sources: Sequence[str], keys: Sequence[str]) -> list[Statement]:
    return permissions.verify(settings.backup_bucket, sources, keys)


def _restore(settings: Settings, sources: Sequence[str], keys: Sequence[str]) -> list[Statement]:
    backup = settings.backup_bucket
    return [one for name in sources for one in permissions.restore(backup, name, keys)]


def _redrive(settings: Settings, sources: Sequence[str], keys: Sequence[str]) -> list[Statement]:
    stack = _stack(settings)
    return permissions.redrive(
        settings.backup_bucket,
        sources,
        stack.failure_queue_arn,
        keys,
        track_deletes=stack.track_deletes,
    )


def _status(settings: Settings, sources: Sequence[str], keys: Sequence[str]) -> list[Statement]:
    stack = _stack(settings)
    queues = [stack.failure_queue_arn, *stack.queue_arns]
    return permissions.status(settings.backup_bucket, sources, queues, keys)


def _doctor(settings: Settings, sources: Sequence[str], keys: Sequence[str]) -> list[Statement]:
    stack = _stack(settings)
    functions = [function.arn for function in stack.functions]
    # The program names them so; Pulumi adds the end.
    roles = [f"arn:{stack.partition}:iam::{stack.account_id}:role/backup*-role-*"]
    return permissions.doctor(settings.backup_bucket, sources, functions, roles, keys)


def _stack(settings: Settings) -> Stack:
    if settings.stack is None:
        raise WrongUse("which stack? set --stack; the policy for this command names its parts")
    return settings.stack


_WRITERS: Mapping[str, _Write] = {
    "status": _status,
    "backfill": _backfill,
    "verify": _verify,
    "restore": _restore,
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
@click.pass_obj
def policy(
    settings: Settings, command: str, buckets: tuple[str, ...], kms_key_arn: tuple[str, ...]
) -> int:
    """Print the IAM policy that a role needs for a COMMAND on BUCKETS, or on all of a stack's.

    It allows that and nothing more. What verify --fix needs is what verify and backfill need. For
    restore, BUCKETS are those to restore to.
    """
    # One may restore to a bucket that the stack does not know.
    anywhere = command == "restore" and buckets
    sources = list(buckets if anywhere else (source.name for source in settings.sources(buckets)))
    keys = list(kms_key_arn)
    described: list[Statement] = []
    if settings.stack is not None and settings.stack_name is not None:
        described = permissions.description(settings.stack.parameter_arn(settings.stack_name))
        keys = [*filter(None, [settings.stack.kms_key_arn]), *keys]
    statements = [*_WRITERS[command](settings, sources, keys), *described]
    print(json.dumps(permissions.document(statements), indent=2))
    return DONE
