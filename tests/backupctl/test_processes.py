"""Work shared by processes: all of it is done once, and no process outlives the others."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress

import pytest

from backupctl import processes
from sandbox.observation import wait_for
from tests.recorder import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are split on Linux only")


@contextmanager
def started(scenario: str) -> Generator[subprocess.Popen[str]]:
    with subprocess.Popen(
        # What is left open is told on stderr, where nobody expects anything.
        [
            *(sys.executable, "-W", "error::ResourceWarning"),
            *("-m", "tests.backupctl.copying_in_processes", scenario),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(scenario: str) -> list[object]:
    with started(scenario) as process:
        out, err = process.communicate(timeout=60)
    assert err == ""
    return json.loads(out)


def exists(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def test_everything_is_done_once_and_shared() -> None:
    failure = [None, 0, "SlowDown", True, "busy"]
    assert ended("well") == ["well", list(range(500)), 2, failure]


def test_nobody_waits_for_a_clock() -> None:
    assert ended("unhurried")[0] == "well"


def test_an_error_of_one_is_everybodys() -> None:
    assert ended("failing")[0] == "log in again (2)"


def test_an_error_of_whoever_began_them_ends_all() -> None:
    assert ended("unlisted")[0] == "no such bucket (1)"


EARLY = "a process that copied has ended early; run the command again to go on (1)"


def test_a_process_that_dies_is_told() -> None:
    assert ended("dying")[0] == EARLY


def test_one_that_ends_without_its_last_word_is_told_even_if_nothing_is_left_to_do() -> None:
    said, done, *_ = ended("quiet")
    assert (said, done) == (EARLY, list(range(500)))


def test_nobody_outlives_whoever_began_them() -> None:
    with started("hanging") as process:
        assert process.stdout is not None
        children = [int(process.stdout.readline()) for _ in range(2)]
        assert all(map(exists, children))
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(map(exists, children)), "the end of the children")


def test_there_are_never_more_processes_than_processors() -> None:
    assert 1 <= processes.sensible() <= min(processes.MOST, len(os.sched_getaffinity(0)))
