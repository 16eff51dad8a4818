"""The command line as a person sees it: texts, streams, exit codes."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from backupctl import cli
from backupctl.errors import BackupctlError
from backupctl.options import Command, Settings
from backupctl.stack import Source, Stack
from tests.recorder import ROOT

COMMANDS = [None, *cli.COMMANDS]


@pytest.fixture(autouse=True)
def without_the_developers_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "S3_BACKUP_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """A command `probe` that keeps its settings, and raises what `probe --raise` names."""
    seen: list[Settings] = []

    @click.command(cls=Command, name="probe", example="backupctl probe")
    @click.option("--raises", default="")
    @click.pass_obj
    def command(settings: Settings, raises: str) -> int:
        seen.append(settings)
        if raises:
            raise ERRORS[raises]
        return 1

    monkeypatch.setitem(cli.COMMANDS, "probe", "tests.backupctl.test_cli:probe_command")
    monkeypatch.setattr(sys.modules[__name__], "probe_command", command, raising=False)
    monkeypatch.setitem(sys.modules, "tests.backupctl.test_cli", sys.modules[__name__])
    return seen


ERRORS: dict[str, BaseException] = {
    "own": BackupctlError("the key 'a\nb' is odd", 2),
    "half": ResponseParserError("no element found: line 1, column 7"),
    "denied": ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListObjectsV2"),
    "ctrl-c": KeyboardInterrupt(),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_says_what_it_is_and_ends_with_an_example(
    command: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*([command] if command else []), "--help"]) == 0
    text = capsys.readouterr().out
    assert "--stack NAME" in text
    example = text.rpartition("Example:\n  ")[2]
    assert example.startswith("backupctl ")
    assert command is None or command in example


@pytest.mark.parametrize(
    ("raises", "code", "line"),
    [
        ("own", 2, "backupctl: the key 'a\\nb' is odd\n"),
        (
            "denied",
            1,
            "backupctl: ListObjectsV2: AccessDenied: no; these credentials may not do this; "
            "docs/operator.md has the policy needed\n",
        ),
        ("half", 1, "backupctl: an answer of AWS is damaged; run the command again\n"),
        # First a line feed, because the terminal shows ^C.
        ("ctrl-c", 130, "\nbackupctl: interrupted\n"),
    ],
)
def test_an_error_is_one_line_on_stderr(
    probe: list[Settings],
    capsys: pytest.CaptureFixture[str],
    raises: str,
    code: int,
    line: str,
) -> None:
    assert cli.main(["probe", "--raises", raises]) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", line)
    assert len(probe) == 1


def test_a_commands_result_is_the_exit_code(probe: list[Settings]) -> None:
    assert cli.main(["probe"]) == 1
    assert probe


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nonsense"], "backupctl: No such command 'nonsense'. See backupctl --help.\n"),
        (
            ["probe", "--nonsense"],
            "backupctl: No such option '--nonsense'. See backupctl probe --help.\n",
        ),
    ],
)
def test_wrong_use_is_one_line_and_2(
    probe: list[Settings], capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err == line
    assert probe == []


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "Usage: backupctl" in capsys.readouterr().err


def test_shared_options_are_accepted_on_both_sides_and_the_later_counts(
    probe: list[Settings],
) -> None:
    assert cli.main(["--stack", "prod", "--region", "r1", "probe", "--region", "r2"]) == 1
    [settings] = probe
    assert (settings.stack_name, settings.region) == ("prod", "r2")


def test_the_backup_bucket_is_the_options_then_the_stacks_then_the_environments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("S3_BACKUP_BUCKET", "from-environment")
    assert Settings().backup_bucket == "from-environment"
    settings = Settings(stack_name="prod")
    settings.__dict__["stack"] = Stack("from-stack", (), "", {}, "STANDARD", {})
    assert settings.backup_bucket == "from-stack"
    assert Settings("from-option", stack_name="prod").backup_bucket == "from-option"


def test_without_any_backup_bucket_the_cure_is_named() -> None:
    with pytest.raises(BackupctlError, match="set --stack, --backup-bucket or") as error:
        _ = Settings().backup_bucket
    assert error.value.exit_code == 2


def test_sources_are_the_stacks_or_those_named() -> None:
    photos, videos = Source("photos", ("a/",)), Source("videos")
    settings = Settings(stack_name="prod")
    settings.__dict__["stack"] = Stack(
        "b", (), "", {"photos": photos, "videos": videos}, "STANDARD", {}
    )
    assert settings.sources() == [photos, videos]
    assert settings.sources(("videos", "videos")) == [videos]
    with pytest.raises(BackupctlError, match="prod does not back up music; it does photos, videos"):
        settings.sources(("music",))
    assert Settings("b").sources(("music",)) == [Source("music")]
    with pytest.raises(BackupctlError, match="which buckets"):
        Settings("b").sources()
    with pytest.raises(BackupctlError, match="b is the backup bucket, not a source"):
        Settings("b").sources(("b",))


def test_the_module_runs_without_a_traceback_or_credentials() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "backupctl", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("backupctl, version ")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{sys.executable}' -m backupctl --help | true"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
