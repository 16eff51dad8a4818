"""Rights that AWS asks for when one service uses another, where MiniStack 1.5 asks for none.

Keys. S3 and SQS use a customer managed KMS key with the rights of whoever sends them a request, and
say so in `kms:ViaService`; events that S3 puts into an encrypted queue take rights of S3's own.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html

Functions. S3 invokes a function only if its policy lets the bucket.
https://docs.aws.amazon.com/lambda/latest/dg/with-s3.html

Destinations. Lambda delivers what failed with the rights of the function's role.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html

Runs in MiniStack's process only; `corrected.py` puts it in place.
"""

import contextvars
import logging
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, kms, lambda_svc, s3, sqs

logger = logging.getLogger("ministack")

_KEY_OF_OBJECT = "x-amz-server-side-encryption-aws-kms-key-id"
_USES_OF_KEY: Mapping[str, tuple[str, ...]] = {
    "sqs:SendMessage": ("kms:GenerateDataKey", "kms:Decrypt"),
    "sqs:ReceiveMessage": ("kms:Decrypt",),
}

# Whoever updates MiniStack finds out here, and at once, that these have other names.
_verified_key: Any = iam_evaluator._verified_key  # noqa: SLF001
_role_policies: Any = iam_evaluator._gather_role_policies  # noqa: SLF001
_read: Any = s3._check_sse_read_headers  # noqa: SLF001
_head: Any = s3._head_object  # noqa: SLF001
_read_source: Any = s3._check_sse_c_copy_source  # noqa: SLF001
_write: Any = s3._resolve_sse_write_headers  # noqa: SLF001
_part: Any = s3._check_sse_c_part  # noqa: SLF001
_owner_of: Any = s3._bucket_owner_account  # noqa: SLF001
_notify_function: Any = s3._deliver_event_to_lambda  # noqa: SLF001
_error: Any = s3._error  # noqa: SLF001
_queue_call: Any = sqs._enforce_queue_policy  # noqa: SLF001
_queue_error: Any = sqs._Err  # noqa: SLF001
_service_may_send: Any = sqs.queue_policy_allows
_queue_of: Any = sqs._queue_by_arn  # noqa: SLF001
_deliver_failure: Any = lambda_svc._route_async_failure  # noqa: SLF001
_functions: Any = lambda_svc._functions  # noqa: SLF001

_asks_for_headers = contextvars.ContextVar("asks_for_headers", default=False)


def install() -> None:
    """Put the checks in front of what they belong to."""
    s3._check_sse_read_headers = _read_if_key_allows  # noqa: SLF001
    s3._head_object = _head_without_key  # noqa: SLF001
    s3._check_sse_c_copy_source = _read_source_if_key_allows  # noqa: SLF001
    s3._resolve_sse_write_headers = _write_if_key_allows  # noqa: SLF001
    s3._check_sse_c_part = _part_if_key_allows  # noqa: SLF001
    s3._deliver_event_to_lambda = _notify_function_if_it_allows  # noqa: SLF001
    sqs._enforce_queue_policy = _queue_call_if_key_allows  # noqa: SLF001
    sqs.queue_policy_allows = _service_may_send_if_key_allows
    lambda_svc._route_async_failure = _deliver_failure_if_role_may  # noqa: SLF001


def _caller_may_use(key_arn: str | None, service: str, *actions: str) -> bool:
    """Whether whoever sent the request may use a key through a service."""
    access_key = _verified_key.get()
    if not key_arn or not key_arn.startswith("arn:") or not access_key:
        # No key of the account's own, or the account's root, whose signature is not checked.
        return True
    caller = iam_evaluator.resolve_principal(access_key, get_account_id())
    if isinstance(caller, iam_evaluator.AuthError) or caller.policies is None:
        return True
    via = {"kms:viaservice": f"{service}.{get_region()}.amazonaws.com"}
    return all(
        _allowed(caller, action, key_arn, kms.key_policy_for_arn(key_arn), context=via, both=True)
        for action in actions
    )


def _allowed(
    caller: iam_evaluator.PrincipalInfo,
    action: str,
    arn: str,
    resource_policy: tuple[Any, str | None] | None,
    *,
    context: Mapping[str, str],
    both: bool = False,
) -> bool:
    asked = _asked(caller.arn, caller.type, caller.account, action, arn, context)
    asked.principal_keys = caller.keys
    result = iam_evaluator.evaluate(asked, caller.policies or [], *caller.limits)
    if resource_policy is not None:
        result = iam_evaluator.combine_resource_policy(
            result, asked, *resource_policy, required=both, limits=tuple(caller.limits)
        )
    return result.decision == "Allow"


def _service_allowed(
    policy: Any, service: str, action: str, arn: str, context: Mapping[str, str]
) -> bool:
    asked = _asked("*", "Service", "", action, arn, context)
    found = iam_evaluator.evaluate_resource_policy(policy, asked, service=service)
    return found.decision == "Allow"


def _asked(
    principal: str, kind: str, account: str, action: str, arn: str, context: Mapping[str, str]
) -> iam_evaluator.EvalContext:
    return iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type=kind,
        principal_account=account,
        action=action,
        resource_arn=arn,
        region=get_region(),
        # Between services nothing goes without TLS.
        secure_transport=True,
        service_context=dict(context),
    )


def _refused(key_arn: str) -> Any:
    return _error("AccessDenied", f"The caller may not use the KMS key {key_arn}", 403)


def _key_of(stored: Mapping[str, Any]) -> str:
    return stored.get("preserved_headers", {}).get(_KEY_OF_OBJECT, "")


def _read_if_key_allows(headers: dict[str, str], stored: dict[str, Any]) -> Any:
    if not _asks_for_headers.get() and not _caller_may_use(_key_of(stored), "s3", "kms:Decrypt"):
        return _refused(_key_of(stored))
    return _read(headers, stored)


def _head_without_key(*arguments: Any, **named: Any) -> Any:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    token = _asks_for_headers.set(True)
    try:
        return _head(*arguments, **named)
    finally:
        _asks_for_headers.reset(token)


def _read_source_if_key_allows(headers: dict[str, str], stored: dict[str, Any]) -> Any:
    if not _caller_may_use(_key_of(stored), "s3", "kms:Decrypt"):
        return _refused(_key_of(stored))
    return _read_source(headers, stored)


def _write_if_key_allows(headers: dict[str, str], bucket: str) -> Any:
    used, error = _write(headers, bucket)
    key_arn = used.get(_KEY_OF_OBJECT, "") if error is None else ""
    if not _caller_may_use(key_arn, "s3", "kms:GenerateDataKey"):
        return used, _refused(key_arn)
    return used, error


def _part_if_key_allows(headers: dict[str, str], upload: dict[str, Any]) -> Any:
    if not _caller_may_use(_key_of(upload), "s3", "kms:GenerateDataKey", "kms:Decrypt"):
        return _refused(_key_of(upload))
    return _part(headers, upload)


def _queue_call_if_key_allows(queue: dict[str, Any], action: str) -> None:
    _queue_call(queue, action)
    key_arn, uses = queue["attributes"].get("KmsMasterKeyId"), _USES_OF_KEY.get(action, ())
    if not _caller_may_use(key_arn, "sqs", *uses):
        message = f"The caller may not use the KMS key {key_arn}"
        raise _queue_error("KmsAccessDenied", message, 400)


def _service_may_send_if_key_allows(
    queue_arn: str, service: str, source_arn: str, source_account: str
) -> bool:
    if not _service_may_send(queue_arn, service, source_arn, source_account):
        return False
    key_arn = _queue_of(queue_arn)["attributes"].get("KmsMasterKeyId")
    found = kms.key_policy_for_arn(key_arn) if key_arn else None
    source = {"aws:sourcearn": source_arn, "aws:sourceaccount": source_account}
    return found is None or all(
        _service_allowed(found[0], service, action, key_arn, source)
        for action in _USES_OF_KEY["sqs:SendMessage"]
    )


def _notify_function_if_it_allows(arn: str, event: dict[str, Any], region: str) -> None:
    bucket = event["Records"][0]["s3"]["bucket"]["name"]
    found = lambda_svc.function_policy_for_arn(arn)
    source = {
        "aws:sourcearn": f"arn:aws:s3:::{bucket}",
        "aws:sourceaccount": _owner_of(bucket) or "",
    }
    if found is not None and not _service_allowed(
        found[0], "s3.amazonaws.com", "lambda:InvokeFunction", arn, source
    ):
        logger.warning("S3 notification: the policy of %s does not let %s invoke it", arn, bucket)
        return
    _notify_function(arn, event, region)


# By service: what delivering takes, and where the policy of a target is found.
_DELIVERIES: Mapping[str, tuple[str, Callable[[str], Any] | None]] = {
    "sqs": ("sqs:SendMessage", sqs.queue_policy_for_arn),
    "lambda": ("lambda:InvokeFunction", None),
    "sns": ("sns:Publish", None),
    "events": ("events:PutEvents", None),
}


def _deliver_failure_if_role_may(
    target_arn: str, function: str, event: dict[str, Any], result: dict[str, Any]
) -> None:
    if function not in _functions:
        # It was deleted meanwhile.
        _deliver_failure(target_arn, function, event, result)
        return
    action, policy_of = _DELIVERIES[target_arn.split(":")[2]]
    role_arn = _functions[function]["config"]["Role"]
    account = role_arn.split(":")[4]
    role = iam_evaluator.PrincipalInfo(
        arn=role_arn,
        type="AssumedRole",
        account=account,
        policies=_role_policies(role_arn.rpartition("/")[2], account),
    )
    resource_policy = policy_of(target_arn) if policy_of is not None else None
    if not _allowed(role, action, target_arn, resource_policy, context={}):
        logger.warning("Lambda %s may not deliver to %s", function, target_arn)
        # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
        cloudwatch.record_metric(
            "AWS/Lambda", "DestinationDeliveryFailures", 1, "Count", {"FunctionName": function}
        )
        return
    _deliver_failure(target_arn, function, event, result)
