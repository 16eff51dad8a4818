"""The event loop that commands run on."""

import asyncio
import gc
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_ALLOCATIONS_BETWEEN_LOOKS = 50_000


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run until it is done, on uvloop where there is one: that halves the cost of a request.

    :raises KeyboardInterrupt: after Ctrl-C, when the work has been cancelled and has ended.
    """
    before = gc.get_threshold()
    # What is imported stays, and hardly anything that is made per object refers to itself: to look
    # for what does takes longer than the rest of a small request.
    # https://docs.python.org/3/library/gc.html#gc.freeze
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_LOOKS)
    try:
        return _run(work)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _run(work: Coroutine[Any, Any, T]) -> T:
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop  # noqa: PLC0415 - there is none for Windows

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
