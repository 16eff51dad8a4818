"""`python -m backupctl`, and the installed `backupctl`."""

import gc
import sys


def run() -> None:
    """Run one command, and end the process with its exit code."""
    # What is imported refers to itself a lot and stays until the end: to look for garbage in it,
    # now and at the end, would take a third of the time of a short command.
    # https://docs.python.org/3/library/gc.html#gc.freeze
    gc.set_threshold(50_000)
    from .cli import main  # noqa: PLC0415 - see above

    code = main()
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    run()
