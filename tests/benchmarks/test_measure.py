"""What is said about a value is what it is."""

import pytest

from benchmarks.measure import Finding, ratio


@pytest.mark.parametrize(
    ("finding", "reached", "goal"),
    [
        (Finding(what="a", value=0.85, at_most=0.85), True, "at most 0.85 x"),
        (Finding(what="a", value=0.86, at_most=0.85), False, "at most 0.85 x"),
        (Finding(what="a", value=0.9, at_least=0.9), True, "at least 0.90 x"),
        (Finding(what="a", value=0.89, at_least=0.9), False, "at least 0.90 x"),
        (Finding(what="a", value=3, unit="s"), None, "-"),
        (Finding(what="a", value=2, unit="requests", at_most=2), True, "at most 2 requests"),
    ],
)
def test_a_goal_is_reached_or_not(finding: Finding, reached: bool | None, goal: str) -> None:
    assert (finding.reached, finding.goal) == (reached, goal)


@pytest.mark.parametrize(
    ("value", "shown"), [(4.0, "4 x"), (4.094, "4.09 x"), (12345.6, "12,346 x"), (0.05, "0.05 x")]
)
def test_values_are_rounded_for_people(value: float, shown: str) -> None:
    assert Finding(what="a", value=value).measured == shown


def test_what_slows_both_sides_down_does_not_change_the_ratio() -> None:
    assert ratio([2, 20, 2], [1, 10, 1]) == 2


def test_one_odd_pair_does_not_change_the_ratio() -> None:
    assert ratio([2, 2, 90], [1, 1, 1]) == 2


def test_both_sides_have_as_many_values() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio([1, 2], [1])
