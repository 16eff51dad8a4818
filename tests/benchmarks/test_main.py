"""The command: names, table, JSON, exit code."""

import importlib
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks.measure import CannotRun, Finding, Say

GOOD = Finding(what="speed", value=2.0, at_least=1.5, how="2 s against 4 s")
BAD = Finding(what="size", value=3.0, unit="MiB", at_most=2.0)


class Benchmarks:
    """Three benchmarks that find what they are told."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def module(self, name: str) -> Any:
        def run(say: Say) -> Sequence[Finding]:
            self.ran.append(name)
            say("halfway")
            if name == "benchmarks.broken":
                raise CannotRun("peer is not installed; pip install peer")
            return [GOOD] if name == "benchmarks.good" else [GOOD, BAD]

        return SimpleNamespace(run=run)


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Benchmarks:
    found = Benchmarks()
    monkeypatch.setattr(command, "BENCHMARKS", {"good": "good", "bad": "bad", "broken": "broken"})
    monkeypatch.setattr(importlib, "import_module", found.module)
    return found


def test_reached_goals_are_said_and_end_well(
    benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["good"]) == 0
    out, err = capsys.readouterr()
    row = next(line for line in out.splitlines() if "good" in line)
    for text in ("speed", "2 x", "at least 1.50 x", "yes", "2 s against 4 s"):
        assert text in row
    assert err.splitlines() == ["good: begins", "good: halfway"]
    assert benchmarks.ran == ["benchmarks.good"]


def test_a_missed_goal_is_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["bad"]) == 1
    [row] = [line for line in capsys.readouterr().out.splitlines() if "size" in line]
    for text in ("3 MiB", "at most 2 MiB", "NO"):
        assert text in row


def test_what_cannot_run_says_why_and_stops_nobody(
    benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["broken", "good"]) == 1
    assert benchmarks.ran == ["benchmarks.broken", "benchmarks.good"]
    problem = "broken: not measured: peer is not installed; pip install peer"
    assert problem in capsys.readouterr().out.splitlines()


def test_json_is_the_same_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["good", "broken", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "good": {
            "findings": [
                {
                    "what": "speed",
                    "value": 2.0,
                    "unit": "x",
                    "at_most": None,
                    "at_least": 1.5,
                    "how": "2 s against 4 s",
                    "reached": True,
                }
            ]
        },
        "broken": {"problem": "peer is not installed; pip install peer"},
    }


def test_without_names_all_of_them_run(benchmarks: Benchmarks) -> None:
    assert command.main([]) == 1
    assert benchmarks.ran == [f"benchmarks.{name}" for name in ("good", "bad", "broken")]


def test_an_unknown_name_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["god"])
    assert end.value.code == 2
    expected = "no benchmark is called 'god'; there are good, bad, broken"
    assert expected in capsys.readouterr().err
