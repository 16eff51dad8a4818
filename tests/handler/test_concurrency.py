"""What runs at the same time, what does not, and when waiting ends."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler import concurrency
from handler.concurrency import lanes, run
from handler.events import Announced, Damaged
from handler.records import ObjectVersion, sequence

WAIT = 30


def announced(bucket: str, key: str, sequencer: str | None) -> Announced:
    return Announced(None, ObjectVersion(bucket, key, sequencer=sequencer))


def test_versions_of_an_object_share_a_lane_in_the_order_of_the_source() -> None:
    nine, ten, fifteen = (announced("b", "k", text) for text in ("0009", "10", "00f"))
    other_bucket = announced("c", "k", "01")
    other_key = announced("b", "l", "02")
    assert lanes([ten, other_bucket, nine, other_key, fifteen]) == [
        [nine, fifteen, ten],
        [other_bucket],
        [other_key],
    ]


def test_what_has_no_sequencer_keeps_its_place_among_its_like() -> None:
    first, second = Announced(1, ObjectVersion("b", "k")), Announced(2, ObjectVersion("b", "k"))
    last = announced("b", "k", "01")
    assert lanes([last, first, second]) == [[first, second, last]]


def test_what_is_damaged_waits_for_nothing() -> None:
    damaged = [Announced(number, Damaged("odd")) for number in range(3)]
    assert lanes(damaged) == [[one] for one in damaged]


@given(st.lists(st.text("0123456789abcdefABCDEF", min_size=1, max_size=20)))
def test_sequencers_are_compared_as_numbers(sequencers: list[str]) -> None:
    by_value = sorted(sequencers, key=lambda text: int(text, 16))
    assert sorted(sequencers, key=sequence) == by_value


def far() -> float:
    return time.monotonic() + WAIT


def test_lanes_run_at_the_same_time() -> None:
    # None of them gets through before all are there.
    together = threading.Barrier(concurrency.THREADS, timeout=WAIT)
    run([[lane] for lane in range(concurrency.THREADS)], lambda _: together.wait(), far())


def test_a_lane_is_worked_through_one_by_one() -> None:
    done: list[int] = []
    busy = threading.Lock()

    def work(item: int) -> None:
        assert busy.acquire(blocking=False)
        done.append(item)
        busy.release()

    run([list(range(100))], work, far())
    assert done == list(range(100))


def test_there_are_never_more_threads_than_allowed() -> None:
    working = threading.Semaphore(concurrency.THREADS)

    def work(_: int) -> None:
        assert working.acquire(blocking=False)
        time.sleep(0.001)
        working.release()

    before = threading.active_count()
    run([[lane] for lane in range(10 * concurrency.THREADS)], work, far())
    assert threading.active_count() <= before + concurrency.THREADS


def test_waiting_ends_when_the_time_is_up_and_nothing_more_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(concurrency, "THREADS", 2)
    begun: list[int] = []
    answer = threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        answer.wait(WAIT)

    before = set(threading.enumerate())
    run([[lane] for lane in range(5)], work, time.monotonic() + 0.2)
    assert sorted(begun) == [0, 1]
    answer.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT)
    assert sorted(begun) == [0, 1]


def test_a_time_that_is_up_already_is_no_error() -> None:
    run([["a"]], lambda _: None, time.monotonic() - 1)


def test_nothing_to_do_is_done() -> None:
    run([], lambda _: pytest.fail("there is nothing"), far())


def test_an_error_that_nobody_foresaw_comes_out() -> None:
    def work(item: str) -> None:
        raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError, match=r"^a$"):
        run([["a"]], work, far())


@pytest.mark.parametrize("number", [1, 3])
def test_threads_are_kept_for_the_next_time(number: int) -> None:
    used: list[threading.Thread] = []
    for _ in range(2 * concurrency.THREADS):
        lanes = [[lane] for lane in range(number)]
        run(lanes, lambda _: used.append(threading.current_thread()), far())
    assert len(set(used)) <= (1 if number == 1 else concurrency.THREADS)


def test_threads_that_hang_are_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "THREADS", 2)
    answer = threading.Event()
    for _ in range(3):
        run([["a"], ["b"], ["c"]], lambda _: answer.wait(WAIT), time.monotonic() + 0.1)
    done: list[str] = []
    run([["a"], ["b"]], done.append, far())
    assert sorted(done) == ["a", "b"]
    answer.set()


def test_one_that_runs_out_of_time_takes_nothing_from_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(concurrency, "THREADS", 1)
    answer = threading.Event()
    begun = threading.Event()
    done: list[str] = []

    def patient() -> None:
        begun.wait(WAIT)
        run([["a"]], done.append, far())

    def hang(_: str) -> None:
        begun.set()
        answer.wait(WAIT)

    other = threading.Thread(target=patient)
    other.start()
    run([["x"]], hang, time.monotonic() + 0.3)
    answer.set()
    other.join(WAIT)
    assert done == ["a"]
