"""SQS: queues, who may send to them and where they give messages up to."""

import json
from collections.abc import Mapping

from sandbox.engine import Created, Registered
from sandbox.model_validation import ModelError, check_json_policy

from .base import (
    Aws,
    Creator,
    Deleter,
    Inputs,
    Spec,
    To,
    Updater,
    again,
    check_range,
    translate,
    with_tags,
)
from .destinations import DestinationError

_ALLOW = "RedriveAllowPolicy"
_MOST_SOURCES = 10

MAX_POLICY_BYTES = 8192
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html"""

_QUEUE_RANGES = {
    "delaySeconds": (0, 900),
    "maxMessageSize": (1024, 1_048_576),
    "messageRetentionSeconds": (60, 1_209_600),
    "receiveWaitTimeSeconds": (0, 20),
    "visibilityTimeoutSeconds": (0, 43_200),
    "kmsDataKeyReusePeriodSeconds": (60, 86_400),
}
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _attribute(name: str) -> To:
    return To(f"Attributes.{name}", _text)


_QUEUE: Spec = {
    "name": "QueueName",
    "tags": "tags",
    "delaySeconds": _attribute("DelaySeconds"),
    "maxMessageSize": _attribute("MaximumMessageSize"),
    "messageRetentionSeconds": _attribute("MessageRetentionPeriod"),
    "receiveWaitTimeSeconds": _attribute("ReceiveMessageWaitTimeSeconds"),
    "visibilityTimeoutSeconds": _attribute("VisibilityTimeout"),
    "kmsMasterKeyId": _attribute("KmsMasterKeyId"),
    "kmsDataKeyReusePeriodSeconds": _attribute("KmsDataKeyReusePeriodSeconds"),
    "sqsManagedSseEnabled": _attribute("SqsManagedSseEnabled"),
    "fifoQueue": _attribute("FifoQueue"),
    "contentBasedDeduplication": _attribute("ContentBasedDeduplication"),
    "policy": _attribute("Policy"),
    "redrivePolicy": _attribute("RedrivePolicy"),
    "redriveAllowPolicy": _attribute("RedriveAllowPolicy"),
}


def _queue(aws: Aws, inputs: Inputs) -> Created:
    for property_, (low, high) in _QUEUE_RANGES.items():
        check_range(inputs, property_, low, high)
    if inputs.get("kmsMasterKeyId") and inputs.get("sqsManagedSseEnabled"):
        raise ModelError("a queue has either kmsMasterKeyId or sqsManagedSseEnabled")
    sqs = aws.client("sqs")
    url = sqs.create_queue(**translate(inputs, _QUEUE))["QueueUrl"]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return Created(url, {"arn": answer["Attributes"]["QueueArn"], "url": url, **with_tags(inputs)})


def _queue_policy(aws: Aws, inputs: Inputs) -> Created:
    check_json_policy("the queue policy", inputs["policy"])
    size = len(inputs["policy"].encode())
    if size > MAX_POLICY_BYTES:
        raise ModelError(f"the queue policy is {size:,} bytes, but SQS allows {MAX_POLICY_BYTES:,}")
    return _of_queue(aws, inputs, {"policy": _attribute("Policy")})


def _redrive_policy(aws: Aws, inputs: Inputs) -> Created:
    sqs, policy = aws.client("sqs"), json.loads(inputs["redrivePolicy"])
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    if not isinstance(policy["maxReceiveCount"], int) or not 1 <= policy["maxReceiveCount"] <= 1000:
        raise ModelError(f"maxReceiveCount is {policy['maxReceiveCount']!r}, but must be 1 to 1000")
    source = _attributes_of(aws, inputs["queueUrl"], "QueueArn")["QueueArn"]
    account, name = policy["deadLetterTargetArn"].split(":")[4:]
    target = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    allowed = json.loads(_attributes_of(aws, target, _ALLOW).get(_ALLOW, "{}"))
    if allowed.get("redrivePermission", "allowAll") != "allowAll" and source not in allowed.get(
        "sourceQueueArns", []
    ):
        # Whether SQS says so now or when it moves the first message, that message would be stuck.
        raise DestinationError(
            f"{policy['deadLetterTargetArn']} does not let {source} give messages up to it"
        )
    return _of_queue(aws, inputs, {"redrivePolicy": _attribute("RedrivePolicy")})


def _redrive_allow_policy(aws: Aws, inputs: Inputs) -> Created:
    sources = json.loads(inputs["redriveAllowPolicy"]).get("sourceQueueArns", [])
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    if len(sources) > _MOST_SOURCES:
        raise ModelError(f"there are {len(sources)} sourceQueueArns, but {_MOST_SOURCES} may be")
    return _of_queue(aws, inputs, {"redriveAllowPolicy": _attribute(_ALLOW)})


def _of_queue(aws: Aws, inputs: Inputs, spec: Spec) -> Created:
    """A resource that is one attribute of its queue and has the queue's URL as id."""
    aws.client("sqs").set_queue_attributes(**translate(inputs, {"queueUrl": "QueueUrl", **spec}))
    return Created(inputs["queueUrl"], {})


def _attributes_of(aws: Aws, url: str, *names: str) -> dict[str, str]:
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(names))
    return answer.get("Attributes", {})


CREATORS: Mapping[str, Creator] = {
    "aws:sqs/queue:Queue": _queue,
    "aws:sqs/queuePolicy:QueuePolicy": _queue_policy,
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": _redrive_allow_policy,
    "aws:sqs/redrivePolicy:RedrivePolicy": _redrive_policy,
}


def _without_attribute(name: str) -> Deleter:
    # An empty text takes such an attribute away.
    def delete(aws: Aws, resource: Registered) -> None:
        aws.client("sqs").set_queue_attributes(QueueUrl=resource.id, Attributes={name: ""})

    return delete


def _no_queue(aws: Aws, resource: Registered) -> None:
    aws.client("sqs").delete_queue(QueueUrl=resource.id)


UPDATERS: Mapping[str, Updater] = {
    "aws:sqs/queuePolicy:QueuePolicy": again(_queue_policy, "policy"),
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": again(
        _redrive_allow_policy, "redriveAllowPolicy"
    ),
}
DELETERS: Mapping[str, Deleter] = {
    "aws:sqs/queue:Queue": _no_queue,
    "aws:sqs/queuePolicy:QueuePolicy": _without_attribute("Policy"),
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": _without_attribute(_ALLOW),
    "aws:sqs/redrivePolicy:RedrivePolicy": _without_attribute("RedrivePolicy"),
}
