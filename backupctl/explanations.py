"""Errors of AWS in the words of a command line."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

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


def explain(error: BotoCoreError | ClientError) -> BackupctlError:
    """An error of botocore's: what was asked, what came back, what to do."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        return refused(
            error.operation_name, str(details.get("Code", "")), str(details.get("Message", ""))
        )
    if isinstance(error, NoCredentialsError):
        return BackupctlError(
            "there are no AWS credentials; set AWS_PROFILE or --profile, or log in", WRONG_USE
        )
    if isinstance(error, NoRegionError):
        return BackupctlError("there is no AWS region; set AWS_REGION or --region", WRONG_USE)
    return BackupctlError(str(error), WRONG_USE if isinstance(error, _SETTINGS) else PROBLEM)


def refused(operation: str, code: str, message: str) -> BackupctlError:
    """An answer of AWS that says no."""
    text = ": ".join(filter(None, (operation, code, message)))
    return BackupctlError(f"{text}; {_CURES[code]}" if code in _CURES else text)
