"""Many uploads at once to a deployed stack: nothing may be lost, and how long the copies take.

The stack runs on MiniStack, where each copy costs CPU of this machine: how far behind the last one
is says what the machine can do, so there is no goal for it. That all arrive is one.
"""

import contextlib
import math
import statistics
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import yaml

from sandbox import stack_config
from sandbox.comparison import differences
from sandbox.engine import Deployment, deploy
from sandbox.ministack import MiniStack, MiniStackError
from sandbox.observation import NotInTimeError, outcomes, wait_for
from sandbox.provider import AwsProvider

from .function import ROOT
from .measure import CannotRun, Finding, Say

UPLOADS = 500
EXECUTIONS = 4
"""How many copies of the function run at once; each is a process, and further events wait."""

DELIVERIES: Mapping[str, Mapping[str, object]] = {
    "direct": {},
    # Without it Lambda takes more messages than it has executions for, and what it cannot handle
    # comes again only when its visibility timeout is over, which is after more than an hour.
    "queue": {"queueMaxConcurrency": EXECUTIONS},
}
"""The ways of events to the function, each with a stack of its own, and what that is told."""

PATIENCE = 120
"""Seconds without another copy after which what is missing is lost."""

_COMPARED_AT_ONCE = 8


def run(say: Say, *, uploads: int = UPLOADS) -> list[Finding]:
    """Deploy the project's own program and upload that many objects at the same moment."""
    say("starts a local AWS")
    try:
        with MiniStack(env={"LAMBDA_ACCOUNT_CONCURRENCY": str(EXECUTIONS)}) as ministack:
            return [
                finding
                for delivery in DELIVERIES
                for finding in _burst(ministack, delivery, say).run(uploads)
            ]
    except MiniStackError as problem:
        raise CannotRun(str(problem)) from problem


def _burst(ministack: MiniStack, delivery: str, say: Say) -> "Burst":
    say(f"deploys a stack with delivery: {delivery}")
    name = f"burst-{delivery}"
    source = f"{name}-photos"
    config = {
        "backupBucket": f"{name}-backups",
        "buckets": [source],
        "delivery": delivery,
        **DELIVERIES[delivery],
    }
    return Burst(ministack, deployed(ministack, name, config), say, source, delivery)


def deployed(ministack: MiniStack, name: str, config: Mapping[str, object]) -> Deployment:
    """A stack of that name."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    rendered = stack_config.render(declared, config, name)
    return deploy(ROOT, name, rendered, AwsProvider(ministack))


class Burst:
    """Uploads to one bucket of a stack.

    :param source: the bucket.
    :param delivery: how events come to the function, for the table.
    :param patience: as `PATIENCE`.
    """

    def __init__(
        self,
        ministack: MiniStack,
        deployment: Deployment,
        say: Say,
        source: str,
        delivery: str,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._s3 = ministack.client("s3")
        self._logs = ministack.client("logs")
        group = deployment.find("aws:cloudwatch/logGroup:LogGroup", "backup-logs")
        self._log_group: str = group.outputs["name"]
        self._say = say
        self._source = source
        self._backups: str = deployment.outputs["backupBucketName"]
        self._delivery = delivery
        self._patience = patience

    def run(self, uploads: int) -> list[Finding]:
        """Upload, wait for the copies, compare each with its source."""
        keys = [f"{number:03}.jpg" for number in range(uploads)]
        self._say(f"uploads {uploads} objects at once")
        self._upload(keys)
        self._wait(uploads)
        self._say("compares the copies with their sources")
        versions = self._versions()
        with ThreadPoolExecutor(_COMPARED_AT_ONCE) as pool:
            found = pool.map(lambda key: self._wrong(key, versions.get(key, 0)), keys)
            wrong = [text for text in found if text]
        good = f"{uploads - len(wrong)} are in the backup bucket once, and equal"
        return [
            Finding(
                what=f"{self._delivery}: lost of {uploads} uploads at once",
                value=len(wrong),
                unit="objects",
                at_most=0,
                how="; ".join([good, *wrong[:3]]),
            ),
            *self._percentiles(self._lags()),
        ]

    def _upload(self, keys: list[str]) -> None:
        """All at the same moment, each in a thread of its own."""
        together = threading.Barrier(len(keys))

        def upload(key: str) -> None:
            together.wait()
            self._s3.put_object(Bucket=self._source, Key=key, Body=f"content of {key}".encode())

        with ThreadPoolExecutor(len(keys)) as pool:
            list(pool.map(upload, keys))

    def _wait(self, wanted: int) -> None:
        """Until all are there, or no more come."""
        there = 0
        while there < wanted:
            # Each look costs the MiniStack that makes the copies some of its time.
            enough = min(wanted, there + math.ceil(wanted / 10))
            with contextlib.suppress(NotInTimeError):
                wait_for(lambda least=enough: self._arrived() >= least, "copies", self._patience)
            before, there = there, self._arrived()
            self._say(f"{there} of {wanted} copies are there")
            if there == before:
                return

    def _arrived(self) -> int:
        return len(self._versions())

    def _versions(self) -> dict[str, int]:
        """How many versions each key of the source has in the backup bucket."""
        prefix = f"{self._source}/"
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=self._backups, Prefix=prefix
        )
        return Counter(
            version["Key"].removeprefix(prefix)
            for page in pages
            for version in page.get("Versions", [])
        )

    def _wrong(self, key: str, versions: int) -> str | None:
        """What is wrong with a backup, if anything is."""
        if versions != 1:
            return f"{key} has {versions} versions"
        found = differences(self._s3, (self._source, key), (self._backups, f"{self._source}/{key}"))
        return f"{key}: {'; '.join(found)}" if found else None

    def _lags(self) -> list[float]:
        """Seconds from each upload to its finished copy, as the function logged them."""
        return [
            line["secondsSinceEvent"]
            for line in outcomes(self._logs, self._log_group)
            if line.get("bucket") == self._source and line["outcome"] == "copied"
        ]

    def _percentiles(self, lags: list[float]) -> list[Finding]:
        if len(lags) < 2:
            return []
        cuts = statistics.quantiles(lags, n=100, method="inclusive")
        return [
            Finding(
                what=f"{self._delivery}: lag of the copies, p{percent}",
                value=cuts[percent - 1],
                unit="s",
                how=f"upload to copy, as {len(lags)} lines of the log say",
            )
            for percent in (50, 99)
        ]
