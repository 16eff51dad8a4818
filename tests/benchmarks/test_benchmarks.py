"""Each benchmark measures what it says, and says so when a goal is missed."""

import importlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import batch, cold_start, parts, requests_made, warm
from benchmarks.__main__ import BENCHMARKS
from benchmarks.parts import BYTES_PER_SECOND, LATENCY, Model
from handler.copy import Engine
from handler.records import ObjectVersion
from handler.requests import Request, Steps, Together
from handler.units import MIB
from tests.recorder import ROOT


def silent(_: str) -> None:
    """Nobody waits."""


def test_every_name_leads_to_a_benchmark() -> None:
    modules = [importlib.import_module(f"benchmarks.{module}") for module in BENCHMARKS.values()]
    assert all(callable(module.run) and module.__doc__ for module in modules)


def test_a_first_copy_takes_two_requests_and_an_overwrite_four() -> None:
    first, overwrite = requests_made.run(silent)
    assert (first.value, first.how) == (2, "1 CopyObject, 1 HeadObject")
    assert (overwrite.value, overwrite.how) == (4, "2 CopyObject, 2 HeadObject")
    assert first.reached
    assert overwrite.reached


def test_one_request_too_many_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Engine.copy

    def wasteful(engine: Engine, source: ObjectVersion) -> Steps[object]:
        yield Request("HeadObject", {"Bucket": "photos", "Key": "a"})
        return (yield from real(engine, source))

    monkeypatch.setattr(Engine, "copy", wasteful)
    assert [finding.reached for finding in requests_made.run(silent)] == [False, False]


def test_the_model_does_as_many_parts_at_once_as_the_driver_holds() -> None:
    def part(size: int) -> Steps[object]:
        parameters = {"CopySourceRange": f"bytes=0-{size - 1}"}
        return (yield Request("UploadPartCopy", parameters))

    def both() -> Steps[list[object]]:
        return (yield Together([part(BYTES_PER_SECOND), part(2 * BYTES_PER_SECOND), part(1)]))

    model = Model(2)
    assert len(model.run(both())) == 3
    # The third begins when the first has ended.
    assert model.now == pytest.approx(2 + LATENCY)
    model = Model(1)
    model.run(both())
    assert model.now == pytest.approx(3 + 3 * LATENCY)


def test_parts_one_after_the_other_miss_the_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    [finding] = parts.run(silent)
    assert finding.reached
    monkeypatch.setattr(parts, "PARTS_IN_FLIGHT", 4)
    [finding] = parts.run(silent)
    assert finding.reached is False


def test_small_parts_cost_their_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    [before] = parts.run(silent)
    monkeypatch.setattr(parts, "Engine", lambda *names: replace(Engine(*names), part_size=5 * MIB))
    [after] = parts.run(silent)
    assert after.value < before.value


@pytest.mark.parametrize("slow", [False, True], ids=["as-it-is", "slowed-down"])
def test_a_handler_that_starts_slowly_misses_the_goal(slow: bool, tmp_path: Path) -> None:
    code = tmp_path / "handler"
    shutil.copytree(ROOT / "handler", code, ignore=shutil.ignore_patterns("__pycache__"))
    if slow:
        main = code / "main.py"
        main.write_text(f"{main.read_text()}\nimport time\ntime.sleep(5)\n")
    [finding] = cold_start.run(silent, rounds=1, code=code)
    # One round on a busy machine says little, five seconds say enough.
    assert finding.value > 0
    assert not (slow and finding.reached)


def test_the_running_function_is_measured() -> None:
    [cpu] = warm.run(silent, rounds=1, objects=5)
    [speed] = batch.run(silent, rounds=1, records=5)
    assert 0.1 < cpu.value < 50
    assert 0.001 < speed.value < 50
