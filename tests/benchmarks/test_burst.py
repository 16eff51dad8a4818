"""The burst on a small scale: what is lost is counted, and misses the goal."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from benchmarks import burst
from benchmarks.burst import Burst, deployed
from sandbox.engine import Deployment
from sandbox.ministack import MiniStack

BACKUPS, SOURCE = "burst-backups", "burst-photos"
FILTERED, TWICE, UNLIKE = "burst-filtered", "burst-twice", "burst-unlike"
Stack = tuple[MiniStack, Deployment]


def silent(_: str) -> None:
    """Nobody waits."""


@pytest.fixture(scope="module")
def stack() -> Generator[Stack]:
    """One execution at a time, so that most events find none that is free."""
    filtered = {"name": FILTERED, "suffix": "1.jpg"}
    with MiniStack(env={"LAMBDA_ACCOUNT_CONCURRENCY": "1"}) as ministack:
        config = {"backupBucket": BACKUPS, "buckets": [SOURCE, filtered, TWICE, UNLIKE]}
        yield ministack, deployed(ministack, "burst", config)


def test_all_arrive_though_nearly_all_have_to_wait(stack: Stack) -> None:
    lost, median, slowest = Burst(*stack, silent, SOURCE, "direct", patience=40).run(20)
    assert (lost.what, lost.value, lost.reached) == ("direct: lost of 20 uploads at once", 0, True)
    assert lost.how == "20 are in the backup bucket once, and equal"
    assert 0 < median.value <= slowest.value
    assert slowest.how == "upload to copy, as 20 lines of the log say"


def test_what_does_not_arrive_is_lost(stack: Stack) -> None:
    lost, *_ = Burst(*stack, silent, FILTERED, "direct", patience=3).run(4)
    assert (lost.value, lost.reached) == (3, False)
    expected = "1 are in the backup bucket once, and equal"
    assert lost.how == f"{expected}; 000.jpg has 0 versions; 002.jpg has 0 versions; " + (
        "003.jpg has 0 versions"
    )


@pytest.mark.parametrize(
    ("source", "spoil", "told"),
    [
        (
            TWICE,
            lambda s3, key: s3.put_object(Bucket=BACKUPS, Key=key, Body=b"once more"),
            "000.jpg has 2 versions",
        ),
        (
            UNLIKE,
            lambda s3, key: s3.put_object_tagging(
                Bucket=BACKUPS, Key=key, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
            ),
            "000.jpg: tags: {} became {'a': 'b'}",
        ),
    ],
    ids=["twice", "unlike"],
)
def test_what_arrives_twice_or_changed_is_no_better(
    stack: Stack, source: str, spoil: Callable[[Any, str], object], told: str
) -> None:
    ministack, deployment = stack

    class Spoilt(Burst):
        def _wait(self, wanted: int) -> None:
            super()._wait(wanted)
            spoil(ministack.client("s3"), f"{source}/000.jpg")

    lost, *_ = Spoilt(ministack, deployment, silent, source, "direct").run(2)
    assert (lost.value, lost.reached) == (1, False)
    assert lost.how == f"1 are in the backup bucket once, and equal; {told}"


def test_both_deliveries_are_measured() -> None:
    found = burst.run(silent, uploads=3)
    assert [(one.what, one.reached) for one in found] == [
        (f"{delivery}: {what}", reached)
        for delivery in ("direct", "queue")
        for what, reached in (
            ("lost of 3 uploads at once", True),
            ("lag of the copies, p50", None),
            ("lag of the copies, p99", None),
        )
    ]
