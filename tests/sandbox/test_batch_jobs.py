"""The sandbox's S3 Batch Operations: what AWS documents of jobs, tasks and reports."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.aliases import Client
from sandbox.ministack import Credentials, MiniStack
from sandbox.observation import wait_for

BUCKET, FUNCTION, ROLE = "batch-jobs", "batch-jobs-answers", "batch-jobs-role"
# Answers each task as its key says, and a "temporary" one the first time with a failure.
CODE = """
import json, pathlib, tempfile

def handler(event, context):
    results = []
    for task in event["tasks"]:
        key = task["s3Key"]
        if key == "crash":
            raise RuntimeError("crashed")
        if key == "missing":
            continue
        code = {"permanent": "PermanentFailure", "never": "TemporaryFailure"}.get(key, "Succeeded")
        seen = pathlib.Path(tempfile.gettempdir()) / f"batch-{event['job']['id']}-{task['taskId']}"
        if key == "temporary" and not seen.exists():
            seen.touch()
            code = "TemporaryFailure"
        results.append({"taskId": task["taskId"], "resultCode": code,
                        "resultString": json.dumps([event["invocationSchemaVersion"], task])})
    return {"invocationSchemaVersion": event["invocationSchemaVersion"],
            "treatMissingKeysAs": "PermanentFailure",
            "invocationId": event["invocationId"], "results": results}
"""


@dataclass(frozen=True)
class Place:
    """An account with what a job needs."""

    ministack: MiniStack
    function_arn: str
    role_arn: str

    def request(self, rows: str, **changes: Any) -> dict[str, Any]:
        """A request for a job with this manifest."""
        put = self.ministack.client("s3").put_object(
            Bucket=BUCKET,
            Key="manifests/m.csv",
            Body=rows.encode(),
            ServerSideEncryption="AES256",
        )
        fields = ["Bucket", "Key", *(["VersionId"] if rows.count(",") > rows.count("\n") else [])]
        return {
            "AccountId": self.ministack.account_id,
            "ConfirmationRequired": False,
            "ClientRequestToken": hashlib.sha256(f"{rows}{changes}".encode()).hexdigest(),
            "Priority": 10,
            "RoleArn": self.role_arn,
            "Operation": {
                "LambdaInvoke": {
                    "FunctionArn": self.function_arn,
                    "InvocationSchemaVersion": changes.pop("schema", "2.0"),
                }
            },
            "Manifest": {
                "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": fields},
                "Location": {
                    "ObjectArn": f"arn:aws:s3:::{BUCKET}/manifests/m.csv",
                    "ETag": changes.pop("etag", put["ETag"]),
                },
            },
            "Report": {
                "Bucket": f"arn:aws:s3:::{BUCKET}",
                "Prefix": "reports",
                "Format": "Report_CSV_20180820",
                "Enabled": True,
                "ReportScope": changes.pop("scope", "AllTasks"),
            },
            **changes,
        }

    def control(self, credentials: Credentials | None = None) -> Client:
        """S3 Control, as the root or as somebody."""
        return self.ministack.client("s3control", credentials)

    def run(self, rows: str, **changes: Any) -> dict[str, Any]:
        """Create a job and wait for its end; returns its description."""
        job = self.control().create_job(**self.request(rows, **changes))["JobId"]
        return self.ended(job)

    def ended(self, job: str, *statuses: str) -> dict[str, Any]:
        """A job that has reached one of some statuses, by default its end."""
        wanted = statuses or ("Complete", "Failed", "Cancelled")

        def described() -> list[dict[str, Any]]:
            found = self.control().describe_job(AccountId=self.ministack.account_id, JobId=job)
            return [found["Job"]] if found["Job"]["Status"] in wanted else []

        [job_found] = wait_for(described, f"the job to be {wanted}")
        return job_found

    def report(self, job: Mapping[str, Any]) -> dict[str, list[list[str]]]:
        """The rows of a job's report by status."""
        s3 = self.ministack.client("s3")
        key = f"reports/job-{job['JobId']}/manifest.json"
        manifest = json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        assert manifest["Format"] == "Report_CSV_20180820"

        def rows(result: Mapping[str, str]) -> Iterator[list[str]]:
            content = s3.get_object(Bucket=result["Bucket"], Key=result["Key"])["Body"].read()
            yield from csv.reader(io.StringIO(content.decode()))

        return {result["TaskExecutionStatus"]: list(rows(result)) for result in manifest["Results"]}


def role(iam: Client, name: str, service: str, statements: list[dict[str, Any]]) -> str:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document([trust]))
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(statements))
    return made["Role"]["Arn"]


def document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(action: str, resource: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


@pytest.fixture(scope="module")
def place(ministack: MiniStack) -> Place:
    ministack.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": ministack.region}
    )
    iam, archive = ministack.client("iam"), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("answers.py", CODE)
    made = ministack.client("lambda").create_function(
        FunctionName=FUNCTION,
        Runtime="python3.13",
        Role=role(iam, "batch-jobs-function", "lambda.amazonaws.com", []),
        Handler="answers.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=30,
    )
    arn = f"arn:aws:s3:::{BUCKET}"
    job_role = role(
        iam,
        ROLE,
        "batchoperations.s3.amazonaws.com",
        [
            allow("lambda:InvokeFunction", made["FunctionArn"]),
            allow("s3:GetObject", f"{arn}/manifests/*"),
            allow("s3:PutObject", f"{arn}/reports/*"),
        ],
    )
    return Place(ministack, made["FunctionArn"], job_role)


def test_each_task_has_a_result_and_a_row_in_the_report(place: Place) -> None:
    keys = ["good", "permanent", "never", "temporary", "missing", *(f"g{n}" for n in range(20))]
    job = place.run("".join(f"photos,{key}\n" for key in keys))
    assert job["Status"] == "Complete", job["FailureReasons"]
    assert job["ProgressSummary"]["TotalNumberOfTasks"] == 25
    assert job["ProgressSummary"]["NumberOfTasksSucceeded"] == 22
    assert job["ProgressSummary"]["NumberOfTasksFailed"] == 3
    report = place.report(job)
    assert sorted(row[:6] for row in report["failed"]) == [
        ["photos", "missing", "", "failed", "200", "PermanentFailure"],
        ["photos", "never", "", "failed", "200", "TemporaryFailure"],
        ["photos", "permanent", "", "failed", "200", "PermanentFailure"],
    ]
    assert len(report["succeeded"]) == 22
    [told] = [json.loads(row[6]) for row in report["succeeded"] if row[1] == "good"]
    assert told[0] == "2.0"
    assert (told[1]["s3Bucket"], told[1]["s3VersionId"]) == ("photos", None)


def test_versions_and_the_older_schema_reach_the_function(place: Place) -> None:
    job = place.run("photos,a%20b,v1\n", schema="1.0")
    [row] = place.report(job)["succeeded"]
    assert row[:3] == ["photos", "a%20b", "v1"]
    schema, task = json.loads(row[6])
    assert schema == "1.0"
    assert {key: task[key] for key in ("s3Key", "s3VersionId", "s3BucketArn")} == {
        "s3Key": "a%20b",
        "s3VersionId": "v1",
        "s3BucketArn": "arn:aws:s3:::photos",
    }


def test_a_function_that_raises_fails_its_tasks(place: Place) -> None:
    job = place.run("photos,crash\n", scope="FailedTasksOnly")
    [row] = place.report(job)["failed"]
    assert row[6].startswith("Lambda returned function error: ")
    assert "crashed" in row[6]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"etag": "0" * 32}, "ManifestChanged"),
        ({"rows": "photos\n"}, "ManifestNotReadable"),
        ({"rows": ""}, "ManifestNotReadable"),
        ({"role": "arn:aws:iam::{account}:role/batch-jobs-function"}, "RoleNotAssumable"),
    ],
)
def test_what_s3_does_not_take_fails_the_job(
    place: Place, change: dict[str, str], code: str
) -> None:
    rows = change.pop("rows", "photos,a\n")
    if "role" in change:
        account = place.ministack.account_id
        change["RoleArn"] = change.pop("role").format(account=account)
    job = place.run(rows, **change)
    assert job["Status"] == "Failed"
    assert [reason["FailureCode"] for reason in job["FailureReasons"]] == [code]


def test_the_same_token_makes_one_job_and_refuses_another_request(place: Place) -> None:
    request = place.request("photos,once\n")
    one = place.control().create_job(**request)["JobId"]
    assert place.control().create_job(**request)["JobId"] == one
    with pytest.raises(ClientError, match="IdempotencyException"):
        place.control().create_job(**{**request, "Priority": 11})
    place.ended(one)


def test_jobs_are_listed_by_status_and_in_pages(place: Place) -> None:
    done = place.run("photos,listed\n", Description="listed, done")["JobId"]
    request = place.request("photos,waits\n", Description="listed, waits")
    waits = place.control().create_job(**{**request, "ConfirmationRequired": True})["JobId"]
    place.ended(waits, "Suspended")
    listed: dict[str, dict[str, Any]] = {}
    more: dict[str, str] = {}
    account = place.ministack.account_id
    while True:
        page = place.control().list_jobs(AccountId=account, MaxResults=1, **more)
        [job] = page["Jobs"]
        listed[job["JobId"]] = job
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    told = {name: listed[done][name] for name in ("Description", "Operation", "Status")}
    assert told == {
        "Description": "listed, done",
        "Operation": "LambdaInvoke",
        "Status": "Complete",
    }
    assert listed[done]["ProgressSummary"]["NumberOfTasksSucceeded"] == 1

    def with_status(*statuses: str) -> set[str]:
        page = place.control().list_jobs(AccountId=account, JobStatuses=list(statuses))
        return {job["JobId"] for job in page["Jobs"]}

    assert waits in with_status("Suspended")
    assert done not in with_status("Suspended")
    assert {done, waits} <= with_status("Complete", "Suspended")
    for wrong, code in (
        ({"MaxResults": 1001}, "InvalidRequest"),
        ({"NextToken": "x"}, "InvalidNextToken"),
    ):
        with pytest.raises(ClientError, match=code):
            place.control().list_jobs(AccountId=account, **wrong)
    place.control().update_job_status(
        AccountId=account, JobId=waits, RequestedJobStatus="Cancelled"
    )


def test_a_job_can_wait_for_somebody_and_be_cancelled(place: Place) -> None:
    control, account = place.control(), place.ministack.account_id
    for number, wanted in enumerate(("Ready", "Cancelled")):
        request = place.request(f"photos,waits{number}\n", ConfirmationRequired=True)
        job = control.create_job(**request)["JobId"]
        place.ended(job, "Suspended")
        control.update_job_status(AccountId=account, JobId=job, RequestedJobStatus=wanted)
        done = place.ended(job)
        assert done["Status"] == {"Ready": "Complete", "Cancelled": "Cancelled"}[wanted]
        with pytest.raises(ClientError, match="JobStatusException"):
            control.update_job_status(AccountId=account, JobId=job, RequestedJobStatus="Ready")


@pytest.mark.parametrize(
    "without", ["s3:CreateJob", "iam:PassRole", "s3:DescribeJob", "s3:ListJobs"]
)
def test_whoever_asks_needs_the_permissions_that_aws_asks_for(place: Place, without: str) -> None:
    account, region = place.ministack.account_id, place.ministack.region
    passed = {"StringEquals": {"iam:PassedToService": "batchoperations.s3.amazonaws.com"}}
    needed = {
        "s3:CreateJob": allow("s3:CreateJob", "*"),
        "s3:ListJobs": allow("s3:ListJobs", "*"),
        "s3:DescribeJob": allow("s3:DescribeJob", f"arn:aws:s3:{region}:{account}:job/*"),
        "iam:PassRole": allow("iam:PassRole", place.role_arn, Condition=passed),
    }
    iam, name = place.ministack.client("iam"), f"batch-jobs-{without.replace(':', '-')}"
    trust = allow("sts:AssumeRole", "*") | {"Principal": {"AWS": f"arn:aws:iam::{account}:root"}}
    del trust["Resource"]
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document([trust]))["Role"]
    request = place.request(f"photos,{name}\n")

    def use(statements: list[dict[str, Any]]) -> None:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(statements))
        sts = place.ministack.client("sts")
        session = sts.assume_role(RoleArn=made["Arn"], RoleSessionName="test")
        control = place.control(Credentials.of(session["Credentials"]))
        job = control.create_job(**request)["JobId"]
        control.describe_job(AccountId=account, JobId=job)
        control.list_jobs(AccountId=account)

    use(list(needed.values()))
    del needed[without]
    with pytest.raises(ClientError, match="AccessDenied"):
        use(list(needed.values()))


def test_a_job_does_what_its_role_may_and_no_more(place: Place) -> None:
    iam = place.ministack.client("iam")
    service, arn = "batchoperations.s3.amazonaws.com", f"arn:aws:s3:::{BUCKET}"
    manifest, report = (
        allow("s3:GetObject", f"{arn}/manifests/*"),
        allow("s3:PutObject", f"{arn}/reports/*"),
    )
    deaf = role(iam, "batch-jobs-deaf", service, [report])
    job = place.run("photos,a\n", RoleArn=deaf)
    assert [reason["FailureCode"] for reason in job["FailureReasons"]] == ["ManifestNotReadable"]
    lame = role(iam, "batch-jobs-lame", service, [manifest, report])
    job = place.run("photos,a\n", RoleArn=lame)
    [row] = place.report(job)["failed"]
    assert "AccessDenied" in row[6]


def test_nobody_knows_other_jobs(place: Place) -> None:
    with pytest.raises(ClientError, match="NoSuchJob"):
        place.control().describe_job(AccountId=place.ministack.account_id, JobId="never-was")
