"""The functions for jobs of S3 Batch Operations, and the role that jobs run as."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components import (
    BatchFunction,
    BatchFunctionArgs,
    BatchJobRole,
    FunctionNetwork,
    SignedCode,
    policies,
)
from settings import BUCKETS_PER_FUNCTION, MAX_BATCH_FUNCTIONS
from tests.recorder import ACCOUNT, KEY_ARN, REGION, Recording, policy, record

from .test_policies import (
    IAM_CHARACTERS,
    LONGEST_BUCKET_ARN,
    LONGEST_KEY_ARN,
    counted,
)

CODE = pulumi.AssetArchive({"handler/batch.py": pulumi.StringAsset("")})
WHERE = f"{REGION}:{ACCOUNT}"
BACKUPS = "arn:aws:s3:::the-backups"
SOURCES = ["arn:aws:s3:::photos", "arn:aws:s3:::videos"]
NETWORK: FunctionNetwork = {"subnet_ids": ["subnet-1", "subnet-2"], "security_group_ids": ["sg-1"]}
FUNCTION_ARNS = [f"arn:aws:lambda:{WHERE}:function:batch{suffix}" for suffix in ("", "-2")]


def args(**more: Any) -> BatchFunctionArgs:
    package = {} if "signed_code" in more else {"code": CODE}
    given: Any = {
        "source_bucket_arns": SOURCES,
        "backup_bucket_name": "the-backups",
        "backup_bucket_arn": BACKUPS,
        **package,
        **more,
    }
    return given


def function(**more: Any) -> Recording:
    """A function called batch, and nothing else."""
    return record(lambda: BatchFunction("batch", args(**more)))


def role(**more: Any) -> Recording:
    """A role called job, and nothing else."""
    given: Any = {"function_arns": FUNCTION_ARNS, "backup_bucket_arn": BACKUPS, **more}
    return record(lambda: BatchJobRole("job", given))


def test_a_function_has_role_and_logs_and_neither_retries_nor_a_queue() -> None:
    recording = function()
    assert recording.children(recording.one("index:BatchFunction")) == [
        ("aws:cloudwatch/logGroup:LogGroup", "batch-logs"),
        ("aws:iam/role:Role", "batch-role"),
        ("aws:iam/rolePolicy:RolePolicy", "batch-copy"),
        ("aws:lambda/function:Function", "batch"),
    ]
    assert len(recording.deployment.resources) == 6


def test_the_function_is_what_it_is() -> None:
    recording = function(tags={"a": "b"})
    resource = recording.one("lambda/function:Function")
    inputs = dict(resource.inputs)
    code = inputs.pop("code")
    assert {name: asset.text for name, asset in code.assets.items()} == {"handler/batch.py": ""}
    assert inputs == {
        "description": "Copies what jobs of S3 Batch Operations name to the backup bucket",
        "role": f"arn:aws:iam::{ACCOUNT}:role/batch-role-0000000",
        "runtime": "python3.13",
        "architectures": ["arm64"],
        "handler": "handler.batch.handler",
        "memorySize": 512,
        "timeout": 900,
        "reservedConcurrentExecutions": -1,
        "environment": {
            "variables": {"BACKUP_BUCKET": "the-backups", "BUCKET_OWNER": ACCOUNT},
        },
        "loggingConfig": {"logFormat": "JSON", "logGroup": "batch-logs-0000000"},
        "tags": {"a": "b"},
    }
    # Not invoked before it may do what it has to.
    assert "batch-copy" in recording.waits_for(resource)
    assert recording.one("index:BatchFunction").outputs == {
        "function_name": "batch-0000000",
        "function_arn": f"arn:aws:lambda:{WHERE}:function:batch-0000000",
    }


def test_only_lambda_may_assume_the_functions_role() -> None:
    trust = policy(function().one("iam/role:Role"), "assumeRolePolicy")
    assert trust == policies.lambda_trust(ACCOUNT)


LOG = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": f"arn:aws:logs:{WHERE}:log-group:batch-logs-0000000:*",
}
USE_KEY = {
    "Effect": "Allow",
    "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
    "Resource": KEY_ARN,
    "Condition": {"StringLike": {"kms:ViaService": f"s3.{REGION}.*"}},
}


@pytest.mark.parametrize(("key", "further"), [({}, []), ({"kms_key_arn": KEY_ARN}, [USE_KEY])])
def test_the_function_may_log_read_its_sources_and_add_to_the_backup_bucket(
    key: dict[str, str], further: list[dict[str, Any]]
) -> None:
    own = function(**key).one("iam/rolePolicy:RolePolicy")
    assert own.inputs["role"] == "batch-role-0000000"
    assert policy(own)["Statement"] == [
        LOG,
        *policies.read_statements(SOURCES[0]),
        *policies.read_statements(SOURCES[1]),
        *policies.write_statements(BACKUPS),
        *further,
    ]


def test_each_feature_reaches_the_function() -> None:
    signed: SignedCode = {"bucket": "signed", "key": "code.zip", "config_arn": "arn:config"}
    recording = function(
        signed_code=signed,
        kms_key_arn=KEY_ARN,
        memory_size=1024,
        timeout=60,
        reserved_concurrency=5,
        log_retention_days=30,
        bucket_metrics=False,
        track_deletes=True,
        storage_class="GLACIER_IR",
        network=NETWORK,
        tracing=True,
        permissions_boundary_arn="arn:boundary",
    )
    inputs = recording.one("lambda/function:Function").inputs
    assert (inputs["memorySize"], inputs["timeout"]) == (1024, 60)
    assert inputs["reservedConcurrentExecutions"] == 5
    assert (inputs["s3Bucket"], inputs["s3Key"]) == ("signed", "code.zip")
    assert inputs["codeSigningConfigArn"] == "arn:config"
    assert inputs["kmsKeyArn"] == KEY_ARN
    assert inputs["tracingConfig"] == {"mode": "Active"}
    assert inputs["vpcConfig"]["subnetIds"] == ["subnet-1", "subnet-2"]
    variables = inputs["environment"]["variables"]
    assert (variables["BUCKET_METRICS"], variables["TRACK_DELETES"]) == ("off", "on")
    assert variables["STORAGE_CLASS"] == "GLACIER_IR"
    logs = recording.one("LogGroup").inputs
    assert (logs["retentionInDays"], logs["kmsKeyId"]) == (30, KEY_ARN)
    assert recording.one("iam/role:Role").inputs["permissionsBoundary"] == "arn:boundary"
    assert sorted(r.name for r in recording.all("RolePolicy")) == [
        "batch-copy",
        "batch-delete-markers",
        "batch-network",
        "batch-tracing",
    ]


@pytest.mark.parametrize("both", [True, False])
def test_there_is_exactly_one_package(both: bool) -> None:
    signed: SignedCode = {"bucket": "signed", "key": "code.zip", "config_arn": "arn:config"}
    given: Any = args()
    if both:
        given["signed_code"] = signed
    else:
        del given["code"]
    with pytest.raises(ValueError, match="batch: give either code or signed_code"):
        record(lambda: BatchFunction("batch", given))


def test_the_policies_of_a_role_fit_into_iam_with_the_longest_names() -> None:
    def declare() -> None:
        arns = [f"{LONGEST_BUCKET_ARN[:-2]}{number:02}" for number in range(BUCKETS_PER_FUNCTION)]
        given = args(
            backup_bucket_arn=LONGEST_BUCKET_ARN,
            kms_key_arn=LONGEST_KEY_ARN,
            track_deletes=True,
            network=NETWORK,
            tracing=True,
        )
        given["source_bucket_arns"] = [*arns]
        BatchFunction("batch-backup-1000", given)

    role_policies = record(declare).all("RolePolicy")
    assert len(role_policies) == 4
    # A policy that changes is replaced where it is, so each counts once.
    assert sum(counted(policy(each)) for each in role_policies) <= IAM_CHARACTERS
    longest = f"arn:aws-us-gov:lambda:ap-southeast-1:{ACCOUNT}:function:batch-backup-100-0000000"
    runs = policies.document(
        *policies.batch_job_statements(LONGEST_BUCKET_ARN, [longest] * MAX_BATCH_FUNCTIONS)
    )
    assert counted(runs) <= IAM_CHARACTERS


def test_only_jobs_of_this_account_and_region_may_assume_the_jobs_role() -> None:
    recording = role(tags={"a": "b"}, permissions_boundary_arn="arn:boundary")
    [resource] = recording.all("iam/role:Role")
    assert {**resource.inputs, "assumeRolePolicy": policy(resource, "assumeRolePolicy")} == {
        "assumeRolePolicy": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "batchoperations.s3.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                    "Condition": {
                        "StringEqualsIfExists": {"aws:SourceAccount": ACCOUNT},
                        "ArnLikeIfExists": {"aws:SourceArn": f"arn:aws:s3:{WHERE}:job/*"},
                    },
                }
            ],
        },
        "description": "What jobs of S3 Batch Operations may do",
        "permissionsBoundary": "arn:boundary",
        "tags": {"a": "b"},
    }


def test_a_job_may_invoke_these_functions_read_manifests_and_write_reports() -> None:
    run = role().one("iam/rolePolicy:RolePolicy")
    assert {**run.inputs, "policy": policy(run)} == {
        "role": "job-0000000",
        "policy": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "lambda:InvokeFunction",
                    "Resource": FUNCTION_ARNS,
                },
                {
                    "Effect": "Allow",
                    "Action": ["s3:GetObject", "s3:GetObjectVersion"],
                    "Resource": f"{BACKUPS}/.s3-backup/batch/manifests/*",
                },
                {
                    "Effect": "Allow",
                    "Action": "s3:PutObject",
                    "Resource": f"{BACKUPS}/.s3-backup/batch/reports/*",
                },
            ],
        },
    }


def test_the_jobs_role_is_known_once_it_may_do_its_work() -> None:
    def program() -> None:
        job = BatchJobRole("job", {"function_arns": ["f"], "backup_bucket_arn": BACKUPS})
        aws.ssm.Parameter("told", type="String", value=job.role_arn)

    recording = record(program)
    told = recording.one("ssm/parameter:Parameter")
    assert told.inputs["value"] == f"arn:aws:iam::{ACCOUNT}:role/job-0000000"
    assert "job-run" in recording.waits_for(told)


def test_the_jobs_role_is_in_the_partition_of_its_bucket() -> None:
    trust = json.dumps(policies.batch_trust("arn:aws-cn:s3:::b", "cn-north-1", ACCOUNT))
    assert f"arn:aws-cn:s3:cn-north-1:{ACCOUNT}:job/*" in trust
