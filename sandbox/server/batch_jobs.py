"""S3 Batch Operations for MiniStack, which has none: jobs that invoke a function.

Follows the API (CreateJob, DescribeJob, ListJobs, UpdateJobStatus), the reading of manifests, the
invocations and the completion reports that AWS documents:

- https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_CreateJob.html
- https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_ListJobs.html
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-create-job.html
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-examples-reports.html

Whoever calls needs the permissions that AWS asks for, `iam:PassRole` included. The job does
everything by requests that are signed with credentials of its role, so that MiniStack checks them
like anybody's. Known differences: a task that fails is tried 3 times, without a pause between; no
job fails because too many of its tasks do; one priority is like another.
"""

import csv
import hashlib
import io
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import boto3
import botocore.config
import botocore.exceptions
import botocore.session
import ministack.app as gateway
from ministack.core import iam_evaluator, responses
from ministack.services import iam, s3, sts

PREFIX = "/v20180820/jobs"
SERVICE = "batchoperations.s3.amazonaws.com"
TASKS_PER_INVOCATION = 10
INVOCATIONS_AT_ONCE = 4
TRIES = 3
MOST_LISTED = 1000

Response = tuple[int, dict[str, str], bytes]

_MODEL: Any = botocore.session.get_session().get_service_model("s3control")
_NAMESPACE = "http://awss3control.amazonaws.com/doc/2018-08-20/"
# Whoever updates MiniStack finds out here, and at once, that these have other names.
_control: Any = gateway._handle_s3_control_request  # noqa: SLF001
_enforce: Any = gateway._enforce_data_plane  # noqa: SLF001
_error: Any = s3.s3control_error
_account_error: Any = s3.s3control_account_error
_region: Any = responses.get_region
_account: Any = responses.get_account_id
_roles: Any = iam._roles  # noqa: SLF001
_decide: Any = iam_evaluator.evaluate_resource_policy
_Context: Any = iam_evaluator.EvalContext
_register: Any = sts.register_session


@dataclass
class Job:
    """One job, as it is described."""

    id: str
    request: dict[str, Any]
    arn: str
    account: str
    region: str
    status: str = "New"
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    failures: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    confirmed: threading.Event = field(default_factory=threading.Event)
    cancelled: bool = False

    def description(self) -> dict[str, Any]:
        """What DescribeJob says of it."""
        asked = ("ConfirmationRequired", "Description", "Manifest", "Operation", "Priority")
        return {
            "JobId": self.id,
            "JobArn": self.arn,
            "Status": self.status,
            "CreationTime": self.created,
            "RoleArn": self.request["RoleArn"],
            "Report": self.request["Report"],
            **{name: self.request[name] for name in asked if name in self.request},
            "ProgressSummary": {
                "TotalNumberOfTasks": self.total,
                "NumberOfTasksSucceeded": self.succeeded,
                "NumberOfTasksFailed": self.failed,
            },
            "FailureReasons": self.failures,
        }

    def entry(self) -> dict[str, Any]:
        """What ListJobs says of it."""
        told = ("JobId", "Description", "Priority", "Status", "CreationTime", "ProgressSummary")
        every = self.description()
        [operation] = self.request["Operation"]
        return {**{name: every[name] for name in told if name in every}, "Operation": operation}


@dataclass(frozen=True)
class Task:
    """One line of a manifest."""

    id: str
    bucket: str
    key: str
    """As it is in the manifest: URL-encoded."""
    version_id: str | None


@dataclass(frozen=True)
class Result:
    """What became of a task."""

    task: Task
    succeeded: bool
    code: str
    message: str


class _Failed(Exception):
    """A job as a whole cannot go on."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _Malformed(Exception):
    """A request that is none."""


_jobs: dict[str, Job] = {}
_tokens: dict[tuple[str, str], Job] = {}
_lock = threading.Lock()


async def handle(
    path: str,
    method: str,
    body: bytes,
    query: Mapping[str, Any],
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """Answer requests about jobs; MiniStack answers the others."""
    if path != PREFIX and not path.startswith(f"{PREFIX}/"):
        return await _control(path, method, body, query, request_id, headers)
    headers = headers or {}
    match path.removeprefix(PREFIX).strip("/").split("/"), method:
        case [""], "POST":
            answer = _create(body, headers, query, request_id)
        case [""], "GET":
            answer = _list(headers, query, request_id)
        case [job_id], "GET" if job_id:
            answer = _describe(job_id, headers, query, request_id)
        case [job_id, "status"], "POST":
            answer = _update(job_id, headers, query, request_id)
        case _:
            answer = _error("NotImplemented", "The sandbox has no such operation.", 501)
    status, answered, content = answer
    return status, {**answered, "x-amzn-requestid": request_id}, content


def install() -> None:
    """Have MiniStack answer requests about jobs too."""
    gateway._handle_s3_control_request = handle  # noqa: SLF001


def _job_arn(job_id: str) -> str:
    return f"arn:aws:s3:{_region()}:{_account()}:job/{job_id}"


def _create(body: bytes, headers: Any, query: Any, request_id: str) -> Any:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_CreateJob.html"""
    refused = _enforce("s3", "s3:CreateJob", headers, query, request_id, resource_arn="*")
    refused = refused or _account_error(headers)
    if refused:
        return refused
    try:
        request = _parsed(body)
    except _Malformed as problem:
        return _error("MalformedXML", str(problem), 400)
    passed = {"iam:PassedToService": SERVICE}
    role, where = request["RoleArn"], {"service_context": passed}
    refused = _enforce("s3", "iam:PassRole", headers, query, request_id, resource_arn=role, **where)
    if refused:
        return refused
    account, token = _account(), request["ClientRequestToken"]
    with _lock:
        job = _tokens.get((account, token))
        if job is not None and job.request != request:
            return _error(
                "IdempotencyException", "The client request token belongs to another request.", 400
            )
        if job is None:
            job_id = str(uuid.uuid4())
            job = Job(job_id, request, _job_arn(job_id), account, _region())
            _jobs[job_id] = _tokens[account, token] = job
            threading.Thread(target=_run, args=(job,), daemon=True).start()
    return _answer("CreateJob", {"JobId": job.id})


def _describe(job_id: str, headers: Any, query: Any, request_id: str) -> Any:
    job = _of_this_account(job_id, "s3:DescribeJob", headers, query, request_id)
    return _answer("DescribeJob", {"Job": job.description()}) if isinstance(job, Job) else job


def _list(headers: Any, query: Any, request_id: str) -> Any:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_ListJobs.html"""
    refused = _enforce("s3", "s3:ListJobs", headers, query, request_id, resource_arn="*")
    refused = refused or _account_error(headers)
    if refused:
        return refused
    statuses = _all_of(query, "jobStatuses")
    [start] = _all_of(query, "nextToken") or ["0"]
    [most] = _all_of(query, "maxResults") or [str(MOST_LISTED)]
    if not start.isdigit():
        return _error("InvalidNextTokenException", "The token is none of a list of jobs.", 400)
    if not most.isdigit() or int(most) > MOST_LISTED:
        return _error("InvalidRequestException", f"A list has at most {MOST_LISTED} jobs.", 400)
    first, account = int(start), _account()
    with _lock:
        every = [job for job in _jobs.values() if job.account == account]
    wanted = [job for job in every if not statuses or job.status in statuses]
    rest = wanted[first : first + int(most)]
    more = {"NextToken": str(first + len(rest))} if first + len(rest) < len(wanted) else {}
    return _answer("ListJobs", {"Jobs": [job.entry() for job in rest], **more})


def _all_of(query: Any, name: str) -> list[str]:
    values = query.get(name, [])
    return values if isinstance(values, list) else [values]


def _update(job_id: str, headers: Any, query: Any, request_id: str) -> Any:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_UpdateJobStatus.html"""
    job = _of_this_account(job_id, "s3:UpdateJobStatus", headers, query, request_id)
    if not isinstance(job, Job):
        return job
    wanted = query.get("requestedJobStatus")
    wanted = wanted[0] if isinstance(wanted, list) else wanted
    if wanted == "Ready" and job.status == "Suspended":
        job.confirmed.set()
    elif wanted == "Cancelled" and job.status not in ("Complete", "Failed", "Cancelled"):
        job.cancelled = True
        job.confirmed.set()
    else:
        return _error(
            "JobStatusException", f"The job is {job.status} and cannot become {wanted}.", 400
        )
    return _answer("UpdateJobStatus", {"JobId": job.id, "Status": wanted})


def _of_this_account(job_id: str, action: str, headers: Any, query: Any, request_id: str) -> Any:
    """The job, or the refusal."""
    arn = _job_arn(job_id)
    refused = _enforce("s3", action, headers, query, request_id, resource_arn=arn)
    refused = refused or _account_error(headers)
    if refused:
        return refused
    job = _jobs.get(job_id)
    if job is None or job.account != _account():
        return _error("NoSuchJob", "The specified job does not exist.", 404)
    return job


# Requests and answers, by the service's own model.


def _parsed(body: bytes) -> dict[str, Any]:
    shape = _MODEL.operation_model("CreateJob").input_shape
    try:
        # Nobody but tests of this machine sends it.
        root = ElementTree.fromstring(body)  # noqa: S314
        request = _from_xml(root, shape)
    except (ElementTree.ParseError, ValueError) as error:
        raise _Malformed(f"The XML you provided was not well-formed: {error}") from error
    for name in shape.required_members:
        if name not in request and name != "AccountId":
            raise _Malformed(f"{name} is missing.")
    if set(request["Operation"]) != {"LambdaInvoke"} or "Manifest" not in request:
        raise _Malformed("The sandbox has jobs with a manifest that invoke a function only.")
    return request


def _from_xml(element: Any, shape: Any) -> Any:
    children = {child.tag.rpartition("}")[2]: child for child in element}
    match shape.type_name:
        case "structure":
            unknown = set(children) - set(shape.members)
            if unknown:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
            return {name: _from_xml(child, shape.members[name]) for name, child in children.items()}
        case "list":
            return [_from_xml(child, shape.member) for child in element]
        case "map":
            pairs = [{c.tag.rpartition("}")[2]: c.text or "" for c in entry} for entry in element]
            return {pair["key"]: pair["value"] for pair in pairs}
        case "boolean":
            return element.text == "true"
        case "integer" | "long":
            return int(element.text)
        case _:
            return element.text or ""


def _answer(operation: str, content: dict[str, Any]) -> Response:
    shape = _MODEL.operation_model(operation).output_shape
    root = _to_xml(f"{operation}Result", content, shape)
    root.set("xmlns", _NAMESPACE)
    return 200, {"Content-Type": "application/xml"}, ElementTree.tostring(root)


def _to_xml(tag: str, value: Any, shape: Any) -> ElementTree.Element:
    element = ElementTree.Element(tag)
    match shape.type_name:
        case "structure":
            element.extend(
                _to_xml(name, member, shape.members[name]) for name, member in value.items()
            )
        case "list":
            element.extend(_to_xml("member", member, shape.member) for member in value)
        case "map":
            for key, member in value.items():
                entry = ElementTree.SubElement(element, "entry")
                ElementTree.SubElement(entry, "key").text = key
                ElementTree.SubElement(entry, "value").text = member
        case "boolean":
            element.text = "true" if value else "false"
        case _:
            element.text = str(value)
    return element


# The job itself.


def _run(job: Job) -> None:
    try:
        _work(job)
    except _Failed as failure:
        job.failures = [{"FailureCode": failure.code, "FailureReason": str(failure)[:256]}]
        job.status = "Failed"
    except Exception as error:
        job.failures = [{"FailureCode": "InternalError", "FailureReason": repr(error)[:256]}]
        job.status = "Failed"


def _work(job: Job) -> None:
    session = _session(job)
    job.status = "Preparing"
    tasks = _tasks(job, session)
    job.total = len(tasks)
    if job.request.get("ConfirmationRequired"):
        job.status = "Suspended"
        job.confirmed.wait()
    results: list[Result] = []
    if not job.cancelled:
        job.status = "Active"
        results = _results(job, session, tasks)
    job.status = "Cancelling" if job.cancelled else "Completing"
    if job.request["Report"]["Enabled"] and results:
        _report(job, session, results)
    job.status = "Cancelled" if job.cancelled else "Complete"


def _session(job: Job) -> Any:
    """Clients with the role's permissions, if the role trusts S3 Batch Operations."""
    arn = job.request["RoleArn"]
    role = _roles.get_scoped(job.account, None, arn.rpartition("/")[2])
    context = _Context(
        principal_arn=SERVICE,
        principal_type="Service",
        principal_account=job.account,
        action="sts:AssumeRole",
        resource_arn=arn,
        region=job.region,
        service_context={"aws:sourceaccount": job.account, "aws:sourcearn": job.arn},
    )
    if role is None or not _trusts(role["AssumeRolePolicyDocument"], context):
        raise _Failed("RoleNotAssumable", f"S3 Batch Operations may not assume {arn}")
    key, secret, token = f"ASIA{uuid.uuid4().hex[:16].upper()}", uuid.uuid4().hex, uuid.uuid4().hex
    name = f"s3-batch-operations_{job.id}"
    _register(
        key,
        {
            "Arn": f"arn:aws:sts::{job.account}:assumed-role/{role['RoleName']}/{name}",
            "UserId": f"{role['RoleId']}:{name}",
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": time.time() + 3600,
            "AccountId": job.account,
            "PrincipalType": "AssumedRole",
            "PrincipalName": role["RoleName"],
        },
    )
    return boto3.Session(key, secret, token, region_name=job.region)


def _trusts(policy: str, context: Any) -> bool:
    """Whether a trust policy, which is about one role and does not name it, lets S3 in."""
    document = json.loads(policy)
    statements = [{**statement, "Resource": "*"} for statement in document["Statement"]]
    found = _decide({**document, "Statement": statements}, context, service=SERVICE)
    return found.decision == "Allow"


def _client(session: Any, service: str) -> Any:
    return session.client(
        service,
        endpoint_url=f"https://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        verify=os.environ["AWS_CA_BUNDLE"],
        config=botocore.config.Config(
            s3={"addressing_style": "path"},
            read_timeout=920,
            retries={"total_max_attempts": 1},
            proxies={},
        ),
    )


def _tasks(job: Job, session: Any) -> list[Task]:
    """Read the manifest: https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-create-job.html"""
    manifest = job.request["Manifest"]
    location, fields = manifest["Location"], manifest["Spec"].get("Fields", [])
    bucket, _, key = location["ObjectArn"].rpartition(":")[2].partition("/")
    version = {"VersionId": location["ObjectVersionId"]} if "ObjectVersionId" in location else {}
    try:
        found = _client(session, "s3").get_object(Bucket=bucket, Key=key, **version)
    except botocore.exceptions.ClientError as error:
        raise _Failed("ManifestNotReadable", f"{error}") from error
    if found["ETag"].strip('"') != location["ETag"].strip('"'):
        raise _Failed("ManifestChanged", "The manifest has another ETag")
    if found.get("ServerSideEncryption", "AES256") != "AES256":
        raise _Failed("ManifestEncrypted", "A manifest encrypted with KMS cannot be read")
    if fields not in (["Bucket", "Key"], ["Bucket", "Key", "VersionId"]):
        raise _Failed("ManifestNotReadable", f"Fields are {fields}")
    tasks: list[Task] = []
    with io.TextIOWrapper(found["Body"], encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.reader(lines)):
            if len(row) != len(fields) or not all(row):
                raise _Failed("ManifestNotReadable", f"Row {number + 1} is {row}")
            tasks.append(Task(f"task-{number}", row[0], row[1], row[2] if row[2:] else None))
    if not tasks:
        raise _Failed("ManifestNotReadable", "The manifest has no rows")
    return tasks


def _results(job: Job, session: Any, tasks: list[Task]) -> list[Result]:
    client = _client(session, "lambda")
    groups = [
        tasks[start : start + TASKS_PER_INVOCATION]
        for start in range(0, len(tasks), TASKS_PER_INVOCATION)
    ]
    with ThreadPoolExecutor(INVOCATIONS_AT_ONCE) as pool:
        return [
            result
            for results in pool.map(lambda group: list(_tried(job, client, group)), groups)
            for result in results
        ]


def _tried(job: Job, client: Any, tasks: list[Task]) -> Iterator[Result]:
    """Each task's last result; what another try may help is tried again."""
    for attempt in range(1, TRIES + 1):
        if not tasks or job.cancelled:
            return
        again: list[Task] = []
        for result in _invoked(job, client, tasks):
            if result.code == "TemporaryFailure" and attempt < TRIES:
                again.append(result.task)
                continue
            with _lock:
                job.succeeded += result.succeeded
                job.failed += not result.succeeded
            yield result
        tasks = again


def _invoked(job: Job, client: Any, tasks: list[Task]) -> Iterator[Result]:
    operation = job.request["Operation"]["LambdaInvoke"]
    schema = operation.get("InvocationSchemaVersion", "1.0")
    payload = {
        "invocationSchemaVersion": schema,
        "invocationId": uuid.uuid4().hex,
        "job": {
            "id": job.id,
            **({"userArguments": operation.get("UserArguments", {})} if schema == "2.0" else {}),
        },
        "tasks": [
            {
                "taskId": task.id,
                "s3Key": task.key,
                "s3VersionId": task.version_id,
                **(
                    {"s3Bucket": task.bucket}
                    if schema == "2.0"
                    else {"s3BucketArn": f"arn:aws:s3:::{task.bucket}"}
                ),
            }
            for task in tasks
        ],
    }
    try:
        answer = client.invoke(
            FunctionName=operation["FunctionArn"], Payload=json.dumps(payload).encode()
        )
        content = json.loads(answer["Payload"].read())
    except botocore.exceptions.ClientError as error:
        for task in tasks:
            yield Result(task, False, "PermanentFailure", f"Lambda invocation failed: {error}")
        return
    if "FunctionError" in answer:
        said = json.dumps(content)
        for task in tasks:
            yield Result(task, False, "TemporaryFailure", f"Lambda returned function error: {said}")
        return
    results = {result["taskId"]: result for result in content["results"]}
    missing = {"resultCode": content["treatMissingKeysAs"], "resultString": "no result"}
    for task in tasks:
        result = results.get(task.id, missing)
        code = result["resultCode"]
        yield Result(task, code == "Succeeded", code, result.get("resultString", ""))


def _report(job: Job, session: Any, results: list[Result]) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-examples-reports.html"""
    wanted = job.request["Report"]
    bucket = wanted["Bucket"].rpartition(":")[2]
    place = "/".join(part for part in (wanted.get("Prefix"), f"job-{job.id}") if part)
    client = _client(session, "s3")

    def put(key: str, content: str) -> None:
        # Reports are encrypted with S3's own keys, whatever the bucket's default is.
        client.put_object(
            Bucket=bucket, Key=key, Body=content.encode(), ServerSideEncryption="AES256"
        )

    listed: list[dict[str, str]] = []
    for succeeded in (True, False):
        rows = [result for result in results if result.succeeded is succeeded]
        if not rows or (succeeded and wanted["ReportScope"] == "FailedTasksOnly"):
            continue
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            (
                result.task.bucket,
                result.task.key,
                result.task.version_id or "",
                "succeeded" if succeeded else "failed",
                # In this order in AWS's examples, and the other way round in its schema.
                "200",
                "" if succeeded else result.code,
                result.message,
            )
            for result in rows
        )
        content = text.getvalue()
        digest = hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()
        key = f"{place}/results/{digest}.csv"
        put(key, content)
        listed.append(
            {
                "TaskExecutionStatus": "succeeded" if succeeded else "failed",
                "Bucket": bucket,
                "MD5Checksum": hashlib.md5(content.encode(), usedforsecurity=False).hexdigest(),
                "Key": key,
            }
        )
    schema = "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"
    manifest = {
        "Format": "Report_CSV_20180820",
        "ReportCreationDate": datetime.now(UTC).isoformat(),
        "Results": listed,
        "ReportSchema": schema,
    }
    put(f"{place}/manifest.json", json.dumps(manifest))
