"""The group of all commands, and the one place that turns errors into exit codes."""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from . import __version__
from .errors import DONE, INTERRUPTED, PROBLEM, WRONG_USE, BackupctlError, one_line
from .explanations import explain, whole_answers
from .options import SHARED, Example, Settings

COMMANDS: dict[str, str] = {
    "status": "backupctl.commands.status:status",
    "backfill": "backupctl.commands.backfill:backfill",
    "verify": "backupctl.commands.verify:verify",
    "restore": "backupctl.commands.restore:restore",
    "drill": "backupctl.commands.drill:drill",
    "redrive": "backupctl.commands.redrive:redrive",
    "doctor": "backupctl.commands.doctor:doctor",
    "policy": "backupctl.commands.policy:policy",
}
"""Name to "module:attribute"; a command's module is imported when it is used."""


class _Commands(Example, click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(
    name="backupctl",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=SHARED(),
    example="backupctl --stack prod COMMAND --help",
)
@click.version_option(__version__, prog_name="backupctl")
@click.pass_context
def group(ctx: click.Context) -> None:
    """Work with the backups that the stack makes.

    Results go to stdout, progress to stderr. The exit code is 0 when all is well, 1 when a problem
    was found, 2 for wrong use, 130 after Ctrl-C. Credentials are found as the AWS CLI finds them.
    """
    ctx.ensure_object(Settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: instead of the process's own.
    :returns: the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Where a terminal cannot show a key, something else is better than nothing.
            stream.reconfigure(errors="backslashreplace")
    try:
        with whole_answers():
            result: Any = group.main(
                arguments, prog_name="backupctl", standalone_mode=False, auto_envvar_prefix=None
            )
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return WRONG_USE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "backupctl"
        return _failed(f"{error.format_message()} See {command} --help.", WRONG_USE)
    except click.ClickException as error:
        return _failed(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _failed("interrupted", INTERRUPTED)
    except BackupctlError as error:
        return _failed(str(error), error.exit_code)
    except (BotoCoreError, ClientError) as error:
        explained = explain(error)
        return _failed(str(explained), explained.exit_code)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing may be written to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PROBLEM
    return result if isinstance(result, int) else DONE


def _failed(message: str, exit_code: int) -> int:
    print(f"backupctl: {one_line(message)}", file=sys.stderr)
    return exit_code
