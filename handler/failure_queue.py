"""What could not be handled, put where people find it: with its event and its reason."""

import json
import os
from datetime import UTC, datetime
from typing import Any

from . import clients, log
from .failures import Failed

_LONGEST_REASON = 4096


def report(raw: object, failure: Failed, tries: int, context: Any) -> bool:  # noqa: ANN401
    """Put one record into the failure queue, in the form that Lambda gives its own failures.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html

    :param raw: the record as it came.
    :param tries: how often it has come.
    :param context: Lambda's context object.
    :returns: whether it is there; if not, it has to come again to get there.
    """
    body = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(),
        "requestContext": {
            "requestId": context.aws_request_id,
            "functionArn": context.invoked_function_arn,
            "condition": "RetriesExhausted" if failure.retryable else "Permanent",
            "approximateInvokeCount": tries,
        },
        "requestPayload": {"Records": [raw]},
        "responsePayload": {"errorType": failure.kind, "errorMessage": short(str(failure))},
    }
    try:
        clients.sqs().send_message(
            QueueUrl=os.environ["FAILURE_QUEUE_URL"], MessageBody=json.dumps(body)
        )
    except Exception as error:
        # Whatever it is, the record comes again, and in the end gets there by AWS's own ways.
        log.problem(f"the failure queue did not take it: {error}")
        return False
    return True


def short(text: str) -> str:
    """As much as people read, and queues take."""
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 3]}..."
