"""What tests/backupctl/test_processes.py runs in a process of its own; prints what happened."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from backupctl import processes
from backupctl.copying import Report, Result
from backupctl.errors import BackupctlError
from backupctl.loops import run
from backupctl.processes import Processes
from backupctl.selection import Reason, Task, Wanted
from handler.records import Outcome

TASKS = 500
PLACE = sys.argv[1]


async def batches() -> AsyncGenerator[list[Task]]:
    for start in range(0, TASKS, 100):
        if PLACE == "unlisted" and start == 200:
            raise BackupctlError("no such bucket")
        yield [
            Task("photos", f"{number}\n\u00e9", (Wanted(None, Reason.MISSING, number),) * 2)
            for number in range(start, start + 100)
        ]


async def copy(batches: AsyncIterator[Sequence[Task]], report: Report) -> None:
    count = 0
    async for tasks in batches:
        for task in tasks:
            count += 1
            if PLACE == "failing" and count == 40:
                raise BackupctlError("log in again", 2)
            if PLACE == "dying" and count == 40:
                os.kill(os.getpid(), 9)
            if PLACE == "hanging":
                # In one piece: the other process writes too.
                os.write(sys.stdout.fileno(), f"{os.getpid()}\n".encode())
                await asyncio.sleep(3600)
            assert task.versions[0].size is not None
            report(
                task,
                [
                    Result(Outcome.COPIED, task.versions[0].size),
                    Result(None, 0, "SlowDown", True, "busy", f"by {os.getpid()}"),
                ],
            )
    if PLACE == "quiet":
        # Not before all of it is said; else it would be missed for another reason.
        await asyncio.sleep(1)
        os._exit(0)


def main() -> None:
    done: dict[str, list[Result]] = {}

    def report(task: Task, results: Sequence[Result]) -> None:
        assert task.key not in done
        done[task.key] = list(results)

    if PLACE == "unhurried":
        processes._FLUSH_SECONDS = 3600
    try:
        with Processes(2, 8, copy) as children:
            run(children.copy_all(batches(), report))
        ended = "well"
    except BackupctlError as error:
        ended = f"{error} ({error.exit_code})"
    sizes = [results[0].size for results in done.values()]
    workers = {results[1].cure for results in done.values()}
    first = next(iter(done.values()), None)
    print(json.dumps([ended, sorted(sizes), len(workers), first and first[1][:5]]))


main()
