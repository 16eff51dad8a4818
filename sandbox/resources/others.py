"""The services of which a program uses one or two resources: KMS, Logs, SSM."""

from collections.abc import Mapping

from sandbox.engine import Created, Registered
from sandbox.model_validation import ModelError

from .base import (
    Aws,
    Creator,
    Inputs,
    To,
    Updater,
    check_range,
    kms_tag_list,
    tag_list,
    translate,
    with_tags,
)

_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip
"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""
_FOREVER = 0

_DELETION_DAYS = (7, 30)
"""https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html"""


def _key(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "description": "Description",
            "policy": "Policy",
            "keyUsage": "KeyUsage",
            "customerMasterKeySpec": "KeySpec",
            "multiRegion": "MultiRegion",
            "bypassPolicyLockoutSafetyCheck": "BypassPolicyLockoutSafetyCheck",
            "tags": To("Tags", kms_tag_list),
            "deletionWindowInDays": None,
            "enableKeyRotation": None,
            "rotationPeriodInDays": None,
            "isEnabled": None,
        },
    )
    check_range(inputs, "deletionWindowInDays", *_DELETION_DAYS)
    kms = aws.client("kms")
    key = kms.create_key(**request)["KeyMetadata"]
    if inputs.get("enableKeyRotation"):
        period = translate(
            {key: inputs[key] for key in ("rotationPeriodInDays",) if key in inputs},
            {"rotationPeriodInDays": "RotationPeriodInDays"},
        )
        kms.enable_key_rotation(KeyId=key["KeyId"], **period)
    if inputs.get("isEnabled") is False:
        kms.disable_key(KeyId=key["KeyId"])
    return Created(key["KeyId"], {"arn": key["Arn"], "keyId": key["KeyId"], **with_tags(inputs)})


def _alias(aws: Aws, inputs: Inputs) -> Created:
    alias = inputs["name"]
    if not alias.startswith("alias/"):
        raise ModelError(f"name is {alias!r}, but must begin with 'alias/'")
    kms = aws.client("kms")
    kms.create_alias(**translate(inputs, {"name": "AliasName", "targetKeyId": "TargetKeyId"}))
    target = kms.describe_key(KeyId=inputs["targetKeyId"])["KeyMetadata"]["Arn"]
    arn = f"arn:aws:kms:{aws.region}:{aws.account_id}:{alias}"
    return Created(alias, {"arn": arn, "targetKeyArn": target})


def _log_group(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "name": "logGroupName",
            "kmsKeyId": "kmsKeyId",
            "logGroupClass": "logGroupClass",
            "tags": "tags",
            "retentionInDays": None,
            "skipDestroy": None,
        },
    )
    days = inputs.get("retentionInDays", _FOREVER)
    if days not in (_FOREVER, *_RETENTION_DAYS):
        raise ModelError(
            f"retentionInDays is {days}, but must be one of {_FOREVER} (forever), "
            + ", ".join(map(str, _RETENTION_DAYS))
        )
    logs = aws.client("logs")
    logs.create_log_group(**request)
    group = inputs["name"]
    if days != _FOREVER:
        logs.put_retention_policy(logGroupName=group, retentionInDays=days)
    arn = f"arn:aws:logs:{aws.region}:{aws.account_id}:log-group:{group}"
    return Created(group, {"arn": arn, **with_tags(inputs)})


def _parameter(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "name": "Name",
            "type": "Type",
            "value": "Value",
            "insecureValue": "Value",
            "description": "Description",
            "keyId": "KeyId",
            "tier": "Tier",
            "dataType": "DataType",
            "allowedPattern": "AllowedPattern",
            "overwrite": "Overwrite",
            "tags": To("Tags", tag_list),
        },
    )
    version = aws.client("ssm").put_parameter(**request)["Version"]
    path = inputs["name"].removeprefix("/")
    arn = f"arn:aws:ssm:{aws.region}:{aws.account_id}:parameter/{path}"
    return Created(inputs["name"], {"arn": arn, "version": version, **with_tags(inputs)})


CREATORS: Mapping[str, Creator] = {
    "aws:kms/key:Key": _key,
    "aws:kms/alias:Alias": _alias,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:ssm/parameter:Parameter": _parameter,
}


def _changed_key(aws: Aws, before: Registered, inputs: Inputs) -> Created:
    aws.client("kms").put_key_policy(
        KeyId=before.id, **translate({"policy": inputs["policy"]}, {"policy": "Policy"})
    )
    return Created(before.id, {})


def _changed_parameter(aws: Aws, before: Registered, inputs: Inputs) -> Created:
    changed = translate({"value": inputs["value"]}, {"value": "Value"})
    answer = aws.client("ssm").put_parameter(Name=before.id, Overwrite=True, **changed)
    return Created(before.id, {"version": answer["Version"]})


UPDATERS: Mapping[str, Updater] = {
    "aws:ssm/parameter:Parameter": Updater(frozenset({"value"}), _changed_parameter),
    "aws:kms/key:Key": Updater(frozenset({"policy"}), _changed_key),
}
