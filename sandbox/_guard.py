"""Run a command for as long as standard input stays open, then kill its whole process group.

    python _guard.py LOG FOLDER_TO_REMOVE COMMAND...

The operating system closes the pipe however the owner ends, SIGKILL included, so nothing the
command started outlives the owner. `FOLDER_TO_REMOVE` may be empty; the byte `k` on standard
input keeps it. Works wherever there are POSIX process groups; runs as a script, imports nothing.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path


def main(log: str, folder: str, *command: str) -> None:
    """Start the command, wait for its end or for the owner's, leave no process behind."""
    # The owner decides when it is over, by closing the pipe. Handlers, unlike SIG_IGN, are not
    # inherited by the command.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)
    with Path(log).open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    stopping = threading.Event()
    threading.Thread(target=_follow, args=(child, stopping), daemon=True).start()
    keep = b"k" in sys.stdin.buffer.read()
    stopping.set()
    _kill_group(child)
    child.wait()
    if folder and not keep:
        shutil.rmtree(folder, ignore_errors=True)


def _follow(child: subprocess.Popen[bytes], stopping: threading.Event) -> None:
    """End, and tell the owner so by ending, if the command ends by itself."""
    code = child.wait()
    if not stopping.is_set():
        _kill_group(child)
        # The main thread is blocked reading; only this ends the process at once.
        os._exit(code if code > 0 else 1)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    # Nobody may be left; macOS says "not permitted" of a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
