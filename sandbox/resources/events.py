"""Rules of an event bus, and their targets."""

import json
from collections.abc import Mapping

from sandbox.engine import Created
from sandbox.model_validation import ModelError

from .base import Aws, Creator, Inputs, translate, with_tags


def _rule(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "name": "Name",
            "description": "Description",
            "eventBusName": "EventBusName",
            "eventPattern": "EventPattern",
        },
    )
    # MiniStack takes anything for a pattern, and then matches nothing.
    pattern = json.loads(inputs["eventPattern"])
    if not isinstance(pattern, dict) or not pattern:
        raise ModelError(f"eventPattern is {pattern!r}, but must be an object with a field")
    answer = aws.client("events").put_rule(**request)
    return Created(inputs["name"], {"arn": answer["RuleArn"], **with_tags(inputs)})


def _target(aws: Aws, inputs: Inputs) -> Created:
    place = translate(
        inputs, {"rule": "Rule", "eventBusName": "EventBusName", "arn": None, "targetId": None}
    )
    target_id = inputs.get("targetId", "target-" + inputs["arn"].rpartition(":")[2])[:64]
    answer = aws.client("events").put_targets(
        **place, Targets=[{"Id": target_id, "Arn": inputs["arn"]}]
    )
    if answer["FailedEntryCount"]:
        raise ModelError(f"EventBridge refuses the target: {answer['FailedEntries']}")
    return Created(f"{inputs['rule']}-{target_id}", {"targetId": target_id})


CREATORS: Mapping[str, Creator] = {
    "aws:cloudwatch/eventRule:EventRule": _rule,
    "aws:cloudwatch/eventTarget:EventTarget": _target,
}
