"""What the operator's documents say is what backupctl does."""

import runpy

import pytest

from backupctl import cli
from backupctl.stack import Function, Source, Stack
from tests.recorder import ROOT


def test_the_help_of_every_command_is_in_the_docs() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "help.py"))["page"]
    told = "python -m docs.help > docs/backupctl.md brings it up to date"
    assert (ROOT / "docs" / "backupctl.md").read_text() == page(), told


def test_the_operators_policy_in_the_docs_is_the_one_that_backupctl_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "example-corp-prod-invoices"
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:backup-1a2b3c4"
    stack = Stack(
        "example-corp-prod-backups",
        (Function("backup-1a2b3c4", arn),),
        "",
        {name: Source(name)},
        "STANDARD",
        {},
        kms_key_arn="arn:aws:kms:eu-central-1:123456789012:key/"
        "11111111-2222-3333-4444-555555555555",
    )
    monkeypatch.setattr(Stack, "read", lambda *_: stack)
    assert cli.main(["--stack", "prod", "policy", "backfill", name]) == 0
    printed = capsys.readouterr().out
    assert f"```json\n{printed}```" in (ROOT / "docs" / "operator.md").read_text()
