"""What the provider refuses, with a passing control for each refusal."""

import json
import re
import secrets
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pulumi
import pytest
from botocore.exceptions import ClientError

from sandbox.engine import Registered
from sandbox.model_validation import ModelError
from sandbox.provider import AwsProvider, UnsupportedChangeError, UnsupportedTypeError
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


@pytest.mark.parametrize(
    ("queue", "mapping", "complaint"),
    [
        (
            {"visibilityTimeoutSeconds": 2},
            {},
            "Queue visibility timeout: 2 seconds is less than Function timeout: 3 seconds",
        ),
        ({}, {"batchSize": 11}, "a batchSize over 10 needs a maximumBatchingWindowInSeconds"),
        ({}, {"batchSize": 10_001, "maximumBatchingWindowInSeconds": 1}, "at most 10000"),
        ({}, {"scalingConfig": {"maximumConcurrency": 1}}, "at least 2"),
        ({}, {"functionResponseTypes": ["Failures"]}, "must be one of ReportBatchItemFailures"),
        (
            {"visibilityTimeoutSeconds": 3},
            {
                "batchSize": 11,
                "maximumBatchingWindowInSeconds": 1,
                "scalingConfig": {"maximumConcurrency": 2},
                "functionResponseTypes": ["ReportBatchItemFailures"],
            },
            None,
        ),
    ],
)
def test_what_lambda_refuses_of_an_event_source(
    create: Create,
    function: dict[str, Any],
    queue: dict[str, Any],
    mapping: dict[str, Any],
    complaint: str | None,
) -> None:
    made = create("aws:sqs/queue:Queue", **queue)
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    create(
        "aws:iam/rolePolicy:RolePolicy",
        role=function["roleName"],
        policy=policy(allow(actions, made["arn"])),
    )
    expected = nullcontext() if complaint is None else pytest.raises(ModelError, match=complaint)
    with expected:
        create(
            "aws:lambda/eventSourceMapping:EventSourceMapping",
            functionName=function["name"],
            eventSourceArn=made["arn"],
            **mapping,
        )


ALARM: dict[str, Any] = {
    "namespace": "S3Backup",
    "metricName": "Failed",
    "dimensions": {"BackupBucket": "backups"},
    "statistic": "Sum",
    "period": 300,
    "evaluationPeriods": 1,
    "comparisonOperator": "GreaterThanThreshold",
    "threshold": 0,
    "treatMissingData": "notBreaching",
}


def test_an_alarm_and_its_topic_get_all_they_are_configured_with(
    create: Create, provider: AwsProvider
) -> None:
    key = create("aws:kms/key:Key")
    topic = create("aws:sns/topic:Topic", kmsMasterKeyId=key["arn"], tags={"Stack": "dev"})
    document = policy(allow("sns:Publish", topic["arn"], Principal={"Service": "x.amazonaws.com"}))
    create("aws:sns/topicPolicy:TopicPolicy", arn=topic["arn"], policy=document)
    queue = create("aws:sqs/queue:Queue")
    create(
        "aws:sns/topicSubscription:TopicSubscription",
        topic=topic["arn"],
        protocol="sqs",
        endpoint=queue["arn"],
    )
    alarm = create(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        **ALARM,
        alarmDescription="d",
        alarmActions=[topic["arn"]],
        okActions=[topic["arn"]],
        warmUpConfiguration={"warmUpPeriodDurationInMinutes": 60},
    )
    sns = provider.client("sns")
    attributes = sns.get_topic_attributes(TopicArn=topic["arn"])["Attributes"]
    assert attributes["KmsMasterKeyId"] == key["arn"]
    assert json.loads(attributes["Policy"]) == json.loads(document)
    tags = sns.list_tags_for_resource(ResourceArn=topic["arn"])["Tags"]
    assert tags == [{"Key": "Stack", "Value": "dev"}]
    [subscription] = sns.list_subscriptions_by_topic(TopicArn=topic["arn"])["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("sqs", queue["arn"])
    cloudwatch = provider.client("cloudwatch")
    [found] = cloudwatch.describe_alarms(AlarmNames=[alarm["id"]])["MetricAlarms"]
    expected = {
        "AlarmArn": alarm["arn"],
        "AlarmDescription": "d",
        "Namespace": "S3Backup",
        "MetricName": "Failed",
        "Dimensions": [{"Name": "BackupBucket", "Value": "backups"}],
        "Statistic": "Sum",
        "Period": 300,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0,
        "TreatMissingData": "notBreaching",
        "AlarmActions": [topic["arn"]],
        "OKActions": [topic["arn"]],
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("good", "bad", "complaint"),
    [
        ({"period": 60}, {"period": 90}, "must be 10, 20, 30 or a multiple of 60"),
        (
            {"period": 300, "evaluationPeriods": 288},
            {"period": 300, "evaluationPeriods": 289},
            "is 86,700 seconds, but may be at most 86,400 with periods of 300",
        ),
        (
            {"period": 3600, "evaluationPeriods": 168},
            {"period": 3600, "evaluationPeriods": 169},
            "is 608,400 seconds, but may be at most 604,800",
        ),
        (
            {"treatMissingData": "ignore"},
            {"treatMissingData": "forget"},
            "treatMissingData is 'forget', but must be one of breaching,",
        ),
        (
            {"warmUpConfiguration": {"warmUpPeriodDurationInMinutes": 2880}},
            {"warmUpConfiguration": {"warmUpPeriodDurationInMinutes": 2881}},
            "must be at most 2880",
        ),
        ({"statistic": "Maximum"}, {"statistic": "Max"}, "must be one of SampleCount"),
    ],
)
def test_an_alarm_that_cloudwatch_refuses_is_refused(
    create: Create, good: dict[str, Any], bad: dict[str, Any], complaint: str
) -> None:
    create("aws:cloudwatch/metricAlarm:MetricAlarm", **{**ALARM, **good})
    with pytest.raises(ModelError, match=complaint):
        create("aws:cloudwatch/metricAlarm:MetricAlarm", **{**ALARM, **bad})


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


RULE, TARGET = "aws:cloudwatch/eventRule:EventRule", "aws:cloudwatch/eventTarget:EventTarget"


def test_a_rule_invokes_a_function_only_if_that_lets_it(
    create: Create, function: dict[str, Any]
) -> None:
    rule = create(RULE, scheduleExpression="rate(7 days)", tags={"a": "b"})
    events = {"function": function["id"], "principal": "events.amazonaws.com"}
    invoke = {"type_": "aws:lambda/permission:Permission", "action": "lambda:InvokeFunction"}
    target = {"rule": rule["id"], "arn": function["arn"], "input": '{"a": 1}'}
    with pytest.raises(ModelError, match="may not invoke"):
        create(TARGET, **target)
    create(**invoke, **events, sourceArn=f"{rule['arn']}-other")
    with pytest.raises(ModelError, match="may not invoke"):
        create(TARGET, **target)
    create(**invoke, **events, sourceArn=rule["arn"])
    create(TARGET, **target)
    with pytest.raises(ModelError, match="input is not JSON"):
        create(TARGET, **{**target, "input": "{"})
    with pytest.raises(ModelError, match="8192"):
        create(TARGET, **{**target, "input": f'"{"x" * 8191}"'})


@pytest.mark.parametrize("schedule", ["rate(1 days)", "rate(7 day)", "rate(0 days)", "7 days"])
def test_a_rate_is_written_as_eventbridge_wants_it(create: Create, schedule: str) -> None:
    with pytest.raises(ModelError, match="must be a rate"):
        create(RULE, scheduleExpression=schedule)


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


def give_up(create: Create, queue: dict[str, Any], failures: dict[str, Any]) -> None:
    content = {"deadLetterTargetArn": failures["arn"], "maxReceiveCount": 5}
    create(
        "aws:sqs/redrivePolicy:RedrivePolicy",
        queueUrl=queue["url"],
        redrivePolicy=json.dumps(content),
    )


def test_messages_are_given_up_only_to_a_queue_that_lets_them(create: Create) -> None:
    failures, one, other = (create("aws:sqs/queue:Queue") for _ in range(3))
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [one["arn"]]}
    give_up(create, other, failures)
    create(
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        queueUrl=failures["url"],
        redriveAllowPolicy=json.dumps(allowed),
    )
    give_up(create, one, failures)
    with pytest.raises(DestinationError, match=f"does not let {other['arn']} give messages up"):
        give_up(create, other, failures)


@pytest.mark.parametrize("receives", [0, 1001, "5"])
def test_the_number_of_receives_is_checked(create: Create, receives: object) -> None:
    queue, failures = create("aws:sqs/queue:Queue"), create("aws:sqs/queue:Queue")
    content = {"deadLetterTargetArn": failures["arn"], "maxReceiveCount": receives}
    with pytest.raises(ModelError, match=r"maxReceiveCount is .* but must be 1 to 1000"):
        create(
            "aws:sqs/redrivePolicy:RedrivePolicy",
            queueUrl=queue["url"],
            redrivePolicy=json.dumps(content),
        )


@pytest.mark.parametrize(("sources", "too_many"), [(10, False), (11, True)])
def test_the_queues_that_may_give_up_messages_are_counted(
    create: Create, sources: int, too_many: bool
) -> None:
    queue = create("aws:sqs/queue:Queue")
    arns = [f"arn:aws:sqs:{REGION}:{ACCOUNT}:q{number}" for number in range(sources)]
    with pytest.raises(ModelError, match="but 10 may be") if too_many else nullcontext():
        create(
            "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
            queueUrl=queue["url"],
            redriveAllowPolicy=json.dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": arns}
            ),
        )


@pytest.mark.parametrize(("characters", "too_many"), [(8000, False), (8192, True)])
def test_a_queues_policy_has_a_quota(create: Create, characters: int, too_many: bool) -> None:
    queue = create("aws:sqs/queue:Queue")
    statement = allow("sqs:SendMessage", queue["arn"], Sid="s" * characters, Principal="*")
    with pytest.raises(ModelError, match="SQS allows 8,192") if too_many else nullcontext():
        create("aws:sqs/queuePolicy:QueuePolicy", queueUrl=queue["url"], policy=policy(statement))


class Existing:
    """A resource that was created and can be changed."""

    def __init__(self, provider: AwsProvider, type_: str, **inputs: Any) -> None:
        self._provider = provider
        created = provider.create(type_, f"x{secrets.token_hex(4)}", inputs)
        self.state = Registered(
            urn="urn",
            type=type_,
            name="x",
            custom=True,
            parent="",
            dependencies=[],
            property_dependencies={},
            inputs=inputs,
            protect=False,
            retain_on_delete=False,
            deleted_with="",
            ignore_changes=[],
            id=created.id,
            outputs={**inputs, **created.outputs},
        )

    def update(self, **inputs: Any) -> None:
        updated = self._provider.update(self.state, {**self.state.inputs, **inputs})
        assert updated.id == self.state.id
        assert updated.outputs == {**self.state.outputs, **inputs}

    def delete(self) -> None:
        self._provider.delete(self.state)


def test_policies_of_roles_change_and_go(provider: AwsProvider, create: Create) -> None:
    role = create("aws:iam/role:Role", assumeRolePolicy=TRUST)["name"]
    first, second = (policy(allow(f"s3:{action}", "*")) for action in ("GetObject", "PutObject"))
    made = Existing(provider, "aws:iam/rolePolicy:RolePolicy", role=role, policy=first)
    made.update(policy=second)
    iam = provider.client("iam")
    name = made.state.outputs["name"]
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == [name]
    found = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    assert found["Statement"][0]["Action"] == "s3:PutObject"
    made.delete()
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == []


def test_queues_and_what_belongs_to_them_change_and_go(
    provider: AwsProvider, create: Create
) -> None:
    failures, sqs = create("aws:sqs/queue:Queue"), provider.client("sqs")
    queue = Existing(provider, "aws:sqs/queue:Queue")
    url, arn = queue.state.outputs["url"], queue.state.outputs["arn"]

    def attributes() -> dict[str, str]:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        wanted = {"Policy", "RedrivePolicy", "RedriveAllowPolicy"}
        return {name: found[name] for name in sorted(wanted & found.keys())}

    first, second = (policy(allow("sqs:SendMessage", arn, Sid=sid)) for sid in "ab")
    allowed = [json.dumps({"redrivePermission": way}) for way in ("denyAll", "allowAll")]
    redrive = json.dumps({"deadLetterTargetArn": failures["arn"], "maxReceiveCount": 5})
    parts = [
        Existing(provider, "aws:sqs/queuePolicy:QueuePolicy", queueUrl=url, policy=first),
        Existing(
            provider,
            "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
            queueUrl=url,
            redriveAllowPolicy=allowed[0],
        ),
        Existing(
            provider, "aws:sqs/redrivePolicy:RedrivePolicy", queueUrl=url, redrivePolicy=redrive
        ),
    ]
    parts[0].update(policy=second)
    parts[1].update(redriveAllowPolicy=allowed[1])
    assert attributes() == {
        "Policy": second,
        "RedriveAllowPolicy": allowed[1],
        "RedrivePolicy": redrive,
    }
    for part in parts:
        part.delete()
    assert attributes() == {}
    queue.delete()
    with pytest.raises(ClientError, match="NonExistentQueue"):
        attributes()


def test_a_notification_changes(
    provider: AwsProvider, create: Create, bucket: str, function: dict[str, Any]
) -> None:
    permit(create, function, sourceArn=f"arn:aws:s3:::{bucket}", sourceAccount=ACCOUNT)
    target = {"lambdaFunctionArn": function["arn"], "events": ["s3:ObjectCreated:*"]}
    type_ = "aws:s3/bucketNotification:BucketNotification"
    made = Existing(provider, type_, bucket=bucket, lambdaFunctions=[target])
    made.update(lambdaFunctions=[{**target, "events": ["s3:ObjectCreated:Put"]}])
    found = provider.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    assert found["LambdaFunctionConfigurations"][0]["Events"] == ["s3:ObjectCreated:Put"]


def test_a_keys_policy_changes(provider: AwsProvider) -> None:
    first, second = (policy(allow(action, "*")) for action in ("kms:*", "kms:Decrypt"))
    made = Existing(provider, "aws:kms/key:Key", policy=first)
    made.update(policy=second)
    found = provider.client("kms").get_key_policy(KeyId=made.state.id, PolicyName="default")
    assert json.loads(found["Policy"]) == json.loads(second)


def test_an_event_source_goes(
    provider: AwsProvider, create: Create, function: dict[str, Any]
) -> None:
    queue = create("aws:sqs/queue:Queue")
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    rights = policy(allow(actions, queue["arn"]))
    create("aws:iam/rolePolicy:RolePolicy", role=function["roleName"], policy=rights)
    made = Existing(
        provider,
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        functionName=function["name"],
        eventSourceArn=queue["arn"],
    )
    client = provider.client("lambda")

    def sources() -> list[str]:
        found = client.list_event_source_mappings(FunctionName=function["name"])
        return [source["UUID"] for source in found["EventSourceMappings"]]

    assert sources() == [made.state.id]
    made.delete()
    assert sources() == []


def test_other_changes_are_named(provider: AwsProvider, create: Create) -> None:
    queue = Existing(provider, "aws:sqs/queue:Queue")
    with pytest.raises(UnsupportedChangeError, match="change delaySeconds, name of aws:sqs/queue:"):
        queue.update(name="another", delaySeconds=5)
    role = create("aws:iam/role:Role", assumeRolePolicy=TRUST)["name"]
    rights = Existing(
        provider,
        "aws:iam/rolePolicy:RolePolicy",
        role=role,
        policy=policy(allow("s3:GetObject", "*")),
    )
    with pytest.raises(UnsupportedChangeError, match="change role of aws:iam/rolePolicy:"):
        rights.update(role="another")
    bucket = Existing(provider, "aws:s3/bucket:Bucket")
    with pytest.raises(UnsupportedChangeError, match="delete resources of type aws:s3/bucket:"):
        bucket.delete()


def test_an_alarm_changes_and_goes(provider: AwsProvider) -> None:
    made = Existing(provider, "aws:cloudwatch/metricAlarm:MetricAlarm", **ALARM)
    made.update(threshold=5)
    cloudwatch = provider.client("cloudwatch")
    [found] = cloudwatch.describe_alarms(AlarmNames=[made.state.id])["MetricAlarms"]
    assert found["Threshold"] == 5
    made.delete()
    assert cloudwatch.describe_alarms(AlarmNames=[made.state.id])["MetricAlarms"] == []


def test_a_dashboard_changes_and_goes(provider: AwsProvider) -> None:
    made = Existing(
        provider,
        "aws:cloudwatch/dashboard:Dashboard",
        dashboardName="one",
        dashboardBody='{"widgets": []}',
    )
    body = '{"start": "-P1D", "widgets": []}'
    made.update(dashboardBody=body)
    cloudwatch = provider.client("cloudwatch")
    assert cloudwatch.get_dashboard(DashboardName="one")["DashboardBody"] == body
    made.delete()
    assert cloudwatch.list_dashboards()["DashboardEntries"] == []


def test_a_saved_query_is_checked(create: Create) -> None:
    query = {"name": "a/b", "logGroupNames": ["logs"], "queryString": "limit 1"}
    assert create("aws:cloudwatch/queryDefinition:QueryDefinition", **query)["queryDefinitionId"]
    with pytest.raises(ModelError, match="queryString"):
        create("aws:cloudwatch/queryDefinition:QueryDefinition", **{**query, "queryString": ""})
