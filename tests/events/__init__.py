"""Events as AWS documents and sends them, one JSON file each.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

import json
from pathlib import Path
from typing import Any


def event(name: str) -> Any:
    """The event in the file of that name."""
    return json.loads((Path(__file__).parent / f"{name}.json").read_text())


def changed(**fields: object) -> Any:
    """The versioned put with some fields of its record, or of the object in it, replaced."""
    whole = event("s3_put_versioned")
    record = whole["Records"][0]
    for field, value in fields.items():
        (record if field in record else record["s3"]["object"])[field] = value
    return whole


def messages(*bodies: object, receives: int = 1) -> Any:
    """An invocation by a queue, with one message per body; texts are taken as they are.

    The messages' ids are `message-0`, `message-1` and so on.
    """
    like = event("sqs_s3_put")["Records"][0]
    return {
        "Records": [
            {
                **like,
                "messageId": f"message-{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {**like["attributes"], "ApproximateReceiveCount": str(receives)},
            }
            for number, body in enumerate(bodies)
        ]
    }
