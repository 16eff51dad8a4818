"""Many records at once, in threads; versions of the same object one after the other."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

from .events import Damaged
from .records import ObjectVersion, Removal, sequence

T = TypeVar("T")


class Carrier(Protocol):
    """Whatever has a record."""

    @property
    def item(self) -> ObjectVersion | Removal | Damaged:
        """The record."""
        ...


C = TypeVar("C", bound=Carrier)

THREADS = 32
"""How many records are handled at once."""


class _Pools(threading.local):
    """Threads by their number, kept from one invocation to the next.

    New ones would cost more than the rest of what is done here for a record. Each thread that
    runs invocations has its own (in Lambda there is one), so that none waits for another's.
    """

    def __init__(self) -> None:
        self.by_size: dict[int, ThreadPoolExecutor] = {}


_pools = _Pools()


def lanes(carriers: Iterable[C]) -> list[list[C]]:
    """Divide records into those that can be handled at the same time.

    Versions of the same object, and its deletions, would only get into each other's way, so they
    share a lane, in the source's order.

    :returns: lists, none of them empty, in the order of their first records.
    """
    found: dict[object, list[C]] = {}
    for number, one in enumerate(carriers):
        item = one.item
        name = number if isinstance(item, Damaged) else (item.bucket, item.key)
        found.setdefault(name, []).append(one)
    for lane in found.values():
        lane.sort(key=_position)
    return list(found.values())


def _position(carrier: Carrier) -> tuple[int, str]:
    item = carrier.item
    return (0, "") if isinstance(item, Damaged) else sequence(item.sequencer or "")


def run(lanes: Sequence[Sequence[T]], work: Callable[[T], object], until: float) -> None:
    """Do the work for all items, those of one lane one after the other.

    Returns when all is done, or at a time at which there may be work that goes on or has not
    begun: what has not begun by then does not begin any more, the rest of a lane excepted.

    :param work: must not raise; called in up to `THREADS` threads at once.
    :param until: when to return at the latest, on the clock of `time.monotonic`.
    """

    def along(lane: Sequence[T]) -> None:
        for item in lane:
            work(item)

    # Many threads take turns, and one that has slept for long is slow to wake.
    size = 1 if len(lanes) == 1 else THREADS
    pool = _pools.by_size.get(size) or ThreadPoolExecutor(size, "record")
    _pools.by_size[size] = pool
    running = [pool.submit(along, lane) for lane in lanes]
    done, late = wait(running, max(0.0, until - time.monotonic()))
    if late:
        # Threads that hang are in nobody's way: the next invocation gets others.
        del _pools.by_size[size]
        pool.shutdown(wait=False, cancel_futures=True)
    for lane in done:
        lane.result()
