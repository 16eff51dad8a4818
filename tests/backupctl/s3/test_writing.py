"""Requests, compared with those that botocore makes of the same parameters."""

import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPResponse

from backupctl.s3.writing import RequestWriter
from tests.wire import session

CLIENT = session().create_client("s3", endpoint_url="http://127.0.0.1:9")
METHODS = CLIENT.meta.method_to_api_mapping
COPY_SOURCE = {"Bucket": "source", "Key": "a b/\u00e9+%41", "VersionId": "v1"}
# Headers that say nothing about what is asked.
OWN = {
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "content-length",
    "expect",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-date",
}
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def by_botocore(operation: str, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    caught: list[AWSPreparedRequest] = []

    def catch(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        caught.append(request)
        return AWSResponse(request.url, 200, {}, HTTPResponse(io.BytesIO(), preload_content=False))

    CLIENT.meta.events.register("before-send.s3", catch, unique_id="catch")
    try:
        getattr(CLIENT, next(m for m in METHODS if METHODS[m] == operation))(**parameters)
    except Exception:
        # The empty answer is none to most operations.
        assert caught
    finally:
        CLIENT.meta.events.unregister("before-send.s3", unique_id="catch")
    parts = urlsplit(caught[0].url)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in caught[0].headers.items()
    }
    body = caught[0].body
    content = body if isinstance(body, bytes) else (body.read() if body else b"")
    return (
        caught[0].method,
        parts.path.removeprefix("/bucket"),
        sorted(parse_qsl(parts.query, keep_blank_values=True)),
        {name: value for name, value in headers.items() if name not in OWN},
        content,
    )


def by_us(operation: str, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    written = RequestWriter(CLIENT.meta.service_model.operation_model(operation)).write(parameters)
    query = sorted(parse_qsl(written.query, keep_blank_values=True))
    return written.method, written.path, query, written.headers, written.body


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("AbortMultipartUpload", {"UploadId": "u+/="}),
        ("CreateMultipartUpload", {"Metadata": {"a": "b"}, "Tagging": "a=b&c=d+e"}),
        ("GetObjectTagging", {"VersionId": "v"}),
        ("HeadObject", {"IfMatch": '"abc"', "ExpectedBucketOwner": "123456789012"}),
        ("HeadObject", {"VersionId": "null", "PartNumber": 3, "ChecksumMode": "ENABLED"}),
        ("PutObject", {"Body": b"{}", "ContentType": "application/json", "IfNoneMatch": "*"}),
        (
            "CopyObject",
            {
                "CopySource": COPY_SOURCE,
                "CopySourceIfMatch": '"x"',
                "MetadataDirective": "REPLACE",
                "TaggingDirective": "COPY",
                "AnnotationDirective": "EXCLUDE",
                "Metadata": {"Upper-Case": "v  v", "empty": ""},
                "StorageClass": "GLACIER_IR",
                "CacheControl": "no-cache",
                "BucketKeyEnabled": True,
                "IfNoneMatch": "*",
            },
        ),
        (
            "UploadPartCopy",
            {
                "CopySource": COPY_SOURCE,
                "CopySourceRange": "bytes=0-9",
                "PartNumber": 7,
                "UploadId": "u",
            },
        ),
        (
            "CompleteMultipartUpload",
            {
                "UploadId": "u",
                "IfMatch": '"x"',
                "MultipartUpload": {
                    "Parts": [{"PartNumber": n, "ETag": f'"<{n}>"'} for n in (1, 2)]
                },
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_operation_is_written_as_botocore_writes_it(
    operation: str, parameters: dict[str, Any]
) -> None:
    full = {"Bucket": "bucket", "Key": "a b/\u00e9", **parameters}
    method, path, query, headers, body = by_us(operation, full)
    expected = by_botocore(operation, full)
    known = {name.lower(): value for name, value in expected[3].items()}
    assert (method, path, query, headers, body) == (*expected[:3], known, expected[4])


@given(key=KEYS)
def test_every_key_is_encoded_as_botocore_encodes_it(key: str) -> None:
    parameters = {"Bucket": "bucket", "Key": key, "VersionId": key}
    assert by_us("HeadObject", parameters)[:3] == by_botocore("HeadObject", parameters)[:3]


@given(key=KEYS)
def test_every_copied_key_is_encoded_as_botocore_encodes_it(key: str) -> None:
    source = {"Bucket": "source", "Key": key, "VersionId": "v"}
    parameters = {"Bucket": "bucket", "Key": "k", "CopySource": source}
    assert by_us("CopyObject", parameters)[3] == by_botocore("CopyObject", parameters)[3]


def test_an_expiry_need_not_be_a_date() -> None:
    parameters = {"Bucket": "b", "Key": "k", "Body": b"", "Expires": "never"}
    assert by_us("PutObject", parameters)[3]["expires"] == "never"


@pytest.mark.parametrize(
    "parameters",
    [
        {"Key": b"bytes"},
        {"Metadata": {"a": "\u00e9"}},
        {"Metadata": {"\u00e9": "a"}},
        {"ContentLength": "1"},
        {"ContentLength": True},
        {"BucketKeyEnabled": 1},
        {"Nonsense": 1},
        {"CopySource": "source/key"},
    ],
    ids=str,
)
def test_what_is_no_parameter_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        by_us("PutObject", {"Bucket": "bucket", "Key": "k", **parameters})
