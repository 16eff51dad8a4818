"""The SSM parameter: what the program writes is what backupctl reads."""

import json
import re

import pytest
from botocore.parsers import ResponseParserError

from backupctl.errors import BackupctlError
from backupctl.stack import Function, Source, Stack
from sandbox.ministack import MiniStack
from settings import BUCKETS_PER_FUNCTION
from tests.backupctl.local import aws
from tests.recorder import ACCOUNT, KEY_ARN, REGION, record_stack

CONFIG = {
    "trackDeletes": True,
    "backupBucket": "the-backups",
    "storageClass": "DEEP_ARCHIVE",
    "buckets": [
        "photos",
        {"name": "scratch", "backup": False},
        {"name": "videos", "prefix": ["a/", "b/"], "suffix": ".mp4"},
    ],
}


def test_what_the_program_writes_is_understood() -> None:
    written = record_stack(CONFIG, stack="qa").one("ssm/parameter:Parameter").inputs
    assert written["name"] == Stack.parameter("qa") == "/s3-backup/qa"
    assert (written["type"], written["tier"]) == ("String", "Intelligent-Tiering")
    stack = Stack.parse(written["value"])
    name = "backup-0000000"
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    assert stack == Stack(
        "the-backups",
        (Function(name, arn),),
        f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/backup-failures-0000000",
        {"photos": Source("photos"), "videos": Source("videos", ("a/", "b/"), (".mp4",))},
        "DEEP_ARCHIVE",
        json.loads(written["value"]),
        track_deletes=True,
        kms_key_arn=KEY_ARN,
    )


def test_hundreds_of_buckets_take_several_parameters(ministack: MiniStack) -> None:
    names = [f"photos-{number}" for number in range(5)]
    buckets = [{"name": name, "prefix": "p" * 900} for name in names]
    written = record_stack({**CONFIG, "buckets": buckets}, stack="large").all(
        "ssm/parameter:Parameter"
    )
    values = {parameter.inputs["name"]: parameter.inputs["value"] for parameter in written}
    parts = json.loads(values["/s3-backup/large"])["parts"]
    assert parts == 2
    assert values.keys() == {
        "/s3-backup/large",
        *(f"/s3-backup/large/{number}" for number in range(1, parts + 1)),
    }
    assert max(map(len, values.values())) <= 4096
    ssm = ministack.client("ssm")
    for name, value in values.items():
        ssm.put_parameter(Name=name, Type="String", Value=value)
    stack = Stack.read(aws(ministack), "large")
    assert stack.sources == {name: Source(name, ("p" * 900,)) for name in names}


def test_where_a_stack_is_and_its_queues_are_told_by_its_parts() -> None:
    config = {**CONFIG, "delivery": "queue"}
    written = record_stack(config, stack="qa").one("ssm/parameter:Parameter").inputs
    stack = Stack.parse(written["value"])
    assert (stack.partition, stack.region, stack.account_id) == ("aws", REGION, ACCOUNT)
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/backup-queue-0000000"
    assert stack.queue_urls == (url,)
    assert stack.queue_arns == [f"arn:aws:sqs:{REGION}:{ACCOUNT}:backup-queue-0000000"]
    assert stack.failure_queue_arn.endswith(f":{ACCOUNT}:backup-failures-0000000")
    nowhere = Stack("b", (), "u", {}, "STANDARD", {})
    with pytest.raises(BackupctlError, match="names no function; run pulumi up"):
        _ = nowhere.account_id


def test_which_function_serves_a_source_in_jobs_is_understood() -> None:
    names = [f"source-{number}" for number in range(BUCKETS_PER_FUNCTION + 1)]
    config = {**CONFIG, "buckets": names, "batchOperations": True}
    written = record_stack(config).one("ssm/parameter:Parameter").inputs["value"]
    batch = Stack.parse(written).batch
    assert batch is not None
    assert batch.role_arn == f"arn:aws:iam::{ACCOUNT}:role/batch-job-0000000"
    first, second = (
        f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}-0000000"
        for name in ("batch-backup", "batch-backup-2")
    )
    assert batch.functions == {**dict.fromkeys(names[:-1], first), names[-1]: second}


def test_a_source_knows_its_keys() -> None:
    source = Source("videos", ("a/", "b/"), (".mp4",))
    keys = ["a/1.mp4", "b/x/2.mp4", "c/1.mp4", "a/1.txt", "a"]
    assert [source.includes(key) for key in keys] == [True, True, False, False, False]
    assert Source("photos").includes("anything")


def test_a_stack_is_found_by_its_name(ministack: MiniStack) -> None:
    value = {"backupBucketName": "b", "functions": [], "failureQueueUrl": "u", "sources": {}}
    ministack.client("ssm").put_parameter(
        Name="/s3-backup/found", Type="String", Value=json.dumps(value)
    )
    found = Stack.read(aws(ministack), "found")
    assert found.backup_bucket == "b"
    # As before there was a choice.
    assert found.storage_class == "STANDARD"


def test_a_stack_that_is_not_there_is_wrong_use_with_a_cure(ministack: MiniStack) -> None:
    expected = (
        "there is no stack 'absent' here: no SSM parameter /s3-backup/absent in "
        f"{ministack.region}; check --stack, --region and --profile, or run pulumi up"
    )
    with pytest.raises(BackupctlError, match=re.escape(expected)) as error:
        Stack.read(aws(ministack), "absent")
    assert error.value.exit_code == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"backupBucketName": 1}', "null", "[" * 4096])
def test_a_damaged_parameter_is_named(ministack: MiniStack, text: str) -> None:
    ministack.client("ssm").put_parameter(
        Name="/s3-backup/damaged", Type="String", Value=text or " ", Overwrite=True
    )
    with pytest.raises(BackupctlError, match="/s3-backup/damaged is not what a stack writes"):
        Stack.read(aws(ministack), "damaged")


def test_half_an_answer_is_one_clear_error(
    ministack: MiniStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    somewhere = aws(ministack)

    def cut(**_: object) -> None:
        raise ResponseParserError('Unable to parse response: b"{"')

    monkeypatch.setattr(somewhere.client("ssm"), "get_parameter", cut)
    with pytest.raises(BackupctlError, match="an answer of AWS is damaged; run the command again"):
        Stack.read(somewhere, "prod")
