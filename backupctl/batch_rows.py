"""Rows for jobs, sorted by source, from lines that name what to copy; on the disk meanwhile."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TextIO

from .errors import WrongUse
from .selection import Task, Wanted
from .verification import Kind

Row = tuple[str, str | None]
"""A key and, if not the current version is meant, a version's id."""


@dataclass
class Rows:
    """Those of one source."""

    file: TextIO
    versions: bool = False
    """Whether each row names a version."""
    count: int = 0
    unfit: int = 0
    """How many lines were no work for a job."""
    _digest: Any = field(default_factory=hashlib.sha256)

    @property
    def digest(self) -> str:
        """Tells the same rows from others."""
        return self._digest.hexdigest()

    def add(self, row: Row) -> None:
        """One more."""
        line = f"{json.dumps(row)}\n"
        self.file.write(line)
        self._digest.update(line.encode())
        self.count += 1

    def __iter__(self) -> Iterator[Row]:
        self.file.seek(0)
        for line in self.file:
            key, version_id = json.loads(line)
            yield key, version_id


class NamedRows:
    """Sorts tasks. A context manager, which removes what is on the disk.

    :param name: of the file that named them, for messages.
    :param tell: told of each line that is no work for a job.
    """

    def __init__(self, name: str, tell: Callable[[dict[str, Any]], None]) -> None:
        self._name = name
        self._tell = tell
        self._files = ExitStack()
        self._by_source: dict[str, Rows] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()

    @property
    def by_source(self) -> Mapping[str, Rows]:
        """All of them, in the order in which the sources were named first."""
        return self._by_source

    def add(self, task: Task) -> None:
        """Sort one in.

        :raises WrongUse: if some lines of a source name versions and others do not.
        """
        for wanted in task.versions:
            rows = self._of(task.bucket)
            line = unfit(task, wanted)
            if line is not None:
                rows.unfit += 1
                self._tell(line)
                continue
            names_version = wanted.version_id is not None
            if rows.count and rows.versions != names_version:
                raise WrongUse(
                    f"{self._name}: some lines of {task.bucket} name a version_id and others do "
                    "not; a job takes only one kind: divide the file, or leave --engine out"
                )
            rows.versions = names_version
            rows.add((task.key, wanted.version_id))

    def _of(self, source: str) -> Rows:
        if source not in self._by_source:
            file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed above
            self._by_source[source] = Rows(self._files.enter_context(file))
        return self._by_source[source]


def unfit(task: Task, wanted: Wanted) -> dict[str, Any] | None:
    """What to tell of what a job cannot do; None of all else.

    :returns: a structure for a line of JSON, which the local engine takes.
    """
    named: dict[str, Any] = {"bucket": task.bucket, "key": task.key}
    if wanted.version_id is not None:
        named["version_id"] = wanted.version_id
    if wanted.deleted is not None:
        named["deleted"] = wanted.deleted
        problem = "a job copies, and cannot record a deletion"
    elif wanted.again:
        named["finding"] = Kind.DIFFERENT
        problem = "a job takes a copy of the same version for a duplicate, whatever its bytes"
    else:
        return None
    cure = "hand this line to backfill --from without --engine"
    return {**named, "kind": "NotForJobs", "retryable": False, "problem": problem, "cure": cure}
