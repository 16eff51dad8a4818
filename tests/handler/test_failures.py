"""Which errors are tried again, and what a person is told about the others."""

import pytest

from handler.failures import Failed, worth_retrying
from handler.requests import S3Error


def error(code: str, status: int, message: str = "") -> S3Error:
    return S3Error("CopyObject", code, status, message)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("BadDigest", 400),
        ("ConditionalRequestConflict", 409),
        ("InternalError", 500),
        ("KMS.ThrottlingException", 400),
        ("OperationAborted", 409),
        ("RequestLimitExceeded", 503),
        ("RequestTimeout", 400),
        ("ServiceUnavailable", 503),
        ("SlowDown", 503),
        ("Throttling", 400),
        ("ThrottlingException", 400),
        ("TooManyRequestsException", 400),
        # HEAD has the status only.
        ("500", 500),
        ("502", 502),
        ("503", 503),
        ("504", 504),
        ("429", 429),
        # No answer
        ("ConnectTimeoutError", 0),
        ("ConnectionClosedError", 0),
        ("EndpointConnectionError", 0),
        ("ReadTimeoutError", 0),
        # An error in a good answer
        ("InternalError", 200),
        ("SlowDown", 200),
        ("SomethingNew", 200),
    ],
)
def test_what_may_pass_is_tried_again(code: str, status: int) -> None:
    assert worth_retrying(error(code, status))
    failed = Failed.of(error(code, status, "please wait"))
    assert (failed.kind, failed.retryable) == (code, True)
    assert str(failed) == f"CopyObject: {code}: please wait"


@pytest.mark.parametrize(
    ("code", "status", "cure"),
    [
        ("AccessDenied", 403, "role"),
        ("AccessDenied", 200, "role"),
        ("403", 403, "role"),
        ("InvalidObjectState", 403, "restore"),
        ("NoSuchBucket", 404, "pulumi up"),
        ("KMS.DisabledException", 400, "enable the KMS key"),
        ("KMS.NotFoundException", 400, "does not exist"),
        ("KMS.KMSInvalidStateException", 400, "cancel its deletion"),
        ("400", 400, "SSE-C"),
        ("InvalidRequest", 400, "SSE-C"),
    ],
)
def test_what_stays_fails_with_what_to_do(code: str, status: int, cure: str) -> None:
    assert not worth_retrying(error(code, status))
    failed = Failed.of(error(code, status))
    assert (failed.kind, failed.retryable) == (code, False)
    assert str(failed).startswith(f"CopyObject: {code}; ")
    assert cure in str(failed)


@pytest.mark.parametrize(
    ("code", "status"),
    [("PreconditionFailed", 412), ("NoSuchKey", 404), ("MethodNotAllowed", 405)],
)
def test_what_nobody_has_a_cure_for_fails_with_what_s3_said(code: str, status: int) -> None:
    failed = Failed.of(error(code, status, "so it is"))
    assert not failed.retryable
    assert str(failed) == f"CopyObject: {code}: so it is"
