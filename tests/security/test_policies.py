"""Every policy of every config shape, through parliament and cloudsplaining."""

import functools
import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from cloudsplaining.command.scan_policy_file import scan_policy
from cloudsplaining.scan.assume_role_policy_document import AssumeRolePolicyDocument
from cloudsplaining.scan.resource_policy_document import ResourcePolicyDocument

from tests.recorder import ACCOUNT, ROOT

from .documents import Document, Kind, documents
from .exceptions import Finding, check
from .shapes import SHAPES, recorded

with warnings.catch_warnings():
    # It leaves files open and uses pkg_resources, and both only while it is imported.
    warnings.simplefilter("ignore")
    import parliament

_QUESTIONS = (
    "PrivilegeEscalation",
    "DataExfiltration",
    "ResourceExposure",
    "ServiceWildcard",
    "CredentialsExposure",
    "InfrastructureModification",
)


@functools.cache
def everything() -> tuple[Document, ...]:
    return tuple(d for shape in SHAPES for d in documents(shape, recorded(shape)))


def explicit(document: Document) -> Mapping[str, Any]:
    """A policy with the resource that AWS adds in thought.

    A trust policy has none, in a key policy `*` is the key itself.
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
    """
    if document.kind not in (Kind.TRUST, Kind.KEY):
        return document.content
    if document.kind is Kind.KEY:
        assert {s["Resource"] for s in document.content["Statement"]} == {"*"}
    statements = [{**s, "Resource": document.owner} for s in document.content["Statement"]]
    return {**document.content, "Statement": statements}


def parliament_findings(document: Document) -> Iterator[Finding]:
    # The community's auditors call `sts:AssumeRole` an exposure: a trust policy is nothing else.
    analysis = parliament.analyze_policy_string(
        json.dumps(explicit(document)),
        include_community_auditors=document.kind is not Kind.TRUST,
    )
    for found in analysis.findings:
        yield Finding(id=found.issue, where=document.where, text=f"{found.detail}")


def cloudsplaining_findings(found: tuple[Document, ...]) -> Iterator[Finding]:
    """A role's policies are judged together: what none of them allows, two of them may."""
    roles: dict[str, list[Any]] = {}
    for document in found:
        content = dict(document.content)
        match document.kind:
            case Kind.IDENTITY:
                shape = document.where.partition(":")[0]
                role = roles.setdefault(f"{shape}: role {document.owner}", [])
                role += content["Statement"]
            case Kind.TRUST:
                trust = AssumeRolePolicyDocument(content)
                for question in ("any_principal", "cross_account_principals"):
                    for who in getattr(trust, f"role_assumable_by_{question}"):
                        yield Finding(id=question, where=document.where, text=who)
            case Kind.KEY | Kind.RESOURCE:
                open_to_all = ResourcePolicyDocument(dict(explicit(document)))
                for action in open_to_all.internet_accessible_actions:
                    yield Finding(id="InternetAccessible", where=document.where, text=action)
    for role, statements in roles.items():
        results = scan_policy({"Version": "2012-10-17", "Statement": statements})
        for question in _QUESTIONS:
            for finding in results[question]["findings"]:
                yield Finding(id=question, where=role, text=f"{finding}")


def test_every_config_key_is_changed_by_some_shape() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    changed = {key for config in SHAPES.values() for key in config}
    assert set(declared) - changed == set(), "add a config to tests/security/shapes.py that has it"


def test_there_are_policies_of_every_kind() -> None:
    assert {document.kind for document in everything()} >= {
        Kind.IDENTITY,
        Kind.TRUST,
        Kind.RESOURCE,
    }


def test_parliament_finds_nothing_unexplained() -> None:
    check("parliament", (f for document in everything() for f in parliament_findings(document)))


def test_cloudsplaining_finds_nothing_unexplained() -> None:
    check("cloudsplaining", cloudsplaining_findings(everything()))


def invented(kind: Kind, statement: Mapping[str, Any]) -> Document:
    statement = {"Effect": "Allow", **statement}
    content = {"Version": "2012-10-17", "Statement": [statement]}
    return Document("invented: policy", kind, f"arn:aws:iam::{ACCOUNT}:role/some", content)


EVERYBODY = {"AWS": "*"}
SERIOUS: Mapping[str, tuple[Kind, Mapping[str, Any], str]] = {
    "an action that does not exist": (
        Kind.IDENTITY,
        {"Action": "s3:CopyObject", "Resource": "arn:aws:s3:::photos/*"},
        "UNKNOWN_ACTION",
    ),
    "a bucket where an object belongs": (
        Kind.IDENTITY,
        {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos"},
        "RESOURCE_MISMATCH",
    ),
    "every resource": (
        Kind.IDENTITY,
        {"Action": "sqs:SendMessage", "Resource": "*"},
        "RESOURCE_STAR",
    ),
    "reading every bucket": (
        Kind.IDENTITY,
        {"Action": "s3:GetObject", "Resource": "*"},
        "DataExfiltration",
    ),
    "passing any role on": (
        Kind.IDENTITY,
        {"Action": ["iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"]}
        | {"Resource": "*"},
        "PrivilegeEscalation",
    ),
    "a bucket open to all": (
        Kind.RESOURCE,
        {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*", "Principal": EVERYBODY},
        "InternetAccessible",
    ),
    "a role for anybody": (
        Kind.TRUST,
        {"Action": "sts:AssumeRole", "Principal": EVERYBODY},
        "any_principal",
    ),
}


@pytest.mark.parametrize("mistake", SERIOUS)
def test_the_tools_see_what_is_serious(mistake: str) -> None:
    kind, statement, finding = SERIOUS[mistake]
    document = invented(kind, statement)
    found = [*parliament_findings(document), *cloudsplaining_findings((document,))]
    assert finding in {each.id for each in found}
