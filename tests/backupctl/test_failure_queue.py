"""Messages are hidden while they are worked on, and come back if they are not done."""

import asyncio
import itertools
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from backupctl import failure_queue
from backupctl.aws import Aws
from backupctl.failed_events import FailedEvent
from backupctl.failure_queue import FailureQueue


class FakeSqs:
    """A queue that hides nothing by time: visible is what was shown or never received."""

    def __init__(self, count: int, in_flight: int = 10_000) -> None:
        self.visible = [str(number) for number in range(count)]
        self.receipts: dict[str, str] = {}
        self.extended: list[str] = []
        self.in_flight = in_flight
        self.numbers = itertools.count()

    def client(self, _service: str) -> "FakeSqs":
        return self

    def receive_message(self, **asked: Any) -> dict[str, Any]:
        assert asked["VisibilityTimeout"] == failure_queue.HIDDEN_SECONDS
        if len(self.receipts) >= self.in_flight:
            raise _error("OverLimit")
        messages: list[dict[str, Any]] = []
        while self.visible and len(messages) < asked["MaxNumberOfMessages"]:
            message_id = self.visible.pop(0)
            receipt = f"{message_id}-{next(self.numbers)}"
            self.receipts[receipt] = message_id
            messages.append(
                {
                    "MessageId": message_id,
                    "ReceiptHandle": receipt,
                    "Body": "{}",
                    "Attributes": {"SentTimestamp": "0"},
                }
            )
        return {"Messages": messages} if messages else {}

    def change_message_visibility_batch(self, **asked: Any) -> dict[str, Any]:
        assert 1 <= len(asked["Entries"]) <= 10
        for entry in asked["Entries"]:
            if entry["VisibilityTimeout"] == 0:
                self.visible.append(self.receipts.pop(entry["ReceiptHandle"]))
            else:
                self.extended.append(entry["ReceiptHandle"])
        return {}

    def delete_message(self, **asked: Any) -> dict[str, Any]:
        self.receipts.pop(asked["ReceiptHandle"])
        return {}


def _error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "ReceiveMessage")


def queue(sqs: Any) -> FailureQueue:
    return FailureQueue(cast(Aws, sqs), "https://queue")


async def all_of(queue: FailureQueue) -> list[FailedEvent]:
    return [event async for batch in queue.events() for event in batch]


@pytest.mark.parametrize("count", [0, 1, 10, 11, 500])
def test_each_message_comes_once_and_is_given_back(count: int) -> None:
    sqs = FakeSqs(count)

    async def look() -> list[str]:
        async with queue(sqs) as there:
            return [event.id for event in await all_of(there)]

    assert sorted(asyncio.run(look()), key=int) == [str(number) for number in range(count)]
    assert sorted(sqs.visible, key=int) == [str(number) for number in range(count)]
    assert sqs.receipts == {}


def test_what_comes_again_meanwhile_is_not_told_again_but_held_by_its_new_receipt() -> None:
    sqs = FakeSqs(3)

    async def work() -> None:
        async with queue(sqs) as there:
            seen: list[FailedEvent] = []
            async for batch in there.events():
                seen += batch
                if len(seen) == 3 and not sqs.visible and len(sqs.receipts) == 3:
                    # As if their time were over.
                    sqs.visible = ["0", "1", "2"]
            assert [event.id for event in seen] == ["0", "1", "2"]
            await there.remove(seen[0])

    asyncio.run(work())
    assert sorted(sqs.visible) == ["1", "2"]
    assert all(receipt.startswith(("0-0", "1-", "2-")) for receipt in sqs.receipts)


def test_where_too_many_are_hidden_it_ends_with_what_it_got() -> None:
    sqs = FakeSqs(50, in_flight=20)

    async def look() -> int:
        async with queue(sqs) as there:
            return len(await all_of(there))

    assert 20 <= asyncio.run(look()) < 50
    assert len(sqs.visible) == 50


def test_what_is_kept_stays_hidden_for_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_queue, "HIDDEN_SECONDS", 0.03)
    sqs = FakeSqs(25)

    async def work() -> None:
        async with queue(sqs) as there:
            kept, let_go, *_ = events = await all_of(there)
            for event in events[:15]:
                there.keep(event)
            there.let_go(let_go)
            hiding = asyncio.create_task(there.keep_hidden())
            async with asyncio.timeout(60):
                while sqs.extended.count(kept.handle) < 5:
                    await asyncio.sleep(0.01)
            hiding.cancel()
            assert {handle.partition("-")[0] for handle in sqs.extended} == {
                event.id for event in events[:15] if event is not let_go
            }

    asyncio.run(work())


def test_no_message_comes_back_after_it_was_removed() -> None:
    sqs = FakeSqs(3)

    async def work() -> None:
        async with queue(sqs) as there:
            for event in await all_of(there):
                there.keep(event)
                if event.id != "1":
                    await there.remove(event)

    asyncio.run(work())
    assert (sqs.visible, sqs.receipts) == (["1"], {})
