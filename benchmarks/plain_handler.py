"""What anybody would write: boto3, one client, the two calls that a copy of a version takes."""

import json
from typing import Any
from urllib.parse import unquote_plus

import boto3

s3 = boto3.client("s3")


def handler(event: Any, context: object) -> None:  # noqa: ANN401, ARG001 - Lambda's signature
    """Copy every announced version."""
    for record in event["Records"]:
        bucket = record["s3"]["bucket"]["name"]
        entity = record["s3"]["object"]
        source = {
            "Bucket": bucket,
            "Key": unquote_plus(entity["key"]),
            "VersionId": entity["versionId"],
        }
        head = s3.head_object(**source)
        s3.copy_object(
            Bucket="backups",
            Key=f"{bucket}/{source['Key']}",
            CopySource=source,
            CopySourceIfMatch=head["ETag"],
        )
        print(json.dumps({"copied": source["Key"], "bytes": head["ContentLength"]}), flush=True)
