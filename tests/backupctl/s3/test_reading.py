"""Answers, compared with what botocore's own parser makes of them."""

from typing import Any
from xml.sax.saxutils import escape

import pytest
from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from backupctl.s3.connections import Answer
from backupctl.s3.markup import BadMarkup, parse
from backupctl.s3.reading import AnswerReader
from handler.requests import S3Error
from tests.wire import session

MODEL = session().get_service_model("s3")
PARSER = create_parser("rest-xml")
XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=20
)
HEADERS = {
    "etag": '"abc"',
    "content-length": "9",
    "last-modified": "Wed, 04 Mar 2026 05:06:07 GMT",
    "content-type": "image/jpeg",
    "cache-control": "no-cache",
    "x-amz-version-id": "v1",
    "x-amz-missing-meta": "2",
    "x-amz-meta-colour": "red, green",
    "x-amz-meta-s3-backup-size": "9",
    "x-amz-storage-class": "GLACIER",
    "x-amz-server-side-encryption-bucket-key-enabled": "true",
    "x-amz-mp-parts-count": "3",
    "x-amz-restore": 'ongoing-request="true"',
    "x-something-else": "x",
}


def by_us(operation: str, answer: Answer) -> dict[str, Any]:
    return AnswerReader(MODEL.operation_model(operation)).read(answer)


def by_botocore(operation: str, answer: Answer) -> dict[str, Any]:
    shape = MODEL.operation_model(operation).output_shape
    headers = HeadersDict(answer.headers)
    response = {"status_code": answer.status, "headers": headers, "body": answer.body}
    parsed = PARSER.parse(response, shape)
    del parsed["ResponseMetadata"]
    return parsed


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("HeadObject", ""),
        ("PutObject", ""),
        ("AbortMultipartUpload", ""),
        (
            "CopyObject",
            f"<CopyObjectResult {XMLNS}><LastModified>2026-03-04T05:06:07.000Z</LastModified>"
            "<ETag>&quot;abc&quot;</ETag><ChecksumCRC32>AAAA</ChecksumCRC32></CopyObjectResult>",
        ),
        (
            "UploadPartCopy",
            "\n<?xml version='1.0' encoding='UTF-8'?>\n".lstrip()
            + "<CopyPartResult>\n <ETag>&#34;abc&#34;</ETag>\n</CopyPartResult>",
        ),
        (
            "CreateMultipartUpload",
            "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>a&lt;b&#10;c</Key>"
            "<UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        (
            "CompleteMultipartUpload",
            "<CompleteMultipartUploadResult><Location>l</Location><Bucket>b</Bucket><Key>k</Key>"
            "<ETag>&quot;e-2&quot;</ETag><Unknown><Deep>1</Deep></Unknown>"
            "</CompleteMultipartUploadResult>",
        ),
        (
            "GetObjectTagging",
            "<Tagging><TagSet><Tag><Key>a</Key><Value></Value></Tag>"
            "<Tag><Key>\u00e9</Key><Value>b c</Value></Tag></TagSet></Tagging>",
        ),
        ("GetObjectTagging", "<Tagging><TagSet/></Tagging>"),
        (
            "ListObjectsV2",
            "<ListBucketResult><IsTruncated>true</IsTruncated><KeyCount>2</KeyCount>"
            "<Contents><Key>a</Key><Size>1</Size><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>"
            "<ChecksumAlgorithm>SHA1</ChecksumAlgorithm></Contents><Contents><Key>b</Key>"
            "<Owner><ID>o</ID></Owner></Contents></ListBucketResult>",
        ),
    ],
    ids=lambda value: value.partition("<")[0],
)
def test_every_operation_is_read_as_botocore_reads_it(operation: str, body: str) -> None:
    answer = Answer(200, HEADERS, body.encode())
    assert by_us(operation, answer) == by_botocore(operation, answer)


@given(key=TEXTS, value=TEXTS, header=st.text(st.characters(max_codepoint=255)))
def test_every_text_is_read_as_botocore_reads_it(key: str, value: str, header: str) -> None:
    body = (
        f"<Tagging><TagSet><Tag><Key>{escape(key)}</Key><Value>{escape(value)}</Value></Tag>"
        "</TagSet></Tagging>"
    )
    answer = Answer(200, {"x-amz-version-id": header}, body.encode())
    assert by_us("GetObjectTagging", answer) == by_botocore("GetObjectTagging", answer)


@pytest.mark.parametrize("expires", ["never", "Wed, 04 Mar 2026 05:06:07 GMT", "0"])
def test_an_expiry_is_told_as_it_is_written(expires: str) -> None:
    answer = by_us("HeadObject", Answer(200, {**HEADERS, "expires": expires}, b""))
    assert answer["ExpiresString"] == expires
    assert ("Expires" in answer) == expires.startswith("Wed")


@pytest.mark.parametrize(
    "headers", [{"content-length": "many"}, {"last-modified": "yesterday"}], ids=str
)
def test_a_damaged_header_is_no_answer(headers: dict[str, str]) -> None:
    with pytest.raises(S3Error, match="ResponseParserError") as error:
        by_us("HeadObject", Answer(200, {**HEADERS, **headers}, b""))
    assert error.value.status == 0


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><CopyObjectResult><ETag>&b;</ETag></CopyObjectResult>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><CopyObjectResult/>',
        b"<CopyObjectResult><ETag>&nothing;</ETag></CopyObjectResult>",
        b"<CopyObjectResult><ETag>abc</CopyObjectResult>",
        b"\xff\xfe",
        b" ",
        b'<?xml version="1.0" encoding="unheard-of"?><CopyObjectResult/>',
        b"<a>" * 5000 + b"</a>" * 5000,
    ],
)
def test_markup_that_s3_never_sends_is_refused(body: bytes) -> None:
    with pytest.raises(BadMarkup):
        parse(body)
    with pytest.raises(S3Error, match="ResponseParserError"):
        by_us("CopyObject", Answer(200, {}, body))
