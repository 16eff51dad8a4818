"""Prints docs/security.md: `python -m docs.security > docs/security.md`.

It is made from docs/security.yaml and docs/access.yaml, which the tests hold against the program.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

HERE = Path(__file__).parent

BEGIN = """\
# Security

Made from `docs/security.yaml` and `docs/access.yaml` by `python -m docs.security`. The tests make
sure that each setting and test named here exists, make each check on the program as it is rendered,
and try each line of the table of accesses on a local AWS that enforces IAM.

## Threats
"""

ACCESS = """
## Who may do what

With `breakGlassRoleArn`, `deployerRoleArns` and `objectLock`, tried by
`tests/end_to_end/test_threats.py`: everybody tries everything, and whatever is not in the table is
refused. What IAM allows the last three does not matter where they are missing.
"""

CONTROLS = """
## Controls

Of AWS Foundational Security Best Practices, and some of Security Hub's others that are worth it. A
check is the id of one of checkov's, or a property, a policy's statement or a rule of
`tests/security/rules.py`, on the program as it is rendered for every config of
`tests/security/shapes.py`; what is excepted from checkov's, and why, is in
`tests/security/exceptions.yaml`.

| control | asks that | how | settings | checked by |
| --- | --- | --- | --- | --- |
"""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(_Strict):
    """What stands in the way of a threat; without tests, what does not."""

    what: Text
    settings: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


class Threat(_Strict):
    """Somebody who may mean harm."""

    who: Text
    could: Text
    answers: tuple[Answer, ...]


class Check(_Strict):
    """One thing that is looked at; exactly one of its forms is used."""

    checkov: str | None = None
    """Id of a check."""
    rule: str | None = None
    """Name of a function in tests/security/rules.py."""
    absent: str | None = None
    """Type of resources that no stack has."""
    type: str | None = None
    """Type of resources that some stack has; what follows holds for all of them."""
    property: str | None = None
    """Path of the property that has a value."""
    value: Any = None
    statement: str | None = None
    """Id of a statement in their policy."""
    one_per: str | None = None
    """Type of resources of which there are as many in each stack."""

    def __str__(self) -> str:
        if self.checkov or self.rule:
            return f"{self.checkov or self.rule}"
        if self.absent:
            return f"no `{_short(self.absent)}`"
        kind = f"`{_short(self.type or '')}`"
        if self.property:
            return f"{kind} {self.property} = {_shown(self.value)}"
        return f"{kind} {self.statement or ''}".rstrip()


class Control(_Strict):
    """A control, and how it is met or why it is not."""

    id: Text
    asks: Text
    how: Text | None = None
    not_met: Text | None = None
    not_applicable: Text | None = None
    settings: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    tests: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """How, or why not."""
        if self.how:
            return self.how
        if self.not_met:
            return f"**not met**: {self.not_met}"
        return f"does not apply: {self.not_applicable}"


class Security(_Strict):
    """docs/security.yaml."""

    threats: tuple[Threat, ...]
    controls: tuple[Control, ...]


class Access(_Strict):
    """docs/access.yaml: who they are, and who may do what."""

    principals: dict[str, Text]
    attempts: dict[str, tuple[str, ...]] = Field(min_length=1)


def security() -> Security:
    """Threats and controls.

    :raises pydantic.ValidationError: naming what is wrong with the file.
    """
    return Security.model_validate(yaml.safe_load((HERE / "security.yaml").read_text()))


def access() -> Access:
    """Principals and attempts.

    :raises pydantic.ValidationError: naming what is wrong with the file.
    """
    return Access.model_validate(yaml.safe_load((HERE / "access.yaml").read_text()))


def page() -> str:
    """The whole document."""
    known, allowed = security(), access()
    lines = [BEGIN.rstrip("\n")]
    for threat in known.threats:
        lines += _threat(threat)
    lines += [ACCESS.rstrip("\n"), ""]
    lines += [f"- **{name}**: {text}" for name, text in allowed.principals.items()]
    lines += ["", *_matrix(allowed), CONTROLS.rstrip("\n")]
    lines += [_control(control) for control in known.controls]
    return "\n".join(lines) + "\n"


def _threat(threat: Threat) -> Iterator[str]:
    yield f"\n### {threat.who}\n"
    yield f"{threat.could[0].upper()}{threat.could[1:]}.\n"
    yield "| answer | settings | tests |"
    yield "| --- | --- | --- |"
    for answer in threat.answers:
        yield f"| {answer.what} | {_codes(answer.settings)} | {_tests(answer.tests)} |"


def _matrix(allowed: Access) -> Iterator[str]:
    yield f"| | {' | '.join(allowed.principals)} |"
    yield f"| --- |{' :-: |' * len(allowed.principals)}"
    for attempt, may in allowed.attempts.items():
        cells = ["yes" if name in may else "" for name in allowed.principals]
        yield f"| {attempt} | {' | '.join(cells)} |"


def _control(control: Control) -> str:
    checked = [*map(str, control.checks), *filter(None, [_tests(control.tests)])]
    cells = (
        control.id,
        control.asks,
        control.answer,
        _codes(control.settings),
        "<br>".join(checked),
    )
    return f"| {' | '.join(cells)} |"


def _codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _tests(names: tuple[str, ...]) -> str:
    """Names that are links to their files."""
    links: list[str] = []
    for name in names:
        file, _, test = name.partition("::")
        links.append(f"[{test.removeprefix('test_').replace('_', ' ')}](../{file})")
    return "<br>".join(links)


def _short(type_: str) -> str:
    return type_.rpartition(":")[2]


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


if __name__ == "__main__":
    print(page(), end="")
