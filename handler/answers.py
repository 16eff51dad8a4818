"""What an answer of S3's means, whichever client received it."""

from collections.abc import Mapping
from typing import Any

from .requests import S3Error

# An error in the body of a 200 reaches botocore's callers as 500; these codes say what it is.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
_STATUS_OF = {
    "AccessDenied": 403,
    "ConditionalRequestConflict": 409,
    "InvalidObjectState": 403,
    "KMS.DisabledException": 400,
    "KMS.KMSInvalidStateException": 400,
    "KMS.NotFoundException": 400,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "PreconditionFailed": 412,
}

# What an answer must contain to be one: an interrupted 200 may be empty.
_PROOF = {
    "CompleteMultipartUpload": ("ETag",),
    "CopyObject": ("CopyObjectResult", "ETag"),
    "CreateMultipartUpload": ("UploadId",),
    "HeadObject": ("ETag",),
    "ListParts": ("UploadId",),
    "PutObject": ("ETag",),
    "UploadPartCopy": ("CopyPartResult", "ETag"),
}


def status_of(code: str, status: int) -> int:
    """The HTTP status that S3 has for an error.

    :param status: the one that came with it, which says nothing if S3 began to answer too early.
    """
    return _STATUS_OF.get(code, status)


def check(operation: str, answer: Mapping[str, Any]) -> None:
    """Check that an answer has the result in it that it claims.

    :raises S3Error: if it has none.
    """
    proof: Any = answer
    for name in _PROOF.get(operation, ()):
        proof = proof.get(name)
        if not proof:
            raise S3Error(operation, "EmptyAnswer", 0, "S3 said yes without a result")
