"""What the documents say is what the code does."""

import json
import re
import runpy
from pathlib import Path

import pytest
import yaml

from benchmarks import (
    backfilling,
    batch,
    burst,
    cold_start,
    parts,
    requests_made,
    restoring,
    verifying,
    warm,
)
from benchmarks.__main__ import BENCHMARKS
from benchmarks.measure import Finding
from benchmarks.stub import SIZE
from handler.boto import PARTS_IN_FLIGHT
from handler.units import GIB, MIB
from settings import StandardAlarm
from tests.recorder import ROOT, record_stack

SMALLEST = {"backupBucket": "the-backups", "buckets": ["photos"]}

README = (ROOT / "README.md").read_text()


def test_the_readme_lists_every_config_key_with_its_default() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S.*?) \|", README, re.MULTILINE))

    def shown(declaration: dict[str, object]) -> str:
        if "default" not in declaration:
            return "required"
        text = json.dumps(declaration["default"]).strip('"')
        return f"`{text}`" if text else "none"

    expected = {key: shown(declaration) for key, declaration in declared.items()}
    assert {key: rows.get(key) for key in expected} == expected


def test_the_costs_are_those_that_the_command_prints() -> None:
    table = runpy.run_path(str(ROOT / "docs" / "cost.py"))["table"]
    assert table(1_000_000, 100) in README
    extra = set(table(1_000_000, 100, "queue").splitlines()) - set(README.splitlines())
    assert sorted(line.split("|")[1] for line in extra) == [" **sum** ", " SQS requests "]
    audited = set(table(1_000_000, 100, audit=True).splitlines()) - set(README.splitlines())
    assert sorted(line.split("|")[1].strip() for line in audited) == [
        "**sum**",
        "Audit records, after a year",
        "CloudTrail data events",
    ]
    drilled = set(table(1_000_000, 100, drill=True).splitlines()) - set(README.splitlines())
    assert sorted(line.split("|")[1].strip() for line in drilled) == [
        "**sum**",
        "Metrics of drills",
        "S3 requests of drills",
    ]
    job = set(table(1_000_000, 100, job_objects=5_000_000).splitlines())
    assert sorted(job - set(README.splitlines())) == [
        "| **sum** | | **20.58** |",
        "| Batch Operations job | 0.25 + 5,000,000 x 1.00 / 1,000,000 | 5.25 |",
    ]


def test_the_cost_for_a_small_user_is_the_one_that_the_command_prints() -> None:
    table = runpy.run_path(str(ROOT / "docs" / "cost.py"))["table"]
    [stated] = re.findall(r"objects a month and 1 GB it is ([0-9.]+) dollars", README)
    assert f"**{stated}**" in table(10_000, 1)


def test_the_alarms_are_those_that_the_command_prints() -> None:
    page = runpy.run_module("docs.alarms")["page"]
    written = (ROOT / "docs" / "alarms.md").read_text()
    assert written == page(), "python -m docs.alarms > docs/alarms.md"


def test_every_alarm_that_can_be_chosen_is_in_the_readme() -> None:
    [row] = re.findall(r"^\| `alarms.only` .*$", README, re.MULTILINE)
    assert re.findall(r"`([a-z-]+)`", row) == list(StandardAlarm.__args__)


def test_as_many_alarms_are_paid_as_there_are() -> None:
    cost = runpy.run_path(str(ROOT / "docs" / "cost.py"))
    assert cost["ALARMS"] == len(record_stack(SMALLEST).all("metricAlarm:MetricAlarm"))


def test_the_resources_are_those_that_the_command_prints() -> None:
    listing = runpy.run_module("docs.resources")["listing"]
    assert f"```text\n{listing()}\n```" in README, "python -m docs.resources, into README.md"


@pytest.mark.parametrize(
    "document", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda path: path.name
)
def test_every_link_into_the_project_leads_somewhere(document: Path) -> None:
    text = document.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    paths = re.findall(r"`((?:components|docs|handler|sandbox|tests)/[\w./-]*)`", text)
    missing = [link for link in links if not (document.parent / link).exists()]
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


def test_every_make_target_named_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)\b`|^make ([a-z]+) ", README, re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {one or other for one, other in named} <= targets
    assert {"demo", "test"} <= {one or other for one, other in named}


def test_every_exported_name_is_in_the_readme() -> None:
    exported = re.findall(r'pulumi\.export\(\s*"(\w+)"', (ROOT / "__main__.py").read_text())
    assert len(exported) >= 7
    assert [name for name in exported if f"`{name}`" not in README] == []


def test_the_goals_are_those_that_the_benchmarks_have() -> None:
    written = (ROOT / "docs" / "speed.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| ([^|]+) \|$", written, re.MULTILINE)
    goals = [
        ("cold-start", Finding(what="", value=0, at_most=cold_start.GOAL)),
        ("warm", Finding(what="", value=0, at_most=warm.GOAL)),
        ("batch", Finding(what="", value=0, at_least=batch.GOAL)),
        ("parts", Finding(what="", value=0, at_least=parts.GOAL)),
        ("requests", Finding(what="", value=0, at_most=requests_made.FIRST_COPY, unit="requests")),
        ("requests", Finding(what="", value=0, at_most=requests_made.OVERWRITE, unit="requests")),
        ("burst", Finding(what="", value=0, at_most=0, unit="objects")),
        ("backfill", Finding(what="", value=0, at_least=backfilling.GOAL_ON_STUB)),
        *[("backfill", Finding(what="", value=0, at_least=backfilling.GOAL))] * 2,
        ("verify", Finding(what="", value=0, at_least=verifying.GOAL)),
        *[("verify", Finding(what="", value=0, at_most=verifying.MEMORY_GOAL, unit="MiB"))] * 2,
        ("restore", Finding(what="", value=0, at_least=restoring.GOAL)),
    ]
    assert rows == [(name, goal.goal) for name, goal in goals]
    assert list(dict(rows)) == list(BENCHMARKS)
    for figure in (
        f"{batch.RECORDS} records",
        f"{burst.UPLOADS} uploads",
        f"{parts.SIZE // GIB} GiB",
        f"{parts.LATENCY * 1000:.0f} ms",
        f"{parts.BYTES_PER_SECOND // MIB} MiB/s",
        f"{PARTS_IN_FLIGHT} parts",
        f"{backfilling.OBJECTS:,} objects of {SIZE // 1024} KiB",
        f"{backfilling.CONNECTIONS} connections",
        f"{restoring.CONNECTIONS} for `restore`",
        f"{verifying.KEYS:,} keys",
        f"{verifying.MANY_KEYS:,} keys",
    ):
        assert figure in written
