"""Fixtures that several folders share."""

from collections.abc import Generator

import hypothesis
import pytest

from sandbox.ministack import MiniStack

# How long an example takes says how busy the machine is; each test as a whole has a timeout.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


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
