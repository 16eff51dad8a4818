"""Fixtures that several folders share."""

from collections.abc import Generator

import pytest

from sandbox.ministack import MiniStack


@pytest.fixture(scope="session")
def ministack() -> Generator[MiniStack]:
    """A local AWS, one per test process."""
    with MiniStack() as running:
        yield running
