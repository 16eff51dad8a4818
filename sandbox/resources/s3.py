"""S3: the bucket and the resources beside it."""

import secrets
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from sandbox.engine import Created
from sandbox.model_validation import ModelError, check_json_policy

from .base import (
    Aws,
    Creator,
    Inputs,
    Spec,
    To,
    Updater,
    again,
    nested,
    tag_list,
    translate,
    with_tags,
)
from .destinations import check_function_accepts, check_queue_accepts


class OverlapError(ValueError):
    """Two notifications of a bucket would both match one event."""


def _bucket(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "bucket": "Bucket",
            "objectLockEnabled": "ObjectLockEnabledForBucket",
            "forceDestroy": None,
            "tags": None,
        },
    )
    if aws.region != "us-east-1":
        request["CreateBucketConfiguration"] = {"LocationConstraint": aws.region}
    s3 = aws.client("s3")
    s3.create_bucket(**request)
    bucket = inputs["bucket"]
    if inputs.get("tags"):
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_list(inputs["tags"])})
    return Created(
        bucket,
        {
            "arn": f"arn:aws:s3:::{bucket}",
            "region": aws.region,
            "bucketRegion": aws.region,
            "bucketDomainName": f"{bucket}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{bucket}.s3.{aws.region}.amazonaws.com",
            **with_tags(inputs),
        },
    )


def _beside_bucket(operation: str, spec: Spec, **defaults: str) -> Creator:
    """A resource that is one request on its bucket and has the bucket's name as id."""

    def create(aws: Aws, inputs: Inputs) -> Created:
        request = translate(
            {**defaults, **inputs},
            {"bucket": "Bucket", "expectedBucketOwner": "ExpectedBucketOwner", **spec},
        )
        getattr(aws.client("s3"), operation)(**request)
        return Created(inputs["bucket"], {})

    return create


_FILTER: Spec = {
    "prefix": "Prefix",
    "objectSizeGreaterThan": "ObjectSizeGreaterThan",
    "objectSizeLessThan": "ObjectSizeLessThan",
    "tag": nested("Tag", {"key": "Key", "value": "Value"}),
    "and": nested(
        "And",
        {
            "prefix": "Prefix",
            "objectSizeGreaterThan": "ObjectSizeGreaterThan",
            "objectSizeLessThan": "ObjectSizeLessThan",
            "tags": To("Tags", tag_list),
        },
    ),
}
_NONCURRENT: Spec = {
    "noncurrentDays": "NoncurrentDays",
    "newerNoncurrentVersions": "NewerNoncurrentVersions",
    "storageClass": "StorageClass",
}
_WHEN: Spec = {
    "date": "Date",
    "days": "Days",
    "expiredObjectDeleteMarker": "ExpiredObjectDeleteMarker",
    "storageClass": "StorageClass",
}
_LIFECYCLE_RULE: Spec = {
    "id": "ID",
    "status": "Status",
    "prefix": "Prefix",
    "filter": nested("Filter", _FILTER),
    "abortIncompleteMultipartUpload": nested(
        "AbortIncompleteMultipartUpload", {"daysAfterInitiation": "DaysAfterInitiation"}
    ),
    "expiration": nested("Expiration", _WHEN),
    "transitions": nested("Transitions", _WHEN),
    "noncurrentVersionExpiration": nested("NoncurrentVersionExpiration", _NONCURRENT),
    "noncurrentVersionTransitions": nested("NoncurrentVersionTransitions", _NONCURRENT),
}


def _lifecycle_rules(rules: list[Inputs]) -> list[dict[str, Any]]:
    # S3 wants a filter or a prefix; without either the provider asks for all objects.
    return [
        {"Filter": {"Prefix": ""}, **rule} if not {"Filter", "Prefix"} & rule.keys() else rule
        for rule in (translate(rule, _LIFECYCLE_RULE, "rules[].") for rule in rules)
    ]


_TARGET: Spec = {
    "id": "Id",
    "events": "Events",
    "lambdaFunctionArn": "LambdaFunctionArn",
    "queueArn": "QueueArn",
    "filterPrefix": None,
    "filterSuffix": None,
}


def _targets(kind: str, targets: list[Inputs]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for target in targets:
        request = translate(target, _TARGET, f"{kind}[].")
        request.setdefault("Id", f"tf-s3-{kind}-{secrets.token_hex(8)}")
        rules = [
            {"Name": name, "Value": target[property_]}
            for name, property_ in (("prefix", "filterPrefix"), ("suffix", "filterSuffix"))
            if target.get(property_)
        ]
        if rules:
            request["Filter"] = {"Key": {"FilterRules": rules}}
        found.append(request)
    return found


def _notification(aws: Aws, inputs: Inputs) -> Created:
    bucket = inputs["bucket"]
    functions, queues = inputs.get("lambdaFunctions", []), inputs.get("queues", [])
    configuration = translate(
        inputs,
        {
            "bucket": None,
            "eventbridge": None,
            "lambdaFunctions": To(
                "LambdaFunctionConfigurations", lambda targets: _targets("lambda", targets)
            ),
            "queues": To("QueueConfigurations", lambda targets: _targets("queue", targets)),
        },
    )
    if inputs.get("eventbridge"):
        configuration["EventBridgeConfiguration"] = {}
    _check_overlaps([*functions, *queues])
    for target in functions:
        check_function_accepts(aws, target["lambdaFunctionArn"], bucket)
    for target in queues:
        check_queue_accepts(aws, target["queueArn"], bucket)
    aws.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=configuration
    )
    return Created(bucket, {})


def _check_overlaps(targets: list[Inputs]) -> None:
    for index, one in enumerate(targets):
        for other in targets[:index]:
            if (
                any(
                    _same_event(mine, theirs)
                    for mine in one["events"]
                    for theirs in other["events"]
                )
                and _one_begins_other(one.get("filterPrefix", ""), other.get("filterPrefix", ""))
                and _one_begins_other(
                    one.get("filterSuffix", "")[::-1], other.get("filterSuffix", "")[::-1]
                )
            ):
                raise OverlapError(
                    "Configuration is ambiguously defined. Cannot have overlapping suffixes in "
                    "two rules if the prefixes are overlapping for the same event type: "
                    f"{_filter(other)} and {_filter(one)}"
                )


def _same_event(one: str, other: str) -> bool:
    return _one_begins_other(one.removesuffix("*"), other.removesuffix("*")) and (
        one == other or "*" in (one[-1], other[-1])
    )


def _one_begins_other(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _filter(target: Inputs) -> str:
    return f"{target.get('filterPrefix', '')}*{target.get('filterSuffix', '')}"


def _policy(aws: Aws, inputs: Inputs) -> Created:
    check_json_policy("the bucket policy", inputs["policy"])
    return _beside_bucket("put_bucket_policy", {"policy": "Policy"})(aws, inputs)


_LOGGING: Spec = {
    "targetBucket": "BucketLoggingStatus.LoggingEnabled.TargetBucket",
    "targetPrefix": "BucketLoggingStatus.LoggingEnabled.TargetPrefix",
    "targetObjectKeyFormat": nested(
        "BucketLoggingStatus.LoggingEnabled.TargetObjectKeyFormat",
        {
            "simplePrefix": nested("SimplePrefix", {}),
            "partitionedPrefix": nested(
                "PartitionedPrefix", {"partitionDateSource": "PartitionDateSource"}
            ),
        },
    ),
}


def _logging(aws: Aws, inputs: Inputs) -> Created:
    target = inputs["targetBucket"]
    try:
        aws.client("s3").head_bucket(Bucket=target)
    except ClientError as error:
        raise ModelError(f"The target bucket for logging does not exist: {target}") from error
    return _beside_bucket("put_bucket_logging", _LOGGING)(aws, inputs)


_ENCRYPTION_RULE: Spec = {
    "applyServerSideEncryptionByDefault": nested(
        "ApplyServerSideEncryptionByDefault",
        {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"},
    ),
    "bucketKeyEnabled": "BucketKeyEnabled",
    "blockedEncryptionTypes": "BlockedEncryptionTypes.EncryptionType",
}


CREATORS: Mapping[str, Creator] = {
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketPolicy:BucketPolicy": _policy,
    "aws:s3/bucketNotification:BucketNotification": _notification,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _beside_bucket(
        "put_bucket_ownership_controls",
        {
            "rule": To(
                "OwnershipControls.Rules",
                lambda rule: [rule],
                {"objectOwnership": "ObjectOwnership"},
            )
        },
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _beside_bucket(
        "put_public_access_block",
        {
            "blockPublicAcls": "PublicAccessBlockConfiguration.BlockPublicAcls",
            "blockPublicPolicy": "PublicAccessBlockConfiguration.BlockPublicPolicy",
            "ignorePublicAcls": "PublicAccessBlockConfiguration.IgnorePublicAcls",
            "restrictPublicBuckets": "PublicAccessBlockConfiguration.RestrictPublicBuckets",
            "skipDestroy": None,
        },
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        _beside_bucket(
            "put_bucket_encryption",
            {"rules": nested("ServerSideEncryptionConfiguration.Rules", _ENCRYPTION_RULE)},
        )
    ),
    "aws:s3/bucketVersioning:BucketVersioning": _beside_bucket(
        "put_bucket_versioning",
        {
            "versioningConfiguration": nested(
                "VersioningConfiguration", {"status": "Status", "mfaDelete": "MFADelete"}
            ),
            "mfa": "MFA",
        },
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _beside_bucket(
        "put_bucket_lifecycle_configuration",
        {
            "rules": To("LifecycleConfiguration.Rules", _lifecycle_rules),
            "transitionDefaultMinimumObjectSize": "TransitionDefaultMinimumObjectSize",
        },
    ),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": _beside_bucket(
        "put_object_lock_configuration",
        {
            "objectLockEnabled": "ObjectLockConfiguration.ObjectLockEnabled",
            "rule": nested(
                "ObjectLockConfiguration.Rule",
                {
                    "defaultRetention": nested(
                        "DefaultRetention", {"mode": "Mode", "days": "Days", "years": "Years"}
                    )
                },
            ),
            "token": "Token",
        },
        objectLockEnabled="Enabled",
    ),
    "aws:s3/bucketLogging:BucketLogging": _logging,
}

UPDATERS: Mapping[str, Updater] = {
    "aws:s3/bucketNotification:BucketNotification": again(
        _notification, "lambdaFunctions", "queues"
    ),
}
