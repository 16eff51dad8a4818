"""Clients of AWS, made once per process and shared by its threads."""

import functools
import gc
import os
import threading
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.utils import parse_timestamp

from .boto import CLIENT_CONFIG, BotoDriver
from .sessions import lean

# Threads may share clients, but not make them: the session behind them is not thread-safe.
# https://docs.aws.amazon.com/boto3/latest/guide/clients.html
_making = threading.Lock()


def prepare() -> None:
    """Make what every invocation needs; to be called once, when an entry point is imported.

    Does it in Lambda only, which gives the start of a process time and CPU of its own:
    https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html
    """
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return
    driver().prepare()
    # What there is now stays until the process ends; the collector need not look at it again.
    # https://docs.python.org/3/library/gc.html#gc.freeze
    gc.freeze()
    gc.enable()


def driver() -> BotoDriver:
    """What talks to S3 for the engine."""
    with _making:
        return _driver()


def events() -> Any:  # noqa: ANN401
    """A client for an event bus, made when there is something to tell."""
    with _making:
        return _events()


def sqs() -> Any:  # noqa: ANN401 - botocore's clients have no static type
    """A client for the failure queue, made when something fails for the first time."""
    with _making:
        return _sqs()


@functools.cache
def _driver() -> BotoDriver:
    session = _session()

    def client(config: Config) -> Any:  # noqa: ANN401
        with _making:
            return session.create_client("s3", config=config)

    return BotoDriver(client)


@functools.cache
def _events() -> Any:  # noqa: ANN401
    config = CLIENT_CONFIG.merge(Config(connect_timeout=2, read_timeout=3))
    return _session().create_client("events", config=config)


@functools.cache
def _sqs() -> Any:  # noqa: ANN401
    # It must have answered, or not, within the time that is kept for reports.
    config = CLIENT_CONFIG.merge(
        Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
    )
    return _session().create_client("sqs", config=config)


def _session() -> botocore.session.Session:
    session = lean(botocore.session.get_session())
    # botocore's own understands any time in any format, at the price of a dozen headers.
    factory: Any = session.get_component("response_parser_factory")
    factory.set_parser_defaults(timestamp_parser=_time)
    return session


def _time(value: Any) -> datetime:  # noqa: ANN401 - text or a number
    """Read a time as S3 writes it, in headers and in XML; others as botocore does."""
    try:
        read = parsedate_to_datetime if value.endswith("GMT") else datetime.fromisoformat
        return read(value)
    except (AttributeError, TypeError, ValueError):
        return parse_timestamp(value)
