"""A wrong assertion fails, wherever a test makes it. Without this no other test here means much."""

from collections.abc import Callable

import pulumi
import pulumi_aws as aws
import pytest

from tests.recorder import record


def wrong(value: str) -> None:
    assert value == "another name"


def returned() -> object:
    return pulumi.Output.from_input("photos").apply(wrong)


def not_returned() -> None:
    pulumi.Output.from_input("photos").apply(wrong)


def of_a_resource_returned() -> object:
    return aws.s3.Bucket("photos").bucket.apply(wrong)


def of_a_resource_not_returned() -> None:
    aws.s3.Bucket("photos").bucket.apply(wrong)


def as_an_input() -> None:
    aws.s3.Bucket("photos", bucket=pulumi.Output.from_input("photos").apply(str.upper).apply(fail))


def fail(_value: str) -> str:
    raise AssertionError("never right")


def at_once() -> None:
    wrong("photos")


@pytest.mark.parametrize(
    "program",
    [
        returned,
        not_returned,
        of_a_resource_returned,
        of_a_resource_not_returned,
        as_an_input,
        at_once,
    ],
)
def test_a_wrong_assertion_fails_the_test(program: Callable[[], object]) -> None:
    with pytest.raises(AssertionError):
        record(program)


def test_a_right_assertion_passes() -> None:
    seen: list[str] = []

    def program() -> object:
        return aws.s3.Bucket("photos", bucket="the-photos").bucket.apply(seen.append)

    assert record(program).one("s3/bucket:Bucket").inputs == {"bucket": "the-photos"}
    assert seen == ["the-photos"]


def test_two_resources_of_one_name_are_refused() -> None:
    def program() -> None:
        aws.s3.Bucket("photos")
        aws.s3.Bucket("photos")

    with pytest.raises(RuntimeError, match="Duplicate resource URN 'urn:pulumi:test::s3-backup::"):
        record(program)
