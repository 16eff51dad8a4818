"""The function and everything around it: rights, logs, retries and the queue for failures."""

from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components import BackupFunction, BackupFunctionArgs, FailureQueue, policies
from tests.recorder import ACCOUNT, KEY_ARN, REGION, Recording, policy, record

CODE = pulumi.AssetArchive({"handler/main.py": pulumi.StringAsset("")})
WHERE = f"{REGION}:{ACCOUNT}"
FUNCTION_ARN = f"arn:aws:lambda:{WHERE}:function:backup-0000000"
QUEUE_ARN = f"arn:aws:sqs:{WHERE}:backup-failures-0000000"
QUEUE_URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/backup-failures-0000000"
SHARED: FailureQueue = {
    "arn": f"arn:aws:sqs:{WHERE}:shared",
    "url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/shared",
}
CHILDREN = [
    ("aws:cloudwatch/logGroup:LogGroup", "backup-logs"),
    ("aws:iam/role:Role", "backup-role"),
    ("aws:iam/rolePolicy:RolePolicy", "backup-write"),
    ("aws:lambda/function:Function", "backup"),
    (
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        "backup-async",
    ),
]
QUEUE = [
    ("aws:sqs/queue:Queue", "backup-failures"),
    ("aws:sqs/queuePolicy:QueuePolicy", "backup-failures-policy"),
]


def args(**more: Any) -> BackupFunctionArgs:
    return BackupFunctionArgs(
        code=CODE,
        backup_bucket_name="the-backups",
        backup_bucket_arn="arn:aws:s3:::the-backups",
        **more,
    )


def function(**more: Any) -> Recording:
    """A function called backup, and nothing else."""
    return record(lambda: BackupFunction("backup", args(**more)))


def children(recording: Recording) -> list[tuple[str, str]]:
    return recording.children(recording.one("index:BackupFunction"))


def test_a_function_has_role_logs_retries_and_a_queue() -> None:
    recording = function()
    assert children(recording) == sorted([*CHILDREN, *QUEUE])
    assert len(recording.deployment.resources) == len(CHILDREN) + len(QUEUE) + 2


def test_a_given_queue_is_used_instead_of_an_own_one() -> None:
    recording = function(failure_queue=SHARED)
    assert children(recording) == CHILDREN
    config = recording.one("FunctionEventInvokeConfig").inputs["destinationConfig"]
    assert config == {"onFailure": {"destination": SHARED["arn"]}}
    assert policy(recording.one("RolePolicy"))["Statement"][1] == {
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": SHARED["arn"],
    }
    outputs = recording.one("index:BackupFunction").outputs
    assert outputs["failure_queue_arn"] == SHARED["arn"]
    assert outputs["failure_queue_url"] == SHARED["url"]


def test_only_lambda_may_assume_the_role() -> None:
    role = function(tags={"a": "b"}).one("iam/role:Role")
    assert {**role.inputs, "assumeRolePolicy": policy(role, "assumeRolePolicy")} == {
        "assumeRolePolicy": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "lambda.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                    "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
                }
            ],
        },
        "description": "What the backup function may do",
        "tags": {"a": "b"},
    }


WITHOUT_KEY = [
    {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": f"arn:aws:logs:{WHERE}:log-group:backup-logs-0000000:*",
    },
    {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": QUEUE_ARN},
    {
        "Effect": "Allow",
        "Action": [
            "s3:AbortMultipartUpload",
            "s3:GetObject",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
            "s3:PutObjectTagging",
        ],
        "Resource": "arn:aws:s3:::the-backups/*",
    },
]
WITH_KEY = [
    *WITHOUT_KEY,
    {
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": KEY_ARN,
        "Condition": {
            "StringLike": {"kms:ViaService": [f"s3.{REGION}.*", f"sqs.{REGION}.*"]},
        },
    },
]


@pytest.mark.parametrize(
    ("key", "statements"), [({}, WITHOUT_KEY), ({"kms_key_arn": KEY_ARN}, WITH_KEY)]
)
def test_the_role_may_log_report_and_add_to_the_backup_bucket(
    key: dict[str, str], statements: list[dict[str, Any]]
) -> None:
    write = function(**key).one("iam/rolePolicy:RolePolicy")
    assert {**write.inputs, "policy": policy(write)} == {
        "role": "backup-role-0000000",
        "policy": {"Version": "2012-10-17", "Statement": statements},
    }


def test_no_permission_is_about_every_resource() -> None:
    for statement in policy(function(kms_key_arn=KEY_ARN).one("RolePolicy"))["Statement"]:
        assert statement["Resource"] != "*"
        assert "*" not in "".join(statement["Action"])


@pytest.mark.parametrize(("chosen", "days"), [({}, 365), ({"log_retention_days": 30}, 30)])
def test_logs_are_kept_as_long_as_asked(chosen: dict[str, int], days: int) -> None:
    assert function(**chosen, tags={"a": "b"}).one("LogGroup").inputs == {
        "retentionInDays": days,
        "tags": {"a": "b"},
    }


def test_the_function_is_what_it_is() -> None:
    inputs = function(tags={"a": "b"}).one("lambda/function:Function").inputs
    code = inputs.pop("code")
    assert {name: asset.text for name, asset in code.assets.items()} == {"handler/main.py": ""}
    assert inputs == {
        "description": "Copies created objects to the backup bucket",
        "role": f"arn:aws:iam::{ACCOUNT}:role/backup-role-0000000",
        "runtime": "python3.13",
        "architectures": ["arm64"],
        "handler": "handler.main.handler",
        "memorySize": 512,
        "timeout": 900,
        "reservedConcurrentExecutions": -1,
        "environment": {
            "variables": {
                "BACKUP_BUCKET": "the-backups",
                "BUCKET_OWNER": ACCOUNT,
                "FAILURE_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/backup-failures-0000000",
                "MAX_RECEIVES": "5",
            }
        },
        "loggingConfig": {"logFormat": "JSON", "logGroup": "backup-logs-0000000"},
        "tags": {"a": "b"},
    }


def further(recording: Recording) -> set[str]:
    """Names of resources that the smallest function does not have."""
    return {name for _, name in children(recording)} - {name for _, name in [*CHILDREN, *QUEUE]}


def test_tracing_brings_one_policy_and_without_it_there_is_none() -> None:
    recording = function(tracing=True)
    assert further(recording) == {"backup-tracing"}
    made = recording.one("lambda/function:Function")
    assert made.inputs["tracingConfig"] == {"mode": "Active"}
    assert policy(recording.one("RolePolicy", "backup-tracing")) == policies.document(
        *policies.tracing_statements()
    )
    assert "backup-tracing" in recording.waits_for(made)
    assert further(function(tracing=False)) == set()


def test_tracking_deletes_brings_one_policy_that_the_function_waits_for() -> None:
    recording = function(track_deletes=True)
    assert further(recording) == {"backup-delete-markers"}
    made = recording.one("lambda/function:Function")
    assert made.inputs["environment"]["variables"]["TRACK_DELETES"] == "on"
    assert policy(recording.one("RolePolicy", "backup-delete-markers")) == policies.document(
        *policies.marker_statements("arn:aws:s3:::the-backups")
    )
    assert "backup-delete-markers" in recording.waits_for(made)


@pytest.mark.parametrize("off", [{}, {"track_deletes": False}])
def test_without_tracking_deletes_nothing_is_left_of_it(off: dict[str, bool]) -> None:
    recording = function(**off)
    assert further(recording) == set()
    variables = recording.one("lambda/function:Function").inputs["environment"]["variables"]
    assert "TRACK_DELETES" not in variables


def test_a_network_brings_one_policy_that_the_function_waits_for() -> None:
    network = {"subnet_ids": ["subnet-1", "subnet-2"], "security_group_ids": ["sg-1"]}
    recording = function(network=network)
    assert further(recording) == {"backup-network"}
    made = recording.one("lambda/function:Function")
    assert made.inputs["vpcConfig"] == {
        "subnetIds": ["subnet-1", "subnet-2"],
        "securityGroupIds": ["sg-1"],
    }
    role_arn = f"arn:aws:iam::{ACCOUNT}:role/backup-role-0000000"
    assert policy(recording.one("RolePolicy", "backup-network")) == policies.document(
        *policies.network_statements(role_arn, REGION)
    )
    assert "backup-network" in recording.waits_for(made)


def test_the_boundary_limits_the_role() -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    role = function(permissions_boundary_arn=boundary).one("iam/role:Role")
    assert role.inputs["permissionsBoundary"] == boundary


def test_signed_code_is_taken_from_its_bucket_and_no_other_is_accepted() -> None:
    signed = {"bucket": "packages", "key": "signed/1.zip", "config_arn": "arn:of:config"}
    arguments = {key: value for key, value in args().items() if key != "code"}
    recording = record(
        lambda: BackupFunction("backup", BackupFunctionArgs(**arguments, signed_code=signed))  # pyright: ignore
    )
    inputs = recording.one("lambda/function:Function").inputs
    assert "code" not in inputs
    assert [inputs[key] for key in ("s3Bucket", "s3Key", "codeSigningConfigArn")] == [
        "packages",
        "signed/1.zip",
        "arn:of:config",
    ]


@pytest.mark.parametrize("both", [True, False])
def test_code_is_given_once(both: bool) -> None:
    arguments: Any = dict(args())
    if both:
        arguments["signed_code"] = {"bucket": "b", "key": "k", "config_arn": "c"}
    else:
        del arguments["code"]
    with pytest.raises(ValueError, match=r"^backup: give either code or signed_code$"):
        BackupFunction("backup", arguments)


def test_memory_timeout_and_concurrency_are_passed_on() -> None:
    inputs = (
        function(memory_size=1024, timeout=60, reserved_concurrency=5)
        .one("lambda/function:Function")
        .inputs
    )
    assert [inputs[k] for k in ("memorySize", "timeout", "reservedConcurrentExecutions")] == [
        1024,
        60,
        5,
    ]


@pytest.mark.parametrize(("on", "added"), [(True, {}), (False, {"BUCKET_METRICS": "off"})])
def test_metrics_by_bucket_are_left_out_only_if_asked_for(on: bool, added: dict[str, str]) -> None:
    default = function().one("lambda/function:Function").inputs["environment"]["variables"]
    inputs = function(bucket_metrics=on).one("lambda/function:Function").inputs
    assert inputs["environment"]["variables"] == {**default, **added}


def test_backups_are_of_the_standard_class_unless_another_is_asked_for() -> None:
    plain, cold = (
        recording.one("lambda/function:Function").inputs["environment"]["variables"]
        for recording in (function(), function(storage_class="GLACIER_IR"))
    )
    assert cold == {**plain, "STORAGE_CLASS": "GLACIER_IR"}


def test_the_function_waits_for_its_log_group_and_its_rights() -> None:
    recording = function()
    # Were the group not there first, Lambda would make one that is kept for ever.
    assert recording.waits_for(recording.one("lambda/function:Function")) == {
        "backup-logs",
        "backup-role",
        "backup-write",
        "backup-failures",
        "backup-failures-policy",
    }


def test_failed_events_are_tried_three_times_within_six_hours_then_kept() -> None:
    recording = function()
    assert recording.one("FunctionEventInvokeConfig").inputs == {
        "functionName": "backup-0000000",
        "maximumRetryAttempts": 2,
        "maximumEventAgeInSeconds": 21_600,
        "destinationConfig": {"onFailure": {"destination": QUEUE_ARN}},
    }
    # Lambda refuses a destination that the role may not send to.
    config = recording.one("FunctionEventInvokeConfig")
    assert any(urn.endswith("::backup-write") for urn in config.dependencies)


@pytest.mark.parametrize(
    ("key", "encryption"),
    [
        ({}, {"sqsManagedSseEnabled": True}),
        ({"kms_key_arn": KEY_ARN}, {"kmsMasterKeyId": KEY_ARN}),
    ],
)
def test_the_queue_is_encrypted_and_keeps_failures_for_14_days(
    key: dict[str, str], encryption: dict[str, Any]
) -> None:
    assert function(**key, tags={"a": "b"}).one("sqs/queue:Queue").inputs == {
        "messageRetentionSeconds": 1_209_600,
        "tags": {"a": "b"},
        **encryption,
    }


def test_only_roles_of_such_functions_may_send_to_the_queue() -> None:
    found = function().one("QueuePolicy")
    assert found.inputs["queueUrl"] == QUEUE_URL
    assert policy(found) == policies.queue_policy(QUEUE_ARN, "backup*-role-*")


@pytest.mark.parametrize(("key", "arn"), [({}, None), ({"kms_key_arn": KEY_ARN}, KEY_ARN)])
def test_logs_and_environment_are_encrypted_with_the_key(
    key: dict[str, Any], arn: str | None
) -> None:
    recording = function(**key)
    assert recording.one("LogGroup").inputs.get("kmsKeyId") == arn
    assert recording.one("lambda/function:Function").inputs.get("kmsKeyArn") == arn


def test_the_outputs_are_function_role_and_queue() -> None:
    assert function().one("index:BackupFunction").outputs == {
        "function_name": "backup-0000000",
        "function_arn": FUNCTION_ARN,
        "role_id": "backup-role-0000000",
        "log_group_name": "backup-logs-0000000",
        "failure_queue_arn": QUEUE_ARN,
        "failure_queue_url": QUEUE_URL,
    }


def test_the_target_and_the_queue_can_be_handed_on() -> None:
    seen: list[object] = []

    def program() -> object:
        backup = BackupFunction("backup", args(kms_key_arn=KEY_ARN))
        return pulumi.Output.all(backup.target, backup.failure_queue).apply(seen.extend)

    record(program)
    assert seen == [
        {
            "function_arn": FUNCTION_ARN,
            "function_name": "backup-0000000",
            "role_id": "backup-role-0000000",
            "kms_key_arn": KEY_ARN,
        },
        {"arn": QUEUE_ARN, "url": QUEUE_URL},
    ]


def test_whoever_gets_the_functions_arn_waits_for_the_failure_destination() -> None:
    def program() -> None:
        target = BackupFunction("backup", args()).target
        aws.s3.BucketNotification(
            "user",
            bucket="photos",
            lambda_functions=[
                {"lambda_function_arn": target["function_arn"], "events": ["s3:ObjectCreated:*"]}
            ],
        )

    recording = record(program)
    assert recording.waits_for(recording.one("BucketNotification")) == {
        name for _, name in [*CHILDREN, *QUEUE]
    }


def test_two_functions_share_a_queue_and_no_name() -> None:
    def program() -> None:
        first = BackupFunction("backup", args())
        BackupFunction("backup-2", args(failure_queue=first.failure_queue))

    recording = record(program)
    assert [r.name for r in recording.all("sqs/queue:Queue")] == ["backup-failures"]
    destinations = {
        r.inputs["destinationConfig"]["onFailure"]["destination"]
        for r in recording.all("FunctionEventInvokeConfig")
    }
    assert destinations == {QUEUE_ARN}
    assert len(recording.deployment.resources) == 2 * (len(CHILDREN) + 1) + len(QUEUE) + 1
