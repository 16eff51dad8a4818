"""The copy engine over an asynchronous client."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from backupctl.driver import TOGETHER, AsyncDriver
from handler.copy import Engine
from handler.failures import Failed
from handler.records import Backup, ObjectVersion, Outcome
from handler.requests import Request, S3Error, Steps, Together, Wait
from tests.handler.fake_s3 import OWNER, Bucket, FakeS3, When, refused


class Asked:
    """A fake S3, asked asynchronously."""

    def __init__(self, s3: FakeS3) -> None:
        self.s3 = s3
        self.at_once = self.most_at_once = 0

    async def ask(self, request: Request) -> Mapping[str, Any]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return self.s3.answer(request)


def run(asked: Asked, steps: Steps[Any]) -> tuple[Any, list[float]]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    return asyncio.run(AsyncDriver(asked, sleep).run(steps)), slept


@pytest.mark.parametrize("multipart_above", [1000, 10])
def test_the_engine_copies_over_it(multipart_above: int) -> None:
    asked = Asked(FakeS3(Bucket("photos"), Bucket("backups")))
    written = asked.s3.write("photos", "a b/\u00e9", b"0123456789" * 5)
    engine = Engine("backups", OWNER, multipart_above=multipart_above, part_size=10)
    source = ObjectVersion("photos", "a b/\u00e9", written.version_id)
    assert run(asked, engine.copy(source)) == (Backup(Outcome.COPIED, 50), [])
    copied = asked.s3.buckets["backups"].current("photos/a b/\u00e9")
    assert copied is not None
    assert copied.content == written.content
    assert asked.most_at_once == (1 if multipart_above == 1000 else 5)


def test_errors_reach_the_engine_which_waits_and_asks_again() -> None:
    asked = Asked(FakeS3(Bucket("photos"), Bucket("backups")))
    asked.s3.write("photos", "k", b"x")
    faults = iter([(When.BEFORE, refused("CopyObject", "SlowDown", 503))] * 2)
    asked.s3.fault = lambda request: (
        next(faults, None) if request.operation == "CopyObject" else None
    )
    engine = Engine("backups", OWNER, jitter=lambda: 1.0)
    assert run(asked, engine.copy(ObjectVersion("photos", "k"))) == (
        Backup(Outcome.COPIED, 1),
        [0.1, 0.2],
    )


def test_what_the_engine_gives_up_is_raised() -> None:
    asked = Asked(FakeS3(Bucket("photos")))
    asked.s3.write("photos", "k", b"x")
    with pytest.raises(Failed, match="NoSuchBucket"):
        run(asked, Engine("backups", OWNER).copy(ObjectVersion("photos", "k")))


def one(key: str) -> Steps[bytes]:
    answer = yield Request(
        "GetObject", {"Bucket": "photos", "Key": key, "ExpectedBucketOwner": OWNER}
    )
    return answer["Body"]


def test_conversations_are_held_together_and_answered_in_order_with_errors_in_their_place() -> None:
    def gives_up() -> Steps[None]:
        yield Wait(2.5)
        raise Failed("enough", kind="Test", retryable=False)

    def steps() -> Steps[list[object]]:
        yield Wait(1.5)
        return (yield Together([one("a"), one("absent"), gives_up(), one("b")]))

    asked = Asked(FakeS3(Bucket("photos")))
    asked.s3.write("photos", "a", b"1")
    asked.s3.write("photos", "b", b"2")
    (first, second, third, fourth), slept = run(asked, steps())
    assert (first, fourth, slept) == (b"1", b"2", [1.5, 2.5])
    assert isinstance(second, S3Error)
    assert second.code == "NoSuchKey"
    assert isinstance(third, Failed)


def test_of_many_conversations_some_are_held_at_a_time_and_begun_in_order() -> None:
    def steps() -> Steps[list[object]]:
        return (yield Together([one(f"{number:03}") for number in range(200)]))

    asked = Asked(FakeS3(Bucket("photos")))
    for number in range(200):
        asked.s3.write("photos", f"{number:03}", str(number).encode())
    answers, _ = run(asked, steps())
    assert answers == [str(number).encode() for number in range(200)]
    assert asked.most_at_once == TOGETHER
    keys = [request.parameters["Key"] for request in asked.s3.requests]
    assert keys == sorted(keys)
