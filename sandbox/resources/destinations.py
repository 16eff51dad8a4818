"""Checks that AWS makes when a source of events is connected, and MiniStack does not."""

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from .base import Aws, Value

_S3 = "s3.amazonaws.com"


class DestinationError(ValueError):
    """A service may not deliver events to where they shall go, or not take them from there."""


def check_function_accepts(aws: Aws, function_arn: str, bucket: str) -> None:
    """Require that a function's policy lets exactly this bucket of this account invoke it.

    S3 itself would be content without `SourceAccount`; the security control Lambda.1 is not,
    because whoever owned a bucket of that name next could invoke the function.
    """
    try:
        policy = aws.client("lambda").get_policy(FunctionName=function_arn)["Policy"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        policy = None
    _require(aws, policy, "lambda:InvokeFunction", function_arn, bucket)


def check_queue_accepts(aws: Aws, queue_arn: str, bucket: str) -> None:
    """Require that a queue's policy lets exactly this bucket of this account send to it."""
    sqs = aws.client("sqs")
    account, queue = queue_arn.split(":")[4:]
    url = sqs.get_queue_url(QueueName=queue, QueueOwnerAWSAccountId=account)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    policy = attributes.get("Attributes", {}).get("Policy")
    _require(aws, policy, "sqs:SendMessage", queue_arn, bucket)


def check_role_may(aws: Aws, role_arn: str, actions: list[str], resource_arn: str) -> None:
    """Require that a function's role has the rights that Lambda will need.

    :raises DestinationError: with Lambda's message for the first action that is missing.
    """
    answer = aws.client("iam").simulate_principal_policy(
        PolicySourceArn=role_arn, ActionNames=actions, ResourceArns=[resource_arn]
    )
    for result in answer["EvaluationResults"]:
        if result["EvalDecision"] != "allowed":
            action = result["EvalActionName"].split(":")[1]
            raise DestinationError(
                f"The function's execution role does not have permissions to call {action} on "
                f"{resource_arn}"
            )


def _require(aws: Aws, policy: str | None, action: str, arn: str, bucket: str) -> None:
    statements = _list(json.loads(policy)["Statement"]) if policy else []
    candidates = [statement for statement in statements if _lets_s3(statement, action, arn)]
    if not candidates:
        missing = [f"a statement that allows {action} to {_S3}"]
    else:
        wanted = {
            f"ArnLike or ArnEquals aws:SourceArn = arn:aws:s3:::{bucket}": (
                ("arnlike", "arnequals"),
                "aws:sourcearn",
                f"arn:aws:s3:::{bucket}",
            ),
            f"StringEquals aws:SourceAccount = {aws.account_id}": (
                ("stringequals",),
                "aws:sourceaccount",
                aws.account_id,
            ),
        }
        # Conditions of different statements do not add up: the best single statement counts.
        missing = min(
            (
                [
                    text
                    for text, (operators, key, value) in wanted.items()
                    if not _has_condition(statement, operators, key, value)
                ]
                for statement in candidates
            ),
            key=len,
        )
    if missing:
        raise DestinationError(
            f"Unable to validate the following destination configurations: {arn} (its policy has "
            f"for bucket {bucket} no {' and no '.join(missing)})"
        )


def _lets_s3(statement: Mapping[str, Any], action: str, arn: str) -> bool:
    principal = statement.get("Principal", {})
    services = _list(principal.get("Service", [])) if isinstance(principal, dict) else []
    service = action.split(":", maxsplit=1)[0]
    return (
        statement.get("Effect") == "Allow"
        and _S3 in services
        and bool({action, f"{service}:*", "*"} & set(_list(statement.get("Action", []))))
        and bool({arn, "*"} & set(_list(statement.get("Resource", []))))
    )


def _has_condition(
    statement: Mapping[str, Any], operators: tuple[str, ...], key: str, value: str
) -> bool:
    return any(
        operator.lower() in operators and name.lower() == key and value in _list(values)
        for operator, conditions in statement.get("Condition", {}).items()
        for name, values in conditions.items()
    )


def _list(value: Value) -> list[Any]:
    return value if isinstance(value, list) else [value]
