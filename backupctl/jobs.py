"""Jobs of S3 Batch Operations: created once, followed by whoever asks, reported in the end.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_CreateJob.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-examples-reports.html
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote_plus

from botocore.exceptions import ClientError

from handler.failures import Failed

from .aws import Aws
from .batch_places import RECORDS, REPORTS
from .errors import BackupctlError
from .explanations import explain_failure
from .json_text import loads
from .manifests import Manifest
from .stack import BatchOperations

ENDED = {"Complete", "Failed", "Cancelled"}
_PRIORITY = 10
_KIND = re.compile(r"([\w.]+): (.*)", re.DOTALL)


@dataclass
class Record:
    """What is known of the last job for a source: kept in the backup bucket, for the next run."""

    about: Mapping[str, bool | str]
    """What decided what is in the manifest: options, or a digest of what a file named."""
    manifest: Manifest
    seen: Mapping[str, int]
    """What the listings, or the file, had."""
    token: str
    """Has the same request create the same job."""
    job: str | None = None
    """Its id; None as long as S3 has not told it."""
    told: bool = False
    """Whether its end was reported to a person."""


@dataclass(frozen=True)
class State:
    """How far a job is."""

    status: str
    total: int
    succeeded: int
    failed: int
    reasons: str
    """Why it failed as a whole."""

    @property
    def done(self) -> int:
        """How many of its tasks are done."""
        return self.succeeded + self.failed


@dataclass(frozen=True)
class Jobs:
    """The jobs of one stack.

    :param aws: the account.
    :param owner: its id.
    :param backup_bucket: name.
    :param batch: what the stack has for them.
    """

    aws: Aws
    owner: str
    backup_bucket: str
    batch: BatchOperations

    def record(self, source: str) -> Record | None:
        """What an earlier run left; None if there is nothing.

        :raises BackupctlError: if it is something else.
        """
        place = {"Bucket": self.backup_bucket, "Key": f"{RECORDS}{source}.json"}
        s3 = self.aws.client("s3")
        try:
            found = s3.get_object(**place, ExpectedBucketOwner=self.owner)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise
        try:
            content: dict[str, Any] = loads(found)
            manifest = Manifest(**content.pop("manifest"))
            return Record(manifest=manifest, **content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BackupctlError(
                f"{self.backup_bucket}/{place['Key']} is no record of a job; remove it"
            ) from error

    def keep(self, source: str, record: Record) -> None:
        """Keep it for the next run."""
        self.aws.client("s3").put_object(
            Bucket=self.backup_bucket,
            Key=f"{RECORDS}{source}.json",
            Body=json.dumps(asdict(record)).encode(),
            ContentType="application/json",
            # Without a right for the bucket's key.
            ServerSideEncryption="AES256",
            ExpectedBucketOwner=self.owner,
        )

    def create(self, source: str, record: Record) -> str:
        """Create the job of a record, or find the one that it created before; returns its id."""
        try:
            return self._create(source, record)
        except ClientError as error:
            if error.response["Error"]["Code"] != "IdempotencyException":
                raise
            # The stack has another role, or other functions, since then.
            found = self.find(source, record)
            if found is None:
                raise
            return found

    def find(self, source: str, record: Record) -> str | None:
        """Look for the job that a record's token created, whatever its status; returns its id.

        S3 knows jobs until 90 days after their end.
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_ListJobs.html
        """
        wanted = _description(source, record)
        more: dict[str, str] = {}
        while True:
            answer = self.aws.client("s3control").list_jobs(AccountId=self.owner, **more)
            for job in answer.get("Jobs", []):
                if job.get("Description") == wanted:
                    found: str = job["JobId"]
                    return found
            if not answer.get("NextToken"):
                return None
            more = {"NextToken": answer["NextToken"]}

    def _create(self, source: str, record: Record) -> str:
        partition = self.batch.role_arn.split(":")[1]
        bucket = f"arn:{partition}:s3:::{self.backup_bucket}"
        manifest = record.manifest
        created = self.aws.client("s3control").create_job(
            AccountId=self.owner,
            ClientRequestToken=record.token,
            ConfirmationRequired=False,
            Description=_description(source, record),
            Priority=_PRIORITY,
            RoleArn=self.batch.role_arn,
            Operation={
                "LambdaInvoke": {
                    "FunctionArn": self.batch.functions[source],
                    "InvocationSchemaVersion": "2.0",
                }
            },
            Manifest={
                "Spec": {
                    "Format": "S3BatchOperations_CSV_20180820",
                    "Fields": ["Bucket", "Key", *(["VersionId"] if manifest.versions else [])],
                },
                "Location": {"ObjectArn": f"{bucket}/{manifest.key}", "ETag": manifest.etag},
            },
            Report={
                "Bucket": bucket,
                "Prefix": REPORTS,
                "Format": "Report_CSV_20180820",
                "Enabled": True,
                "ReportScope": "FailedTasksOnly",
            },
        )
        job_id: str = created["JobId"]
        return job_id

    def state(self, job: str) -> State | None:
        """How far a job is; None if S3 has forgotten it, as it does 90 days after its end."""
        try:
            answer = self.aws.client("s3control").describe_job(AccountId=self.owner, JobId=job)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchJob":
                return None
            raise
        found = answer["Job"]
        progress = found.get("ProgressSummary", {})
        return State(
            found["Status"],
            progress.get("TotalNumberOfTasks", 0),
            progress.get("NumberOfTasksSucceeded", 0),
            progress.get("NumberOfTasksFailed", 0),
            "; ".join(
                f"{reason.get('FailureCode')}: {reason.get('FailureReason')}"
                for reason in found.get("FailureReasons", [])
            ),
        )

    def failures(self, job: str) -> Iterator[dict[str, Any]]:
        """What a job's report says of each task that failed: a structure for a line of JSON.

        :raises BackupctlError: if there is no such report, or it cannot be understood.
        """
        key = f"{REPORTS}/job-{job}/manifest.json"
        try:
            manifest = loads(self._get(key).read())
            schema = [name.strip() for name in manifest["ReportSchema"].split(",")]
            for result in manifest["Results"]:
                lines = self._get(result["Key"]).iter_lines(keepends=True)
                for row in csv.reader(line.decode() for line in lines):
                    yield failure(dict(zip(schema, row, strict=True)))
        except (AttributeError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise BackupctlError(
                f"the report {self.backup_bucket}/{key} cannot be understood "
                f"({type(error).__name__}: {error}); look at it, and run the command again"
            ) from error

    def _get(self, key: str) -> Any:  # noqa: ANN401 - botocore's
        place = {"Bucket": self.backup_bucket, "Key": key, "ExpectedBucketOwner": self.owner}
        try:
            return self.aws.client("s3").get_object(**place)["Body"]
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                raise BackupctlError(
                    f"there is no report {self.backup_bucket}/{key} yet; run the command again"
                ) from error
            raise


def _description(source: str, record: Record) -> str:
    # Lists of jobs tell nothing else that is told when one is created.
    return f"backupctl backfill {source} {record.token}"


def failure(row: Mapping[str, str]) -> dict[str, Any]:
    """What the engine on one machine would have said of the same failure."""
    # AWS's schema and AWS's example disagree about which of the two comes first.
    codes = (row["ErrorCode"], row["HTTPStatusCode"])
    code = next((code for code in codes if not code.isdigit()), "")
    message = row["ResultMessage"]
    matched = _KIND.fullmatch(message)
    kind, text = matched.groups() if matched else (code or "Unknown", message)
    retryable = code == "TemporaryFailure"
    problem, cure = explain_failure(Failed(text, kind=kind, retryable=retryable))
    return {
        "bucket": row["Bucket"],
        "key": unquote_plus(row["Key"]),
        **({"version_id": row["VersionId"]} if row["VersionId"] else {}),
        "kind": kind,
        "retryable": retryable,
        "problem": problem,
        "cure": cure,
    }
