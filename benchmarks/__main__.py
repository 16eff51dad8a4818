"""`python -m benchmarks`: measure, print a table, fail if a goal is missed."""

import argparse
import dataclasses
import importlib
import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from .measure import CannotRun, Finding

BENCHMARKS = {
    "cold-start": "cold_start",
    "warm": "warm",
    "batch": "batch",
    "parts": "parts",
    "requests": "requests_made",
    "burst": "burst",
    "backfill": "backfilling",
    "verify": "verifying",
    "restore": "restoring",
}
"""Name of each benchmark and the module that has its `run(say) -> list[Finding]`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that are named.

    :returns: 0 if every goal is reached, else 1.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure side by side on this machine. Exit code 1: a goal was missed.",
        epilog="example: python -m benchmarks warm batch --json",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; default: all of them"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")

    progress = Console(stderr=True, highlight=False)
    findings: dict[str, list[Finding]] = {}
    problems: dict[str, str] = {}
    for name in options.names or BENCHMARKS:
        progress.print(f"{name}: begins")
        module = importlib.import_module(f"benchmarks.{BENCHMARKS[name]}")
        try:
            findings[name] = module.run(lambda text, name=name: progress.print(f"{name}: {text}"))
        except CannotRun as problem:
            problems[name] = str(problem)

    if options.json:
        print(json.dumps(_structure(findings, problems), indent=2))
    else:
        # Without a terminal rich assumes 80 columns, too few for the table.
        out = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
        out.print(_table(findings))
        for name, problem in problems.items():
            out.print(f"{name}: not measured: {problem}", markup=False)
    missed = [one for found in findings.values() for one in found if one.reached is False]
    return 1 if missed or problems else 0


def _structure(findings: dict[str, list[Finding]], problems: dict[str, str]) -> dict[str, object]:
    measured: dict[str, object] = {
        name: {"findings": [{**dataclasses.asdict(one), "reached": one.reached} for one in found]}
        for name, found in findings.items()
    }
    return measured | {name: {"problem": problem} for name, problem in problems.items()}


def _table(findings: dict[str, list[Finding]]) -> Table:
    table = Table(title="Benchmarks", title_justify="left")
    for column in ("Benchmark", "Measured", "Value", "Goal", "Reached", "How"):
        table.add_column(column, justify="right" if column in {"Value", "Goal"} else "left")
    words = {True: "[green]yes[/]", False: "[red]NO[/]", None: "-"}
    for name, found in findings.items():
        for one in found:
            table.add_row(name, one.what, one.measured, one.goal, words[one.reached], one.how)
    return table


if __name__ == "__main__":
    sys.exit(main())
