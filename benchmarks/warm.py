"""CPU time per object in a running function, ours against bare botocore calls."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from .function import ROOT, Context, environment, event, plain_s3
from .measure import Finding, Say, ratio
from .stub import Stub

GOAL = 1.25
ROUNDS = 60
OBJECTS = 10


def run(say: Say, *, rounds: int = ROUNDS, objects: int = OBJECTS) -> list[Finding]:
    """Let a process of its own do both in turn and look at its CPU time."""
    say(f"{rounds} rounds of {objects} objects each")
    with Stub() as stub:
        command = [sys.executable, "-m", "benchmarks.warm", str(rounds), str(objects)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(stub.url),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    ours, bare = json.loads(done.stdout)
    return [
        Finding(
            what="CPU per object, of bare HeadObject and CopyObject",
            value=ratio(ours, bare),
            at_most=GOAL,
            how=f"{statistics.median(ours) * 1000:.2f} ms against "
            f"{statistics.median(bare) * 1000:.2f} ms; medians of {rounds} x {objects}",
        )
    ]


def _measure(rounds: int, objects: int) -> tuple[list[float], list[float]]:
    """CPU seconds per object in each round, ours and bare."""
    from handler.main import handler

    s3 = plain_s3()
    events = [event(f"{number}.jpg") for number in range(objects)]

    def ours() -> None:
        for one in events:
            handler(one, Context())

    def bare() -> None:
        for one in events:
            entity = one["Records"][0]["s3"]["object"]
            source = {"Bucket": "photos", "Key": entity["key"], "VersionId": entity["versionId"]}
            head = s3.head_object(**source)
            s3.copy_object(
                Bucket="backups",
                Key=f"photos/{entity['key']}",
                CopySource=source,
                CopySourceIfMatch=head["ETag"],
            )

    found: dict[Callable[[], None], list[float]] = {ours: [], bare: []}
    # What the function logs is no part of the result; where it goes costs the same.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        for number in range(rounds + 1):
            for work, seconds in found.items():
                started = time.process_time()
                work()
                if number:
                    seconds.append((time.process_time() - started) / objects)
    return found[ours], found[bare]


if __name__ == "__main__":
    print(json.dumps(_measure(*map(int, sys.argv[1:]))))
