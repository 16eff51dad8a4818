"""CloudTrail: a trail, what it records, and whether its bucket lets it write."""

import json
from collections.abc import Mapping

from sandbox.engine import Created
from sandbox.model_validation import ModelError

from .base import Aws, Creator, Inputs, Spec, nested, tag_list, translate, with_tags

_SELECTOR: Spec = {
    "name": "Name",
    "fieldSelectors": nested(
        "FieldSelectors", {"field": "Field", "equals": "Equals", "startsWiths": "StartsWith"}
    ),
}


def _trail(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "name": "Name",
            "s3BucketName": "S3BucketName",
            "s3KeyPrefix": "S3KeyPrefix",
            "isMultiRegionTrail": "IsMultiRegionTrail",
            "includeGlobalServiceEvents": "IncludeGlobalServiceEvents",
            "enableLogFileValidation": "EnableLogFileValidation",
            "kmsKeyId": "KmsKeyId",
            "advancedEventSelectors": None,
            "tags": None,
        },
    )
    name = inputs["name"]
    arn = f"arn:aws:cloudtrail:{aws.region}:{aws.account_id}:trail/{name}"
    _check_bucket(aws, inputs["s3BucketName"], arn)
    client = aws.client("cloudtrail")
    client.create_trail(**request, TagsList=tag_list(inputs.get("tags", {})))
    selectors = translate(
        {"advancedEventSelectors": inputs["advancedEventSelectors"]},
        {"advancedEventSelectors": nested("AdvancedEventSelectors", _SELECTOR)},
    )
    client.put_event_selectors(TrailName=name, **selectors)
    client.start_logging(Name=name)
    return Created(arn, {"arn": arn, "homeRegion": aws.region, **with_tags(inputs)})


def _check_bucket(aws: Aws, bucket: str, trail_arn: str) -> None:
    """AWS tries to write when a trail is made; MiniStack does not.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
    """
    policy = json.loads(aws.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    allowed = {
        (statement["Action"], statement["Resource"])
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow"
        and statement["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
        and statement["Condition"]["StringEquals"].get("aws:SourceArn") == trail_arn
    }
    wanted = {
        ("s3:GetBucketAcl", f"arn:aws:s3:::{bucket}"),
        ("s3:PutObject", f"arn:aws:s3:::{bucket}/AWSLogs/{aws.account_id}/*"),
    }
    if not wanted <= allowed:
        raise ModelError(f"Incorrect S3 bucket policy is detected for bucket: {bucket}")


CREATORS: Mapping[str, Creator] = {"aws:cloudtrail/trail:Trail": _trail}
