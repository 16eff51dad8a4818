"""Entry point of the Lambda: event -> records -> copies -> one log line each.

Configured by the environment: `BACKUP_BUCKET`, the bucket that receives the copies;
`BUCKET_OWNER`, the account id that must own all buckets; `FAILURE_QUEUE_URL`, where records go
that no retry can help; `MAX_RECEIVES`, how often a queue hands over a message before it gives up;
`BUCKET_METRICS`, which can be `off`; `TRACK_DELETES`, which can be `on`; `STORAGE_CLASS`,
that of the backups, if it is not STANDARD; `EVENT_BUS`, the ARN of an event bus to be told of
failures, and `EVENT_SUCCESS`, which can be `on` for backups too.
"""

import os
from typing import Any

from . import attempts, clients, failure_queue
from .events import Announced, Damaged, from_queue, parse
from .failures import Failed


class BackupFailed(Exception):
    """At least one record of the event is not backed up; the whole event has to come again."""


def handler(event: object, context: Any) -> dict[str, Any] | None:  # noqa: ANN401 - Lambda's own
    """Back up every object version that the event announces, and record deletions.

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
    records = [_Record(announced, context) for announced in parse(event)]
    attempts.run(records, context, answering=from_queue(event))
    return _answer([record for record in records if record.again], from_queue(event))


class _Record(attempts.Attempt):
    """What S3 announced, with a way to have it announced again."""

    def __init__(self, announced: Announced, context: Any) -> None:  # noqa: ANN401
        super().__init__(announced.item)
        self.announced = announced
        self.again = True
        """Whether the record has to come again: so as long as nobody knows better."""
        self._context = context

    @property
    def problem(self) -> str:
        """What went wrong with what, for people."""
        item = self.item
        name = "damaged record" if isinstance(item, Damaged) else f"{item.bucket}/{item.key}"
        return f"{name}: {self.failure}"

    def ended(self) -> None:
        self.again = self.failure is not None and not self._reported(self.failure)

    def _reported(self, failure: Failed) -> bool:
        """Put the record into the failure queue, if no other try can help or there is none."""
        message = self.announced.message
        tries = message.receives if message else 1
        last = message is not None and tries >= int(os.environ["MAX_RECEIVES"])
        if failure.retryable and not last:
            return False
        return failure_queue.report(self.announced.raw, failure, tries, self._context)


def _answer(again: list[_Record], from_queue: bool) -> dict[str, Any] | None:
    """Have these records come again, alone where that is possible."""
    messages = [record.announced.message for record in again]
    if not all(messages):
        problems = (record.problem for record in again)
        raise BackupFailed(failure_queue.short("; ".join(problems)))
    if not from_queue:
        return None
    ids = dict.fromkeys(message.id for message in messages if message)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in ids]}


clients.prepare()
