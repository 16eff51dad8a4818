"""What the operator's documents say is what backupctl does."""

import re
import runpy
import shlex
from pathlib import Path

import click
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


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """What a page has a shell run of backupctl."""
    blocks = "".join(_SHELL.findall(page.read_text())).replace("\\\n", " ")
    return [line for line in blocks.splitlines() if line.startswith("backupctl ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_docs_is_one_that_backupctl_understands(page: Path) -> None:
    for line in commands(page):
        _, *arguments = shlex.split(re.sub(r"\s>.*", "", line), comments=True)
        place = next(at for at, word in enumerate(arguments) if word in cli.COMMANDS)
        group = cli.group.make_context("backupctl", [*arguments])
        command = cli.group.get_command(group, arguments[place])
        assert command is not None
        try:
            command.make_context(arguments[place], arguments[place + 1 :], parent=group)
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_the_docs_have_commands_that_can_be_checked() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 20


def test_the_operators_page_names_every_command() -> None:
    text = (ROOT / "docs" / "operator.md").read_text()
    missing = [name for name in cli.COMMANDS if f"| `{name}` |" not in text]
    assert missing == []
