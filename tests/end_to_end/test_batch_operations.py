"""The functions for jobs of S3 Batch Operations, invoked as S3 does, and what they may not do."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from botocore.exceptions import ClientError

from sandbox import demo, samples
from sandbox.aliases import Client
from sandbox.ministack import Credentials, MiniStack
from sandbox.observation import wait_for
from settings import BUCKETS_PER_FUNCTION
from tests.events import event

from .local_stack import LocalStack

# One more than a function reads, so that there are two.
SOURCES = [f"jobs-source-{number}" for number in range(BUCKETS_PER_FUNCTION + 1)]
FIRST, LAST = SOURCES[0], SOURCES[-1]
UNLISTED = "jobs-unlisted"
MANIFESTS, REPORTS = ".s3-backup/batch/manifests", ".s3-backup/batch/reports"


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    deployed = LocalStack.deploy(
        ministack,
        {
            "backupBucket": "jobs-backups",
            # Nothing that is put under before/ announces itself: it was there before the stack.
            "buckets": [
                *({"name": source, "prefix": "live/"} for source in SOURCES),
                {"name": UNLISTED, "backup": False},
            ],
            "batchOperations": True,
        },
    )
    deployed.s3.put_bucket_versioning(Bucket=FIRST, VersioningConfiguration={"Status": "Enabled"})
    return replace(deployed, function="batch-backup")


def function_arn(stack: LocalStack, source: str) -> str:
    batch = stack.deployment.outputs["batchOperations"]
    return batch["functionArns"][SOURCES.index(source) // batch["sourcesPerFunction"]]


def invocation(
    schema: str, source: str, keys: Mapping[str, str], version_id: str | None = None
) -> dict[str, Any]:
    """What S3 sends for some keys, given with the ids of their tasks."""
    whole = event(f"s3_batch_{schema.replace('.', '_')}")
    bucket, encode = (
        ({"s3BucketArn": f"arn:aws:s3:::{source}"}, quote)
        if schema == "1.0"
        else ({"s3Bucket": source}, quote_plus)
    )
    whole["tasks"] = [
        {"taskId": task, "s3Key": encode(key), "s3VersionId": version_id, **bucket}
        for task, key in keys.items()
    ]
    return whole


def invoke(
    stack: LocalStack, arn: str, payload: Mapping[str, Any], credentials: Credentials | None = None
) -> dict[str, Any]:
    client = stack.ministack.client("lambda", credentials)
    answer = client.invoke(FunctionName=arn, Payload=json.dumps(payload).encode())
    result = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, result
    return result


@pytest.fixture(scope="module")
def job(stack: LocalStack) -> Credentials:
    """Credentials with exactly the permissions of the role that jobs run as.

    Only S3 may assume that one, so a role with the same policy is made.
    """
    iam = stack.ministack.client("iam")
    [policy] = iam.list_role_policies(RoleName=role_name(stack))["PolicyNames"]
    document = iam.get_role_policy(RoleName=role_name(stack), PolicyName=policy)["PolicyDocument"]
    return stack.assume(stack.role_of_ours("job", {"run": document["Statement"]}))


def role_name(stack: LocalStack) -> str:
    return stack.deployment.find("aws:iam/role:Role", "batch-job").outputs["name"]


AWKWARD = 'before/caf\u00e9 + 100%,"a".txt'


@pytest.mark.parametrize("schema", ["1.0", "2.0"])
@pytest.mark.parametrize("source", [FIRST, LAST])
def test_what_was_there_before_arrives(
    stack: LocalStack, job: Credentials, schema: str, source: str
) -> None:
    keys = {"task-1": f"before/{schema}", "task-2": f"{AWKWARD} {schema}"}
    for key in keys.values():
        sample = samples.Sample(key, key.encode(), metadata={"of": "mine"}, tags={"a": "b"})
        demo.put(stack.s3, source, sample)
        assert stack.backup_versions(f"{source}/{key}") == []
    payload = invocation(schema, source, {**keys, "task-3": "before/never-was"})
    answer = invoke(stack, function_arn(stack, source), payload, job)
    assert answer == {
        "invocationSchemaVersion": schema,
        "invocationId": payload["invocationId"],
        "treatMissingKeysAs": "PermanentFailure",
        "results": [
            {"taskId": "task-1", "resultCode": "Succeeded", "resultString": "copied"},
            {"taskId": "task-2", "resultCode": "Succeeded", "resultString": "copied"},
            {"taskId": "task-3", "resultCode": "Succeeded", "resultString": "gone"},
        ],
    }
    for key in keys.values():
        backup = stack.s3.get_object(Bucket=stack.backup_bucket, Key=f"{source}/{key}")
        assert backup["Body"].read() == key.encode()
        assert backup["Metadata"]["of"] == "mine"
        assert backup["TagCount"] == 1
    # A job that is created again finds them.
    again = invoke(stack, function_arn(stack, source), payload, job)
    assert [result["resultString"] for result in again["results"]] == [
        "duplicate",
        "duplicate",
        "gone",
    ]


def test_a_task_can_name_a_version(stack: LocalStack, job: Credentials) -> None:
    key = "before/versions"
    old = stack.put(FIRST, key, b"old")["VersionId"]
    stack.put(FIRST, key, b"new")
    payload = invocation("2.0", FIRST, {"task": key}, old)
    [result] = invoke(stack, function_arn(stack, FIRST), payload, job)["results"]
    assert result["resultString"] == "copied"
    assert stack.shown(f"{FIRST}/{key}") == b"old"


def test_what_happened_is_in_the_functions_own_log(stack: LocalStack, job: Credentials) -> None:
    stack.put(FIRST, "before/logged")
    invoke(stack, function_arn(stack, FIRST), invocation("2.0", FIRST, {"t": "before/logged"}), job)
    [line] = wait_for(lambda: stack.outcomes("before/logged"), "the line about it")
    assert line["outcome"] == "copied"
    assert replace(stack, function="backup").outcomes("before/logged") == []


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject"])
def test_without_one_permission_the_task_fails_and_says_why(
    stack: LocalStack, job: Credentials, action: str
) -> None:
    key = f"before/without {action[3:]}"
    stack.put(FIRST, key, tags={"a": "b"})
    with stack.without(action):
        answer = invoke(
            stack, function_arn(stack, FIRST), invocation("2.0", FIRST, {"t": key}), job
        )
    [result] = answer["results"]
    assert result["resultCode"] == "PermanentFailure"
    assert "the function's role may not do this" in result["resultString"]
    assert stack.backup_versions(f"{FIRST}/{key}") == []


def test_a_function_reads_no_bucket_of_another_function(
    stack: LocalStack, job: Credentials
) -> None:
    stack.put(FIRST, "before/foreign")
    stack.put(UNLISTED, "before/foreign")
    for source in (FIRST, UNLISTED):
        payload = invocation("2.0", source, {"task": "before/foreign"})
        [result] = invoke(stack, function_arn(stack, LAST), payload, job)["results"]
        assert result["resultCode"] == "PermanentFailure"
        assert stack.backup_versions(f"{source}/before/foreign") == []


Attempt = Callable[[Client, str], object]
FORBIDDEN_TO_THE_FUNCTION: dict[str, Attempt] = {
    "delete an object": lambda s3, backups: s3.delete_object(Bucket=backups, Key="any"),
    "list the backups": lambda s3, backups: s3.list_objects_v2(Bucket=backups),
    "change the policy": lambda s3, backups: s3.delete_bucket_policy(Bucket=backups),
    "write to a source": lambda s3, _: s3.put_object(Bucket=FIRST, Key="forged", Body=b""),
    "read another bucket": lambda s3, _: s3.list_objects_v2(Bucket=UNLISTED),
    "read a bucket of another function": lambda s3, _: s3.list_objects_v2(Bucket=LAST),
}


@pytest.mark.parametrize("attempt", FORBIDDEN_TO_THE_FUNCTION)
def test_the_function_can_do_no_harm(stack: LocalStack, attempt: str) -> None:
    function = stack.as_the_function()
    function.list_objects_v2(Bucket=FIRST)
    with pytest.raises(ClientError, match=r"AccessDenied|403"):
        FORBIDDEN_TO_THE_FUNCTION[attempt](function, stack.backup_bucket)


def test_the_function_cannot_speak_to_the_failure_queue(stack: LocalStack) -> None:
    sqs = stack.ministack.client("sqs", stack.function_credentials())
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.send_message(QueueUrl=stack.deployment.outputs["failureQueueUrl"], MessageBody="{}")


def test_a_job_reads_manifests_and_writes_reports_and_nothing_else(
    stack: LocalStack, job: Credentials
) -> None:
    s3, backups = stack.ministack.client("s3", job), stack.backup_bucket
    for key in (f"{MANIFESTS}/m.csv", f"{REPORTS}/r.csv", f"{FIRST}/secret"):
        stack.s3.put_object(Bucket=backups, Key=key, Body=b"x", ServerSideEncryption="AES256")
    assert s3.get_object(Bucket=backups, Key=f"{MANIFESTS}/m.csv")["Body"].read() == b"x"
    report = {"Bucket": backups, "Key": f"{REPORTS}/job-1/manifest.json", "Body": b"{}"}
    s3.put_object(**report, ServerSideEncryption="AES256")
    # S3 encrypts reports with its own keys; the stack's is none of the job's.
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(**report)
    forbidden: dict[str, Callable[[], object]] = {
        "read a report": lambda: s3.get_object(Bucket=backups, Key=f"{REPORTS}/r.csv"),
        "read a backup": lambda: s3.get_object(Bucket=backups, Key=f"{FIRST}/secret"),
        "read a source": lambda: s3.list_objects_v2(Bucket=FIRST),
        "list": lambda: s3.list_objects_v2(Bucket=backups, Prefix=MANIFESTS),
        "write a manifest": lambda: s3.put_object(Bucket=backups, Key=f"{MANIFESTS}/n.csv"),
        "write a backup": lambda: s3.put_object(Bucket=backups, Key=f"{FIRST}/forged"),
        "delete": lambda: s3.delete_object(Bucket=backups, Key=f"{MANIFESTS}/m.csv"),
    }
    for name, attempt in forbidden.items():
        with pytest.raises(ClientError, match=r"AccessDenied|403"):
            print(name, attempt())


def test_a_job_invokes_these_functions_and_no_other(stack: LocalStack, job: Credentials) -> None:
    client = stack.ministack.client("lambda", job)
    for function in stack.deployment.outputs["functions"]:
        with pytest.raises(ClientError, match="AccessDenied"):
            client.invoke(FunctionName=function["arn"], Payload=b"{}")
    for arn in stack.deployment.outputs["batchOperations"]["functionArns"]:
        assert client.invoke(FunctionName=arn, Payload=b"{}")["FunctionError"]


def test_only_s3_may_assume_the_jobs_role(stack: LocalStack) -> None:
    role = stack.deployment.outputs["batchOperations"]["roleArn"]
    other = stack.role_of_ours("other", {})
    allowed = [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [role, other]}]
    intruder = stack.assume(stack.role_of_ours("intruder", {"assume": allowed}))
    sts = stack.ministack.client("sts", intruder)
    sts.assume_role(RoleArn=other, RoleSessionName="control")
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=role, RoleSessionName="intruder")
