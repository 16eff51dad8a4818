"""Entry point of the Lambda: event -> records -> copies -> one log line each.

Configured by the environment: `BACKUP_BUCKET`, the bucket that receives the copies;
`BUCKET_OWNER`, the account id that must own all buckets; `FAILURE_QUEUE_URL`, where records go
that no retry can help; `BUCKET_METRICS`, which can be `off`.
"""

import functools
import json
import os
import time
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from . import metrics
from .boto import BotoDriver
from .copy import Engine
from .events import Damaged, parse
from .failures import Failed
from .records import Backup, ObjectVersion

# Time to report what could not be finished: at most so many seconds, and this share of a short
# time.
_RESERVE = 10.0
_RESERVED_SHARE = 0.1


class BackupFailed(Exception):
    """At least one record of the event is not backed up; Lambda retries the whole event."""


@functools.cache
def _driver() -> BotoDriver:
    return BotoDriver(lambda config: boto3.client("s3", config=config))


@functools.cache
def _sqs() -> Any:  # noqa: ANN401 - boto3 clients have no static type
    # It must have answered, or not, within the reserve.
    config = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
    return boto3.client("sqs", config=config)


def handler(event: object, context: Any) -> None:  # noqa: ANN401 - Lambda's own class
    """Back up every object version that the event announces.

    What no retry can help goes to the failure queue at once, with its reason and without its
    neighbours. What a retry may help fails the invocation, and Lambda repeats the event; records
    that were done are then recognised as duplicates.

    :param event: an S3 event notification, or a failure record that contains one.
    :param context: Lambda's context object.
    :raises UnknownEvent: if the event is neither.
    :raises BackupFailed: after all records were tried, if any of them should be tried again.
    """
    remaining = context.get_remaining_time_in_millis() / 1000
    deadline = time.monotonic() + remaining - min(_RESERVE, remaining * _RESERVED_SHARE)
    engine = Engine(
        backup_bucket=os.environ["BACKUP_BUCKET"],
        owner=os.environ["BUCKET_OWNER"],
        seconds_left=lambda: deadline - time.monotonic(),
    )
    failures: list[str] = []
    for raw, item in parse(event):
        failure = _back_up(engine, item)
        if failure is None:
            continue
        if failure.retryable or not _reported(raw, failure, context):
            failures.append(f"{_name(item)}: {failure}")
    if failures:
        raise BackupFailed(_short("; ".join(failures)))


def _back_up(engine: Engine, item: ObjectVersion | Damaged) -> Failed | None:
    """Handle one record and log it; returns what went wrong, so that no record stops another."""
    started = time.monotonic()
    backup: Backup | None = None
    failure: Failed | None = None
    try:
        if isinstance(item, Damaged):
            raise Failed(item.problem, kind="DamagedRecord", retryable=False)
        backup = _driver().run(engine.copy(item))
    except Failed as error:
        failure = error
    except Exception as error:
        # Not foreseen, so nobody knows whether another try would help.
        failure = Failed(f"{type(error).__name__}: {error}", kind="Unexpected", retryable=True)
    _log(item, backup, failure, time.monotonic() - started)
    return failure


def _log(
    item: ObjectVersion | Damaged,
    backup: Backup | None,
    failure: Failed | None,
    seconds: float,
) -> None:
    now = datetime.now(UTC)
    # Without a time Lambda takes every line for INFO.
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    line: dict[str, Any] = {"timestamp": now.isoformat(), "level": "ERROR" if failure else "INFO"}
    lag = None
    if isinstance(item, ObjectVersion):
        line |= {"bucket": item.bucket, "key": item.key, "version": item.version_id}
        if item.event_time:
            lag = round((now - item.event_time).total_seconds(), 3)
            line["secondsSinceEvent"] = lag
    if backup is not None:
        line |= {"outcome": backup.outcome, "bytes": backup.size}
    if failure is not None:
        line |= {
            "outcome": "failed",
            "kind": failure.kind,
            "retryable": failure.retryable,
            "problem": str(failure),
        }
    line["milliseconds"] = round(seconds * 1000)
    counted = metrics.line(
        now,
        os.environ["BACKUP_BUCKET"],
        item.bucket if isinstance(item, ObjectVersion) else "unknown",
        backup,
        failure,
        lag,
        by_bucket=os.environ.get("BUCKET_METRICS") != "off",
    )
    # Lambda passes a line of JSON on as it is, one log event each.
    print(json.dumps(line), flush=True)
    print(json.dumps(counted), flush=True)


def _reported(raw: object, failure: Failed, context: Any) -> bool:  # noqa: ANN401
    """Put one record into the failure queue, in the form that Lambda gives its own failures.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html

    :returns: whether it is there; if not, failing the invocation gets it there later.
    """
    body = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(),
        "requestContext": {
            "requestId": context.aws_request_id,
            "functionArn": context.invoked_function_arn,
            "condition": "Permanent",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"Records": [raw]},
        "responsePayload": {"errorType": failure.kind, "errorMessage": _short(str(failure))},
    }
    try:
        _sqs().send_message(QueueUrl=os.environ["FAILURE_QUEUE_URL"], MessageBody=json.dumps(body))
    except Exception as error:
        # Whatever it is, failing the invocation gets the event there by Lambda's own way.
        problem = f"the failure queue did not take it: {error}"
        print(json.dumps({"timestamp": body["timestamp"], "level": "ERROR", "problem": problem}))
        return False
    return True


def _short(text: str) -> str:
    """As much as people read, and queues take."""
    return text if len(text) <= 4096 else f"{text[:4093]}..."


def _name(item: ObjectVersion | Damaged) -> str:
    return f"{item.bucket}/{item.key}" if isinstance(item, ObjectVersion) else "damaged record"
