"""`backupctl backfill` against `s5cmd cp`: many small objects copied by S3 itself.

s5cmd asks for each copy and for nothing else. backupctl looks at each object first: only so it can
take the metadata along, say what the copy is of, and put it where it belongs among others. So it
needs two requests where s5cmd needs one, and can be faster only where the client is what limits.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sandbox.ministack import MiniStack, MiniStackError

from .listings import SOURCE, key
from .measure import CannotRun, Finding, Say, ratio
from .peers import Ran, Side, backupctl, by_turns, peer, seconds, variables
from .stub import SIZE, Stub

GOAL_ON_STUB = 1.5
GOAL = 1.0
OBJECTS = 5000
ROUNDS = 3
CONNECTIONS = 128
"""What either side may have at a time."""

Sides = tuple[Side, Side]


def run(say: Say, *, rounds: int = ROUNDS, objects: int = OBJECTS) -> list[Finding]:
    """Copy between two buckets of three kinds of S3."""
    places = (
        ("a stub", GOAL_ON_STUB, on_stub),
        ("MiniStack", GOAL, on_ministack),
        ("rclone serve s3", GOAL, on_rclone),
    )
    findings: list[Finding] = []
    for name, goal, place in places:
        say(f"{rounds} rounds of {objects:,} objects on {name}, by turns with s5cmd cp")
        with place(objects, rounds) as (ours, theirs):
            mine, others = by_turns(rounds, ours, theirs)
        own, other = statistics.median(seconds(mine)), statistics.median(seconds(others))
        findings.append(
            Finding(
                what=f"speed of copying {objects:,} objects on {name}, of s5cmd cp",
                value=ratio(seconds(others), seconds(mine)),
                at_least=goal,
                how=f"{objects / own:,.0f} objects/s against {objects / other:,.0f}; "
                f"{CONNECTIONS} at a time, medians of {rounds}",
            )
        )
    return findings


def _commands(
    bucket: Callable[[str, int], str], program: list[str]
) -> tuple[Callable[[int], list[str]], Callable[[int], list[str]]]:
    """What copies to a bucket, by the number of the round.

    :param bucket: the name of the bucket that a side copies to in a round.
    """

    def ours(number: int) -> list[str]:
        place = ["--backup-bucket", bucket("ours", number), "--concurrency", str(CONNECTIONS)]
        return [*program, "backfill", SOURCE, "--json", *place]

    def theirs(number: int) -> list[str]:
        options = ["--log", "error", "--numworkers", str(CONNECTIONS)]
        target = f"s3://{bucket('theirs', number)}/{SOURCE}/"
        return [peer("s5cmd"), *options, "cp", f"s3://{SOURCE}/*", target]

    return ours, theirs


def _all(objects: int, copies: Callable[[], int]) -> Callable[[Ran], str]:
    """Whether as many copies were made as there are objects."""

    def check(_ran: Ran) -> str:
        made = copies()
        return "" if made == objects else f"{made} of {objects} objects were copied"

    return check


@contextmanager
def on_stub(objects: int, _rounds: int) -> Generator[Sides]:
    """An S3 that is always faster than its client."""
    with Stub(objects=objects) as stub:
        there = variables(stub.url)
        check = _all(objects, lambda: stub.counts().get("CopyObject", 0))
        ours, theirs = _commands(lambda _side, _number: "backups", backupctl())
        yield Side(ours, there, check), Side(theirs, there, check)


@contextmanager
def on_ministack(objects: int, rounds: int) -> Generator[Sides]:
    """The local AWS, with TLS and all rights checked; one process of Python serves everybody."""
    try:
        with MiniStack() as ministack:
            s3 = ministack.client("s3")
            location = {"LocationConstraint": ministack.region}
            names = [_bucket(side, number) for side in _SIDES for number in range(rounds + 1)]
            for name in (SOURCE, *names):
                s3.create_bucket(Bucket=name, CreateBucketConfiguration=location)
                s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
            with ThreadPoolExecutor(16) as pool:
                list(
                    pool.map(
                        lambda number: s3.put_object(
                            Bucket=SOURCE, Key=key(number), Body=os.urandom(SIZE)
                        ),
                        range(objects),
                    )
                )

            def copies(name: str) -> int:
                pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name)
                return sum(page["KeyCount"] for page in pages)

            left = {side: iter(range(rounds + 1)) for side in _SIDES}
            there = {**variables(ministack.endpoint), **ministack.environment()}
            yield _sides(
                _commands(_bucket, backupctl()),
                there,
                {
                    side: _all(objects, lambda side=side: copies(_bucket(side, next(left[side]))))
                    for side in _SIDES
                },
            )
    except MiniStackError as problem:
        raise CannotRun(str(problem)) from problem


@contextmanager
def on_rclone(objects: int, rounds: int) -> Generator[Sides]:
    """A server in Go, on files; it keeps no versions, which backupctl is told to overlook."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(objects):
            path = root / SOURCE / key(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(SIZE))
        for side in _SIDES:
            for number in range(rounds + 1):
                (root / _bucket(side, number)).mkdir()

        left = {side: iter(range(rounds + 1)) for side in _SIDES}

        def copies(side: str) -> int:
            files = (root / _bucket(side, next(left[side]))).rglob("*.jpg")
            return sum(path.stat().st_size == SIZE for path in files)

        with _serving(root) as url:
            program = [sys.executable, "-m", "benchmarks.unversioned"]
            yield _sides(
                _commands(_bucket, program),
                variables(url),
                {side: _all(objects, partial(copies, side)) for side in _SIDES},
            )


_SIDES = ("ours", "theirs")


def _bucket(side: str, number: int) -> str:
    return f"backups-{side}-{number}"


def _sides(
    commands: tuple[Callable[[int], list[str]], Callable[[int], list[str]]],
    there: dict[str, str],
    checks: dict[str, Callable[[Ran], str]],
) -> Sides:
    ours, theirs = (
        Side(command, there, checks[side]) for side, command in zip(_SIDES, commands, strict=True)
    )
    return ours, theirs


@contextmanager
def _serving(root: Path) -> Generator[str]:
    own = variables("")
    login = f"{own['AWS_ACCESS_KEY_ID']},{own['AWS_SECRET_ACCESS_KEY']}"
    command = [peer("rclone"), "serve", "s3", str(root), "--auth-key", login, "--use-json-log"]
    with subprocess.Popen(
        [*command, "--addr", "127.0.0.1:0"], env=own, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _address(process)
        finally:
            process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    said = ""
    for line in process.stderr or ():
        said = json.loads(line)["msg"]
        begin = said.find("http://127.0.0.1:")
        if begin >= 0:
            return said[begin:].split("/]")[0].rstrip("/]")
    raise CannotRun(f"rclone serve s3 did not start: {said}")
