"""`backupctl drill` on the local AWS, as an operator who may do no more than it needs."""

import json

import pytest

from backupctl import permissions
from backupctl.drilling import SCRATCH
from sandbox.ministack import Credentials, MiniStack

from .place import Place, Ran

KEYS = ("cat", "a//b", "a b+%41", "a\u2028\u00e9\U0001f600", "k" * 1015)


class Ready(Place):
    """A place with copies, and a bucket for drills."""

    def __init__(self, ministack: MiniStack) -> None:
        super().__init__(ministack)
        self.scratch = self.bucket("scratch")
        for key in KEYS:
            self.copy(self.put(key, key.encode(), Metadata={"a": "1"}, Tagging="b=2"))

    def as_operator(self) -> Credentials:
        allowed = permissions.drill(self.backup, [self.source], self.scratch, "my/")
        for statement in allowed:
            # MiniStack does not know cloudwatch:namespace.
            statement.pop("Condition", None)
        return self.operator(allowed)

    def drill(self, *arguments: str, to: str | None = None) -> tuple[str, ...]:
        return (
            "drill",
            self.source,
            "--to",
            to or f"{self.scratch}/my/",
            "--grace",
            "0",
            *arguments,
        )


@pytest.fixture
def place(ministack: MiniStack) -> Ready:
    return Ready(ministack)


def test_a_sample_comes_back_is_compared_and_leaves_only_its_result(place: Ready) -> None:
    operator = place.as_operator()
    before = place.state()
    ran = place.run(*place.drill("--json", "--metric"), credentials=operator)
    assert (ran.code, ran.err) == (0, "")
    assert {(line["key"], line["verdict"]) for line in ran.lines} == {(key, "same") for key in KEYS}
    assert ran.summary[place.source]["faults"] == 0
    after = place.state()
    results = [
        entry for entry in after[place.backup] if entry["Key"].startswith(".s3-backup/results/")
    ]
    after[place.backup] = [entry for entry in after[place.backup] if entry not in results]
    assert after == before
    assert [entry["Key"] for entry in results] == [f".s3-backup/results/drill/{place.source}.json"]
    body = place.s3.get_object(Bucket=place.backup, Key=results[0]["Key"])["Body"].read()
    result = json.loads(body)
    assert result["started"] <= result["finished"]
    assert result["verdicts"] == {"same": len(KEYS), "different": 0, "lost": 0, "changed": 0}
    metrics = place.ministack.client("cloudwatch").list_metrics(
        Namespace="S3Backup", Dimensions=[{"Name": "SourceBucket", "Value": place.source}]
    )["Metrics"]
    assert {metric["MetricName"] for metric in metrics} == {"DrillCompleted", "DrillFindings"}


def summary(ran: Ran) -> dict[str, str]:
    """The row of the only source, without the bytes."""
    headings, row = (line.split() for line in ran.out.splitlines()[-2:])
    numbers = dict(zip(headings, row, strict=True))
    assert (headings[0], headings[-1]) == ("source", "bytes")
    del numbers["source"], numbers["bytes"]
    return numbers


def test_what_does_not_come_back_is_named(place: Ready) -> None:
    place.s3.put_object(Bucket=place.backup, Key=f"{place.source}/cat", Body=b"other bytes")
    place.put("never\u2028copied")
    ran = place.run(*place.drill(), credentials=place.as_operator())
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert f"lost: {place.source}/never\\u2028copied: the backup does not have it" in lines
    assert f"different: {place.source}/cat: it has 11 bytes instead of 3" in lines
    assert summary(ran) == {
        "sampled": str(len(KEYS) + 1),
        "same": str(len(KEYS) - 1),
        "different": "1",
        "lost": "1",
        "changed": "0",
    }
    assert place.contents(place.scratch) == {}


def test_the_sample_is_as_large_as_wanted_and_nothing_too_young(place: Ready) -> None:
    operator = place.as_operator()
    ran = place.run(*place.drill("--sample", "2", "--json"), credentials=operator)
    assert len(ran.lines) == 2
    arguments = ("drill", place.source, "--to", f"{place.scratch}/my/")
    young = place.run(*arguments, credentials=operator)
    assert (young.code, len(young.out.splitlines())) == (0, 2)
    assert set(summary(young).values()) == {"0"}


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("backup", "is the backup bucket"),
        ("source", "is backed up, and so would be what the drill writes"),
        ("/x", "names no bucket"),
    ],
)
def test_it_does_not_write_where_it_must_not(place: Ready, to: str, said: str) -> None:
    before = place.state()
    name = {"backup": place.backup, "source": place.source}.get(to, to)
    ran = place.run(*place.drill(to=name))
    assert (ran.code, said in ran.err) == (2, True)
    assert len(ran.err.splitlines()) == 1
    assert place.state() == before


def test_without_a_place_it_asks_for_one(place: Ready) -> None:
    ran = place.run("drill", place.source)
    assert (ran.code, ran.err) == (
        2,
        "backupctl: where to? name a bucket that is not backed up with --to BUCKET[/PREFIX]\n",
    )


@pytest.mark.parametrize(
    "missing", ["s3:PutObject", "s3:DeleteObjectVersion", "s3:GetObjectVersion"]
)
def test_each_permission_is_needed(place: Ready, missing: str) -> None:
    allowed = permissions.drill(place.backup, [place.source], place.scratch, "my/")
    for statement in allowed:
        statement["Action"] = [action for action in statement["Action"] if action != missing]
    ran = place.run(*place.drill(), credentials=place.operator(allowed))
    assert ran.code != 0
    assert "Traceback" not in ran.err


def test_the_operator_may_write_nowhere_else(place: Ready) -> None:
    operator = place.as_operator()
    s3 = place.ministack.client("s3", operator)
    for bucket, key in (
        (place.scratch, "other"),
        (place.scratch, f"other/{SCRATCH}x"),
        (place.backup, f"{place.source}/cat"),
        (place.source, "cat"),
    ):
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            s3.delete_object(Bucket=bucket, Key=key)
    s3.put_object(Bucket=place.scratch, Key=f"my/{SCRATCH}x", Body=b"")
