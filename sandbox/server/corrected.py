"""MiniStack, corrected where it differs from AWS in what the backups rest on.

    hypercorn sandbox/server/corrected.py:app

Conditions on CopyObject. MiniStack 1.5 honours If-Match and If-None-Match of PutObject and
CompleteMultipartUpload only. S3 honours them on CopyObject too, and the order of backups rests on
it, so the same check is put before a copy: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html

The condition key `aws:PrincipalArn`. MiniStack compares the session's ARN; AWS compares the ARN of
the role, and the backup bucket's policy names roles.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn

Runs in MiniStack's process only, from a folder of its own: whatever lies beside it could be
imported there by accident.
"""

from typing import Any

from ministack.app import app
from ministack.core import iam_evaluator
from ministack.services import iam, s3

__all__ = ["app"]

# Whoever updates MiniStack finds out here, and at once, that these have other names.
_copy: Any = s3._copy_object  # noqa: SLF001
_refusal: Any = s3._check_put_preconditions  # noqa: SLF001
_find_bucket: Any = s3._ensure_bucket  # noqa: SLF001
_condition_key: Any = iam_evaluator._resolve_condition_key  # noqa: SLF001
_role_of: Any = iam_evaluator._role_name_from_assumed_arn  # noqa: SLF001
_roles: Any = iam._roles  # noqa: SLF001


def _copy_if(bucket_name: str, key: str, headers: dict[str, str]) -> Any:
    bucket = _find_bucket(bucket_name)
    refusal = None if bucket is None else _refusal(headers, bucket.get("objects", {}).get(key))
    return refusal or _copy(bucket_name, key, headers)


s3._copy_object = _copy_if  # noqa: SLF001


def _principal_is_the_role(key: str, context: Any) -> Any:
    value = _condition_key(key, context)
    if key.lower() != "aws:principalarn" or ":assumed-role/" not in value:
        return value
    role = _roles.get_scoped(context.principal_account, None, _role_of(value))
    return value if role is None else role["Arn"]


iam_evaluator._resolve_condition_key = _principal_is_the_role  # noqa: SLF001
