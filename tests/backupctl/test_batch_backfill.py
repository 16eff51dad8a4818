"""Jobs that were refused, or whose answer was lost, stand in nobody's way."""

import asyncio
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

from backupctl.aws import Aws
from backupctl.batch_backfill import BatchBackfill
from backupctl.errors import BackupctlError
from backupctl.jobs import Jobs, Record
from backupctl.manifests import Manifest
from backupctl.progress import Progress
from backupctl.stack import BatchOperations, Source

FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:batch"
ROLE = "arn:aws:iam::123456789012:role/batch-job"


def error(code: str, operation: str = "CreateJob") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


@dataclass
class Account:
    """S3 and S3 Control, as far as jobs need them."""

    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    requests: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """Those of the jobs, by id."""
    status: str = "Active"
    before: str | None = None
    """The code that CreateJob is answered with before it does anything."""
    after: str | None = None
    """The code that it is answered with once there is a job."""

    def put_object(self, **request: Any) -> dict[str, str]:
        self.objects[request["Key"]] = request["Body"]
        return {"ETag": '"e"'}

    def get_object(self, **request: Any) -> dict[str, Any]:
        if request["Key"] not in self.objects:
            raise error("NoSuchKey", "GetObject")
        return {"Body": io.BytesIO(self.objects[request["Key"]])}

    def create_job(self, **request: Any) -> dict[str, str]:
        if self.before:
            raise error(self.before)
        tokens = {made["ClientRequestToken"]: job for job, made in self.requests.items()}
        job = tokens.get(request["ClientRequestToken"], f"job-{len(self.requests)}")
        if self.requests.setdefault(job, request) != request:
            raise error("IdempotencyException")
        if self.after:
            raise error(self.after)
        return {"JobId": job}

    def describe_job(self, **request: Any) -> dict[str, Any]:
        assert request["JobId"] in self.requests
        return {"Job": {"Status": self.status}}

    def list_jobs(self, **request: Any) -> dict[str, Any]:
        """One a page, after one of somebody else's."""
        every = [{"JobId": "other"}] + [
            {"JobId": job, "Description": made["Description"]}
            for job, made in self.requests.items()
        ]
        page = int(request.get("NextToken", "0"))
        more = {"NextToken": str(page + 1)} if page + 1 < len(every) else {}
        return {"Jobs": every[page : page + 1], **more}

    def manifest(self, job: str) -> str:
        """What a job is for."""
        arn = self.requests[job]["Manifest"]["Location"]["ObjectArn"]
        return self.objects[arn.removeprefix("arn:aws:s3:::backups/")].decode()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    made = Account()
    monkeypatch.setattr(Aws, "client", lambda *_: made)
    return made


def jobs() -> Jobs:
    batch = BatchOperations(ROLE, {"photos": FUNCTION})
    return Jobs(Aws(Session()), "123456789012", "backups", batch)


def begin(*lines: Mapping[str, str]) -> tuple[dict[str, Record], BatchBackfill]:
    """Have jobs for what these lines name."""
    options = {"all_versions": False, "everything": False}
    work = BatchBackfill(jobs(), options, lambda _: None)
    texts = [json.dumps({"bucket": "photos", **line}) for line in lines]
    with Progress("rows") as progress:
        begun = asyncio.run(work.begin_named(texts, "f.jsonl", [Source("photos")], progress))
    return begun, work


ONE, OTHER = {"key": "one"}, {"key": "other"}


@pytest.mark.parametrize("code", ["AccessDenied", "TooManyRequestsException"])
def test_a_refused_job_leaves_the_way_to_other_lines(account: Account, code: str) -> None:
    account.before = code
    with pytest.raises(ClientError, match=code):
        begin(ONE)
    account.before = None
    begun, _ = begin(OTHER)
    assert begun["photos"].job == "job-0"
    assert account.manifest("job-0") == "photos,other\n"
    assert len(account.requests) == 1


def test_and_to_the_same_lines_with_the_same_manifest(account: Account) -> None:
    account.before = "AccessDenied"
    with pytest.raises(ClientError, match="AccessDenied"):
        begin(ONE)
    account.before, there = None, set(account.objects)
    begun, _ = begin(ONE)
    assert account.manifest(begun["photos"].job or "") == "photos,one\n"
    assert set(account.objects) == there


def test_a_job_whose_answer_was_lost_is_named_until_it_ends(account: Account) -> None:
    account.after = "InternalError"
    with pytest.raises(ClientError, match="InternalError"):
        begin(ONE)
    account.after = None
    with pytest.raises(BackupctlError) as refused:
        begin(OTHER)
    assert str(refused.value) == (
        "the job job-0 of another backfill is under way for photos; run backfill --engine batch "
        "--from with the same lines to follow it, or cancel it with aws s3control "
        "update-job-status"
    )
    followed, _ = begin(ONE)
    assert followed["photos"].job == "job-0"
    account.status = "Cancelled"
    begun, _ = begin(OTHER)
    assert begun["photos"].job == "job-1"


def test_an_earlier_job_is_not_taken_for_one_that_was_refused(account: Account) -> None:
    begun, _ = begin(ONE)
    begun["photos"].told = True
    jobs().keep("photos", begun["photos"])
    account.before = "AccessDenied"
    with pytest.raises(ClientError, match="AccessDenied"):
        begin(OTHER)
    account.before = None
    begun, _ = begin({"key": "third"})
    assert begun["photos"].job == "job-1"


@pytest.mark.parametrize(
    ("on", "options"),
    [
        ((), ""),
        (("all_versions",), " --all-versions"),
        (("all_versions", "everything"), " --all-versions --everything"),
    ],
)
def test_a_job_of_options_is_named_by_its_command(
    account: Account, on: tuple[str, ...], options: str
) -> None:
    about = {name: name in on for name in ("all_versions", "everything")}
    record = Record(about, Manifest("m", "e", 1, versions=False), {}, "token")
    jobs().keep("photos", record)
    jobs().create("photos", record)
    with pytest.raises(BackupctlError) as refused:
        begin(ONE)
    assert (
        "the job job-0 of another backfill is under way for photos; "
        f"run backfill photos --engine batch{options} to follow it"
    ) in str(refused.value)


def test_what_is_no_work_for_jobs_waits_for_none(account: Account) -> None:
    begin(ONE)
    different = {**OTHER, "finding": "different"}
    begun, work = begin(different)
    assert begun == {}
    assert work.outcomes["photos"].faults == 1
    assert len(account.requests) == 1


def test_a_job_that_was_asked_for_with_another_role_is_found(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.after = "InternalError"
    with pytest.raises(ClientError, match="InternalError"):
        begin(ONE)
    account.after = None
    monkeypatch.setattr(f"{__name__}.ROLE", f"{ROLE}-2")
    begun, _ = begin(ONE)
    assert begun["photos"].job == "job-0"


def test_a_token_that_somebody_else_used_is_told(account: Account) -> None:
    begin(ONE)
    record = jobs().record("photos")
    assert record is not None
    account.requests["job-0"]["Description"] = "something else"
    with pytest.raises(ClientError, match="IdempotencyException"):
        jobs().create("photos", record)
