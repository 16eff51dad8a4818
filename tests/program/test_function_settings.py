"""The functions' network, signature, traces and boundary: from config to resources."""

import base64
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from settings import ConfigError, Vpc, parse
from tests.recorder import ACCOUNT, policy, record_stack

BASE: dict[str, Any] = {"backupBucket": "the-backups", "buckets": ["photos"]}
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/teams/boundary"
SUBNETS = ["subnet-00000001", "subnet-00000002"]
VPC = {"subnetIds": SUBNETS, "securityGroupIds": ["sg-00000001"]}


def test_all_four_are_off_when_empty() -> None:
    config = parse({**BASE, "permissionsBoundaryArn": "", "vpc": {}}, file="Pulumi.prod.yaml")
    off = (config.permissions_boundary_arn, config.vpc, config.code_signing, config.tracing)
    assert off == (None, None, False, False)


def test_the_engines_text_of_a_network_says_the_same() -> None:
    text = '{"securityGroupIds":["sg-00000001"],"subnetIds":["subnet-00000001","subnet-00000002"]}'
    config = parse({**BASE, "vpc": text}, file="Pulumi.prod.yaml")
    assert config.vpc == Vpc.model_validate(VPC)


NO_SUBNET = "not the id of a subnet; write it as in subnet-0a1b2c3d"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"permissionsBoundaryArn": "boundary"},
            'permissionsBoundaryArn: "boundary": not the ARN of an IAM policy; '
            "write it as in arn:aws:iam::111122223333:policy/boundary",
        ),
        (
            {"vpc": {**VPC, "subnetIds": SUBNETS[:1]}},
            'vpc.subnetIds: ["subnet-00000001"]: too few; use 2 or more',
        ),
        (
            {"vpc": {**VPC, "subnetIds": ["vpc-00000001", *SUBNETS]}},
            f'vpc.subnetIds[0]: "vpc-00000001": {NO_SUBNET}',
        ),
        (
            {"vpc": {**VPC, "securityGroupIds": []}},
            "vpc.securityGroupIds: []: too few; use 1 or more",
        ),
        (
            {"vpc": {**VPC, "securityGroupIds": ["default", "sg-00000001"]}},
            'vpc.securityGroupIds[0]: "default": not the id of a security group; '
            "write it as in sg-0a1b2c3d",
        ),
        ({"vpc": {"subnetIds": SUBNETS}}, "vpc.securityGroupIds: required, but missing; add it"),
        ({"codeSigning": 2}, "codeSigning: 2: neither true nor false; write true or false"),
        ({"tracing": "?"}, 'tracing: "?": neither true nor false; write true or false'),
    ],
)
def test_a_mistake_is_named(change: Mapping[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({**BASE, **change}, file="Pulumi.prod.yaml")
    assert str(caught.value) == f"Pulumi.prod.yaml: s3-backup:{line}"


def names(**config: Any) -> set[str]:
    return {r.name for r in record_stack({**BASE, **config}).deployment.resources}


@pytest.mark.parametrize(
    ("config", "further"),
    [
        ({"vpc": VPC}, {"backup-network"}),
        ({"tracing": True}, {"backup-tracing"}),
        ({"permissionsBoundaryArn": BOUNDARY}, set[str]()),
        (
            {"codeSigning": True},
            {
                "signed-code",
                *(
                    f"signed-code-{part}"
                    for part in (
                        *("access-log", "encryption", "enforcement", "ownership", "policy"),
                        *("profile", "public-access", "signature", "unsigned", "versioning"),
                    )
                ),
            },
        ),
    ],
)
def test_each_brings_its_own_resources_and_takes_none_away(
    config: dict[str, Any], further: set[str]
) -> None:
    smallest = names()
    assert names(**config) == smallest | further
    assert not smallest & further


def test_the_boundary_is_that_of_every_role() -> None:
    recording = record_stack({**BASE, "permissionsBoundaryArn": BOUNDARY})
    assert {r.inputs["permissionsBoundary"] for r in recording.all("iam/role:Role")} == {BOUNDARY}


def test_subnets_in_one_zone_are_refused() -> None:
    one_zone = {**VPC, "subnetIds": ["subnet-00000001", "subnet-00000011"]}
    with pytest.raises(pulumi.RunError) as caught:
        record_stack({**BASE, "vpc": one_zone})
    assert str(caught.value) == (
        "s3-backup:vpc.subnetIds: all of them are in zone euc1-az1, so its failure would stop "
        "every backup; add a subnet in another zone"
    )


def test_what_is_signed_is_the_handler_and_every_function_runs_it() -> None:
    recording = record_stack(
        {**BASE, "buckets": [f"source-{n}" for n in range(9)], "codeSigning": True}
    )
    package = base64.b64decode(recording.one("BucketObjectv2").inputs["contentBase64"])
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert "handler/main.py" in archive.namelist()
    functions = recording.all("lambda/function:Function")
    assert len(functions) == 2
    for function in functions:
        assert "code" not in function.inputs
        assert function.inputs["s3Key"] == "signed/job.zip"
        assert ":code-signing-config:" in function.inputs["codeSigningConfigArn"]


def test_accesses_to_the_signed_package_are_logged() -> None:
    recording = record_stack({**BASE, "codeSigning": True})
    logs = policy(recording.one("BucketPolicy", "access-logs-policy"))["Statement"]
    [delivery] = [statement for statement in logs if statement["Effect"] == "Allow"]
    sources = delivery["Condition"]["ArnLike"]["aws:SourceArn"]
    assert "arn:aws:s3:::signed-code-*" in sources
    without = policy(record_stack(BASE).one("BucketPolicy", "access-logs-policy"))["Statement"]
    assert "signed-code" not in str(without)
