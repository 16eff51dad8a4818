"""Progress: nothing for what is quick, lines where there is no terminal, a bar where there is."""

import io

import pytest

from backupctl import progress
from backupctl.progress import Progress


class Terminal(io.StringIO):
    """Something that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_takes_less_than_two_seconds_shows_nothing(
    clock: Clock, stream: type[io.StringIO]
) -> None:
    to = stream()
    with Progress("photos", 10, to=to) as shown:
        for _ in range(10):
            clock.now += 0.19
            shown.advance()
    assert to.getvalue() == ""


def test_without_a_terminal_there_is_now_and_then_a_line(clock: Clock) -> None:
    to = io.StringIO()
    with Progress("photos", 2000, to=to) as shown:
        for _ in range(250):
            clock.now += 0.125
            shown.advance(4)
    assert to.getvalue() == (
        "photos: 64 of 2,000 objects, 32/s, 1m00s left\n"
        "photos: 384 of 2,000 objects, 32/s, 0m50s left\n"
        "photos: 704 of 2,000 objects, 32/s, 0m40s left\n"
    )


def test_without_a_total_there_is_no_time_left(clock: Clock) -> None:
    to = io.StringIO()
    with Progress("photos", to=to, unit="keys") as shown:
        clock.now += 4
        shown.advance(8000)
    assert to.getvalue() == "photos: 8,000 keys, 2,000/s\n"


def test_on_a_terminal_there_is_a_bar_with_rate_and_it_goes_away(clock: Clock) -> None:
    to = Terminal()
    with Progress("ph[oto]s", 100, to=to) as shown:
        clock.now += 4
        shown.advance(40)
        text = to.getvalue()
    assert "ph[oto]s" in text
    assert "40 of 100 objects, 10/s" in text
    # Erased: the last thing sent is a line cleared.
    assert to.getvalue().endswith("\x1b[2K")
