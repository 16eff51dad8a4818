"""Which errors are worth another try, and what a person can do about the others."""

from .records import ObjectVersion, Outcome
from .requests import S3Error

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
_RETRYABLE = {
    "BadDigest",
    "ConditionalRequestConflict",
    "ExpiredToken",
    "InternalError",
    "KMS.DependencyTimeoutException",
    "KMS.KMSInternalException",
    "KMS.KeyUnavailableException",
    "KMS.ThrottlingException",
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TokenRefreshRequired",
    "TooManyRequestsException",
}

_CURES = {
    "AccessDenied": (
        "the function's role may not do this; compare the role, the bucket policies and the key's "
        "policy with what the stack declares (pulumi preview --refresh)"
    ),
    "InvalidObjectState": (
        "the object is archived; restore it from its storage class, then redrive the event"
    ),
    "NoSuchBucket": "the backup bucket does not exist; run pulumi up",
    "KMS.DisabledException": "enable the KMS key, then redrive the event",
    "KMS.NotFoundException": "the KMS key does not exist; without it the object cannot be read",
    "KMS.KMSInvalidStateException": "enable the KMS key or cancel its deletion, then redrive",
}
_STATUS_CURES = {
    400: (
        "S3 does not accept the request; objects encrypted with a customer-provided key (SSE-C) "
        "cannot be read by anyone else"
    ),
    403: _CURES["AccessDenied"],
}


class Failed(Exception):
    """A version could not be backed up."""

    def __init__(self, reason: str, *, kind: str, retryable: bool) -> None:
        super().__init__(reason)
        self.kind = kind
        """A word or code for the kind of failure, to count by."""
        self.retryable = retryable
        """Whether the same call may succeed later without anybody doing anything."""

    @classmethod
    def of(cls, error: S3Error) -> "Failed":
        """What an error of S3 means for the version being copied."""
        retryable = worth_retrying(error)
        cure = _CURES.get(error.code) or _STATUS_CURES.get(error.status)
        reason = str(error) if retryable or cure is None else f"{error}; {cure}"
        return cls(reason, kind=error.code, retryable=retryable)


def worth_retrying(error: S3Error) -> bool:
    """Throttled, too slow, interrupted or broken inside S3: another try may succeed."""
    return (
        error.code in _RETRYABLE
        or error.status in {0, 429}
        or error.status >= 500
        # A 200 that carries an error: S3 began to answer before it knew.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
        or (error.status == 200 and error.code not in _CURES)
    )


def harmless(source: ObjectVersion, error: S3Error) -> Outcome | None:
    """What an error means when it only says that the source has moved on; None for others."""
    if error.status == 404 and error.code in {"404", "NoSuchKey", "NoSuchVersion"}:
        return Outcome.GONE
    # Where versioning is suspended, a deletion puts a delete marker in place of "null".
    if error.status == 405 and source.version_id == "null":
        return Outcome.GONE
    # Only an unversioned object, or the "null" version, can change under its own name. For any
    # other version a different ETag means that the event is wrong.
    if error.status == 412 and source.replaceable:
        return Outcome.SUPERSEDED
    return None
