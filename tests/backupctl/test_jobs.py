"""What a job's report says is told as the local engine tells its failures."""

from typing import Any

import pytest

from backupctl.jobs import failure

ROW = {
    "Bucket": "photos",
    "Key": "a%20b%2Bc",
    "VersionId": "",
    "TaskStatus": "failed",
    "ErrorCode": "PermanentFailure",
    "HTTPStatusCode": "200",
    "ResultMessage": "AccessDenied: CopyObject: 403 AccessDenied; ask somebody",
}
TOLD = {
    "bucket": "photos",
    "key": "a b+c",
    "kind": "AccessDenied",
    "retryable": False,
    "problem": "CopyObject: 403 AccessDenied",
    "cure": "ask somebody",
}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, {}),
        # As AWS's examples have it.
        ({"ErrorCode": "200", "HTTPStatusCode": "PermanentFailure"}, {}),
        ({"VersionId": "v1"}, {"version_id": "v1"}),
        (
            {"ErrorCode": "TemporaryFailure", "ResultMessage": "SlowDown: CopyObject: SlowDown"},
            {
                "kind": "SlowDown",
                "retryable": True,
                "problem": "CopyObject: SlowDown",
                "cure": "run the command again",
            },
        ),
        (
            {"ResultMessage": 'Lambda returned function error: {"errorMessage":"out"}'},
            {
                "kind": "PermanentFailure",
                "problem": 'Lambda returned function error: {"errorMessage":"out"}',
                "cure": "run the command again",
            },
        ),
    ],
)
def test_a_row_is_told(changed: dict[str, str], told: dict[str, Any]) -> None:
    assert failure({**ROW, **changed}) == {**TOLD, **told}
