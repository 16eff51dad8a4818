"""How far a backfill is, in a file: the next run lists from there on."""

import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from .errors import BackupctlError, WrongUse
from .json_text import loads

SECONDS_BETWEEN_WRITES = 5.0


@dataclass
class Checkpoint:
    """The last key of each source up to which everything is done.

    What failed is not done: the file stays before it, so that the next run tries it again.

    :param path: of the file.
    :param about: what must be the same in the next run for the keys to mean something.
    """

    path: Path
    about: Mapping[str, Any]
    done: dict[str, str] = field(default_factory=dict[str, str])
    _written: float = field(default_factory=time.monotonic)

    @classmethod
    def open(cls, path: Path, about: Mapping[str, Any]) -> Self:
        """Read what an earlier run left; a file that is not there is begun.

        :raises WrongUse: if it is something else, or of a run with other options.
        """
        try:
            content = loads(path.read_text(encoding="utf-8"))
            found, done = content["about"], content["done"]
            sound = all(isinstance(text, str) for pair in done.items() for text in pair)
        except FileNotFoundError:
            checkpoint = cls(path, about)
            # Better now than after an hour that it cannot be written.
            checkpoint.write()
            return checkpoint
        except OSError as error:
            raise WrongUse(f"the checkpoint {path} cannot be read: {error.strerror}") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise WrongUse(f"{path} is no checkpoint; name another file") from error
        if found != about or not sound:
            raise WrongUse(
                f"the checkpoint {path} is of another backfill ({found}); name another file"
            )
        return cls(path, about, done)

    def start_after(self, source: str) -> str:
        """The key up to which all is done; empty if there is none."""
        return self.done.get(source, "")

    def passed(self, source: str, key: str) -> None:
        """Everything up to this key is done; it is written now and then."""
        self.done[source] = key
        if time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Replace the file by one that is whole, whatever happens meanwhile.

        :raises BackupctlError: if it cannot be written.
        """
        self._written = time.monotonic()
        try:
            with tempfile.NamedTemporaryFile(
                "w",
                encoding="utf-8",
                dir=self.path.parent,
                prefix=f".{self.path.name}.",
                delete=False,
            ) as file:
                json.dump({"about": dict(self.about), "done": self.done}, file)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(self.path)
        except OSError as error:
            raise BackupctlError(
                f"the checkpoint {self.path} cannot be written: {error.strerror}"
            ) from error

    def remove(self) -> None:
        """There is nothing left to go on with."""
        self.path.unlink(missing_ok=True)


class Watermark:
    """Of things begun in order and ended in any, the last before which all have ended well."""

    def __init__(self) -> None:
        self._marks: dict[int, str] = {}
        self._ended: set[int] = set()
        self._count = 0
        self._stopped = False
        self.key = ""

    def begin(self, key: str) -> int:
        """Something begins.

        :returns: its number.
        """
        number = self._count
        self._count += 1
        if not self._stopped:
            self._marks[number] = key
        return number

    def end(self, number: int, *, well: bool = True) -> None:
        """It has ended."""
        if not well:
            # No mark from here on will ever be reached.
            self._stopped = True
            for mark in [mark for mark in self._marks if mark >= number]:
                del self._marks[mark]
            self._ended = {mark for mark in self._ended if mark in self._marks}
        elif number in self._marks:
            self._ended.add(number)
        while self._marks and (first := next(iter(self._marks))) in self._ended:
            self.key = self._marks.pop(first)
            self._ended.remove(first)
