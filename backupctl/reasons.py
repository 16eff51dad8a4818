"""What a person does about each kind of failure; docs/outcomes.md says more."""

from handler.failures import Failed

DAMAGED = "DamagedRecord"
"""A record, or a whole message, that nobody can read."""
NEVER_FINISHED = "NeverFinished"
"""A queue gave the event up, without a word from the function."""
NOT_A_SOURCE = "NotASource"
"""An event of a bucket that the stack does not back up."""
UNEXPECTED = "Unexpected"
"""Nobody foresaw it."""
UNKNOWN = "Unknown"
"""The message does not say."""

_REDRIVE = "redrive"
_BUSY = "S3, KMS or the network was busy or broken; redrive"
_MEND = (
    "the role may not do this; compare roles, bucket policies and the key's policy with what the "
    "stack declares (pulumi preview --refresh), mend, redrive"
)
CURES = {
    "400": "S3 does not accept it; if it is encrypted with a customer-provided key (SSE-C), write "
    "it again without",
    "403": _MEND,
    "AccessDenied": _MEND,
    "BackupBucketAsSource": "remove the notification that the backup bucket has",
    "BackupFailed": "all tries failed; the message says why: mend that, redrive",
    "Contention": _REDRIVE,
    DAMAGED: "no event of S3; find out who sent it or invoked the function, then --discard it",
    "DeletesNotTracked": "set trackDeletes and redrive, or --discard it",
    "EventAgeExceeded": "the function was throttled for hours; see to its concurrency, redrive",
    "InternalError": _BUSY,
    "InvalidObjectState": "the object is archived; restore it from its storage class, redrive",
    "KMS.DisabledException": "enable the KMS key, redrive",
    "KMS.KMSInvalidStateException": "enable the KMS key or cancel its deletion, redrive",
    "KMS.NotFoundException": "the KMS key is gone; without it the object cannot be read",
    "KMS.ThrottlingException": _BUSY,
    "MissingMeta": "write the object again with headers and metadata in ASCII",
    NEVER_FINISHED: "the function was killed or throttled; see to its memory, timeout and "
    "concurrency, redrive",
    "NoSuchBucket": "the backup bucket is missing: pulumi up, redrive",
    NOT_A_SOURCE: "the stack does not back this bucket up; add it to the stack's buckets, or use "
    "--backup-bucket and --queue-url instead of --stack",
    "OutOfTime": "redrive; for small objects raise timeout or memory",
    "ReservedMetadata": "write the object again without metadata under s3-backup-",
    "RetriesExhausted": "all tries failed; see the function's log, redrive",
    "ServiceUnavailable": _BUSY,
    "SlowDown": _BUSY,
    UNEXPECTED: "read what it says and report it; redrive",
}

OF_ALL = frozenset({"403", "AccessDenied", "InvalidAccessKeyId", "NoSuchBucket"})
"""Kinds that are hardly one object's own."""


def cure(reason: str) -> str:
    """What to do about failures of a kind."""
    return CURES.get(reason, "see docs/outcomes.md; mend what it says, redrive")


def told(failure: Failed) -> str:
    """What went wrong in a copy, without the words that are for who operates the function."""
    cause = failure.__cause__
    return str(failure).partition("; ")[0] if cause is None else str(cause)
