"""Nothing is lost, doubled or damaged, however badly the line to S3 behaves.

The function's own entry point runs here as it does in Lambda, with the function's permissions, and
is called again as Lambda and SQS call it again. Between it and the local AWS is a proxy that breaks
every tenth request.
"""

import contextlib
import functools
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import pytest

from handler import backup_keys, boto, clients
from handler.main import BackupFailed, handler
from handler.provenance import Provenance
from sandbox.ministack import MiniStack
from sandbox.observation import failures
from tests.events import changed, messages
from tests.recorder import ROOT

from .fault_proxy import Call, Fault, FaultProxy
from .local_stack import LocalStack

VERSIONED, PLAIN = "faults-versioned", "faults-plain"
WORKERS = 12
MAX_RECEIVES = 5
FAILURES = "faults-failures"

# What passes by itself when it is tried again.
PASSING = (
    Fault.SLOW_DOWN,
    Fault.INTERNAL_ERROR,
    Fault.RESET,
    Fault.LOST_ANSWER,
    Fault.FAILED_ANSWER,
    Fault.STALL,
    Fault.TRUNCATED,
    Fault.ERROR_IN_200,
)
# What does not.
LASTING = {
    Fault.DENIED: ("AccessDenied", "the function's role may not do this"),
    Fault.ARCHIVED: ("InvalidObjectState", "the object is archived"),
    Fault.KMS_DENIED: ("KMS.DisabledException", "enable the KMS key"),
}


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    deployed = LocalStack.deploy(
        ministack,
        {
            "backupBucket": "faults-backups",
            # Nothing that the tests write is for the deployed function: they are in its place.
            "buckets": [
                {"name": VERSIONED, "prefix": "nothing/"},
                {"name": PLAIN, "prefix": "nothing/"},
            ],
        },
    )
    deployed.s3.put_bucket_versioning(
        Bucket=VERSIONED, VersioningConfiguration={"Status": "Enabled"}
    )
    return deployed


@dataclass(frozen=True)
class Written:
    """A version that a source got."""

    bucket: str
    key: str
    body: bytes
    version: str | None
    event: Mapping[str, Any]
    """The notification that S3 sends about it."""

    @property
    def backup_key(self) -> str:
        return backup_keys.backup_key(self.bucket, self.key)


@dataclass
class Source:
    """Writes objects and says what S3 would announce."""

    stack: LocalStack
    sequencer: int = 0x55AED6DCD9028
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, bucket: str, key: str, body: bytes) -> Written:
        answer = self.stack.put(bucket, key, body, Metadata={"mine": hashlib.md5(body).hexdigest()})
        with self.lock:
            self.sequencer += 1
            sequencer = f"{self.sequencer:016X}"
        event = changed(
            key=quote_plus(key), eTag=answer["ETag"].strip('"'), size=len(body), sequencer=sequencer
        )
        entity = event["Records"][0]["s3"]
        entity["bucket"] = {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}
        version = answer.get("VersionId")
        if version is None:
            del entity["object"]["versionId"]
        else:
            entity["object"]["versionId"] = version
        return Written(bucket, key, body, version, event)


class Context:
    """Lambda's, for one invocation."""

    function_name = "backup"
    aws_request_id = "request"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:backup"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 120_000


@dataclass
class Deliveries:
    """Calls the function as Lambda does and keeps what it said."""

    stack: LocalStack
    endpoint: str
    queue: str
    log: list[dict[str, Any]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        credentials = self.stack.function_credentials(sends_to=FAILURES)
        return {
            **self.stack.ministack.environment(),
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token or "",
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "BACKUP_BUCKET": self.stack.backup_bucket,
            "BUCKET_OWNER": self.stack.ministack.account_id,
            "MAX_RECEIVES": str(MAX_RECEIVES),
            "FAILURE_QUEUE_URL": self.queue,
        }

    def one_by_one(self, events: Iterable[Mapping[str, Any]]) -> None:
        """S3 -> Lambda: an event each, tried three times, then in the failure queue."""
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(self._invoke, events))

    def in_batches(self, events: Iterable[Mapping[str, Any]]) -> None:
        """S3 -> SQS -> Lambda: ten messages each, those that failed again and again."""
        waiting = list(events)
        for receives in range(1, MAX_RECEIVES + 1):
            batches = [waiting[start : start + 10] for start in range(0, len(waiting), 10)]
            with ThreadPoolExecutor(WORKERS // 3) as pool:
                again = pool.map(functools.partial(self._receive, receives), batches)
                waiting = [event for events in again for event in events]
        for event in waiting:
            self._exhausted(event, "handed over too often")

    def _receive(
        self, receives: int, batch: Sequence[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """Hand a batch to the function; returns what has to come again."""
        answer = handler(messages(*batch, receives=receives), Context())
        assert answer is not None
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        return [event for number, event in enumerate(batch) if f"message-{number}" in failed]

    def _invoke(self, event: Mapping[str, Any]) -> None:
        problem: Exception | None = None
        for _ in range(3):
            try:
                handler(event, Context())
            except BackupFailed as error:
                problem = error
            else:
                return
        self._exhausted(event, str(problem))

    def _exhausted(self, event: Mapping[str, Any], problem: str) -> None:
        self.stack.ministack.client("sqs").send_message(
            QueueUrl=self.queue,
            MessageBody=json.dumps(
                {
                    "requestContext": {"condition": "RetriesExhausted"},
                    "requestPayload": event,
                    "responsePayload": {"errorType": "BackupFailed", "errorMessage": problem},
                }
            ),
        )


def failure_queue(stack: LocalStack) -> str:
    """URL of a queue in place of the stack's own, which takes only the real function's messages."""
    return stack.ministack.client("sqs").create_queue(QueueName=FAILURES)["QueueUrl"]


@contextlib.contextmanager
def the_function(
    stack: LocalStack, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> Generator[Deliveries]:
    """The function, wired to the proxy; its log lines are kept."""
    deliveries = Deliveries(stack, proxy.endpoint, failure_queue(stack))
    out = io.StringIO()
    with monkeypatch.context() as during:
        for name, value in deliveries.environment().items():
            during.setenv(name, value)
        # Whoever stalls is given up after a second here, so that the test does not take an hour.
        impatient(during)
        clients._driver.cache_clear()
        clients._sqs.cache_clear()
        with contextlib.redirect_stdout(out):
            yield deliveries
    clients._driver.cache_clear()
    clients._sqs.cache_clear()
    lines = map(json.loads, out.getvalue().splitlines())
    deliveries.log += [line for line in lines if "outcome" in line]


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto, "QUICK_SECONDS", 1)
    monkeypatch.setattr(boto, "LONG_SECONDS", 1)


class Backup:
    """All there is in the backup bucket for some keys."""

    def __init__(self, stack: LocalStack) -> None:
        self._s3 = stack.s3
        self._bucket = stack.backup_bucket
        self.versions: dict[str, list[dict[str, Any]]] = {}
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket)
        for page in pages:
            for version in page.get("Versions", []):
                self.versions.setdefault(version["Key"], []).append(version)

    def of(self, written: Written) -> list[tuple[str, str]]:
        """Key and version of everything that may be a copy of it."""
        digest = hashlib.sha256(written.key.encode()).hexdigest()
        late = f".s3-backup/late/{written.bucket}/{digest}/{written.version}"
        return [
            (key, version["VersionId"])
            for key in (written.backup_key, late)
            for version in self.versions.get(key, [])
        ]

    def read(self, key: str, version: str) -> tuple[Provenance | None, bytes, str]:
        answer = self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=version)
        metadata = answer["Metadata"]
        return Provenance.from_metadata(metadata), answer["Body"].read(), metadata["mine"]

    def current(self, key: str) -> str:
        return next(v["VersionId"] for v in self.versions[key] if v["IsLatest"])


@dataclass
class Count:
    """What is asserted in the end."""

    lost: int = 0
    doubled: int = 0
    wrong_bytes: int = 0
    buried: int = 0

    def __str__(self) -> str:
        return (
            f"lost {self.lost}, duplicated versions {self.doubled}, wrong bytes "
            f"{self.wrong_bytes}, newer under older {self.buried}"
        )


def audit(stack: LocalStack, keys: Mapping[tuple[str, str], Sequence[Written]]) -> Count:
    """Compare the backup of each key with everything that was written there, in order."""
    backup, count = Backup(stack), Count()

    def check(versions: Sequence[Written]) -> None:
        newest = versions[-1]
        copies = {at: backup.read(*at) for written in versions for at in backup.of(written)}
        by_body = {hashlib.md5(written.body).hexdigest(): written for written in versions}
        seen: Counter[bytes] = Counter()
        for provenance, body, mine in copies.values():
            written = by_body.get(mine)
            assert provenance is not None
            if written is None or body != written.body or provenance.version_id != written.version:
                count.wrong_bytes += 1
            seen[body] += 1
        count.doubled += sum(times - 1 for times in seen.values())
        # In a bucket without versions only what is still there can be copied.
        expected = versions if newest.version is not None else [newest]
        count.lost += sum(seen[written.body] == 0 for written in expected)
        if newest.backup_key in backup.versions:
            at = (newest.backup_key, backup.current(newest.backup_key))
            count.buried += copies[at][1] != newest.body

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(check, keys.values()))
    return count


def write_all(source: Source, wanted: Iterable[tuple[str, str, bytes]]) -> list[Written]:
    """Write in parallel, the versions of one key in order."""
    by_key: dict[tuple[str, str], list[bytes]] = {}
    for bucket, key, body in wanted:
        by_key.setdefault((bucket, key), []).append(body)
    with ThreadPoolExecutor(WORKERS) as pool:
        written = pool.map(
            lambda at: [source.write(at[0], at[1], body) for body in by_key[at]], by_key
        )
        return [version for versions in written for version in versions]


def grouped(written: Iterable[Written]) -> dict[tuple[str, str], list[Written]]:
    groups: dict[tuple[str, str], list[Written]] = {}
    for version in written:
        groups.setdefault((version.bucket, version.key), []).append(version)
    return groups


def shuffled(written: Sequence[Written], total: int, chance: random.Random) -> list[Any]:
    """Every event at least once, some twice, in any order."""
    again = [chance.choice(written) for _ in range(total - len(written))]
    events = [version.event for version in (*written, *again)]
    chance.shuffle(events)
    return events


@pytest.mark.timeout(400)
@pytest.mark.parametrize("delivery", [Deliveries.one_by_one, Deliveries.in_batches])
def test_of_2000_events_with_every_tenth_request_broken_none_is_lost(
    stack: LocalStack,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Any,
    delivery: Callable[[Deliveries, Iterable[Mapping[str, Any]]], None],
) -> None:
    """Half of the events come each way."""
    way = delivery.__name__
    chance = random.Random(way)
    source = Source(stack)
    written = write_all(
        source,
        [
            *(
                (VERSIONED, f"{way}/{number} a+b", f"{number} {version}".encode())
                for number in range(225)
                for version in range(3)
            ),
            *(
                (PLAIN, f"{way}/{number} a+b", f"{number} {version}".encode())
                for number in range(100)
                for version in range(2)
            ),
        ],
    )
    doomed = {
        f"{bucket}/{key}": fault
        for fault, (bucket, key) in zip(
            list(LASTING) * 5,
            chance.sample(sorted({(w.bucket, w.key) for w in written}), 15),
            strict=True,
        )
    }

    def fault(call: Call) -> Fault | None:
        if call.copies and f"{call.key}" in doomed:
            return doomed[call.key]
        return chance.choice(PASSING) if chance.random() < 0.1 else None

    events = shuffled(written, 1000, chance)
    with (
        FaultProxy(stack.ministack, fault) as proxy,
        the_function(stack, proxy, monkeypatch) as function,
    ):
        delivery(function, events)
    broken = ", ".join(f"{times} x {kind}" for kind, times in sorted(proxy.met.items()))
    record_property(
        "counts",
        f"{len(events)} events {way}, {proxy.calls} requests, {proxy.met.total()} broken: {broken}",
    )
    copied = {
        at: versions for at, versions in grouped(written).items() if "/".join(at) not in doomed
    }
    count = audit(stack, copied)
    record_property("counts", f"{way}: {count}")
    assert count == Count()
    assert all(proxy.met[kind] > 0 for kind in (*PASSING, *LASTING)), proxy.met
    reasons = failure_reasons(stack)
    for at, kind in doomed.items():
        code, cure = LASTING[kind]
        assert {(code, cure in reason) for code, reason in reasons[at]} == {(code, True)}
    mine = {at for at in reasons if at.split("/")[1] == way}
    assert mine == set(doomed)


def failure_reasons(stack: LocalStack) -> dict[str, list[tuple[str, str]]]:
    """What the failure queue says about each object."""
    found: dict[str, list[tuple[str, str]]] = {}
    for message in failures(stack.ministack.client("sqs"), failure_queue(stack)):
        for record in message["requestPayload"]["Records"]:
            key = unquote_plus(record["s3"]["object"]["key"])
            at = f"{record['s3']['bucket']['name']}/{key}"
            answer = message["responsePayload"]
            found.setdefault(at, []).append((answer["errorType"], answer["errorMessage"]))
    return found


WORKER = """
import json, sys
from handler.main import handler
from tests.end_to_end.test_faults import Context
handler(json.load(sys.stdin), Context())
"""


@pytest.mark.timeout(200)
def test_a_worker_killed_at_any_request_leaves_what_the_next_one_finishes(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    source = Source(stack)
    # Replacing a backup takes four requests: look, copy, look at what is there, copy.
    cases = {f"killed/{at}/{heard}": (at, heard) for at in range(4) for heard in (False, True)}
    first = [source.write(VERSIONED, key, b"first " + key.encode()) for key in cases]
    second = [source.write(VERSIONED, key, b"second " + key.encode()) for key in cases]
    victims: dict[str, subprocess.Popen[bytes]] = {}
    killed: list[str] = []
    asked: Counter[str] = Counter()

    def fault(call: Call) -> Fault | None:
        key = call.key.removeprefix(f"{VERSIONED}/")
        victim = victims.get(key)
        if victim is None:
            return None
        at, heard = cases[key]
        asked[key] += 1
        if asked[key] != at + 1:
            return None
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        killed.append(key)
        return None if heard else Fault.RESET

    with (
        FaultProxy(stack.ministack, fault) as proxy,
        the_function(stack, proxy, monkeypatch) as function,
    ):
        function.one_by_one(version.event for version in first)
        for version in second:
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, **function.environment()},
            )
            victims[version.key] = worker
            worker.communicate(json.dumps(version.event).encode(), timeout=60)
            assert worker.returncode == -signal.SIGKILL
        victims.clear()
        function.one_by_one(version.event for version in second)
    assert sorted(killed) == sorted(cases)
    count = audit(stack, grouped([*first, *second]))
    record_property("counts", f"{len(killed)} workers killed: {count}")
    assert count == Count()


@pytest.mark.parametrize("bucket", [VERSIONED, PLAIN])
def test_a_source_that_changes_in_the_middle_of_its_copy_is_never_mixed_up(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    source = Source(stack)
    overwritten, deleted = (
        source.write(bucket, key, b"announced") for key in ("mid/overwritten", "mid/deleted")
    )
    changes: list[Written] = []

    def fault(call: Call) -> Fault | None:
        if call.copies and call.key == overwritten.backup_key and not changes:
            changes.append(source.write(bucket, overwritten.key, b"overwriting"))
        if call.copies and call.key == deleted.backup_key:
            at = {"VersionId": deleted.version} if deleted.version else {}
            stack.s3.delete_object(Bucket=bucket, Key=deleted.key, **at)
        return None

    with (
        FaultProxy(stack.ministack, fault) as proxy,
        the_function(stack, proxy, monkeypatch) as function,
    ):
        function.one_by_one([overwritten.event, deleted.event])
        function.one_by_one(version.event for version in changes)
    assert audit(stack, grouped([overwritten, *changes])) == Count()
    assert stack.backup_versions(deleted.backup_key) == []
    said = {(line["key"], line["outcome"]) for line in function.log}
    assert said == {
        ("mid/overwritten", "copied"),
        ("mid/deleted", "gone"),
        *({("mid/overwritten", "superseded")} if bucket == PLAIN else ()),
    }
