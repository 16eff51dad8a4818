"""Objects per second of one event with many records, against plain thread pools."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from botocore import xform_name

from handler.copy import Engine
from handler.events import parse
from handler.records import ObjectVersion
from handler.requests import Request

from .function import ACCOUNT, BACKUP_BUCKET, ROOT, Context, environment, event, plain_s3
from .measure import Finding, Say
from .stub import Stub

GOAL = 0.9
RECORDS = 100
SIZES = (4, 8, 16, 32, 64)
"""Threads in the plain pools."""
ROUNDS = 7
DELAY = 0.02
"""Seconds that the stub takes for an answer, about what S3 takes."""


def run(say: Say, *, rounds: int = ROUNDS, records: int = RECORDS) -> list[Finding]:
    """Let a process of its own handle an event, and pools of threads do the same calls."""
    say(f"{rounds} rounds of {records} records, in the function and in pools of {SIZES} threads")
    with Stub(delay=DELAY) as stub:
        command = [sys.executable, "-m", "benchmarks.batch", str(rounds), str(records)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(stub.url),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    measured: dict[str, list[float]] = json.loads(done.stdout)
    per_second = {name: records / statistics.median(seconds) for name, seconds in measured.items()}
    ours = per_second.pop("ours")
    best = max(per_second, key=lambda size: per_second[size])
    return [
        Finding(
            what=f"{records} records in one event, of the best plain thread pool",
            value=ours / per_second[best],
            at_least=GOAL,
            how=f"{ours:.0f} objects/s against {per_second[best]:.0f} with {best} threads; "
            f"medians of {rounds}",
        )
    ]


def _measure(rounds: int, records: int) -> dict[str, list[float]]:
    """Wall-clock seconds of each round, ours and by number of threads."""
    from handler.main import handler

    s3 = plain_s3()
    whole = event(*(f"{number}.jpg" for number in range(records)))

    def prepared(request: Request) -> Callable[[], Any]:
        model = s3.meta.service_model.operation_model(request.operation)
        known = model.input_shape.members
        parameters = {
            name: request.parameters[name] for name in request.parameters if name in known
        }
        method = getattr(s3, xform_name(request.operation))
        return lambda: method(**parameters)

    # The calls that the engine makes, without deciding anything.
    engine = Engine(BACKUP_BUCKET, ACCOUNT)
    calls: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {}
    for announced in parse(whole):
        if isinstance(announced.item, ObjectVersion):
            steps = engine.copy(announced.item)
            head = prepared(cast("Request", next(steps)))
            copied = prepared(cast("Request", steps.send(head())))
            calls[announced.item.key] = head, copied

    def copy(record: dict[str, Any]) -> None:
        for call in calls[record["s3"]["object"]["key"]]:
            call()

    found: dict[str, list[float]] = {name: [] for name in ("ours", *map(str, SIZES))}
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        for number in range(rounds + 1):
            for name, seconds in found.items():
                started = time.perf_counter()
                if name == "ours":
                    handler(whole, Context())
                else:
                    with ThreadPoolExecutor(int(name)) as pool:
                        list(pool.map(copy, whole["Records"]))
                if number:
                    seconds.append(time.perf_counter() - started)
    return found


if __name__ == "__main__":
    print(json.dumps(_measure(*map(int, sys.argv[1:]))))
