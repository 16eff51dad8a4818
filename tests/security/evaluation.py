"""Asks whether a policy lets an AWS service do something, by the rules of IAM.

The evaluator is the one that the local AWS decides with.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from collections.abc import Mapping
from typing import Any

from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy

from tests.recorder import REGION


def service_may(
    policy: Mapping[str, Any],
    service: str,
    action: str,
    resource: str,
    context: Mapping[str, str],
) -> bool:
    """Whether a resource's policy lets a service act for somebody.

    :param policy: the document.
    :param service: such as s3.amazonaws.com.
    :param action: such as `sqs:SendMessage`.
    :param resource: ARN of what it acts on.
    :param context: condition keys, in lower case, of the request.
    """
    asked = EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=resource,
        region=REGION,
        secure_transport=True,
        service_context={"aws:principalisawsservice": "true", **context},
    )
    return evaluate_resource_policy(dict(policy), asked, service=service).decision == "Allow"
