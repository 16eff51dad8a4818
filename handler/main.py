"""Entry point of the Lambda: event -> records -> copies -> one log line each.

Configured by the environment: `BACKUP_BUCKET`, the bucket that receives the copies;
`BUCKET_OWNER`, the account id that must own all buckets; `FAILURE_QUEUE_URL`, where records go
that no retry can help; `MAX_RECEIVES`, how often a queue hands over a message before it gives up;
`BUCKET_METRICS`, which can be `off`.
"""

import os
import threading
import time
from typing import Any

from . import clients, concurrency, failure_queue, log
from .boto import BotoDriver
from .copy import Engine
from .events import Announced, Damaged, from_queue, parse
from .failures import Failed
from .records import Backup

# Time to report what could not be finished: at most so many seconds, and this share of a short
# time. Of it, the last part is for the answer alone.
_RESERVE = 10.0
_RESERVED_SHARE = 0.1
_ANSWERING_SHARE = 0.3


class BackupFailed(Exception):
    """At least one record of the event is not backed up; the whole event has to come again."""


def handler(event: object, context: Any) -> dict[str, Any] | None:  # noqa: ANN401 - Lambda's own
    """Back up every object version that the event announces, several at once.

    What no retry can help goes to the failure queue at once, with its reason and without its
    neighbours. What a retry may help comes again: alone, if it came as a message of a queue; else
    the invocation fails, and Lambda repeats the event. Records that were done are then recognised
    as duplicates. A message that comes for the last time goes to the failure queue as well.

    :param event: an S3 event notification, messages of a queue that contain some, or a failure
        record that contains either.
    :param context: Lambda's context object.
    :returns: for messages of a queue, which of them have to come again:
        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    :raises UnknownEvent: if the event is none of these.
    :raises BackupFailed: after all records were tried, if any of them has to come again and no
        queue can be told.
    """
    seconds = context.get_remaining_time_in_millis() / 1000
    end = time.monotonic() + seconds
    reserve = min(_RESERVE, seconds * _RESERVED_SHARE)
    engine = Engine(
        backup_bucket=os.environ["BACKUP_BUCKET"],
        owner=os.environ["BUCKET_OWNER"],
        seconds_left=lambda: end - reserve - time.monotonic(),
    )
    lanes = [
        [_Attempt(announced, context) for announced in lane]
        for lane in concurrency.lanes(parse(event))
    ]
    driver = clients.driver()
    concurrency.run(
        lanes,
        lambda attempt: attempt.run(engine, driver),
        until=end - reserve * _ANSWERING_SHARE,
    )
    attempts = [attempt for lane in lanes for attempt in lane]
    for attempt in attempts:
        attempt.give_up()
    return _answer([attempt for attempt in attempts if attempt.again], from_queue(event))


class _Attempt:
    """One record on its way. It ends once, and says so once."""

    def __init__(self, announced: Announced, context: Any) -> None:  # noqa: ANN401
        self.announced = announced
        self.again = True
        """Whether the record has to come again: so as long as nobody knows better."""
        self.problem = ""
        """Why, for people."""
        self._context = context
        self._over = threading.Lock()

    def run(self, engine: Engine, driver: BotoDriver) -> None:
        """Handle the record, unless it was given up; whatever goes wrong stops no other."""
        if self._over.locked():
            return
        started = time.monotonic()
        backup: Backup | None = None
        failure: Failed | None = None
        try:
            if isinstance(self.announced.item, Damaged):
                raise Failed(self.announced.item.problem, kind="DamagedRecord", retryable=False)
            backup = driver.run(engine.copy(self.announced.item))
        except Failed as error:
            failure = error
        except Exception as error:
            # Not foreseen, so nobody knows whether another try would help.
            failure = Failed(f"{type(error).__name__}: {error}", kind="Unexpected", retryable=True)
        if self._ends(backup, failure, time.monotonic() - started):
            self.again = failure is not None and not self._reported(failure)

    def give_up(self) -> None:
        """Wait no longer for an answer of S3, if one is waited for."""
        failure = Failed(
            "the time was used up before S3 had answered; the repeated event goes on",
            kind="OutOfTime",
            retryable=True,
        )
        self._ends(None, failure, 0)

    def _ends(self, backup: Backup | None, failure: Failed | None, seconds: float) -> bool:
        """Log the end; returns whether it is the first one."""
        if not self._over.acquire(blocking=False):
            return False
        item = self.announced.item
        name = "damaged record" if isinstance(item, Damaged) else f"{item.bucket}/{item.key}"
        self.problem = f"{name}: {failure}"
        log.outcome(item, backup, failure, seconds)
        return True

    def _reported(self, failure: Failed) -> bool:
        """Put the record into the failure queue, if no other try can help or there is none."""
        message = self.announced.message
        tries = message.receives if message else 1
        last = message is not None and tries >= int(os.environ["MAX_RECEIVES"])
        if failure.retryable and not last:
            return False
        return failure_queue.report(self.announced.raw, failure, tries, self._context)


def _answer(again: list[_Attempt], from_queue: bool) -> dict[str, Any] | None:
    """Have these records come again, alone where that is possible."""
    messages = [attempt.announced.message for attempt in again]
    if not all(messages):
        problems = (attempt.problem for attempt in again)
        raise BackupFailed(failure_queue.short("; ".join(problems)))
    if not from_queue:
        return None
    ids = dict.fromkeys(message.id for message in messages if message)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in ids]}
