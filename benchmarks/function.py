"""The function as Lambda runs it: its environment, its context, its events."""

import os
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from .stub import ETAG, SIZE

ROOT = Path(__file__).parents[1]
"""The project, from which children import the code."""
BACKUP_BUCKET = "backups"
ACCOUNT = "123456789012"


class Context:
    """What Lambda hands to the function beside the event."""

    function_name = "backup"
    aws_request_id = "request"
    invoked_function_arn = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:backup"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """As at the beginning of an invocation."""
        return 900_000


def environment(url: str) -> dict[str, str]:
    """Environment variables of the function, with `url` in place of AWS."""
    return {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_LAMBDA_FUNCTION_NAME": "backup",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ENDPOINT_URL": url,
        "BACKUP_BUCKET": BACKUP_BUCKET,
        "BUCKET_OWNER": ACCOUNT,
        "FAILURE_QUEUE_URL": f"{url}/{ACCOUNT}/failures",
        "NO_PROXY": "127.0.0.1",
        "PATH": os.environ["PATH"],
    }


def plain_s3() -> Any:  # noqa: ANN401 - botocore's clients have no static type
    """A client of bare botocore, that tries as often and has as many connections as ours."""
    from handler.boto import CLIENT_CONFIG

    config = Config(
        retries=CLIENT_CONFIG.retries,  # pyright: ignore[reportAttributeAccessIssue]
        max_pool_connections=CLIENT_CONFIG.max_pool_connections,  # pyright: ignore[reportAttributeAccessIssue]
        tcp_keepalive=True,
    )
    return botocore.session.get_session().create_client("s3", config=config)


def event(*keys: str) -> dict[str, Any]:
    """S3's notification about one new version of each key."""
    return {
        "Records": [
            {
                "eventVersion": "2.3",
                "eventSource": "aws:s3",
                "awsRegion": "eu-central-1",
                "eventTime": "2026-03-04T05:06:07.000Z",
                "eventName": "ObjectCreated:Put",
                "userIdentity": {"principalId": "AWS:AIDAJDPLRKLG7UEXAMPLE"},
                "requestParameters": {"sourceIPAddress": "198.51.100.7"},
                "responseElements": {"x-amz-request-id": "request"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "backup",
                    "bucket": {"name": "photos", "arn": "arn:aws:s3:::photos"},
                    "object": {
                        "key": key,
                        "size": SIZE,
                        "eTag": ETAG,
                        "versionId": "version",
                        "sequencer": "0055",
                    },
                },
            }
            for key in keys
        ]
    }
