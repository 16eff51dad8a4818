"""What the provider refuses, with a passing control for each refusal."""

import json
import re
import secrets
from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from botocore.exceptions import ClientError

from sandbox.model_validation import ModelError
from sandbox.provider import AwsProvider, UnsupportedTypeError
from sandbox.resources.base import UnsupportedPropertyError
from sandbox.resources.destinations import DestinationError
from sandbox.resources.s3 import OverlapError

ACCOUNT = "123456789012"
REGION = "eu-central-1"
S3 = "s3.amazonaws.com"

Create = Callable[..., dict[str, Any]]


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], resource: str, **more: object) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


TRUST = policy(
    {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
)


@pytest.fixture
def create(provider: AwsProvider) -> Create:
    """Create a resource under a name of its own; return its outputs and `id`."""

    def make(type_: str, **inputs: object) -> dict[str, Any]:
        created = provider.create(type_, f"x{secrets.token_hex(4)}", inputs)
        return {"id": created.id, **created.outputs}

    return make


@pytest.fixture
def bucket(create: Create) -> str:
    return create("aws:s3/bucket:Bucket")["bucket"]


@pytest.fixture
def function(create: Create) -> dict[str, Any]:
    role = create("aws:iam/role:Role", assumeRolePolicy=TRUST)
    code = pulumi.AssetArchive({"m.py": pulumi.StringAsset("def handler(event, context): pass")})
    made = create(
        "aws:lambda/function:Function",
        role=role["arn"],
        runtime="python3.13",
        handler="m.handler",
        code=code,
    )
    return {**made, "roleName": role["name"]}


def test_an_unknown_type_is_named(create: Create) -> None:
    with pytest.raises(UnsupportedTypeError, match="aws:ec2/vpc:Vpc"):
        create("aws:ec2/vpc:Vpc")


def test_an_unknown_function_is_named(provider: AwsProvider) -> None:
    with pytest.raises(UnsupportedTypeError, match="aws:ec2/getAmi:getAmi"):
        provider.invoke("aws:ec2/getAmi:getAmi", {})


def test_functions_tell_about_the_account(provider: AwsProvider) -> None:
    answers = {
        name: provider.invoke(f"aws:index/{name}:{name}", {})
        for name in ("getCallerIdentity", "getRegion", "getPartition")
    }
    assert answers["getCallerIdentity"]["accountId"] == ACCOUNT
    assert answers["getRegion"]["region"] == REGION
    assert answers["getPartition"]["partition"] == "aws"


def test_an_unknown_property_is_named(create: Create) -> None:
    with pytest.raises(UnsupportedPropertyError, match="property 'website'"):
        create("aws:s3/bucket:Bucket", website={})


def test_an_unknown_nested_property_is_named(create: Create, bucket: str) -> None:
    rule = {"id": "a", "status": "Enabled", "filter": {"prefixes": []}}
    with pytest.raises(UnsupportedPropertyError, match=re.escape("'rules[].filter.prefixes'")):
        create(
            "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
            bucket=bucket,
            rules=[rule],
        )


def test_unnamed_resources_get_a_name(provider: AwsProvider) -> None:
    bucket = provider.create("aws:s3/bucket:Bucket", "Some-Bucket", {})
    assert re.fullmatch(r"some-bucket-[0-9a-f]{7}", bucket.id)
    key = provider.create("aws:kms/key:Key", "key", {"enableKeyRotation": True})
    alias = provider.create("aws:kms/alias:Alias", "key", {"targetKeyId": key.id})
    assert re.fullmatch(r"alias/key-[0-9a-f]{7}", alias.id)
    assert alias.outputs["targetKeyArn"] == key.outputs["arn"]
    role = provider.create(
        "aws:iam/role:Role", "r", {"assumeRolePolicy": TRUST, "namePrefix": "p-"}
    )
    assert role.id.startswith("p-")
    with pytest.raises(ValueError, match="longer than 63, the maximum of 'bucket'"):
        provider.create("aws:s3/bucket:Bucket", "x" * 56, {})


def test_a_name_is_taken_once(create: Create, bucket: str) -> None:
    with pytest.raises(ClientError, match="BucketAlreadyOwnedByYou"):
        create("aws:s3/bucket:Bucket", bucket=bucket)


def notify(create: Create, bucket: str, function: dict[str, Any]) -> None:
    create(
        "aws:s3/bucketNotification:BucketNotification",
        bucket=bucket,
        lambdaFunctions=[{"lambdaFunctionArn": function["arn"], "events": ["s3:ObjectCreated:*"]}],
    )


def permit(create: Create, function: dict[str, Any], **source: str) -> None:
    create(
        "aws:lambda/permission:Permission",
        function=function["name"],
        action="lambda:InvokeFunction",
        principal=S3,
        **source,
    )


def test_s3_may_not_invoke_without_permission(
    create: Create, bucket: str, function: dict[str, Any]
) -> None:
    message = "Unable to validate the following destination configurations: .*:function:"
    with pytest.raises(DestinationError, match=message):
        notify(create, bucket, function)

    permit(create, function, sourceArn=f"arn:aws:s3:::{bucket}")
    with pytest.raises(
        DestinationError, match=rf"no StringEquals aws:SourceAccount = {ACCOUNT}\)$"
    ):
        notify(create, bucket, function)

    # Neither another bucket's permission nor the account's alone makes up for what is missing.
    permit(create, function, sourceArn="arn:aws:s3:::other", sourceAccount=ACCOUNT)
    permit(create, function, sourceAccount=ACCOUNT)
    with pytest.raises(DestinationError, match="for bucket"):
        notify(create, bucket, function)

    permit(create, function, sourceArn=f"arn:aws:s3:::{bucket}", sourceAccount=ACCOUNT)
    notify(create, bucket, function)


def test_s3_may_not_send_to_a_queue_without_its_policy(create: Create, bucket: str) -> None:
    queue = create("aws:sqs/queue:Queue", sqsManagedSseEnabled=True)
    target = {"queueArn": queue["arn"], "events": ["s3:ObjectCreated:Put"]}
    conditions = {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}}
    statement = allow("sqs:SendMessage", queue["arn"], Principal={"Service": S3})

    def connect() -> None:
        create("aws:s3/bucketNotification:BucketNotification", bucket=bucket, queues=[target])

    def grant(condition: dict[str, Any]) -> None:
        create(
            "aws:sqs/queuePolicy:QueuePolicy",
            queueUrl=queue["url"],
            policy=policy({**statement, "Condition": condition}),
        )

    with pytest.raises(DestinationError, match="no a statement that allows sqs:SendMessage"):
        connect()
    grant(conditions)
    with pytest.raises(DestinationError, match="no StringEquals aws:SourceAccount"):
        connect()
    grant({**conditions, "StringEquals": {"aws:SourceAccount": [ACCOUNT]}})
    connect()


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ({}, {}, True),
        ({"filterPrefix": "a"}, {"filterPrefix": "ab"}, True),
        ({"filterPrefix": "a/"}, {"filterPrefix": "b/"}, False),
        ({"filterSuffix": ".jpg"}, {"filterSuffix": "x.jpg"}, True),
        ({"filterSuffix": ".jpg"}, {"filterSuffix": ".png"}, False),
        ({"filterPrefix": "a", "filterSuffix": "x"}, {"filterSuffix": "y"}, False),
        ({"events": ["s3:ObjectRemoved:*"]}, {}, False),
        ({"events": ["s3:ObjectCreated:Put"]}, {}, True),
    ],
)
def test_notifications_must_not_overlap(
    create: Create, bucket: str, one: dict[str, Any], other: dict[str, Any], overlap: bool
) -> None:
    queue = create("aws:sqs/queue:Queue")
    statement = allow(
        "sqs:SendMessage",
        queue["arn"],
        Principal={"Service": S3},
        Condition={
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"},
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
        },
    )
    create("aws:sqs/queuePolicy:QueuePolicy", queueUrl=queue["url"], policy=policy(statement))
    target = {"queueArn": queue["arn"], "events": ["s3:ObjectCreated:*"]}
    type_ = "aws:s3/bucketNotification:BucketNotification"
    queues = [{**target, **one}, {**target, **other}]
    if overlap:
        with pytest.raises(OverlapError, match="Configuration is ambiguously defined"):
            create(type_, bucket=bucket, queues=queues)
    else:
        create(type_, bucket=bucket, queues=queues)


def test_a_failure_destination_needs_the_roles_permission(
    create: Create, function: dict[str, Any]
) -> None:
    queue = create("aws:sqs/queue:Queue")

    def configure() -> None:
        create(
            "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
            functionName=function["name"],
            maximumRetryAttempts=1,
            destinationConfig={"onFailure": {"destination": queue["arn"]}},
        )

    with pytest.raises(DestinationError, match="does not have permissions to call SendMessage on"):
        configure()
    create(
        "aws:iam/rolePolicy:RolePolicy",
        role=function["roleName"],
        policy=policy(allow("sqs:SendMessage", queue["arn"])),
    )
    configure()


def test_a_queue_as_event_source_needs_the_roles_permission(
    create: Create, function: dict[str, Any]
) -> None:
    queue = create("aws:sqs/queue:Queue")

    def connect() -> dict[str, Any]:
        return create(
            "aws:lambda/eventSourceMapping:EventSourceMapping",
            functionName=function["arn"],
            eventSourceArn=queue["arn"],
            batchSize=1,
        )

    with pytest.raises(DestinationError, match="permissions to call ReceiveMessage on"):
        connect()
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    document = policy(allow(actions, queue["arn"]))
    managed = create("aws:iam/policy:Policy", policy=document)
    create(
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        role=function["roleName"],
        policyArn=managed["arn"],
    )
    assert connect()["functionArn"] == function["arn"]


def test_inline_policies_of_a_role_share_a_quota(create: Create) -> None:
    role = create("aws:iam/role:Role", assumeRolePolicy=TRUST)["name"]
    half = policy(allow("s3:GetObject", f"arn:aws:s3:::{'x' * 5000}"))
    create("aws:iam/rolePolicy:RolePolicy", role=role, policy=half)
    create("aws:iam/rolePolicy:RolePolicy", role=role, policy=half)
    with pytest.raises(ModelError, match="IAM allows 10,240"):
        create("aws:iam/rolePolicy:RolePolicy", role=role, policy=half)


def test_a_functions_permissions_share_a_quota(create: Create, function: dict[str, Any]) -> None:
    def fill() -> None:
        for number in range(100):
            permit(create, function, sourceArn=f"arn:aws:s3:::{number:063}", sourceAccount=ACCOUNT)

    with pytest.raises(ModelError, match="Lambda allows 20,480"):
        fill()


@pytest.mark.parametrize(
    ("type_", "good", "bad", "complaint"),
    [
        ("aws:sqs/queue:Queue", {"messageRetentionSeconds": 1_209_600},
         {"messageRetentionSeconds": 1_209_601}, "must be 60 to 1209600"),
        ("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 365},
         {"retentionInDays": 364}, "must be one of 0"),
        ("aws:kms/key:Key", {"deletionWindowInDays": 7},
         {"deletionWindowInDays": 6}, "must be 7 to 30"),
        ("aws:ssm/parameter:Parameter", {"type": "String", "value": "v"},
         {"type": "Text", "value": "v"}, "Type is 'Text', but must be one of String"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(
    create: Create, type_: str, good: dict[str, Any], bad: dict[str, Any], complaint: str
) -> None:
    create(type_, **good)
    with pytest.raises(ModelError, match=complaint):
        create(type_, **bad)


def test_logs_go_to_a_bucket_that_exists(create: Create, bucket: str) -> None:
    type_ = "aws:s3/bucketLogging:BucketLogging"
    create(type_, bucket=bucket, targetBucket=bucket, targetPrefix="logs/")
    with pytest.raises(ModelError, match="The target bucket for logging does not exist: nowhere"):
        create(type_, bucket=bucket, targetBucket="nowhere", targetPrefix="logs/")


def test_a_bucket_gets_all_it_is_configured_with(
    create: Create, provider: AwsProvider, ministack: Any
) -> None:
    made = create("aws:s3/bucket:Bucket", objectLockEnabled=True, tags={"Stack": "dev"})
    name = made["bucket"]
    settings: dict[str, dict[str, Any]] = {
        "OwnershipControls": {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        "PublicAccessBlock": dict.fromkeys(
            (
                "blockPublicAcls",
                "blockPublicPolicy",
                "ignorePublicAcls",
                "restrictPublicBuckets",
            ),
            True,
        ),
        "ServerSideEncryptionConfiguration": {
            "rules": [
                {
                    "applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"},
                    "bucketKeyEnabled": True,
                }
            ]
        },
        "Versioning": {"versioningConfiguration": {"status": "Enabled"}},
        "ObjectLockConfiguration": {
            "rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 1}}
        },
        "LifecycleConfiguration": {
            "rules": [
                {
                    "id": "all",
                    "status": "Enabled",
                    "noncurrentVersionExpiration": {"noncurrentDays": 30},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                },
                {
                    "id": "some",
                    "status": "Enabled",
                    "filter": {"and": {"prefix": "a/", "tags": {"k": "v"}}},
                    "transitions": [{"days": 30, "storageClass": "GLACIER_IR"}],
                },
            ]
        },
        "Policy": {"policy": policy(allow("s3:GetObject", f"{made['arn']}/*", Principal=ACCOUNT))},
    }
    for kind, inputs in settings.items():
        create(f"aws:s3/bucket{kind}:Bucket{kind}", bucket=name, **inputs)

    s3 = provider.client("s3")
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "Stack", "Value": "dev"}]
    ownership = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]
    assert ownership["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    access = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert list(access.values()) == [True] * 4
    (encryption,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"][
        "Rules"
    ]
    assert encryption["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert encryption["BucketKeyEnabled"] is True
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    lock = s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
    assert lock["Rule"] == {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    everything, some = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert everything["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert some["Filter"]["And"]["Prefix"] == "a/"
    assert some["Filter"]["And"]["Tags"] == [{"Key": "k", "Value": "v"}]
    assert some["Transitions"] == [{"Days": 30, "StorageClass": "GLACIER_IR"}]


def test_a_function_gets_all_it_is_configured_with(create: Create, provider: AwsProvider) -> None:
    role = create("aws:iam/role:Role", assumeRolePolicy=TRUST)
    queue = create("aws:sqs/queue:Queue")
    name = create(
        "aws:lambda/function:Function",
        role=role["arn"],
        runtime="python3.13",
        handler="m.handler",
        code=pulumi.AssetArchive({"m.py": pulumi.StringAsset("")}),
        memorySize=256,
        timeout=900,
        architectures=["arm64"],
        environment={"variables": {"KEY": "value"}},
        loggingConfig={"logFormat": "JSON", "logGroup": "/some/group"},
        tracingConfig={"mode": "Active"},
        reservedConcurrentExecutions=5,
        deadLetterConfig={"targetArn": queue["arn"]},
        ephemeralStorage={"size": 1024},
        description="d",
        tags={"Stack": "dev"},
    )["name"]
    function = provider.client("lambda").get_function(FunctionName=name)
    config = function["Configuration"]
    expected = {
        "MemorySize": 256,
        "Timeout": 900,
        "Architectures": ["arm64"],
        "Environment": {"Variables": {"KEY": "value"}},
        "TracingConfig": {"Mode": "Active"},
        "DeadLetterConfig": {"TargetArn": queue["arn"]},
        "EphemeralStorage": {"Size": 1024},
        "Description": "d",
        "State": "Active",
    }
    assert {key: config[key] for key in expected} == expected
    assert config["LoggingConfig"]["LogGroup"] == "/some/group"
    assert function["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    assert function["Tags"] == {"Stack": "dev"}


def test_an_environment_over_4_kilobytes_is_refused(
    create: Create, function: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match="Lambda allows 4,096"):
        create(
            "aws:lambda/function:Function",
            role=function["role"],
            environment={"variables": {"A": "x" * 4096}},
        )


def test_a_timeout_over_15_minutes_is_refused(create: Create, function: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="timeout is 901, but must be 1 to 900"):
        create("aws:lambda/function:Function", role=function["role"], timeout=901)
