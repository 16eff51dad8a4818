"""The demonstration: a stack on a local AWS, real files, and a table of what became of them."""

import io
import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3.s3.transfer
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from . import samples, stack_config
from .aliases import Client
from .comparison import differences, unlike
from .disaster import Disaster
from .engine import Deployment, deploy, tree
from .ministack import MiniStack
from .observation import NotInTimeError, failures, outcomes, wait_for
from .provider import AwsProvider
from .reordering import Reordering
from .samples import MIB, Sample

BACKUP_BUCKET = "demo-backups"
DOCUMENTS = "demo-documents"
MEDIA = "demo-media"
SCRATCH = "demo-scratch"

STACK = "demo"

CONFIG: dict[str, object] = {
    "backupBucket": BACKUP_BUCKET,
    "buckets": [
        DOCUMENTS,
        {"name": MEDIA, "prefix": ["originals/", "films/"]},
        {"name": SCRATCH, "backup": False},
    ],
}

IDENTICAL = "identical"
LEFT_OUT = "left out"

# How long a copy may take before the demo calls it missing, in seconds.
PATIENCE = 60


@dataclass
class Upload:
    """One object of the demo and what should become of it."""

    bucket: str
    sample: Sample
    expected: bool = True
    """Whether the stack's config says that it is backed up."""
    first_body: bytes | None = None
    """What it was before it was overwritten, if it was."""

    @property
    def versions(self) -> int:
        """How many versions its backup should have."""
        return 1 if self.first_body is None else 2

    @property
    def backup_key(self) -> str:
        return f"{self.bucket}/{self.sample.key}"


def deploy_demo(project: Path, ministack: MiniStack) -> Deployment:
    """Run the project's own program with the demo's config."""
    declared = yaml.safe_load((project / "Pulumi.yaml").read_text(encoding="utf-8"))
    config = stack_config.render(declared, CONFIG, STACK)
    return deploy(project, STACK, config, AwsProvider(ministack))


def run(project: Path) -> int:
    """Deploy, upload, wait, compare; returns the exit code."""
    # Without a terminal rich assumes 80 columns, too few for the table.
    out = Console(width=None if sys.stdout.isatty() else 120)
    err = Console(file=sys.stderr)
    err.print("Starting a local AWS (MiniStack) with IAM and TLS enforced")
    with MiniStack() as ministack:
        err.print("Running __main__.py and creating its resources")
        deployment = deploy_demo(project, ministack)
        out.print("[bold]What the stack consists of[/bold]")
        for line in tree(deployment):
            out.print(line, markup=False, highlight=False, soft_wrap=True)
        return Demo(ministack, deployment, out, err).run(project)


class Demo:
    """The part after the deployment."""

    def __init__(
        self, ministack: MiniStack, deployment: Deployment, out: Console, err: Console
    ) -> None:
        self._ministack = ministack
        self._s3 = ministack.client("s3")
        self._logs = ministack.client("logs")
        self._sqs = ministack.client("sqs")
        self._lambda = ministack.client("lambda")
        self._function = str(deployment.outputs["functionName"])
        self._log_group = str(
            deployment.find("aws:cloudwatch/logGroup:LogGroup", "backup-logs").outputs["name"]
        )
        self._failure_queue = str(deployment.outputs["failureQueueUrl"])
        self._out = out
        self._err = err

    def run(self, project: Path) -> int:
        uploads = [
            *(Upload(DOCUMENTS, sample) for sample in samples.awkward()),
            *(Upload(DOCUMENTS, sample) for sample in samples.repository(project)),
            Upload(MEDIA, samples.image("originals/gradient.png")),
            Upload(MEDIA, samples.large("films/film.bin")),
            Upload(MEDIA, samples.image("thumbnails/gradient.png"), expected=False),
            Upload(SCRATCH, Sample("scribble.txt", b"not worth a backup"), expected=False),
        ]
        self._upload(uploads)
        if not self._copied(uploads):
            return 1 if self._report(uploads) else 0
        first = uploads[0]
        self._err.print("Overwriting one object")
        first.first_body = first.sample.body
        first.sample = Sample(first.sample.key, b"a second version", tags={"version": "2"})
        self._upload([first])
        self._copied(uploads)
        wrong = self._report(uploads)
        self._err.print("Delivering events twice and in the wrong order")
        wrong += self._reordered()
        documents = [upload.sample for upload in uploads if upload.bucket == DOCUMENTS]
        disaster = Disaster(self._ministack, project, STACK, DOCUMENTS, self._out, self._err)
        wrong += disaster.run(documents)
        return 1 if wrong else 0

    def _upload(self, uploads: list[Upload]) -> None:
        with self._progress() as progress:
            task = progress.add_task("Uploading", total=len(uploads))
            for upload in uploads:
                put(self._s3, upload.bucket, upload.sample)
                progress.advance(task)

    def _copied(self, uploads: list[Upload]) -> bool:
        """Wait for all copies; returns whether they came in time."""
        wanted = {upload.backup_key: upload.versions for upload in uploads if upload.expected}
        with self._progress() as progress:
            task = progress.add_task("Waiting for the copies", total=len(wanted))

            def all_there() -> bool:
                found = self._versions()
                there = sum(found.get(key, 0) >= count for key, count in wanted.items())
                progress.update(task, completed=there)
                return there == len(wanted)

            try:
                wait_for(all_there, "copies", PATIENCE)
            except NotInTimeError:
                self._err.print(f"After {PATIENCE} seconds some copies are missing")
                return False
        return True

    def _versions(self) -> dict[str, int]:
        """How many versions each key of the backup bucket has."""
        counts: dict[str, int] = {}
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=BACKUP_BUCKET)
        for page in pages:
            for version in page.get("Versions", []):
                counts[version["Key"]] = counts.get(version["Key"], 0) + 1
        return counts

    def _report(self, uploads: list[Upload]) -> int:
        """Print what became of the uploads; returns the number of problems."""
        versions = self._versions()
        lags = self._lags(uploads)
        table = Table(title="What became of the objects", title_justify="left")
        # Only the key may shrink, and only into what the other columns leave.
        table.add_column("Object", overflow="ellipsis", max_width=max(16, self._out.width - 72))
        for column in ("Bytes", "Source", "Backup", "Lag", "Verdict"):
            table.add_column(
                column, justify="right" if column in {"Bytes", "Lag"} else "left", no_wrap=True
            )
        wrong = 0
        for upload in uploads:
            count = versions.pop(upload.backup_key, 0)
            verdict = self._verdict(upload, count)
            lag = lags.get((upload.bucket, upload.sample.key))
            if verdict == IDENTICAL and lag is None:
                verdict = "not logged"
            good = verdict in {IDENTICAL, LEFT_OUT}
            wrong += not good
            table.add_row(
                _shown(upload.sample.key),
                f"{len(upload.sample.body):,}",
                upload.bucket,
                f"{count} version{'s' * (count != 1)}" if count else "none",
                "-" if lag is None else f"{lag:.1f} s",
                f"[{'green' if good else 'red'}]{verdict}[/]",
            )
        self._out.print(table)
        for key in versions:
            wrong += 1
            self._out.print("nobody uploaded the source of", _shown(key), style="red")
        failed = failures(self._sqs, self._failure_queue)
        wrong += len(failed)
        copied = sum(upload.expected for upload in uploads)
        self._out.print(
            f"{copied} objects to back up, {len(uploads) - copied} left out by config; "
            f"{len(failed)} events in the failure queue; {wrong} problems",
            soft_wrap=True,
        )
        return wrong

    def _reordered(self) -> int:
        """Show a duplicate and an overtaken event; returns how many ended as they should not."""
        self._s3.put_bucket_versioning(Bucket=MEDIA, VersioningConfiguration={"Status": "Enabled"})
        part = Reordering(
            self._s3,
            lambda event: self._lambda.invoke(
                FunctionName=self._function, Payload=json.dumps(event)
            ),
            lambda key: [
                line["outcome"]
                for line in outcomes(self._logs, self._log_group)
                if line.get("key") == key
            ],
            MEDIA,
            BACKUP_BUCKET,
        )
        table = Table(title="Events that come twice and in the wrong order", title_justify="left")
        for column in ("Delivered", "Outcome", "Current backup", "Verdict"):
            table.add_column(column)
        wrong = 0
        for delivery in part.run():
            wrong += not delivery.good
            table.add_row(
                delivery.what,
                delivery.outcome,
                delivery.current,
                "[green]right[/]"
                if delivery.good
                else f"[red]{delivery.expected}, {delivery.newest} expected[/]",
            )
        self._out.print(table)
        late = part.overtaken_version()
        wrong += late != "first version"
        self._out.print(f"Kept beside the backup: {late or 'nothing'}", highlight=False)
        return wrong

    def _verdict(self, upload: Upload, count: int) -> str:
        if not upload.expected:
            return "copied, but config says no" if count else LEFT_OUT
        if count < upload.versions:
            return "missing"
        if count > upload.versions:
            return f"{count} versions instead of {upload.versions}"
        source = (upload.bucket, upload.sample.key)
        found = unlike(self._s3, *source, upload.sample)
        found += differences(self._s3, source, (BACKUP_BUCKET, upload.backup_key))
        if upload.first_body is not None:
            found += self._first_version_lost(upload.backup_key, upload.first_body)
        return "; ".join(found) or IDENTICAL

    def _first_version_lost(self, key: str, body: bytes) -> list[str]:
        versions = self._s3.list_object_versions(Bucket=BACKUP_BUCKET, Prefix=key)["Versions"]
        oldest = [version for version in versions if version["Key"] == key][-1]["VersionId"]
        answer = self._s3.get_object(Bucket=BACKUP_BUCKET, Key=key, VersionId=oldest)
        return [] if answer["Body"].read() == body else ["the overwritten version is lost"]

    def _lags(self, uploads: list[Upload]) -> dict[tuple[str, str], float]:
        """Seconds from the event to the finished copy, as the function logged them."""
        wanted = {(upload.bucket, upload.sample.key) for upload in uploads if upload.expected}

        def logged() -> dict[tuple[str, str], float]:
            lines: list[dict[str, Any]] = outcomes(self._logs, self._log_group)
            return {
                (line["bucket"], line["key"]): line["secondsSinceEvent"]
                for line in lines
                if line["outcome"] == "copied"
            }

        with suppress(NotInTimeError):
            wait_for(lambda: wanted <= logged().keys(), "log lines", 10)
        return logged()

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._err,
        )


def put(s3: Client, bucket: str, sample: Sample) -> None:
    """Upload one object, in parts if it is large."""
    arguments: dict[str, Any] = {**sample.headers, "Metadata": dict(sample.metadata)}
    if sample.tags:
        arguments["Tagging"] = urlencode(sample.tags)
    if len(sample.body) < 8 * MIB:
        s3.put_object(Bucket=bucket, Key=sample.key, Body=sample.body, **arguments)
        return
    s3.upload_fileobj(
        io.BytesIO(sample.body),
        bucket,
        sample.key,
        ExtraArgs=arguments,
        Config=boto3.s3.transfer.TransferConfig(multipart_threshold=8 * MIB),
    )


def _shown(key: str) -> Text:
    """A key on one line, whatever it contains."""
    return Text(repr(key)[1:-1], no_wrap=True, overflow="ellipsis")
