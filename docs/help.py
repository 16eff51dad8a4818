"""Prints what docs/backupctl.md has to be: `python -m docs.help > docs/backupctl.md`."""

import click

from backupctl import cli

INTRODUCTION = """\
# What backupctl says of itself

`python -m docs.help` prints this page. [operator.md](operator.md) says what to use when.
"""


def page() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *(_section(name) for name in (None, *cli.COMMANDS))])


def _section(name: str | None) -> str:
    context = click.Context(cli.group, info_name="backupctl", **cli.group.context_settings)
    command: click.Command | None = cli.group
    if name is not None:
        command = cli.group.get_command(context, name)
        context = click.Context(command, info_name=name, parent=context)
    title = " ".join(filter(None, ("backupctl", name)))
    return f"## `{title}`\n\n```\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    print(page(), end="")
