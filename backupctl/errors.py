"""What a person is told when something cannot be done."""

DONE = 0
PROBLEM = 1
WRONG_USE = 2
INTERRUPTED = 130


class BackupctlError(Exception):
    """Ends the command with one line on stderr.

    :param message: what happened, to what, and the cure; one line.
    :param exit_code: 1 for a problem that was found, 2 for wrong use.
    """

    def __init__(self, message: str, exit_code: int = PROBLEM) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class WrongUse(BackupctlError):
    """The command line or the environment cannot be understood."""

    def __init__(self, message: str) -> None:
        super().__init__(message, WRONG_USE)


def one_line(text: str) -> str:
    """The same text with what would break or colour a line made visible."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
