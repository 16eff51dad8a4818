"""docs/security.yaml says nothing that is not so: its settings, tests and checks are real."""

import ast
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import security
from docs.security import Check, Control
from sandbox.engine import Registered
from tests.recorder import ROOT, Recording, policy

from .rules import RULES
from .shapes import SHAPES, recorded

KNOWN = security.security()
IDS = [
    *(f"S3.{n}" for n in (1, 2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 17, 22, 23)),
    *(f"Lambda.{n}" for n in (1, 2, 3, 5, 6, 7)),
    *(f"KMS.{n}" for n in (1, 2, 3, 4, 5)),
    *("SQS.1", "SQS.3", "SNS.1", "SNS.4", "IAM.1", "IAM.21", "EventBridge.3"),
    *(f"CloudWatch.{n}" for n in (15, 16, 17)),
]
"""What the page must speak of."""


def named_tests() -> Iterator[str]:
    for threat in KNOWN.threats:
        for answer in threat.answers:
            yield from answer.tests
    for control in KNOWN.controls:
        yield from control.tests


def named_settings() -> set[str]:
    answers = [answer for threat in KNOWN.threats for answer in threat.answers]
    return {name for each in (*answers, *KNOWN.controls) for name in each.settings}


@functools.cache
def defined_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_control_is_there_once() -> None:
    assert sorted(control.id for control in KNOWN.controls) == sorted(IDS)


def test_every_test_named_exists() -> None:
    named = sorted(set(named_tests()))
    split = [(name, *name.split("::")) for name in named]
    assert named
    assert [n for n, file, test in split if test not in defined_in(ROOT / file)] == []


def test_every_setting_named_exists() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert named_settings()
    assert named_settings() - set(declared) == set()


@pytest.mark.parametrize("control", KNOWN.controls, ids=lambda control: control.id)
def test_a_control_has_one_answer_and_one_that_is_met_a_check_or_test(control: Control) -> None:
    answers = [control.how, control.not_met, control.not_applicable]
    assert len([answer for answer in answers if answer]) == 1
    assert control.not_met or control.checks or control.tests


CHECKS = [check for control in KNOWN.controls for check in control.checks if check.checkov is None]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_check_holds_for_every_config(shape: str) -> None:
    recording = recorded(shape)
    found = {str(check): list(problems(check, recording)) for check in CHECKS}
    assert {check: each for check, each in found.items() if each} == {}


def problems(check: Check, recording: Recording) -> Iterator[str]:
    if check.rule is not None:
        yield from RULES[check.rule](recording)
        return
    if check.absent is not None:
        yield from (found.name for found in resources(recording, check.absent))
        return
    assert check.type is not None, f"{check} is no check"
    found = resources(recording, check.type)
    if check.one_per is not None and len(found) != len(resources(recording, check.one_per)):
        yield f"{len(found)} of {check.type}"
    for resource in found:
        if check.property is not None:
            value = property_of(resource, check.property)
            if value != check.value:
                yield f"{resource.name}: {value!r}"
        if check.statement is not None:
            said = {statement.get("Sid") for statement in policy(resource)["Statement"]}
            if check.statement not in said:
                yield f"{resource.name}: {said}"


def resources(recording: Recording, type_: str) -> list[Registered]:
    return [found for found in recording.deployment.resources if found.type == type_]


def property_of(resource: Registered, path: str) -> object:
    value: Any = resource.inputs
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


# Between them they have every type of resource.
LARGE = ("strict", "locked")
Breaks = Callable[[Registered], Registered | None]


def without_tls(resource: Registered) -> Registered:
    text = resource.inputs["policy"].replace("DenyInsecureTransport", "Something")
    return replace(resource, inputs={**resource.inputs, "policy": text})


def changed(**inputs: Any) -> Breaks:
    return lambda resource: replace(resource, inputs={**resource.inputs, **inputs})


def widened(old: str, new: str) -> Breaks:
    return lambda resource: replace(
        resource, inputs={**resource.inputs, "policy": resource.inputs["policy"].replace(old, new)}
    )


MISTAKES: Mapping[str, tuple[str, Breaks]] = {
    "a bucket without its block": ("s3/bucketPublicAccessBlock", lambda _: None),
    "a bucket with a weak block": ("s3/bucketPublicAccessBlock", changed(blockPublicAcls=False)),
    "a bucket that does not ask for TLS": ("s3/bucketPolicy", without_tls),
    "a key that does not rotate": ("kms/key", changed(enableKeyRotation=False)),
    "a permission for any account": ("lambda/permission", changed(sourceAccount=None)),
    "a permission for any bucket": ("lambda/permission", changed(sourceArn="arn:aws:s3:::*")),
    "a role that may do all in S3": ("iam/rolePolicy", widened("s3:GetObject", "s3:*")),
    "a role that asks KMS itself": ("iam/rolePolicy", widened("kms:ViaService", "aws:Via")),
    "a key for everybody": ("kms/key", widened("Service", "AWS")),
    "an alarm without action": ("cloudwatch/metricAlarm", changed(alarmActions=[])),
    "a trail of writes only": (
        "cloudtrail/trail",
        changed(advancedEventSelectors=[{"fieldSelectors": [{"field": "readOnly"}]}]),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_checks_see_what_is_broken(mistake: str) -> None:
    kind, breaks = MISTAKES[mistake]
    whole = recorded("strict").deployment
    broken = [breaks(r) if f"aws:{kind}:" in r.type else r for r in whole.resources]
    assert broken != whole.resources
    recording = Recording(replace(whole, resources=[r for r in broken if r is not None]))
    assert [check for check in CHECKS if list(problems(check, recording))]


def test_each_check_has_something_to_look_at() -> None:
    types = {r.type for shape in LARGE for r in recorded(shape).deployment.resources}
    assert {check.type for check in CHECKS if check.type} <= types


def test_the_page_is_current() -> None:
    written = (ROOT / "docs" / "security.md").read_text()
    assert written == security.page(), "python -m docs.security > docs/security.md"


def test_everybody_who_may_is_somebody() -> None:
    access = security.access()
    named = {name for may in access.attempts.values() for name in may}
    assert named <= set(access.principals)
