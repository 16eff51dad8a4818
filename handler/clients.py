"""Clients of AWS, made once per process and shared by its threads."""

import functools
import threading
from typing import Any

import boto3
from botocore.config import Config

from .boto import CLIENT_CONFIG, BotoDriver

# Threads may share clients, but not make them: the session behind them is not thread-safe.
# https://docs.aws.amazon.com/boto3/latest/guide/clients.html
_making = threading.Lock()


def driver() -> BotoDriver:
    """What talks to S3 for the engine."""
    with _making:
        return _driver()


def sqs() -> Any:  # noqa: ANN401 - boto3 clients have no static type
    """A client for the failure queue, made when something fails for the first time."""
    with _making:
        return _sqs()


@functools.cache
def _driver() -> BotoDriver:
    return BotoDriver(_s3)


def _s3(config: Config) -> Any:  # noqa: ANN401
    with _making:
        return boto3.client("s3", config=config)


@functools.cache
def _sqs() -> Any:  # noqa: ANN401
    # It must have answered, or not, within the time that is kept for reports.
    config = CLIENT_CONFIG.merge(
        Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
    )
    return boto3.client("sqs", config=config)
