"""One real program, deployed into MiniStack and used."""

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.engine import Deployment, RegistrationError, deploy
from sandbox.ministack import MiniStack
from sandbox.provider import AwsProvider

PROGRAM = '''
import json
import pulumi
import pulumi_aws as aws

HANDLER = """
import json, os, urllib.parse
import boto3

def handler(event, context):
    print("handling", json.dumps(event))
    for record in event["Records"]:
        key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        boto3.client("s3").put_object(
            Bucket=os.environ["TARGET"], Key=key, Body=json.dumps(record).encode())
"""

def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}

source = aws.s3.Bucket("source")
target = aws.s3.Bucket("target")
logs = aws.cloudwatch.LogGroup("logs", retention_in_days=1)
role = aws.iam.Role("role", assume_role_policy=json.dumps(policy({"Effect": "Allow",
    "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"})))
write = aws.iam.RolePolicy("write", role=role.id, policy=pulumi.Output.json_dumps(policy(
    {"Effect": "Allow", "Action": "s3:PutObject",
     "Resource": pulumi.Output.concat(target.arn, "/*")})))
function = aws.lambda_.Function("function", role=role.arn, runtime="python3.13",
    handler="main.handler", timeout=10, environment={"variables": {"TARGET": target.bucket}},
    code=pulumi.AssetArchive({"main.py": pulumi.StringAsset(HANDLER)}),
    logging_config={"log_format": "Text", "log_group": logs.name},
    opts=pulumi.ResourceOptions(depends_on=[write]))
permission = aws.lambda_.Permission("permission", function=function.name,
    principal="s3.amazonaws.com", action="lambda:InvokeFunction", source_arn=source.arn,
    source_account=aws.get_caller_identity().account_id)
aws.s3.BucketNotification("notification", bucket=source.id, lambda_functions=[
    {"lambda_function_arn": function.arn, "events": ["s3:ObjectCreated:*"],
     "filter_prefix": "in/"}],
    opts=pulumi.ResourceOptions(depends_on=[DEPENDS_ON]))
for name in ("source", "target", "logs", "role", "write"):
    pulumi.export(name, globals()[name].id)
'''

Write = Callable[[str], Path]


@pytest.fixture
def deployed(project: Write, provider: AwsProvider) -> Deployment:
    return deploy(project(PROGRAM.replace("DEPENDS_ON", "permission")), "dev", {}, provider)


def copied(aws: MiniStack, bucket: str, key: str, seconds: float = 10) -> dict[str, Any]:
    """The event record that the function wrote under the key."""
    s3 = aws.client("s3")
    deadline = time.monotonic() + seconds
    while True:
        try:
            return json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
        except ClientError as error:
            # Not the code: an answer that repeats a control character is no XML, and has none.
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status != HTTPStatus.NOT_FOUND or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def logged(aws: MiniStack, group: str, text: str, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        events = aws.client("logs").filter_log_events(logGroupName=group)["events"]
        if any(text in event["message"] for event in events):
            return True
        time.sleep(0.05)
    return False


def test_events_flow_and_the_roles_policy_decides(
    deployed: Deployment, ministack: MiniStack
) -> None:
    names, s3 = deployed.outputs, ministack.client("s3")
    awkward = "in/a b+c%2F//../é€😀\x01=&?"
    s3.put_object(Bucket=names["source"], Key="out/filtered", Body=b"1")
    s3.put_object(Bucket=names["source"], Key=awkward, Body=b"1")
    record = copied(ministack, names["target"], awkward)
    assert (record["eventName"], record["awsRegion"]) == ("ObjectCreated:Put", "eu-central-1")
    assert record["s3"]["bucket"]["name"] == names["source"]
    assert record["s3"]["object"]["key"] == (
        "in/a+b%2Bc%252F//../%C3%A9%E2%82%AC%F0%9F%98%80%01%3D%26%3F"
    )
    assert int(record["s3"]["object"]["sequencer"], 16) > 0
    assert "versionId" not in record["s3"]["object"]
    assert logged(ministack, names["logs"], "handling")

    role, policy = names["write"].split(":")
    ministack.client("iam").delete_role_policy(RoleName=role, PolicyName=policy)
    s3.put_object(Bucket=names["source"], Key="in/denied", Body=b"1")
    assert logged(ministack, names["logs"], "AccessDenied")
    found = s3.list_objects_v2(Bucket=names["target"])["Contents"]
    assert [entry["Key"] for entry in found] == [awkward]


def test_dependencies_are_recorded(deployed: Deployment) -> None:
    notification = deployed.find("aws:s3/bucketNotification:BucketNotification", "notification")
    permission = deployed.find("aws:lambda/permission:Permission", "permission")
    function = deployed.find("aws:lambda/function:Function", "function")
    assert {permission.urn, function.urn} <= set(notification.dependencies)
    assert function.outputs["arn"].startswith("arn:aws:lambda:eu-central-1:123456789012:function:")
    assert notification.inputs["lambdaFunctions"][0]["lambdaFunctionArn"] == function.outputs["arn"]


def test_an_unknown_type_fails_with_its_urn(project: Write, provider: AwsProvider) -> None:
    program = 'import pulumi_aws as aws\naws.ecs.Cluster("cluster")\n'
    with pytest.raises(RegistrationError) as caught:
        deploy(project(program), "dev", {}, provider)
    assert str(caught.value) == (
        "aws:ecs/cluster:Cluster 'cluster' (urn:pulumi:dev::demo::aws:ecs/cluster:Cluster::cluster)"
        ": the sandbox cannot create resources of type aws:ecs/cluster:Cluster"
    )
