"""EventBridge: rules that events match or that fire on a schedule, and their targets."""

import json
import re
from collections.abc import Mapping

from sandbox.engine import Created
from sandbox.model_validation import ModelError

from .base import Aws, Creator, Inputs, Spec, To, nested, tag_list, translate, with_tags

_RATE = re.compile(r"rate\((1 (minute|hour|day)|(?!1 )[1-9]\d* (minutes|hours|days))\)", re.ASCII)
"""https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"""

_RULE: Spec = {
    "name": "Name",
    "description": "Description",
    "eventBusName": "EventBusName",
    "eventPattern": "EventPattern",
    "scheduleExpression": "ScheduleExpression",
    "state": "State",
    "tags": To("Tags", tag_list),
}
_TARGET: Spec = {
    "targetId": "Id",
    "arn": "Arn",
    "input": "Input",
    "retryPolicy": nested(
        "RetryPolicy",
        {
            "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
            "maximumRetryAttempts": "MaximumRetryAttempts",
        },
    ),
    "rule": None,
    "eventBusName": None,
}


def _rule(aws: Aws, inputs: Inputs) -> Created:
    request = translate(inputs, _RULE)
    if "eventPattern" in inputs:
        # MiniStack takes anything for a pattern, and then matches nothing.
        pattern = json.loads(inputs["eventPattern"])
        if not isinstance(pattern, dict) or not pattern:
            raise ModelError(f"eventPattern is {pattern!r}, but must be an object with a field")
    elif not _RATE.fullmatch(schedule := inputs.get("scheduleExpression", "")):
        raise ModelError(
            f"scheduleExpression is {schedule!r}, but must be a rate such as 'rate(1 day)' or "
            "'rate(7 days)'"
        )
    answer = aws.client("events").put_rule(**request)
    return Created(inputs["name"], {"arn": answer["RuleArn"], **with_tags(inputs)})


def _target(aws: Aws, inputs: Inputs) -> Created:
    target = translate(inputs, _TARGET)
    target.setdefault("Id", ("target-" + inputs["arn"].rpartition(":")[2])[:64])
    try:
        json.loads(inputs.get("input", "{}"))
    except ValueError as error:
        raise ModelError(f"input is not JSON: {error}") from error
    bus = {"EventBusName": inputs["eventBusName"]} if "eventBusName" in inputs else {}
    client = aws.client("events")
    rule = client.describe_rule(Name=inputs["rule"], **bus)
    if "ScheduleExpression" in rule:
        _check_may_invoke(aws, rule["Arn"], inputs["arn"])
    answer = client.put_targets(Rule=inputs["rule"], **bus, Targets=[target])
    if answer["FailedEntryCount"]:
        raise ModelError(f"EventBridge refuses the target: {answer['FailedEntries']}")
    return Created(f"{inputs['rule']}-{target['Id']}", {"targetId": target["Id"]})


def _check_may_invoke(aws: Aws, rule_arn: str, function_arn: str) -> None:
    """Check that the function's policy lets this rule invoke it; without that nothing would.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    client = aws.client("lambda")
    try:
        policy = json.loads(client.get_policy(FunctionName=function_arn)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        policy = {"Statement": []}
    for statement in policy["Statement"]:
        conditions = statement.get("Condition", {}).values()
        # Names of condition keys know no case.
        wanted = {key.lower(): value for test in conditions for key, value in test.items()}
        if statement["Principal"] == {"Service": "events.amazonaws.com"} and wanted in (
            {},
            {"aws:sourcearn": rule_arn},
        ):
            return
    raise ModelError(f"{rule_arn} may not invoke {function_arn}: the function's policy lacks it")


CREATORS: Mapping[str, Creator] = {
    "aws:cloudwatch/eventRule:EventRule": _rule,
    "aws:cloudwatch/eventTarget:EventTarget": _target,
}
