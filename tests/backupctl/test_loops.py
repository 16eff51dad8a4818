"""The event loop that commands run on."""

import gc

import pytest

from backupctl.loops import run


def test_the_collector_looks_seldom_while_it_runs_and_as_before_when_it_ends() -> None:
    before = gc.get_threshold()

    async def look() -> int:
        return gc.get_threshold()[0]

    assert run(look()) > before[0]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)

    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        run(fail())
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
