"""Errors of AWS in the words of a command line."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

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
    "NoSuchBucket": "check the bucket's name, region and account",
    "PermanentRedirect": "the bucket is in another region; set --region",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "SignatureDoesNotMatch": "the secret key is wrong; check the profile",
    "SlowDown": "AWS is throttling; run the command again",
    "ThrottlingException": "AWS is throttling; run the command again",
    "UnrecognizedClientException": "AWS does not know these credentials; check the profile",
}
_CURES["403"] = _CURES["AccessDenied"]


def explain(error: BotoCoreError | ClientError | S3Error, what: str = "") -> BackupctlError:
    """An error of AWS: what was asked, what came back, what to do.

    :param what: names what was asked better than the error does.
    """
    if isinstance(error, S3Error):
        return _refused(f"{what}: {error}" if what else str(error), error.code)
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code, message = str(details.get("Code", "")), str(details.get("Message", ""))
        said = (what, error.operation_name, code, message)
        return _refused(": ".join(filter(None, said)), code)
    if isinstance(error, NoCredentialsError):
        return BackupctlError(
            "there are no AWS credentials; set AWS_PROFILE or --profile, or log in", WRONG_USE
        )
    if isinstance(error, NoRegionError):
        return BackupctlError("there is no AWS region; set AWS_REGION or --region", WRONG_USE)
    return BackupctlError(str(error), WRONG_USE if isinstance(error, _SETTINGS) else PROBLEM)


def _refused(text: str, code: str) -> BackupctlError:
    return BackupctlError(f"{text}; {_CURES[code]}" if code in _CURES else text)
