"""How much is left of the quotas that stop a stack from growing, or from working."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from backupctl.condition import Finding
from backupctl.measurements import Metric, latest
from backupctl.notifications import EVENT_BRIDGE

from .patient import Patient

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
ROLE_POLICY_CHARACTERS = 10_240
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
FUNCTION_POLICY_BYTES = 20_480
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
NOTIFICATION_ENTRIES = 100
NEARLY = 0.9


def role_policies(patient: Patient) -> Iterator[Finding]:
    """IAM counts all inline policies of a role together, white space excepted."""
    client = patient.aws.client("iam")
    for _, role in patient.roles:
        name = role.rpartition("/")[2]
        names = [
            policy
            for page in client.get_paginator("list_role_policies").paginate(RoleName=name)
            for policy in page["PolicyNames"]
        ]
        documents = (
            client.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in names
        )
        used = sum(_characters(document) for document in documents)
        yield from _nearly(
            name,
            "characters of inline policies",
            used,
            ROLE_POLICY_CHARACTERS,
            "leave bucket names short, or move buckets to another stack",
        )


def function_policies(patient: Patient) -> Iterator[Finding]:
    """Each bucket has a statement in its function's own policy."""
    client = patient.aws.client("lambda")
    for function, _ in patient.roles:
        try:
            policy: str = client.get_policy(FunctionName=function.name)["Policy"]
        except client.exceptions.ResourceNotFoundException:
            yield Finding(
                function.name, "S3 may not invoke the function", "run pulumi up --refresh"
            )
            continue
        yield from _nearly(
            function.name,
            "bytes of function policy",
            len(policy.encode()),
            FUNCTION_POLICY_BYTES,
            "remove permissions that the stack did not make (aws lambda get-policy)",
        )


def notification_entries(patient: Patient) -> Iterator[Finding]:
    """Each filter of a bucket is one entry."""
    for source in patient.sources:
        there = patient.entries.get(source.name, [])
        used = sum(entry.target != EVENT_BRIDGE for entry in there)
        yield from _nearly(
            source.name,
            "notification entries",
            used,
            NOTIFICATION_ENTRIES,
            "use fewer prefixes and suffixes: each pair is one entry",
        )


def concurrency(patient: Patient) -> Iterator[Finding]:
    """Lambda has executions left for the functions."""
    client = patient.aws.client("lambda")
    limits = client.get_account_settings()["AccountLimit"]
    unreserved = False
    for function, _ in patient.roles:
        answer = client.get_function_concurrency(FunctionName=function.name)
        reserved = answer.get("ReservedConcurrentExecutions")
        unreserved = unreserved or reserved is None
        if reserved == 0:
            yield Finding(
                function.name,
                "its reserved concurrency is 0: it is switched off",
                "set reservedConcurrency to 1 or more, or -1, and run pulumi up --refresh",
            )
    if not unreserved:
        return
    metric = Metric("AWS/Lambda", "UnreservedConcurrentExecutions", (), "Maximum", 3600)
    day = timedelta(days=1)
    used = latest(patient.aws, [metric], day, patient.now).get(metric)
    if used is not None:
        yield from _nearly(
            "Lambda",
            "unreserved concurrent executions, within an hour of the last day,",
            round(used.value),
            limits["UnreservedConcurrentExecutions"],
            "ask AWS for a higher quota, or set reservedConcurrency",
        )


def _nearly(about: str, what: str, used: int, quota: int, cure: str) -> Iterator[Finding]:
    if used >= NEARLY * quota:
        yield Finding(about, f"{used:,} of {quota:,} {what} are used", cure)


def _characters(document: Any) -> int:  # noqa: ANN401 - botocore's
    return len(json.dumps(document, separators=(",", ":"), ensure_ascii=False))
