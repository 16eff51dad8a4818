"""MiniStack, corrected where it differs from AWS in what the backups rest on.

    hypercorn sandbox/server/corrected.py:app

Conditions on CopyObject. MiniStack 1.5 honours If-Match and If-None-Match of PutObject and
CompleteMultipartUpload only. S3 honours them on CopyObject too, and the order of backups rests on
it, so the same check is put before a copy: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html

The condition key `aws:PrincipalArn`. MiniStack compares the session's ARN; AWS compares the ARN of
the role, and the backup bucket's policy names roles.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn

The condition key `aws:PrincipalIsAWSService`, which MiniStack does not know.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalisawsservice

Uploads in parts. MiniStack forgets the tags that one begins with, computes no checksum of parts
that are copied, and none of the whole object (ChecksumType FULL_OBJECT).
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html

Events that S3 puts into a queue. MiniStack adds them to a list that Lambda's poller replaces at the
same time, under a lock that S3 does not take, so that once in a long while one vanishes. Here S3
takes the lock too.

Events that find no free execution. MiniStack counts that as a failed try, and gives up after three;
Lambda keeps such an event and tries again for hours, which costs it no retry. Here it waits.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html

The condition key `events:source`: see `event_sources.py`.

Rights that services ask for when they use one another: see `service_access.py`. Keys with control
characters: see `all_keys.py`. A clock that tests set: see `clock.py`.

Jobs of S3 Batch Operations, which MiniStack has not: see `batch_jobs.py`.

Permissions for batches of SQS. MiniStack asks for actions of their own, which AWS does not have:
who may send, delete or hide a message may do so with several. And for reading some of a function's
settings it asks for other permissions than AWS.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html

Simulations of policies. MiniStack ignores the context that a request gives, and so takes conditions
for unmet; and whose policies they are when it asks who may simulate them.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html

Runs in MiniStack's process only, from a folder of its own: whatever lies beside it could be
imported there by accident.
"""

import contextvars
import re
import threading
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import all_keys
import batch_jobs
import clock
import event_sources
import service_access
from ministack.app import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import cloudwatch, iam, lambda_svc, s3, sqs

__all__ = ["app"]

# Whoever updates MiniStack finds out here, and at once, that these have other names.
_copy: Any = s3._copy_object  # noqa: SLF001
_refusal: Any = s3._check_put_preconditions  # noqa: SLF001
_find_bucket: Any = s3._ensure_bucket  # noqa: SLF001
_condition_key: Any = iam_evaluator._resolve_condition_key  # noqa: SLF001
_role_of: Any = iam_evaluator._role_name_from_assumed_arn  # noqa: SLF001
_roles: Any = iam._roles  # noqa: SLF001
_action: Any = iam_actions.extract_iam_action
_resource: Any = iam_actions.extract_resource_arn
_simulate: Any = iam._simulate_principal_policy  # noqa: SLF001
_iam_actions: Any = iam._IAM_HANDLERS  # noqa: SLF001
_create: Any = s3._create_multipart_upload  # noqa: SLF001
_copy_part: Any = s3._upload_part_copy  # noqa: SLF001
_complete: Any = s3._complete_multipart_upload  # noqa: SLF001
_uploads: Any = s3._multipart_uploads  # noqa: SLF001
_versions: Any = s3._object_versions  # noqa: SLF001
_tags: Any = s3._object_tags  # noqa: SLF001
_checksum: Any = s3._compute_s3_checksum  # noqa: SLF001
_error: Any = s3._error  # noqa: SLF001
_deliver: Any = s3._deliver_event_to_sqs  # noqa: SLF001
_queues_lock: Any = sqs._queues_lock  # noqa: SLF001
_invoke_later: Any = lambda_svc.invoke_async_with_retry
_functions: Any = lambda_svc._functions  # noqa: SLF001
_acquire: Any = lambda_svc._acquire_execution_slot  # noqa: SLF001
_release: Any = lambda_svc._release_execution_slot  # noqa: SLF001


def _copy_if(bucket_name: str, key: str, headers: dict[str, str]) -> Any:
    bucket = _find_bucket(bucket_name)
    refusal = None if bucket is None else _refusal(headers, bucket.get("objects", {}).get(key))
    return refusal or _copy(bucket_name, key, headers)


s3._copy_object = _copy_if  # noqa: SLF001


_simulated: contextvars.ContextVar[dict[str, str] | None] = contextvars.ContextVar(
    "simulated", default=None
)


def _simulate_in_context(asked: Any) -> Any:
    given: dict[str, str] = {}
    while name := iam._p(asked, f"ContextEntries.member.{len(given) + 1}.ContextKeyName"):  # noqa: SLF001
        values = f"ContextEntries.member.{len(given) + 1}.ContextKeyValues.member.1"
        given[name.lower()] = iam._p(asked, values)  # noqa: SLF001
    token = _simulated.set(given)
    try:
        return _simulate(asked)
    finally:
        _simulated.reset(token)


_iam_actions["SimulatePrincipalPolicy"] = _simulate_in_context


def _principal_as_aws_knows_it(key: str, context: Any) -> Any:
    given = _simulated.get()
    if given and key.lower() in given:
        return given[key.lower()]
    if key.lower() == "aws:principalisawsservice":
        return str(context.principal_type == "Service").lower()
    value = _condition_key(key, context)
    if key.lower() != "aws:principalarn" or ":assumed-role/" not in value:
        return value
    role = _roles.get_scoped(context.principal_account, None, _role_of(value))
    return value if role is None else role["Arn"]


iam_evaluator._resolve_condition_key = _principal_as_aws_knows_it  # noqa: SLF001


# By the end of a path that is read.
_LAMBDA_READS = {
    "concurrency": "lambda:GetFunctionConcurrency",
    "event-invoke-config": "lambda:GetFunctionEventInvokeConfig",
}


def _action_as_aws_names_it(service: str, method: str, path: str, *request: Any) -> str | None:
    action: str | None = _action(service, method, path, *request)
    if service == "lambda" and method == "GET":
        return _LAMBDA_READS.get(path.rpartition("/")[2], action)
    return action.removesuffix("Batch") if action and service == "sqs" else action


iam_actions.extract_iam_action = _action_as_aws_names_it


def _resource_as_aws_names_it(service: str, *request: Any) -> Any:
    # The body, where the parameters are.
    asked = parse_qs(request[3].decode(errors="replace")) if service == "iam" else {}
    if asked.get("Action") == ["SimulatePrincipalPolicy"]:
        return asked["PolicySourceArn"][0]
    return _resource(service, *request)


iam_actions.extract_resource_arn = _resource_as_aws_names_it


def _create_with_all(bucket_name: str, key: str, headers: dict[str, str]) -> Any:
    response = _create(bucket_name, key, headers)
    found = re.search(rb"<UploadId>(.+)</UploadId>", response[2])
    if found is not None:
        upload = _uploads[found[1].decode()]
        upload["tags"] = dict(parse_qsl(headers.get("x-amz-tagging", ""), keep_blank_values=True))
        upload["whole"] = headers.get("x-amz-checksum-type") == "FULL_OBJECT"
    return response


s3._create_multipart_upload = _create_with_all  # noqa: SLF001


def _copy_part_with_checksum(
    bucket_name: str, key: str, query: dict[str, Any], headers: dict[str, str]
) -> Any:
    status, answered, body = _copy_part(bucket_name, key, query, headers)
    upload = _uploads.get(query["uploadId"][0])
    if status == 200 and upload["checksum_algorithm"]:
        algorithm = upload["checksum_algorithm"]
        part = upload["parts"][int(query["partNumber"][0])]
        value = _checksum(algorithm, part["body"])
        part["checksums"] = {algorithm: value}
        told = f"<Checksum{algorithm}>{value}</Checksum{algorithm}></CopyPartResult>"
        body = body.replace(b"</CopyPartResult>", told.encode())
    return status, answered, body


s3._upload_part_copy = _copy_part_with_checksum  # noqa: SLF001


def _complete_with_all(
    bucket_name: str,
    key: str,
    body: bytes,
    query: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> Any:
    headers = dict(headers or {})
    upload = _uploads.get(query["uploadId"][0])
    if upload is None:
        return _complete(bucket_name, key, body, query, headers)
    algorithm = upload["checksum_algorithm"] if upload["whole"] else None
    wanted = headers.pop(f"x-amz-checksum-{algorithm.lower()}", None) if algorithm else None
    parts = upload["parts"]
    content = b"".join(parts[number]["body"] for number in sorted(parts))
    value = _checksum(algorithm, content) if algorithm else None
    if wanted not in {None, value}:
        return _error("BadDigest", "The checksum did not match the calculated one.", 400)
    response = _complete(bucket_name, key, body, query, headers)
    if response[0] == 200:
        stored = _find_bucket(bucket_name)["objects"][key]
        version = stored.get("version_id")
        of_version = [
            entry
            for entry in _versions.get((bucket_name, key), [])
            if entry["version_id"] == version
        ]
        for entry in (stored, *of_version) if algorithm else ():
            entry["checksums"], entry["checksum_type"] = {algorithm: value}, "FULL_OBJECT"
        if upload["tags"]:
            _tags[bucket_name, key, version] = upload["tags"]
    return response


s3._complete_multipart_upload = _complete_with_all  # noqa: SLF001


def _deliver_in_turn(*event: Any, **more: Any) -> None:
    with _queues_lock:
        _deliver(*event, **more)


s3._deliver_event_to_sqs = _deliver_in_turn  # noqa: SLF001


# Set in whatever runs for an event that nobody waits for.
_patient = contextvars.ContextVar("_patient", default=False)
_released = threading.Condition()


def _invoke_patiently(function: Any, event: Any) -> None:
    # The thread that this starts inherits what is set.
    contextvars.copy_context().run(lambda: (_patient.set(True), _invoke_later(function, event)))


def _acquire_in_turn(function: Any, config: Any) -> Any:
    name = config["FunctionName"]
    with _released:
        # What is set aside for the function may change while an event waits.
        while (found := _acquire(_functions.get(name, function), config))[0] is None:
            if not _patient.get():
                break
            # Lambda counts every try, however often it comes again.
            cloudwatch.record_metric("AWS/Lambda", "Throttles", 1, "Count", {"FunctionName": name})
            # Whoever was told may have wanted another function's.
            _released.wait(timeout=1)
    return found


def _release_and_tell(slot: Any) -> None:
    _release(slot)
    with _released:
        _released.notify()


lambda_svc.invoke_async_with_retry = _invoke_patiently
lambda_svc._acquire_execution_slot = _acquire_in_turn  # noqa: SLF001
lambda_svc._release_execution_slot = _release_and_tell  # noqa: SLF001

event_sources.install()
service_access.install()
all_keys.install()
clock.install()
batch_jobs.install()
