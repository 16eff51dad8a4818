"""What tools complain about and why it is right as it is: `exceptions.yaml`, read and applied."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, TypeAdapter

FILE = Path(__file__).with_name("exceptions.yaml")


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Accepted(BaseModel):
    """A finding that is right as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    finding: str
    """The tool's id of the check."""
    where: Annotated[tuple[str, ...], BeforeValidator(_listed)]
    """Patterns of what it is found in, as `fnmatch` understands them; one text or several."""
    reason: Annotated[str, StringConstraints(min_length=40)]
    """Why; a sentence for whoever audits the stack."""


class Finding(BaseModel):
    """One complaint of a tool."""

    model_config = ConfigDict(frozen=True)

    id: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.id} {self.where}: {self.text}"


def accepted(tool: str) -> list[Accepted]:
    """The exceptions of one tool."""
    entries = TypeAdapter(list[Accepted]).validate_python(yaml.safe_load(FILE.read_text()))
    return [entry for entry in entries if entry.tool == tool]


def check(tool: str, findings: Iterable[Finding]) -> None:
    """Require that exceptions and findings of a tool are the same.

    :raises AssertionError: naming every finding that no exception covers, and every exception that
        no finding needs any more.
    """
    found, exceptions = list(findings), accepted(tool)
    unexplained = sorted(
        str(finding)
        for finding in found
        if not any(_covers(exception, finding) for exception in exceptions)
    )
    cure = f"mend it, or say in {FILE.name} why it is right"
    assert not unexplained, "\n".join([f"{tool} finds this; {cure}:", *unexplained])
    unused = [
        f"{exception.finding} {pattern}"
        for exception in exceptions
        for pattern in exception.where
        if not any(_covers(exception, finding, pattern) for finding in found)
    ]
    assert not unused, "\n".join([f"remove from {FILE.name}, {tool} is content:", *unused])


def _covers(exception: Accepted, finding: Finding, pattern: str | None = None) -> bool:
    patterns = exception.where if pattern is None else (pattern,)
    return exception.finding == finding.id and any(
        fnmatchcase(finding.where, pattern) for pattern in patterns
    )
