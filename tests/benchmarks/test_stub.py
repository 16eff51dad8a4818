"""The stub answers so that a real client is content."""

from collections.abc import Generator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.stub import ETAG, SIZE, Stub

QUOTED = f'"{ETAG}"'


@pytest.fixture(scope="module")
def stub() -> Generator[Stub]:
    with Stub() as running:
        yield running


def client(stub: Stub, service: str = "s3") -> Any:
    return boto3.client(
        service,
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        endpoint_url=stub.url,
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_every_answer_is_one_that_a_client_understands(stub: Stub) -> None:
    s3 = client(stub)
    stub.counts()
    place = {"Bucket": "photos", "Key": "a b.jpg"}
    upload = {**place, "UploadId": "1"}
    head = s3.head_object(**place)
    assert (head["ETag"], head["ContentLength"], head["Metadata"]) == (
        QUOTED,
        SIZE,
        {"colour": "red"},
    )
    assert s3.copy_object(**place, CopySource="photos/b")["CopyObjectResult"]["ETag"] == QUOTED
    assert s3.put_object(**place, Body=b"content")["ETag"] == QUOTED
    assert s3.get_object_tagging(**place)["TagSet"] == []
    assert s3.create_multipart_upload(**place)["UploadId"]
    part = s3.upload_part_copy(**upload, PartNumber=1, CopySource="photos/b")
    assert part["CopyPartResult"]["ETag"] == QUOTED
    assert s3.complete_multipart_upload(**upload)["ETag"] == f'"{ETAG}-1"'
    s3.abort_multipart_upload(**upload)
    assert client(stub, "sqs").send_message(QueueUrl=f"{stub.url}/1/q", MessageBody="{}")
    with pytest.raises(ClientError, match="NotImplemented"):
        s3.list_buckets()
    assert stub.counts() == {
        "AbortMultipartUpload": 1,
        "CompleteMultipartUpload": 1,
        "CopyObject": 1,
        "CreateMultipartUpload": 1,
        "GetObjectTagging": 1,
        "HeadObject": 1,
        "PutObject": 1,
        "SendMessage": 1,
        "Unknown": 1,
        "UploadPartCopy": 1,
    }
    assert stub.counts() == {}


def test_a_backup_under_replaced_is_there_already(stub: Stub) -> None:
    s3 = client(stub)
    backup = {"Bucket": "backups", "Key": "photos/replaced/a.jpg"}
    with pytest.raises(ClientError) as refused:
        s3.copy_object(**backup, CopySource="photos/replaced/a.jpg", IfNoneMatch="*")
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    assert refused.value.response["Error"]["Condition"] == "If-None-Match"
    assert s3.copy_object(**backup, CopySource="photos/a", IfMatch=QUOTED)["CopyObjectResult"]
    assert s3.head_object(**backup)["Metadata"]["s3-backup-version"] == "older"
    source = {"Bucket": "photos", "Key": "replaced/a.jpg"}
    assert "s3-backup-version" not in s3.head_object(**source)["Metadata"]


def test_size_and_delay_can_be_chosen() -> None:
    with Stub(size=7, delay=0.001) as stub:
        assert client(stub).head_object(Bucket="photos", Key="a")["ContentLength"] == 7
