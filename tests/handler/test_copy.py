"""The copy engine asks S3 for exactly the right thing; every request is checked word by word."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from unittest.mock import ANY

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPResponse

from handler.copy import (
    COPY_OBJECT_MAX_BYTES,
    GIB,
    MAX_PARTS,
    MIB,
    Copier,
    backup_key,
    plan_parts,
)
from handler.records import Backup, ObjectVersion, Outcome, Refused

OWNER = "123456789012"
VERSIONED = ObjectVersion("photos", "a b/é.jpg", version_id="v1", etag="abc", size=9)
UNVERSIONED = ObjectVersion("photos", "a b/é.jpg", etag="abc", size=9)

HEAD_VERSIONED = {
    "Bucket": "photos",
    "Key": "a b/é.jpg",
    "VersionId": "v1",
    "IfMatch": "abc",
    "ExpectedBucketOwner": OWNER,
}
HEAD_UNVERSIONED = {name: HEAD_VERSIONED[name] for name in HEAD_VERSIONED if name != "VersionId"}
COPY_VERSIONED = {
    "Bucket": "backups",
    "Key": "photos/a b/é.jpg",
    "CopySource": {"Bucket": "photos", "Key": "a b/é.jpg", "VersionId": "v1"},
    "CopySourceIfMatch": "abc",
    "ExpectedBucketOwner": OWNER,
    "ExpectedSourceBucketOwner": OWNER,
    "MetadataDirective": "COPY",
    "TaggingDirective": "COPY",
}
COPY_UNVERSIONED = {**COPY_VERSIONED, "CopySource": {"Bucket": "photos", "Key": "a b/é.jpg"}}
TARGET = {"Bucket": "backups", "Key": "photos/a b/é.jpg", "ExpectedBucketOwner": OWNER}


@pytest.fixture
def s3() -> Iterator[Stubber]:
    client = boto3.client(
        "s3", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def copier(s3: Stubber, **options: int) -> Copier:
    return Copier(s3.client, backup_bucket="backups", owner=OWNER, **options)


def answer_head(s3: Stubber, expected: dict[str, Any], size: int = 9, **more: Any) -> None:
    s3.add_response("head_object", {"ContentLength": size, "ETag": '"abc"', **more}, expected)


def test_a_version_is_copied_pinned_to_version_etag_and_owners(s3: Stubber) -> None:
    answer_head(s3, HEAD_VERSIONED)
    s3.add_response("copy_object", {}, COPY_VERSIONED)
    assert copier(s3).copy(VERSIONED) == Backup(Outcome.COPIED, 9)


def test_annotations_are_left_out_because_they_need_permissions_of_their_own() -> None:
    client = boto3.client(
        "s3", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    sent: list[AWSPreparedRequest] = []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append(request)
        headers = {"ETag": '"abc"', "Content-Length": "9"}
        return AWSResponse(request.url, 200, headers, HTTPResponse(BytesIO()))

    client.meta.events.register("before-send.s3", answer)
    Copier(client, backup_bucket="backups", owner=OWNER).copy(VERSIONED)
    assert [request.headers.get("x-amz-object-annotation-directive") for request in sent] == [
        None,
        b"EXCLUDE",
    ]
    assert "x-amz-object-annotation-directive" in str(sent[1].headers["Authorization"])


def test_an_unversioned_object_is_pinned_to_its_etag(s3: Stubber) -> None:
    answer_head(s3, HEAD_UNVERSIONED)
    s3.add_response("copy_object", {}, COPY_UNVERSIONED)
    assert copier(s3).copy(UNVERSIONED) == Backup(Outcome.COPIED, 9)


def test_without_an_announced_etag_the_copy_is_pinned_to_the_one_seen(s3: Stubber) -> None:
    answer_head(s3, {name: HEAD_VERSIONED[name] for name in HEAD_VERSIONED if name != "IfMatch"})
    s3.add_response("copy_object", {}, {**COPY_VERSIONED, "CopySourceIfMatch": '"abc"'})
    source = ObjectVersion("photos", "a b/é.jpg", version_id="v1")
    assert copier(s3).copy(source) == Backup(Outcome.COPIED, 9)


@pytest.mark.parametrize("source", [VERSIONED, UNVERSIONED])
@pytest.mark.parametrize("code", ["404", "NoSuchKey", "NoSuchVersion"])
def test_what_was_deleted_meanwhile_is_gone(s3: Stubber, source: ObjectVersion, code: str) -> None:
    s3.add_client_error("head_object", code, http_status_code=404)
    assert copier(s3).copy(source) == Backup(Outcome.GONE)


def test_deleted_between_head_and_copy_is_gone(s3: Stubber) -> None:
    answer_head(s3, HEAD_UNVERSIONED)
    s3.add_client_error("copy_object", "NoSuchKey", http_status_code=404)
    assert copier(s3).copy(UNVERSIONED) == Backup(Outcome.GONE)


@pytest.mark.parametrize("version_id", [None, "null"])
def test_overwritten_before_head_is_superseded(s3: Stubber, version_id: str | None) -> None:
    s3.add_client_error("head_object", "412", http_status_code=412)
    source = ObjectVersion("photos", "k", version_id=version_id, etag="abc")
    assert copier(s3).copy(source) == Backup(Outcome.SUPERSEDED)


def test_the_null_version_deleted_meanwhile_is_gone(s3: Stubber) -> None:
    s3.add_client_error("head_object", "405", http_status_code=405)
    assert copier(s3).copy(ObjectVersion("photos", "k", "null", "abc")) == Backup(Outcome.GONE)


def test_a_delete_marker_announced_as_a_version_is_an_error(s3: Stubber) -> None:
    s3.add_client_error("head_object", "405", http_status_code=405)
    with pytest.raises(ClientError, match="405"):
        copier(s3).copy(VERSIONED)


def test_overwritten_between_head_and_copy_is_superseded(s3: Stubber) -> None:
    answer_head(s3, HEAD_UNVERSIONED)
    s3.add_client_error("copy_object", "PreconditionFailed", http_status_code=412)
    assert copier(s3).copy(UNVERSIONED) == Backup(Outcome.SUPERSEDED)


def test_a_version_with_another_etag_is_an_error_because_versions_never_change(
    s3: Stubber,
) -> None:
    s3.add_client_error("head_object", "412", http_status_code=412)
    with pytest.raises(ClientError, match="412"):
        copier(s3).copy(VERSIONED)


@pytest.mark.parametrize(
    "code",
    ["403", "AccessDenied", "NoSuchBucket", "NoSuchUpload", "InvalidObjectState", "SlowDown"],
)
def test_every_other_error_is_raised(s3: Stubber, code: str) -> None:
    answer_head(s3, HEAD_VERSIONED)
    s3.add_client_error("copy_object", code)
    with pytest.raises(ClientError, match=code):
        copier(s3).copy(VERSIONED)


def test_the_backup_bucket_is_refused_as_a_source_without_a_request(s3: Stubber) -> None:
    with pytest.raises(Refused, match="the backup bucket is no source"):
        copier(s3).copy(ObjectVersion("backups", "photos/k"))


def test_a_key_that_would_be_too_long_is_refused_without_a_request(s3: Stubber) -> None:
    with pytest.raises(Refused, match="make 1025 bytes, S3 allows 1024"):
        copier(s3).copy(ObjectVersion("photos", "k" * 1018))


def test_the_longest_possible_key_is_copied() -> None:
    assert len(backup_key(ObjectVersion("photos", "é" * 508 + "k"))) == len("photos/") + 509


@given(st.text(min_size=1, max_size=200))
def test_the_backup_key_is_the_key_untouched_behind_the_bucket(key: str) -> None:
    if key.encode("utf-8", "ignore").decode() != key:
        return  # A lone surrogate is no UTF-8, hence no key.
    bucket, slash, rest = backup_key(ObjectVersion("photos", key)).partition("/")
    assert (bucket, slash, rest) == ("photos", "/", key)


def answer_tags(s3: Stubber, *tags: dict[str, str]) -> None:
    s3.add_response(
        "get_object_tagging",
        {"TagSet": list(tags)},
        {name: HEAD_VERSIONED[name] for name in HEAD_VERSIONED if name != "IfMatch"},
    )


SMALL_PARTS = {"multipart_above": 10, "part_size": 5, "parts_in_flight": 1}


def expect_upload(s3: Stubber, **created_with: Any) -> None:
    s3.add_response(
        "create_multipart_upload", {"UploadId": "u1"}, {**TARGET, "Metadata": {}, **created_with}
    )


def expect_part(s3: Stubber, number: int, byte_range: str) -> None:
    expected = {name: COPY_VERSIONED[name] for name in COPY_VERSIONED if "Directive" not in name}
    s3.add_response(
        "upload_part_copy",
        {"CopyPartResult": {"ETag": f"e{number}"}},
        {**expected, "UploadId": "u1", "PartNumber": number, "CopySourceRange": byte_range},
    )


def test_a_large_object_is_copied_in_parts_with_headers_metadata_and_tags(s3: Stubber) -> None:
    expires = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    carried = {
        "CacheControl": "no-store",
        "ContentDisposition": "attachment",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentType": "image/jpeg",
        "Expires": expires,
        "Metadata": {"a": "1"},
    }
    answer_head(s3, HEAD_VERSIONED, size=12, **carried)
    answer_tags(s3, {"Key": "k 1", "Value": "v&1"}, {"Key": "k2", "Value": "é"})
    expect_upload(s3, **carried, Tagging="k+1=v%261&k2=%C3%A9")
    expect_part(s3, 1, "bytes=0-4")
    expect_part(s3, 2, "bytes=5-9")
    expect_part(s3, 3, "bytes=10-11")
    s3.add_response(
        "complete_multipart_upload",
        {},
        {
            **TARGET,
            "UploadId": "u1",
            "MultipartUpload": {
                "Parts": [{"PartNumber": number, "ETag": f"e{number}"} for number in (1, 2, 3)]
            },
        },
    )
    assert copier(s3, **SMALL_PARTS).copy(VERSIONED) == Backup(Outcome.COPIED, 12)


def test_without_tags_none_are_set(s3: Stubber) -> None:
    answer_head(s3, HEAD_VERSIONED, size=11)
    answer_tags(s3)
    expect_upload(s3)
    for number, byte_range in enumerate(("bytes=0-4", "bytes=5-9", "bytes=10-10"), start=1):
        expect_part(s3, number, byte_range)
    s3.add_response(
        "complete_multipart_upload", {}, {**TARGET, "UploadId": "u1", "MultipartUpload": ANY}
    )
    assert copier(s3, **SMALL_PARTS).copy(VERSIONED).outcome is Outcome.COPIED


def test_a_failing_part_gives_the_upload_up(s3: Stubber) -> None:
    answer_head(s3, HEAD_VERSIONED, size=11)
    answer_tags(s3)
    expect_upload(s3)
    s3.add_client_error("upload_part_copy", "AccessDenied")
    s3.add_response("abort_multipart_upload", {}, {**TARGET, "UploadId": "u1"})
    with pytest.raises(ClientError, match="AccessDenied"):
        copier(s3, multipart_above=10, part_size=20, parts_in_flight=1).copy(VERSIONED)


def test_the_first_error_is_reported_even_if_giving_up_fails_too(s3: Stubber) -> None:
    answer_head(s3, HEAD_VERSIONED, size=11)
    answer_tags(s3)
    expect_upload(s3)
    s3.add_client_error("upload_part_copy", "AccessDenied")
    s3.add_client_error("abort_multipart_upload", "SlowDown")
    with pytest.raises(ClientError, match="AccessDenied"):
        copier(s3, multipart_above=10, part_size=20, parts_in_flight=1).copy(VERSIONED)


@given(st.integers(1, MAX_PARTS * COPY_OBJECT_MAX_BYTES), st.integers(5 * MIB, 5 * GIB))
def test_parts_cover_every_byte_once_and_keep_within_the_limits_of_s3(
    size: int, part_size: int
) -> None:
    parts = list(plan_parts(size, part_size))
    assert [number for number, _, _ in parts] == list(range(1, len(parts) + 1))
    assert len(parts) <= MAX_PARTS
    assert parts[0][1] == 0
    assert parts[-1][2] == size - 1
    assert all(before[2] + 1 == after[1] for before, after in itertools.pairwise(parts))
    lengths = {last - first + 1 for _, first, last in parts[:-1]}
    assert all(part_size <= length <= 5 * GIB for length in lengths)
