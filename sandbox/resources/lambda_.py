"""Lambda: functions, who may invoke them and where their failures go."""

import time
from collections.abc import Mapping
from pathlib import Path

from sandbox.archive import zip_bytes
from sandbox.engine import Created, Registered
from sandbox.model_validation import ModelError, check_environment, check_function_policy

from .base import Aws, Creator, Deleter, Inputs, Spec, check_range, nested, translate, with_tags
from .destinations import check_role_may

_ACTIVATION_SECONDS = 60
_UNRESERVED = -1
# The models allow what Lambda Managed Instances may have.
_RANGES = {"timeout": (1, 900), "memorySize": (128, 10_240)}
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_FUNCTION: Spec = {
    "name": "FunctionName",
    "role": "Role",
    "runtime": "Runtime",
    "handler": "Handler",
    "code": None,
    "s3Bucket": "Code.S3Bucket",
    "s3Key": "Code.S3Key",
    "s3ObjectVersion": "Code.S3ObjectVersion",
    "description": "Description",
    "memorySize": "MemorySize",
    "timeout": "Timeout",
    "architectures": "Architectures",
    "packageType": "PackageType",
    "publish": "Publish",
    "layers": "Layers",
    "environment": nested("Environment", {"variables": "Variables"}),
    "kmsKeyArn": "KMSKeyArn",
    "tracingConfig": nested("TracingConfig", {"mode": "Mode"}),
    "deadLetterConfig": nested("DeadLetterConfig", {"targetArn": "TargetArn"}),
    "ephemeralStorage": nested("EphemeralStorage", {"size": "Size"}),
    "loggingConfig": nested(
        "LoggingConfig",
        {
            "logFormat": "LogFormat",
            "logGroup": "LogGroup",
            "applicationLogLevel": "ApplicationLogLevel",
            "systemLogLevel": "SystemLogLevel",
        },
    ),
    "vpcConfig": nested(
        "VpcConfig", {"subnetIds": "SubnetIds", "securityGroupIds": "SecurityGroupIds"}
    ),
    "codeSigningConfigArn": "CodeSigningConfigArn",
    "tags": "Tags",
    "reservedConcurrentExecutions": None,
    # Only tell the provider when to upload again and what to leave alone.
    "sourceCodeHash": None,
    "skipDestroy": None,
}


class ActivationError(RuntimeError):
    """A function did not become active."""


def _function(aws: Aws, inputs: Inputs) -> Created:
    request = translate(inputs, _FUNCTION)
    for property_, (low, high) in _RANGES.items():
        check_range(inputs, property_, low, high)
    check_environment(inputs.get("environment", {}).get("variables", {}))
    if "code" in inputs:
        request["Code"] = {"ZipFile": zip_bytes(inputs["code"], Path.cwd())}
    client = aws.client("lambda")
    client.create_function(**request)
    function = inputs["name"]
    reserved = inputs.get("reservedConcurrentExecutions", _UNRESERVED)
    if reserved != _UNRESERVED:
        client.put_function_concurrency(
            FunctionName=function, ReservedConcurrentExecutions=reserved
        )
    state = _wait_until_active(aws, function)
    arn = state["FunctionArn"]
    invoke = f"arn:aws:apigateway:{aws.region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    return Created(
        function,
        {
            "arn": arn,
            "qualifiedArn": f"{arn}:{state['Version']}",
            "invokeArn": invoke,
            "version": state["Version"],
            "codeSha256": state["CodeSha256"],
            "sourceCodeSize": state["CodeSize"],
            "lastModified": state["LastModified"],
            **with_tags(inputs),
        },
    )


def _wait_until_active(aws: Aws, function: str) -> Inputs:
    client = aws.client("lambda")
    deadline = time.monotonic() + _ACTIVATION_SECONDS
    while True:
        state = client.get_function_configuration(FunctionName=function)
        if state.get("State", "Active") == "Active":
            return state
        if state["State"] == "Failed" or time.monotonic() > deadline:
            raise ActivationError(
                f"function {function} is {state['State']}: {state.get('StateReason', 'no reason')}"
            )
        time.sleep(0.05)


def _permission(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "statementId": "StatementId",
            "function": "FunctionName",
            "action": "Action",
            "principal": "Principal",
            "principalOrgId": "PrincipalOrgID",
            "sourceArn": "SourceArn",
            "sourceAccount": "SourceAccount",
            "qualifier": "Qualifier",
        },
    )
    client = aws.client("lambda")
    client.add_permission(**request)
    where = {key: request[key] for key in ("FunctionName", "Qualifier") if key in request}
    check_function_policy(client.get_policy(**where)["Policy"])
    return Created(inputs["statementId"], {})


_DESTINATION: Spec = {"destination": "Destination"}


def _event_invoke_config(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "functionName": "FunctionName",
            "qualifier": "Qualifier",
            "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
            "maximumRetryAttempts": "MaximumRetryAttempts",
            "destinationConfig": nested(
                "DestinationConfig",
                {
                    "onFailure": nested("OnFailure", _DESTINATION),
                    "onSuccess": nested("OnSuccess", _DESTINATION),
                },
            ),
        },
    )
    for destination in request.get("DestinationConfig", {}).values():
        if ":sqs:" in destination["Destination"]:
            role = _role_of(aws, inputs["functionName"])
            check_role_may(aws, role, ["sqs:SendMessage"], destination["Destination"])
    aws.client("lambda").put_function_event_invoke_config(**request)
    qualifier = f":{inputs['qualifier']}" if "qualifier" in inputs else ""
    return Created(f"{inputs['functionName']}{qualifier}", {})


def _event_source_mapping(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "functionName": "FunctionName",
            "eventSourceArn": "EventSourceArn",
            "enabled": "Enabled",
            "batchSize": "BatchSize",
            "maximumBatchingWindowInSeconds": "MaximumBatchingWindowInSeconds",
            "functionResponseTypes": "FunctionResponseTypes",
            "scalingConfig": nested("ScalingConfig", {"maximumConcurrency": "MaximumConcurrency"}),
            "filterCriteria": nested(
                "FilterCriteria", {"filters": nested("Filters", {"pattern": "Pattern"})}
            ),
            "kmsKeyArn": "KMSKeyArn",
            "tags": "Tags",
        },
    )
    source = inputs["eventSourceArn"]
    if ":sqs:" in source:
        _check_queue(aws, inputs, source)
    mapping = aws.client("lambda").create_event_source_mapping(**request)
    return Created(
        mapping["UUID"],
        {
            "uuid": mapping["UUID"],
            "arn": mapping.get("EventSourceMappingArn", ""),
            "functionArn": mapping["FunctionArn"],
            "state": mapping["State"],
            **with_tags(inputs),
        },
    )


def _check_queue(aws: Aws, inputs: Inputs, queue_arn: str) -> None:
    """Check what Lambda checks of a queue that shall feed a function.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    function = aws.client("lambda").get_function_configuration(FunctionName=inputs["functionName"])
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    check_role_may(aws, function["Role"], actions, queue_arn)
    account, name = queue_arn.split(":")[4:]
    sqs = aws.client("sqs")
    url = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    visibility = int(attributes["Attributes"]["VisibilityTimeout"])
    if visibility < function["Timeout"]:
        raise ModelError(
            f"Queue visibility timeout: {visibility} seconds is less than Function timeout: "
            f"{function['Timeout']} seconds"
        )
    if inputs.get("batchSize", 10) > 10 and not inputs.get("maximumBatchingWindowInSeconds"):
        raise ModelError("a batchSize over 10 needs a maximumBatchingWindowInSeconds of at least 1")


def _role_of(aws: Aws, function: str) -> str:
    return aws.client("lambda").get_function_configuration(FunctionName=function)["Role"]


CREATORS: Mapping[str, Creator] = {
    "aws:lambda/function:Function": _function,
    "aws:lambda/permission:Permission": _permission,
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": _event_invoke_config,
    "aws:lambda/eventSourceMapping:EventSourceMapping": _event_source_mapping,
}


def _no_event_source_mapping(aws: Aws, resource: Registered) -> None:
    aws.client("lambda").delete_event_source_mapping(UUID=resource.id)


DELETERS: Mapping[str, Deleter] = {
    "aws:lambda/eventSourceMapping:EventSourceMapping": _no_event_source_mapping,
}
