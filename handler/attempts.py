"""Records on their way to the backup, whatever brought them: all are tried, each says its end."""

import os
import threading
import time
from collections.abc import Sequence
from typing import Any

from . import clients, concurrency, log
from .boto import BotoDriver
from .copy import Engine
from .events import Damaged
from .failures import Failed
from .records import Backup, ObjectVersion, Removal
from .requests import Steps

# Time to report what could not be finished: at most so many seconds, and this share of a short
# time. Of it, the last part is for the answer alone.
_RESERVE = 10.0
_RESERVED_SHARE = 0.1
_ANSWERING_SHARE = 0.3

QUICK_BYTES = 64 * 1024**2
"""Up to here S3 copies in seconds."""


class Attempt:
    """One record on its way. It ends once, and says so once."""

    def __init__(self, item: ObjectVersion | Removal | Damaged) -> None:
        self.item = item
        self.backup: Backup | None = None
        """The result, once there is one."""
        self.failure: Failed | None = None
        """Why there is none."""
        self._over = threading.Lock()

    def run(self, engine: Engine, driver: BotoDriver) -> None:
        """Handle the record, unless it was given up; whatever goes wrong stops no other."""
        if self._over.locked():
            return
        started = time.monotonic()
        backup: Backup | None = None
        failure: Failed | None = None
        try:
            backup = driver.run(_steps(engine, self.item))
        except Failed as error:
            failure = error
        except Exception as error:
            # Not foreseen, so nobody knows whether another try would help.
            failure = Failed(f"{type(error).__name__}: {error}", kind="Unexpected", retryable=True)
        if self._ends(backup, failure, time.monotonic() - started):
            self.ended()

    def ended(self) -> None:
        """What there is to do when it ended in time."""

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
        self.backup, self.failure = backup, failure
        log.outcome(self.item, backup, failure, seconds)
        return True


def run(
    attempts: Sequence[Attempt],
    context: Any,  # noqa: ANN401 - Lambda's own class
    *,
    answering: bool,
) -> None:
    """Make them, several at once, and give up in time to answer.

    :param context: Lambda's context object.
    :param answering: whether somebody is to be told what became of each. If not, an attempt that
        is alone and quick needs no second thread to watch it: the clients' timeouts end it in time,
        and what they cannot end (such as a slow answer by a name server) Lambda does, and repeats
        the event.
    """
    seconds = context.get_remaining_time_in_millis() / 1000
    end = time.monotonic() + seconds
    reserve = min(_RESERVE, seconds * _RESERVED_SHARE)
    engine = Engine(
        backup_bucket=os.environ["BACKUP_BUCKET"],
        owner=os.environ["BUCKET_OWNER"],
        storage_class=os.environ.get("STORAGE_CLASS", "STANDARD"),
        seconds_left=lambda: end - reserve - time.monotonic(),
        track_deletes=os.environ.get("TRACK_DELETES") == "on",
    )
    _make(attempts, engine, clients.driver(), end - reserve * _ANSWERING_SHARE, answering)
    if "EVENT_BUS" in os.environ:
        # Few stacks have one, and this takes time to load.
        from . import announcements  # noqa: PLC0415

        announcements.send(attempts, context)


def _make(
    attempts: Sequence[Attempt], engine: Engine, driver: BotoDriver, until: float, answering: bool
) -> None:
    """Make them, and return at that time at the latest, if somebody is to be answered."""
    if len(attempts) == 1 and not answering and _is_quick(attempts[0].item):
        attempts[0].run(engine, driver)
        return
    concurrency.run(
        concurrency.lanes(attempts),
        lambda attempt: attempt.run(engine, driver),
        until=until,
    )
    for attempt in attempts:
        attempt.give_up()


def _is_quick(item: ObjectVersion | Removal | Damaged) -> bool:
    """Whether S3 answers at once, or not at all.

    While it makes a large copy it sends a blank now and then, which no timeout ends.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    if isinstance(item, ObjectVersion):
        return item.size is not None and item.size <= QUICK_BYTES
    return isinstance(item, Damaged)


def _steps(engine: Engine, item: ObjectVersion | Removal | Damaged) -> Steps[Backup]:
    match item:
        case ObjectVersion():
            return engine.copy(item)
        case Removal():
            return engine.remove(item)
        case Damaged(problem):
            raise Failed(problem, kind="DamagedRecord", retryable=False)
