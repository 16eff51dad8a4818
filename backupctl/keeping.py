"""Leaves results where `status` looks for them."""

from collections.abc import Mapping
from typing import Any

import click

from handler.asking import Asking
from handler.failures import Failed
from handler.requests import S3Error

from .aws import Aws
from .driver import AsyncDriver
from .errors import BackupctlError, one_line
from .results import record, result_key
from .s3 import S3Client


async def keep(aws: Aws, asking: Asking, kind: str, source: str, result: Mapping[str, Any]) -> None:
    """Record a result, or say on stderr why not: whoever may only read has done it all the same.

    :param kind: `VERIFICATION` or `DRILL`.
    :param source: name of the source bucket.
    :param result: what becomes JSON.
    """
    try:
        async with S3Client(aws) as s3:
            await AsyncDriver(s3).run(record(asking, kind, source, result))
    except (BackupctlError, Failed, S3Error) as error:
        key = result_key(kind, source)
        click.echo(
            f"backupctl: the result is not recorded in {key}: {one_line(str(error))}", err=True
        )
