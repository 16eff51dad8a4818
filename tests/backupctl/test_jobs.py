"""What a job's report says is told as the local engine tells its failures."""

import io
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.session import Session

from backupctl.aws import Aws
from backupctl.errors import BackupctlError
from backupctl.jobs import Jobs, failure
from backupctl.stack import BatchOperations

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


@dataclass(frozen=True)
class Objects:
    """Answers every GetObject with the same."""

    body: bytes

    def get_object(self, **_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.body)}


def reading(body: str, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(Aws, "client", lambda *_: Objects(body.encode()))
    aws = Aws(Session())
    return Jobs(aws, "123456789012", "backups", BatchOperations("arn:role", {}))


@pytest.mark.parametrize("body", ["", "[" * 100_000, "[]", '"text"', '{"manifest": 3}'])
def test_what_is_no_record_or_report_is_told(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = reading(body, monkeypatch)
    with pytest.raises(BackupctlError, match=r"photos\.json is no record of a job; remove it"):
        jobs.record("photos")
    with pytest.raises(BackupctlError, match=r"manifest\.json cannot be understood"):
        list(jobs.failures("job"))
