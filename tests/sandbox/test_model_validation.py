from typing import Any

import boto3
import pytest

from sandbox import model_validation
from sandbox.model_validation import ModelError


def operation(service: str, name: str) -> Any:
    client = boto3.client(service, region_name="eu-central-1")
    return client.meta.service_model.operation_model(name)


ROLE = "arn:aws:iam::123456789012:role/r"


@pytest.mark.parametrize(
    ("service", "name", "good", "bad", "complaint"),
    [
        pytest.param(
            "s3",
            "PutBucketVersioning",
            {"Bucket": "b", "VersioningConfiguration": {"Status": "Enabled"}},
            {"Bucket": "b", "VersioningConfiguration": {"Status": "enabled"}},
            "PutBucketVersioning: VersioningConfiguration.Status is 'enabled', "
            "but must be one of Enabled, Suspended",
            id="enum",
        ),
        pytest.param(
            "lambda",
            "CreateFunction",
            {"FunctionName": "f", "Role": ROLE, "Code": {}},
            {"FunctionName": "f", "Role": "r", "Code": {}},
            "CreateFunction: Role is 'r', but must match ",
            id="pattern",
        ),
        pytest.param(
            "lambda",
            "CreateFunction",
            {"FunctionName": "f", "Role": ROLE, "Code": {}, "MemorySize": 128},
            {"FunctionName": "f", "Role": ROLE, "Code": {}, "MemorySize": 127},
            "CreateFunction: MemorySize is 127, but must be at least 128",
            id="range",
        ),
        pytest.param(
            "lambda",
            "CreateFunction",
            {"FunctionName": "f", "Role": ROLE, "Code": {}, "Description": "x" * 256},
            {"FunctionName": "f", "Role": ROLE, "Code": {}, "Description": "x" * 257},
            "but may have at most 256 characters",
            id="length",
        ),
        pytest.param(
            "lambda",
            "CreateFunction",
            {"FunctionName": "f", "Role": ROLE, "Code": {}, "Architectures": ["arm64"]},
            {"FunctionName": "f", "Role": ROLE, "Code": {}, "Architectures": ["arm64", "x86_64"]},
            "CreateFunction: Architectures is ['arm64', 'x86_64'], but may have at most 1 items",
            id="list size",
        ),
        pytest.param(
            "iam",
            "TagRole",
            {"RoleName": "r", "Tags": [{"Key": "Größe", "Value": "a b"}]},
            {"RoleName": "r", "Tags": [{"Key": "no|pipes", "Value": "a b"}]},
            "TagRole: Tags[0].Key is 'no|pipes', but must match ",
            id="unicode pattern in a list",
        ),
    ],
)
def test_the_services_rules_are_checked(
    service: str, name: str, good: dict[str, Any], bad: dict[str, Any], complaint: str
) -> None:
    model = operation(service, name)
    model_validation.check(model, good)
    with pytest.raises(ModelError) as caught:
        model_validation.check(model, bad)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("service", ["s3", "iam", "lambda", "sqs", "kms", "logs", "ssm", "sts"])
def test_every_pattern_of_the_services_can_be_compiled(service: str) -> None:
    model = boto3.client(service, region_name="eu-central-1").meta.service_model
    patterns = {model.shape_for(name).metadata.get("pattern") for name in model.shape_names}
    uncompiled = [
        pattern
        for pattern in patterns - {None}
        # Names of things this project has nothing to do with.
        if not (service == "ssm" and ("iam::" in pattern or r"\p{P}" in pattern))
        if not model_validation._compiled(pattern)
    ]
    assert uncompiled == []


def test_an_installed_client_refuses_before_it_sends() -> None:
    client = boto3.client(
        "sqs", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    model_validation.install(client)
    with pytest.raises(ModelError, match=r"AttributeNames\[0\] is 'Colour', but must be one of"):
        client.get_queue_attributes(QueueUrl="http://127.0.0.1:1/q", AttributeNames=["Colour"])


def test_an_environment_has_4096_bytes() -> None:
    model_validation.check_environment({"A": "x" * 4095})
    with pytest.raises(ModelError, match="is 4,097 bytes, but Lambda allows 4,096"):
        model_validation.check_environment({"A": "x" * 4096})


def test_inline_policies_share_10240_characters_without_blanks() -> None:
    model_validation.check_inline_policies("r", {"a": "x \n" * 5000, "b": "y" * 5240})
    with pytest.raises(ModelError, match="2 inline policies of role r are 10,241 characters"):
        model_validation.check_inline_policies("r", {"a": "x" * 5000, "b": "y" * 5241})


def test_a_function_policy_has_20480_bytes() -> None:
    model_validation.check_function_policy("x" * 20_480)
    with pytest.raises(ModelError, match="is 20,481 bytes, but Lambda allows 20,480"):
        model_validation.check_function_policy("x" * 20_481)


@pytest.mark.parametrize("policy", ["", "[]", "{}", '{"Statement":[]}', "not json"])
def test_a_policy_has_statements(policy: str) -> None:
    with pytest.raises(ModelError, match=r"^the policy "):
        model_validation.check_json_policy("the policy", policy)
