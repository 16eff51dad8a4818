"""The whole program, for every config shape, through checkov as if it were a Terraform plan."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docs import security
from sandbox.engine import Registered

from . import terraform_plan
from .exceptions import Finding, check
from .shapes import SHAPES, recorded

# In an environment of its own, because it pins the SDK that everything else here uses newer.
CHECKOV = Path(sys.prefix) / "audit" / "bin" / "python"

# What somebody might break: property to break, its new value, and the check that must see it.
# `None` takes the resource away.
BROKEN: Mapping[str, tuple[str, str | None, object, str, str]] = {
    "public": (
        *("bucketPublicAccessBlock", "blockPublicPolicy", False, "CKV_AWS_54"),
        "aws_s3_bucket_public_access_block.public--the-backups-public-access",
    ),
    "unblocked": (
        *("bucketPublicAccessBlock", None, None, "CKV2_AWS_6"),
        "aws_s3_bucket.unblocked--the-backups",
    ),
    "forgetful": (
        *("bucketVersioning", None, None, "CKV_AWS_21"),
        "aws_s3_bucket.forgetful--the-backups",
    ),
    "readable": (
        *("queue", "kmsMasterKeyId", "", "CKV_AWS_27"),
        "aws_sqs_queue.readable--backup-failures",
    ),
    "stale": (
        *("key", "enableKeyRotation", False, "CKV_AWS_7"),
        "aws_kms_key.stale--backup-key",
    ),
    "retired": (
        *("function", "runtime", "python3.9", "CKV_AWS_363"),
        "aws_lambda_function.retired--backup",
    ),
    "invokable": (
        *("permission", "principal", "*", "CKV_AWS_301"),
        "aws_lambda_permission.invokable--photos-invoke",
    ),
}


def broken(kind: str, property_: str | None, value: object) -> list[Registered]:
    """The smallest stack with one mistake."""
    resources: list[Registered] = []
    for resource in recorded("smallest").deployment.resources:
        if f"/{kind}:" not in resource.type:
            resources.append(resource)
        elif property_ is not None:
            resources.append(replace(resource, inputs={**resource.inputs, property_: value}))
    return resources


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Finding]]:
    """What checkov says of all shapes and of the broken stacks, by `passed` and `failed`."""
    assert CHECKOV.exists(), "checkov is missing: `make test` installs it"
    stacks = {shape: recorded(shape).deployment.resources for shape in SHAPES}
    stacks |= {name: broken(kind, key, value) for name, (kind, key, value, *_) in BROKEN.items()}
    folder = tmp_path_factory.mktemp("checkov")
    plan = folder / "tfplan.json"
    plan.write_text(terraform_plan.dump(stacks))
    answer = subprocess.run(
        [
            *(CHECKOV, "-I", "-m", "checkov.main", "--file", plan),
            *("--framework", "terraform_plan", "--output", "json", "--compact"),
            *("--skip-download", "--soft-fail"),
        ],
        cwd=folder,
        env={"HOME": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    report: Any = json.loads(answer.stdout)
    expected = sum(r.custom for resources in stacks.values() for r in resources)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["resource_count"] == expected
    return {
        verdict: [
            Finding(id=found["check_id"], where=found["resource"], text=found["check_name"])
            for found in report["results"][f"{verdict}_checks"]
        ]
        for verdict in ("passed", "failed")
    }


@pytest.fixture(scope="module")
def failed(results: Mapping[str, list[Finding]]) -> list[Finding]:
    """What it complains of; the stack's name comes first."""
    return results["failed"]


def test_checkov_finds_nothing_unexplained(failed: list[Finding]) -> None:
    check("checkov", (finding for finding in failed if _stack(finding) in SHAPES))


def _stack(finding: Finding) -> str:
    return finding.where.partition(".")[2].partition("--")[0]


@pytest.mark.parametrize("mistake", BROKEN)
def test_checkov_sees_what_is_broken(failed: list[Finding], mistake: str) -> None:
    *_, id_, where = BROKEN[mistake]
    assert (id_, where) in {(finding.id, finding.where) for finding in failed}
    whole = where.replace(f".{mistake}--", ".smallest--")
    assert (id_, whole) not in {(finding.id, finding.where) for finding in failed}


def test_every_check_that_the_security_page_names_is_made_and_passed(
    results: Mapping[str, list[Finding]],
) -> None:
    named = {
        check.checkov
        for control in security.security().controls
        for check in control.checks
        if check.checkov
    }
    passed = {finding.id for finding in results["passed"] if _stack(finding) in SHAPES}
    assert named - passed == set()
