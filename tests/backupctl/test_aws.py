"""Clients made fast ask the same places, signed in the same way, as those that botocore makes."""

import os
import re
from functools import partial
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.session import Session

from backupctl.aws import Aws
from tests.recorder import ROOT

CALLS: dict[str, tuple[str, dict[str, str]]] = {
    "cloudwatch": ("describe_alarms", {}),
    "events": ("describe_event_bus", {}),
    "iam": ("list_roles", {}),
    "kms": ("describe_key", {"KeyId": "x"}),
    "lambda": ("get_function", {"FunctionName": "x"}),
    "s3": ("head_object", {"Bucket": "backups", "Key": "photos/a.jpg"}),
    "s3control": ("list_jobs", {"AccountId": "123456789012"}),
    "sqs": ("list_queues", {}),
    "ssm": ("get_parameter", {"Name": "x"}),
    "sts": ("get_caller_identity", {}),
}
"""A request to each service that commands use, and its parameters."""
CLIENT = re.compile(r"client\(\"([a-z0-9-]+)\"\)")
REGIONS = ["ap-southeast-7", "cn-north-1", "eu-central-1", "us-east-1", "us-gov-west-1"]


class Caught(Exception):
    """A request that is not sent."""


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def place(client: Any, service: str) -> tuple[str, str]:
    """Where a request goes, and the scope that it is signed for."""

    def catch(request: AWSRequest, **_: object) -> None:
        scope = str(request.headers["Authorization"]).split(",")[0]
        # The day is no part of what is compared.
        raise Caught(request.url, scope.split("/")[2:])

    client.meta.events.register("before-send", catch)
    operation, parameters = CALLS[service]
    with pytest.raises(Caught) as caught:
        getattr(client, operation)(**parameters)
    return caught.value.args[0], caught.value.args[1]


@pytest.mark.parametrize("service", CALLS)
def test_requests_go_where_botocore_alone_would_send_them(service: str) -> None:
    s3 = Config(s3={"us_east_1_regional_endpoint": "regional"})
    for region in REGIONS:
        plain = Session().create_client(service, region, config=s3)
        mine = Aws.of_environment(region=region).client(service)
        assert place(mine, service) == place(plain, service), region


def test_so_do_those_to_other_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    for service in CALLS:
        plain = place(Session().create_client(service, "us-gov-west-1"), service)
        mine = place(Aws.of_environment(region="us-gov-west-1").client(service), service)
        assert mine == plain


def test_without_a_region_the_services_that_have_only_one_are_found() -> None:
    aws = Aws.of_environment()
    for service in ("iam", "sts"):
        plain = place(Session().create_client(service), service)
        assert place(aws.client(service), service) == plain


def test_the_region_of_services_that_have_only_one_is_one() -> None:
    for service in ("iam", "s3", "sts"):
        plain = place(Session().create_client(service, "aws-global"), service)
        assert place(Aws.of_environment(region="aws-global").client(service), service) == plain


def test_a_home_that_cannot_be_read_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws.of_environment(region="eu-central-1")
    loader: Any = aws.session.get_component("data_loader")
    tried: list[str] = []
    real = os.listdir

    def refusing(path: str) -> list[str]:
        if path == loader.CUSTOMER_DATA_PATH:
            tried.append(path)
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "listdir", refusing)
    assert "eu-central-1" in place(aws.client("s3"), "s3")[0]
    assert tried


def test_what_is_not_needed_is_not_read() -> None:
    aws = Aws.of_environment(region="eu-central-1")
    loader: Any = aws.session.get_component("data_loader")
    read: list[str] = []
    real = loader.file_loader.load_file
    loader.file_loader.load_file = partial(_noting, read, real)
    aws.client("s3")
    assert any(path.endswith("service-2") for path in read)
    assert not [path for path in read if path.endswith("data/endpoints")]


def _noting(read: list[str], real: Any, path: str) -> object:
    read.append(path)
    return real(path)


def test_every_service_that_commands_use_is_compared() -> None:
    modules = (ROOT / "backupctl").rglob("*.py")
    used = {name for path in modules for name in CLIENT.findall(path.read_text())}
    assert used == set(CALLS)
