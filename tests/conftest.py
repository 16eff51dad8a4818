"""Fixtures that several folders share."""

from collections.abc import Generator

import hypothesis
import pytest

from sandbox.ministack import MiniStack

# How long an example takes says how busy the machine is; each test as a whole has a timeout.
# The same examples each time, so that a change is not blamed for what another one broke:
# `make fuzz` looks for new ones.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("new", deadline=None)
hypothesis.settings.load_profile("same")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests counted with `record_property("counts", ...)`."""
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {value}"
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        for name, value in report.user_properties
        if name == "counts" and report.when == "call"
    ]
    if lines:
        terminalreporter.section("counts")
        for line in sorted(lines):
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def ministack() -> Generator[MiniStack]:
    """A local AWS, one per test process."""
    with MiniStack() as running:
        yield running
