"""Entry point of the Lambda: event -> records -> copies -> one log line each.

Configured by the environment: `BACKUP_BUCKET`, the bucket that receives the copies, and
`BUCKET_OWNER`, the account id that must own all buckets.
"""

import functools
import json
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from .copy import Copier
from .events import Damaged, parse
from .records import ObjectVersion, Refused


class BackupFailed(Exception):
    """At least one record of the event is not backed up; Lambda retries the whole event."""


@functools.cache
def _copier() -> Copier:
    return Copier(
        boto3.client(
            "s3",
            config=Config(
                retries={"mode": "standard", "max_attempts": 5},
                # S3 answers a copy of up to 5 GiB only when it is done.
                read_timeout=900,
                max_pool_connections=64,
                tcp_keepalive=True,
            ),
        ),
        backup_bucket=os.environ["BACKUP_BUCKET"],
        owner=os.environ["BUCKET_OWNER"],
    )


def handler(event: object, context: object) -> None:
    """Back up every object version that the event announces.

    :param event: an S3 event notification, as Lambda decodes it.
    :param context: Lambda's context object; not used.
    :raises UnknownEvent: if the event is not an S3 notification.
    :raises BackupFailed: after all records were tried, if any of them failed.
    """
    del context
    failures = [problem for item in parse(event) if (problem := _back_up(item))]
    if failures:
        raise BackupFailed("; ".join(failures))


def _back_up(item: ObjectVersion | Damaged) -> str | None:
    """Handle one record and log it; returns what went wrong, so that no record stops another."""
    started = time.monotonic()
    # Without a time Lambda takes every line for INFO.
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    line: dict[str, Any] = {"timestamp": datetime.now(UTC).isoformat(), "level": "INFO"}
    problem = None
    try:
        if isinstance(item, Damaged):
            raise Refused(item.problem)
        line |= {"bucket": item.bucket, "key": item.key, "version": item.version_id}
        result = asdict(_copier().copy(item))
        line |= {"outcome": result["outcome"], "bytes": result["size"]}
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        line |= {"level": "ERROR", "outcome": "failed", "problem": problem}
    line["milliseconds"] = round((time.monotonic() - started) * 1000)
    if isinstance(item, ObjectVersion) and item.event_time:
        line["secondsSinceEvent"] = round((datetime.now(UTC) - item.event_time).total_seconds(), 3)
    # Lambda passes a line of JSON on as it is, one log event each.
    print(json.dumps(line), flush=True)
    if problem and isinstance(item, ObjectVersion):
        return f"{item.bucket}/{item.key}: {problem}"
    return problem
