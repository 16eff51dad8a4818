"""From the start of a process to its first finished copy, ours against a plain boto3 handler."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from . import first_copy, plain_handler
from .function import ROOT, environment, event
from .measure import Finding, Say, ratio
from .stub import Stub

GOAL = 0.85
ROUNDS = 15


def run(say: Say, *, rounds: int = ROUNDS, code: Path = ROOT / "handler") -> list[Finding]:
    """Start both in turn.

    The code is copied first, and Python keeps no compiled form of it, because Lambda has none: it
    unpacks a zip of source files. The SDK is compiled in both cases.

    :param code: the package with our handler.
    """
    with Stub() as stub, tempfile.TemporaryDirectory() as folder:
        shutil.copytree(code, Path(folder, "handler"), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(plain_handler.__file__, folder)
        surroundings = environment(stub.url)
        ours: list[_Start] = []
        plain: list[_Start] = []
        for number in range(rounds + 1):
            say(f"round {number} of {rounds}" if number else "warming up the disk's cache")
            theirs = _start(folder, "plain_handler", surroundings)
            own = _start(folder, "handler.main", surroundings)
            if number:
                plain.append(theirs)
                ours.append(own)
    seconds, plain_seconds = [one.seconds for one in ours], [one.seconds for one in plain]
    cpu = ratio([one.cpu_seconds for one in ours], [one.cpu_seconds for one in plain])
    return [
        Finding(
            what="process start to first copy, of a plain boto3 handler's",
            value=ratio(seconds, plain_seconds),
            at_most=GOAL,
            how=f"{statistics.median(seconds) * 1000:.0f} ms against "
            f"{statistics.median(plain_seconds) * 1000:.0f} ms; CPU {cpu:.2f} x; "
            f"medians of {rounds}",
        )
    ]


class _Start(NamedTuple):
    """What passed until the first copy was done."""

    seconds: float
    cpu_seconds: float


def _start(folder: str, module: str, surroundings: Mapping[str, str]) -> _Start:
    command = [sys.executable, "-B", first_copy.__file__, folder, module, json.dumps(event("a"))]
    started = time.perf_counter()
    with subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            text, done, cpu_seconds = line.partition(first_copy.DONE)
            if done and not text:
                return _Start(time.perf_counter() - started, float(cpu_seconds))
    raise RuntimeError(f"{module} ended with exit code {child.returncode} before its first copy")
