"""What a benchmark finds, and how it is shown."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Say = Callable[[str], object]
"""Tells whoever waits what is being done."""


class CannotRun(Exception):
    """A benchmark needs what is not there; the message says what, and how to get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One measured value and what it should be."""

    what: str
    """What was measured, in the words of a table."""
    value: float
    unit: str = "x"
    """`x` for a ratio."""
    at_most: float | None = None
    at_least: float | None = None
    how: str = ""
    """The figures behind the value."""

    @property
    def reached(self) -> bool | None:
        """Whether the value is what it should be; None if it need not be anything."""
        if self.at_most is not None:
            return self.value <= self.at_most
        if self.at_least is not None:
            return self.value >= self.at_least
        return None

    @property
    def goal(self) -> str:
        """The goal in words, or a dash."""
        if self.at_most is not None:
            return f"at most {_number(self.at_most)} {self.unit}"
        if self.at_least is not None:
            return f"at least {_number(self.at_least)} {self.unit}"
        return "-"

    @property
    def measured(self) -> str:
        """The value with its unit."""
        return f"{_number(self.value)} {self.unit}"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of ours / theirs, each pair measured side by side.

    Whatever slows the machine down for a while slows both sides of a pair.
    """
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"
