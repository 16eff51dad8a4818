"""The stack's failure queue, read without losing what is in it.

What is received is hidden from others for a while only, so that whatever becomes of us, it is there
again soon: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self

from botocore.exceptions import BotoCoreError, ClientError

from .aws import Aws
from .failed_events import FailedEvent

HIDDEN_SECONDS = 120
"""How long a message stays hidden; that of one that is kept begins again and again."""
_WAIT_SECONDS = 1
_LAST_ANSWER_SECONDS = 10
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
_AT_ONCE = 10
_RECEIVERS = 8
_FRUITLESS = 3


class _Held(NamedTuple):
    handle: str
    until: float
    """When it is visible again by itself, on the clock of `time.monotonic`."""


class FailureQueue:
    """Hands over messages, and gives back those that are not removed.

    To be used as an asynchronous context manager, once.

    :param aws: whose credentials to use.
    :param url: of the queue.
    """

    def __init__(self, aws: Aws, url: str) -> None:
        self._sqs = aws.client("sqs")
        self._url = url
        self._held: dict[str, _Held] = {}
        self._kept: set[str] = set()
        self._threads = ThreadPoolExecutor(_RECEIVERS, "sqs")
        self._receiving: set[Future[list[Mapping[str, Any]]]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What is on its way is hidden as well.
        await asyncio.to_thread(wait, set(self._receiving), _LAST_ANSWER_SECONDS)
        now = time.monotonic()
        hidden = [message_id for message_id, held in self._held.items() if held.until > now]
        try:
            await self._show_in(0, hidden)
        except (BotoCoreError, ClientError):
            # Of two errors the first one tells more; what is hidden will be visible soon.
            if error is None:
                raise
        finally:
            self._threads.shutdown(wait=False)

    async def hidden(self) -> int:
        """About how many messages somebody else is working on."""
        answer = await self._ask(
            self._sqs.get_queue_attributes, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"])

    async def events(self) -> AsyncGenerator[list[FailedEvent]]:
        """All messages there are, each once."""
        seen: set[str] = set()
        receivers = 1
        fruitless = 0
        # Where many are hidden, those of the beginning may come again before the end.
        while fruitless < _FRUITLESS:
            answers = await asyncio.gather(*(self._receive() for _ in range(receivers)))
            messages = [message for answer in answers for message in answer]
            if not messages:
                return
            new: list[FailedEvent] = []
            for message in messages:
                message_id: str = message["MessageId"]
                if message_id not in seen:
                    seen.add(message_id)
                    new.append(_event(message))
            fruitless = 0 if new else fruitless + 1
            if new:
                yield new
            full = len(messages) == receivers * _AT_ONCE
            receivers = min(2 * receivers, _RECEIVERS) if full else 1

    def keep(self, event: FailedEvent) -> None:
        """Hide a message from others for as long as `keep_hidden` runs."""
        self._kept.add(event.id)

    def let_go(self, event: FailedEvent) -> None:
        """Give a message back in the end."""
        self._kept.discard(event.id)

    async def remove(self, event: FailedEvent) -> None:
        """Delete a message."""
        self._kept.discard(event.id)
        held = self._held.pop(event.id)
        await self._ask(self._sqs.delete_message, ReceiptHandle=held.handle)

    async def keep_hidden(self) -> None:
        """Keep hidden what is kept, until cancelled."""
        while True:
            await asyncio.sleep(HIDDEN_SECONDS / 3)
            await self._show_in(HIDDEN_SECONDS, list(self._kept))

    def _hold(self, message_ids: Iterable[str], handle: str | None = None) -> None:
        until = time.monotonic() + HIDDEN_SECONDS
        for message_id in message_ids:
            held = self._held.get(message_id)
            known = handle or (held and held.handle)
            if known:
                self._held[message_id] = _Held(known, until)

    async def _receive(self) -> list[Mapping[str, Any]]:
        receiving = self._threads.submit(self._take)
        self._receiving.add(receiving)
        receiving.add_done_callback(self._receiving.discard)
        return await asyncio.wrap_future(receiving)

    def _take(self) -> list[Mapping[str, Any]]:
        """Receive, in a thread; whoever waits for it may be gone by the time it is done."""
        try:
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_AT_ONCE,
                MessageSystemAttributeNames=["SentTimestamp"],
                VisibilityTimeout=HIDDEN_SECONDS,
                WaitTimeSeconds=_WAIT_SECONDS,
            )
        except ClientError as error:
            # So many are hidden that SQS hands over no more.
            if error.response["Error"]["Code"].endswith("OverLimit"):
                return []
            raise
        messages: list[Mapping[str, Any]] = answer.get("Messages", [])
        for message in messages:
            self._hold([message["MessageId"]], message["ReceiptHandle"])
        return messages

    async def _show_in(self, seconds: int, message_ids: list[str]) -> None:
        """Have messages visible after so many seconds.

        What is not hidden any more, because somebody else has it or it is gone, stays as it is.
        """
        known = [message_id for message_id in message_ids if message_id in self._held]
        await asyncio.gather(
            *(
                self._ask(
                    self._sqs.change_message_visibility_batch,
                    Entries=[
                        {
                            "Id": str(number),
                            "ReceiptHandle": self._held[message_id].handle,
                            "VisibilityTimeout": seconds,
                        }
                        for number, message_id in enumerate(known[first : first + _AT_ONCE])
                    ],
                )
                for first in range(0, len(known), _AT_ONCE)
            )
        )
        if seconds:
            self._hold(known)

    async def _ask(self, operation: Any, **parameters: Any) -> Any:  # noqa: ANN401 - botocore's
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, partial(operation, QueueUrl=self._url, **parameters)
        )


def _event(message: Mapping[str, Any]) -> FailedEvent:
    sent = int(message["Attributes"]["SentTimestamp"]) / 1000
    return FailedEvent.of(
        message["MessageId"],
        message["ReceiptHandle"],
        datetime.fromtimestamp(sent, UTC),
        message["Body"],
    )
