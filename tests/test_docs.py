"""What the documents say is what the code does."""

import json
import re
import runpy
from pathlib import Path

import pytest
import yaml

from tests.recorder import ROOT

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
