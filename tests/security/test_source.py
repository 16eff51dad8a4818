"""The project's own files: nothing dangerous in the code, no secret anywhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

from tests.recorder import ROOT

from .exceptions import Finding, check

# A secret is looked for, never tried out: nothing leaves the machine.
SCAN = {
    "plugins_used": [
        {"name": "ArtifactoryDetector"},
        {"name": "AWSKeyDetector"},
        {"name": "AzureStorageKeyDetector"},
        {"name": "Base64HighEntropyString", "limit": 4.5},
        {"name": "BasicAuthDetector"},
        {"name": "GitHubTokenDetector"},
        {"name": "GitLabTokenDetector"},
        {"name": "HexHighEntropyString", "limit": 3.0},
        {"name": "JwtTokenDetector"},
        {"name": "KeywordDetector"},
        {"name": "NpmDetector"},
        {"name": "OpenAIDetector"},
        {"name": "PrivateKeyDetector"},
        {"name": "PypiTokenDetector"},
        {"name": "SendGridDetector"},
        {"name": "SlackDetector"},
        {"name": "StripeDetector"},
    ],
    "filters_used": [
        {"path": "detect_secrets.filters.heuristic.is_indirect_reference"},
        {"path": "detect_secrets.filters.heuristic.is_likely_id_string"},
        {"path": "detect_secrets.filters.heuristic.is_potential_uuid"},
        {"path": "detect_secrets.filters.heuristic.is_sequential_string"},
        {"path": "detect_secrets.filters.heuristic.is_templated_secret"},
    ],
}


def ours() -> Iterator[Path]:
    """What belongs to the project: what git knows or would add, or, without git, all but caches."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [
            path
            for path in ROOT.rglob("*")
            if not any(part.startswith(".") for part in path.relative_to(ROOT).parts[:-1])
        ]
    return (path for path in paths if path.is_file())


def bandit(*paths: str) -> list[Finding]:
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "bandit", "--quiet", "--format", "json", "--exit-zero"),
            *("--exclude", "./.venv,./tests", "--recursive", *paths),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    report: Any = json.loads(answer.stdout)
    assert report["errors"] == []
    assert len(report["metrics"]) > len(paths)
    return [
        Finding(
            id=found["test_id"],
            where=found["filename"].removeprefix("./"),
            text=f"line {found['line_number']}: {found['issue_text']}",
        )
        for found in report["results"]
    ]


def secrets(path: Path) -> list[Finding]:
    collection = SecretsCollection()
    with transient_settings(SCAN):
        collection.scan_file(str(path))
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
    return [
        Finding(id=secret.type, where=name, text=f"line {secret.line_number}")
        for _, secret in collection
    ]


def test_bandit_finds_nothing_unexplained() -> None:
    check("bandit", bandit("."))


def test_bandit_sees_what_is_dangerous(tmp_path: Path) -> None:
    (tmp_path / "shell.py").write_text("import os\nos.system(input())\n")
    assert "B605" in {finding.id for finding in bandit(str(tmp_path))}


def test_no_file_holds_a_secret() -> None:
    paths = list(ours())
    assert {ROOT / "README.md", ROOT / "handler" / "main.py"} <= set(paths)
    check("detect-secrets", (finding for path in paths for finding in secrets(path)))


# Put together here, so that this file holds none.
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("id = 'AKIA" + "3ZQJ7WXN5RTB2KLM'", "AWS Access Key"),
        ("-----BEGIN RSA " + "PRIVATE KEY-----", "Private Key"),
        (
            "key = '" + "wJ4lrXUtnFEMI" + "K7MDENGbPxRf" + "iCYzQ9tVuHsLkAe'",
            "Base64 High Entropy String",
        ),
        ("pass" + "word = 'correct-horse-battery'", "Secret Keyword"),
    ],
    ids=lambda text: text if " = " not in text and "-----" not in text else "",
)
def test_the_scan_sees_a_secret(tmp_path: Path, text: str, kind: str) -> None:
    file = tmp_path / "settings.py"
    file.write_text(f"{text}\n")
    assert kind in {finding.id for finding in secrets(file)}
