"""Errors of AWS in the words of a command line."""

from collections.abc import Generator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from handler.failures import Failed
from handler.requests import S3Error

from .errors import PROBLEM, WRONG_USE, BackupctlError

_SETTINGS = (NoCredentialsError, NoRegionError, PartialCredentialsError, ProfileNotFound)
_CURES = {
    "AccessDenied": "these credentials may not do this; docs/operator.md has the policy needed",
    "AccessDeniedException": (
        "these credentials may not do this; docs/operator.md has the policy needed"
    ),
    "ExpiredToken": "the credentials have expired; log in again",
    "ExpiredTokenException": "the credentials have expired; log in again",
    "InvalidAccessKeyId": "AWS does not know these credentials; check the profile",
    "InvalidClientTokenId": "AWS does not know these credentials; check the profile",
    "KmsAccessDenied": (
        "these credentials may not use the key; docs/operator.md has the policy needed"
    ),
    "NoSuchBucket": "check the bucket's name, region and account",
    "PermanentRedirect": "the bucket is in another region; set --region",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "SignatureDoesNotMatch": "the secret key is wrong; check the profile",
    "SlowDown": "AWS is throttling; run the command again",
    "ThrottlingException": "AWS is throttling; run the command again",
    "UnrecognizedClientException": "AWS does not know these credentials; check the profile",
}
_CURES["403"] = _CURES["AccessDenied"]
_CURES_OF_COPIES = _CURES | {
    "400": "an object encrypted with a customer-provided key (SSE-C) cannot be read by others",
    "InvalidObjectState": (
        "the object is archived; restore it (aws s3api restore-object), then run the command again"
    ),
    "KMS.DisabledException": "enable the KMS key, then run the command again",
    "KMS.KMSInvalidStateException": (
        "enable the KMS key or cancel its deletion, then run the command again"
    ),
    "KMS.NotFoundException": "the KMS key does not exist; without it the object cannot be read",
}


def explain(error: BotoCoreError | ClientError | S3Error, what: str = "") -> BackupctlError:
    """An error of AWS: what was asked, what came back, what to do.

    :param what: names what was asked better than the error does.
    """
    if isinstance(error, S3Error):
        return _refused(f"{what}: {error}" if what else str(error), error.code)
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code, message = str(details.get("Code", "")), str(details.get("Message", ""))
        if not (code or message):
            # Whoever stands between us and AWS answers in a format of its own.
            message = f"HTTP {error.response.get('ResponseMetadata', {}).get('HTTPStatusCode')}"
        said = (what, error.operation_name, code, message)
        return _refused(": ".join(filter(None, said)), code)
    if isinstance(error, NoCredentialsError):
        return BackupctlError(
            "there are no AWS credentials; set AWS_PROFILE or --profile, or log in", WRONG_USE
        )
    if isinstance(error, NoRegionError):
        return BackupctlError("there is no AWS region; set AWS_REGION or --region", WRONG_USE)
    return BackupctlError(str(error), WRONG_USE if isinstance(error, _SETTINGS) else PROBLEM)


@contextmanager
def whole_answers() -> Generator[None]:
    """Have an answer of which botocore can make nothing end in words, not in its text.

    :raises BackupctlError: instead of botocore's error, which is none of its own exceptions.
    """
    try:
        yield
    except ResponseParserError as error:
        raise BackupctlError("an answer of AWS is damaged; run the command again") from error


def _refused(text: str, code: str) -> BackupctlError:
    return BackupctlError(f"{text}; {_CURES[code]}" if code in _CURES else text)


def explain_failure(failure: Failed) -> tuple[str, str]:
    """Why a version could not be copied, and what to do about it."""
    cause = failure.__cause__
    if isinstance(cause, S3Error):
        cure = _CURES_OF_COPIES.get(cause.code, "")
        problem = str(cause)
    else:
        problem, _, cure = str(failure).partition("; ")
    return problem, "run the command again" if failure.retryable or not cure else cure
