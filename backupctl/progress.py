"""How far a long command is, on stderr."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

QUIET_SECONDS = 2.0
"""What is done sooner shows nothing."""
SECONDS_BETWEEN_LINES = 10.0
"""Where stderr is no terminal."""


class Progress:
    """Counts; a bar with rate and ETA on a terminal, now and then a line elsewhere.

    :param what: names the work, e.g. "photos".
    :param total: how many there will be, if known; may be set later.
    :param unit: what is counted, in the plural.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        unit: str = "objects",
        *,
        to: TextIO | None = None,
    ) -> None:
        self.what = what
        self.total = total
        self.unit = unit
        self.done = 0
        self.stream = to or sys.stderr
        self._terminal = self.stream.isatty()
        self._started = time.monotonic()
        self._next = self._started + QUIET_SECONDS
        self._bar: _Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count
        now = time.monotonic()
        if now < self._next:
            return
        if self._terminal:
            self._next = now + 0.1
            if self._bar is None:
                self._bar = _Bar(self)
            self._bar.show()
        else:
            self._next = now + SECONDS_BETWEEN_LINES
            print(self.line(now), file=self.stream, flush=True)

    def line(self, now: float) -> str:
        """The state in words."""
        rate = self.done / max(now - self._started, 0.001)
        of = "" if self.total is None else f" of {self.total:,}"
        text = f"{self.what}: {self.done:,}{of} {self.unit}, {rate:,.0f}/s"
        if self.total is not None and rate > 0:
            text += f", {_duration((self.total - self.done) / rate)} left"
        return text


class _Bar:
    """A bar of rich's, which is imported only when there is something to show."""

    def __init__(self, progress: Progress) -> None:
        from rich.console import Console  # noqa: PLC0415 - see above
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress  # noqa: PLC0415

        self._progress = progress
        self._rich = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeRemainingColumn(),
            console=Console(file=progress.stream),
            transient=True,
            auto_refresh=False,
        )
        self._task = self._rich.add_task(progress.what, total=progress.total, state="")
        self._rich.start()

    def show(self) -> None:
        progress = self._progress
        self._rich.update(
            self._task,
            completed=progress.done,
            total=progress.total,
            state=progress.line(time.monotonic()).partition(": ")[2].partition(" left")[0],
        )
        self._rich.refresh()

    def stop(self) -> None:
        self._rich.stop()


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{whole % 60:02}s"
