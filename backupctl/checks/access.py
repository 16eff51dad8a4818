"""Whether the functions' roles may do what the functions must."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from backupctl.condition import Finding
from backupctl.stack import Function

from .patient import Patient

_READ = (
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionTagging",
)
_WRITE = (
    "s3:AbortMultipartUpload",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectTagging",
)
_RECEIVE = ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
_USE_KEY = ("kms:Decrypt", "kms:GenerateDataKey")
_LOG = ("logs:CreateLogStream", "logs:PutLogEvents")
# Any object; what a policy says of all of them it says of this one.
_OBJECT = "doctor"


class Need(NamedTuple):
    """What a role must be allowed."""

    actions: Sequence[str]
    resource: str
    through: str = ""
    """The service through which a key is used, if it is."""


def permissions(patient: Patient) -> Iterator[Finding]:
    """Simulate it, with the role's own policies and its boundary.

    Policies of buckets, queues and keys are not part of it.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    for function, role in patient.roles:
        for need in needs(patient, function):
            denied = _denied(patient, role, need)
            if denied:
                yield Finding(
                    role.rpartition("/")[2],
                    f"the role may not {', '.join(denied)} on {need.resource}",
                    "run pulumi up --refresh; look at its permissions boundary and at the "
                    "organization's policies",
                )


def needs(patient: Patient, function: Function) -> Iterator[Need]:
    """What a function must do, once for each resource."""
    stack = patient.stack
    partition, region = stack.partition, stack.region
    backup = f"arn:{partition}:s3:::{stack.backup_bucket}/{_OBJECT}"
    yield Need((*_WRITE, *(["s3:DeleteObject"] if patient.stack.track_deletes else [])), backup)
    for source in patient.sources:
        if function.arn in patient.functions_of(source.name):
            bucket = f"arn:{partition}:s3:::{source.name}"
            yield Need(_READ, f"{bucket}/{_OBJECT}")
            yield Need(("s3:ListBucket",), bucket)
    yield Need(("sqs:SendMessage",), stack.failure_queue_arn)
    for queue, mappings in patient.mappings.items():
        if any(mapping["FunctionArn"] == function.arn for mapping in mappings):
            yield Need(_RECEIVE, queue)
    for key in patient.key_arns:
        yield Need(_USE_KEY, key, f"s3.{region}.amazonaws.com")
    group = patient.configurations[function.arn].get("LoggingConfig", {}).get("LogGroup")
    if group:
        yield Need(_LOG, stack.arn("logs", f"log-group:{group}:log-stream:{_OBJECT}"))


def _denied(patient: Patient, role: str, need: Need) -> list[str]:
    context: list[dict[str, Any]] = []
    if need.through:
        context.append(
            {
                "ContextKeyName": "kms:ViaService",
                "ContextKeyValues": [need.through],
                "ContextKeyType": "string",
            }
        )
    results = (
        patient.aws.client("iam")
        .get_paginator("simulate_principal_policy")
        .paginate(
            PolicySourceArn=role,
            ActionNames=list(need.actions),
            ResourceArns=[need.resource],
            ContextEntries=context,
        )
    )
    return [
        result["EvalActionName"]
        for page in results
        for result in page["EvaluationResults"]
        if result["EvalDecision"] != "allowed"
    ]
