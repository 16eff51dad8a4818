"""`backupctl verify --fix` on the local AWS, as an operator who may do no more than it needs."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from backupctl import permissions
from handler.backup_keys import backup_key
from sandbox.ministack import MiniStack
from tests.recorder import ROOT

from .place import Place, Ran

LONG_KEY = "k" * 1015


class Damaged(Place):
    """A place where one backup is well and others are not."""

    def __init__(self, ministack: MiniStack) -> None:
        super().__init__(ministack)
        self.copy(self.put("well"))
        self.put("missing")
        self.put(LONG_KEY)
        self.copy(self.put("stale"))
        self.put("stale", b"newer")
        self.copy(self.put("different"))
        copy = {"Bucket": self.backup, "Key": backup_key(self.source, "different")}
        metadata = self.s3.head_object(**copy)["Metadata"]
        self.s3.put_object(**copy, Body=b"bad", Metadata=metadata)
        self.put("secret")

    def verify(self, *arguments: str, denied: Sequence[Mapping[str, Any]] = ()) -> Ran:
        """Run in a process of its own, which can be divided."""
        rights = [
            *permissions.verify(self.backup, [self.source]),
            *permissions.backfill(self.backup, [self.source]),
            *denied,
        ]
        ran = subprocess.run(
            [sys.executable, "-m", "backupctl", "verify", self.source, "--grace", "0", *arguments],
            cwd=ROOT,
            env=self.environment(self.operator(rights)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=100,
        )
        assert "Traceback" not in ran.stderr
        return Ran(ran.returncode, ran.stdout, ran.stderr)


FINDINGS = {
    "missing": "missing",
    LONG_KEY: "missing",
    "stale": "stale",
    "different": "different",
    "secret": "missing",
}


@pytest.fixture
def place(ministack: MiniStack) -> Damaged:
    return Damaged(ministack)


def test_what_is_at_fault_is_copied_and_what_remains_is_said(place: Damaged) -> None:
    secret = {
        "Effect": "Deny",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{place.source}/secret",
    }
    ran = place.verify("--fix", "--json", denied=[secret])
    assert ran.code == 1, ran
    said: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in ran.lines:
        said["remains" if "remains" in line else "kind" if "kind" in line else "finding"] += [line]
    assert {line["key"]: line["finding"] for line in said["finding"]} == FINDINGS
    [failure] = said["kind"]
    assert (failure["key"], failure["kind"]) == ("secret", "403")
    [left] = said["remains"]
    assert (left["key"], left["finding"]) == ("secret", "unreadable")
    summary = ran.summary[place.source]
    assert (summary["fixed"], summary["faults"]) == (4, 1)
    assert {kind: count for kind, count in summary["findings"].items() if count} == {
        "missing": 3,
        "stale": 1,
        "different": 1,
    }
    recorded = place.s3.get_object(
        Bucket=place.backup, Key=f".s3-backup/results/verification/{place.source}.json"
    )
    assert json.loads(recorded["Body"].read())["faults"] == 1

    mended = place.verify("--fix", "--output", "/dev/null")
    assert mended.code == 0, mended
    assert "remaining" in mended.out
    clean = place.verify("--json")
    assert (clean.code, clean.lines) == (0, [])
    assert "fixed" not in clean.summary[place.source]
    contents = place.contents(place.backup)
    source = place.contents(place.source)
    assert {key: contents[backup_key(place.source, key)] for key in source} == source


def test_nothing_is_mended_where_copies_would_destroy_each_other(place: Damaged) -> None:
    place.s3.put_bucket_versioning(
        Bucket=place.backup, VersioningConfiguration={"Status": "Suspended"}
    )
    before = place.contents(place.backup)
    ran = place.verify("--fix")
    assert (ran.code, ran.out) == (1, "")
    assert f"the bucket {place.backup} keeps no versions" in ran.err
    assert place.contents(place.backup) == before
