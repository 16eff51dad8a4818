"""Where MiniStack follows AWS and where it does not, as far as our other tests rely on it.

A test of a shortcoming that fails is good news: MiniStack has learnt it, so test the real thing.
"""

import base64
import json
import secrets
import zlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.ministack import Credentials, MiniStack

STRANGER = "999999999999"


@pytest.fixture
def bucket(ministack: MiniStack) -> str:
    name = f"facts-{secrets.token_hex(4)}"
    s3 = ministack.client("s3")
    s3.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": ministack.region}
    )
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture(scope="module")
def as_role(ministack: MiniStack) -> Any:
    """An S3 client of a role that its own policies allow everything."""
    iam, name = ministack.client("iam"), f"role-{secrets.token_hex(4)}"
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ministack.account_id}:root"},
        "Action": "sts:AssumeRole",
    }
    role = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    iam.put_role_policy(
        RoleName=name,
        PolicyName="s3",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )
    session = ministack.client("sts").assume_role(
        RoleArn=role["Role"]["Arn"], RoleSessionName="facts"
    )
    return ministack.client("s3", Credentials.of(session["Credentials"]))


@pytest.mark.parametrize("denied", ["false", "true"])
def test_secure_transport_is_evaluated(
    ministack: MiniStack, as_role: Any, bucket: str, denied: str
) -> None:
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": denied}},
    }
    root = ministack.client("s3")
    root.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    )
    if denied == "true":
        with pytest.raises(ClientError, match="explicit deny"):
            as_role.put_object(Bucket=bucket, Key="k", Body=b"")
        # The account root passes all the same, unlike on AWS.
        root.put_object(Bucket=bucket, Key="k", Body=b"")
    else:
        as_role.put_object(Bucket=bucket, Key="k", Body=b"")


def test_a_wrong_expected_owner_is_not_refused(as_role: Any, bucket: str) -> None:
    as_role.put_object(Bucket=bucket, Key="k", Body=b"", ExpectedBucketOwner=STRANGER)
    source = {"Bucket": bucket, "Key": "k"}
    as_role.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource=source,
        ExpectedBucketOwner=STRANGER,
        ExpectedSourceBucketOwner=STRANGER,
    )


def test_a_copy_can_be_pinned_to_version_and_etag(as_role: Any, bucket: str) -> None:
    old, new = (as_role.put_object(Bucket=bucket, Key="k", Body=body) for body in (b"1", b"22"))
    source = {"Bucket": bucket, "Key": "k", "VersionId": old["VersionId"]}
    as_role.copy_object(Bucket=bucket, Key="copy", CopySource=source, CopySourceIfMatch=old["ETag"])
    assert as_role.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"1"
    with pytest.raises(ClientError, match="PreconditionFailed"):
        as_role.copy_object(
            Bucket=bucket, Key="copy", CopySource=source, CopySourceIfMatch=new["ETag"]
        )


def test_a_key_over_1024_bytes_is_not_refused(as_role: Any, bucket: str) -> None:
    as_role.put_object(Bucket=bucket, Key="k" * 1025, Body=b"")


def test_a_copy_can_be_made_only_if_nothing_is_there(as_role: Any, bucket: str) -> None:
    as_role.put_object(Bucket=bucket, Key="k", Body=b"1")
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": "k"}}
    as_role.copy_object(**copy, IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        as_role.copy_object(**copy, IfNoneMatch="*")
    # What is there no more does not count.
    as_role.delete_object(Bucket=bucket, Key="copy")
    as_role.copy_object(**copy, IfNoneMatch="*")


def test_a_copy_can_be_made_only_on_top_of_what_was_seen(as_role: Any, bucket: str) -> None:
    old = as_role.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": "k"}}
    with pytest.raises(ClientError, match="NoSuchKey"):
        as_role.copy_object(**copy, IfMatch=old)
    as_role.copy_object(**copy)
    as_role.put_object(Bucket=bucket, Key="k", Body=b"2")
    as_role.copy_object(**copy, IfMatch=old)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        as_role.copy_object(**copy, IfMatch=old)


def test_a_delete_marker_can_be_put_only_on_what_was_seen(as_role: Any, bucket: str) -> None:
    here = {"Bucket": bucket, "Key": "k"}
    with pytest.raises(ClientError, match="NoSuchKey"):
        as_role.delete_object(**here, IfMatch='"any"')
    old, new = (as_role.put_object(**here, Body=body)["ETag"] for body in (b"1", b"2"))
    with pytest.raises(ClientError, match="PreconditionFailed"):
        as_role.delete_object(**here, IfMatch=old)
    assert as_role.delete_object(**here, IfMatch=new)["DeleteMarker"]
    # Under a marker nothing counts as there.
    with pytest.raises(ClientError, match="NoSuchKey"):
        as_role.delete_object(**here, IfMatch=new)


def test_an_upload_in_parts_keeps_tags_and_the_checksum_of_the_whole(
    as_role: Any, bucket: str
) -> None:
    here = {"Bucket": bucket, "Key": "k"}
    content = b"0123456789"
    whole = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
    as_role.put_object(Bucket=bucket, Key="source", Body=content)
    created = as_role.create_multipart_upload(
        **here, Tagging="a=b%20c&d=", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )
    upload = {**here, "UploadId": created["UploadId"]}
    parts: list[dict[str, Any]] = []
    for number, part in enumerate(("bytes=0-5", "bytes=6-9"), start=1):
        copied = as_role.upload_part_copy(
            **upload,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange=part,
        )["CopyPartResult"]
        told = {name: copied[name] for name in ("ETag", "ChecksumCRC32")}
        parts.append({"PartNumber": number, **told})
    complete = {**upload, "MultipartUpload": {"Parts": parts}, "MpuObjectSize": 10}
    with pytest.raises(ClientError, match="BadDigest"):
        as_role.complete_multipart_upload(**complete, ChecksumCRC32="AAAAAA==")
    done = as_role.complete_multipart_upload(
        **complete, ChecksumCRC32=whole, ChecksumType="FULL_OBJECT"
    )
    for version in ({}, {"VersionId": done["VersionId"]}):
        head = as_role.head_object(**here, **version, ChecksumMode="ENABLED")
        assert (head["ChecksumCRC32"], head["ChecksumType"]) == (whole, "FULL_OBJECT")
    tags = as_role.get_object_tagging(**here)["TagSet"]
    assert tags == [{"Key": "a", "Value": "b c"}, {"Key": "d", "Value": ""}]


KEY_RIGHTS = {
    "reading": ("kms:Decrypt", lambda s3, at: s3.get_object(**at)["Body"].read()),
    "writing": ("kms:GenerateDataKey", lambda s3, at: s3.put_object(**at)),
    "copying from there": (
        "kms:Decrypt",
        lambda s3, at: s3.copy_object(**at, CopySource={"Bucket": at["Bucket"], "Key": "there"}),
    ),
    "beginning an upload": (
        "kms:GenerateDataKey",
        lambda s3, at: s3.create_multipart_upload(**at),
    ),
}


@pytest.mark.parametrize("doing", KEY_RIGHTS)
def test_a_key_is_used_with_the_rights_of_whoever_asks(
    ministack: MiniStack, bucket: str, doing: str
) -> None:
    kms, s3 = ministack.client("kms"), ministack.client("s3")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
    )
    s3.put_object(Bucket=bucket, Key="there", Body=b"1")
    action, attempt = KEY_RIGHTS[doing]
    both = ["kms:Decrypt", "kms:GenerateDataKey"]
    through = {"StringLike": {"kms:ViaService": "s3.*"}}
    at = {"Bucket": bucket, "Key": "there"}
    allowed = {"Effect": "Allow", "Action": both, "Resource": key, "Condition": through}
    attempt(somebody(ministack, [allowed]), at)
    lacking = {**allowed, "Action": [each for each in both if each != action]}
    elsewhere = {**allowed, "Condition": {"StringLike": {"kms:ViaService": "sqs.*"}}}
    for insufficient in (lacking, elsewhere):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt(somebody(ministack, [insufficient]), at)
    # Headers are not encrypted.
    assert somebody(ministack, []).head_object(**at)["SSEKMSKeyId"] == key


def somebody(ministack: MiniStack, statements: list[dict[str, Any]]) -> Any:
    """An S3 client of a user who may do everything in S3, and what is stated."""
    iam, name = ministack.client("iam"), f"user-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    iam.put_user_policy(
        UserName=name,
        PolicyName="all",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [everything, *statements]}
        ),
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return ministack.client("s3", Credentials.of(key))
