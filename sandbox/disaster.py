"""The part of the demonstration in which a source is damaged, and brought back with `backupctl`."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from .aliases import Client
from .comparison import unlike
from .ministack import MiniStack
from .observation import NotInTimeError, wait_for
from .samples import Sample

STALE = "stale"
ORPHANED = "orphaned"

# How long the copies of what was restored may take, in seconds.
PATIENCE = 60


class Disaster:
    """Damages a source behind the stack's back, and has `backupctl` find and undo it.

    :param project: the folder that `backupctl` is in.
    :param stack: the stack's name.
    :param bucket: a source without versions.
    """

    def __init__(
        self,
        ministack: MiniStack,
        project: Path,
        stack: str,
        bucket: str,
        out: Console,
        err: Console,
    ) -> None:
        self._s3: Client = ministack.client("s3")
        self._environment = {
            **os.environ,
            **ministack.environment(),
            "PYTHONPATH": str(project),
        }
        self._stack = stack
        self._bucket = bucket
        self._out = out
        self._err = err

    def run(self, uploads: Sequence[Sample]) -> int:
        """Damage some of what was uploaded, find it, restore it; returns the number of problems.

        :param uploads: all that the source has.
        """
        with tempfile.TemporaryDirectory() as folder:
            self._folder = Path(folder)
            return self._run(uploads)

    def _run(self, uploads: Sequence[Sample]) -> int:
        overwritten, deleted = uploads[1:4], uploads[4:6]
        wrong = self._expect("Before", {}, 0)
        then = self._moment()
        # Whoever wants a backup not to notice begins with this.
        notification = self._s3.get_bucket_notification_configuration(Bucket=self._bucket)
        notification.pop("ResponseMetadata")
        self._s3.put_bucket_notification_configuration(
            Bucket=self._bucket, NotificationConfiguration={}
        )
        self._err.print(
            f"Turning {self._bucket}'s notification off, overwriting {len(overwritten)} objects "
            f"and deleting {len(deleted)}"
        )
        for sample in overwritten:
            self._s3.put_object(Bucket=self._bucket, Key=sample.key, Body=os.urandom(64))
        for sample in deleted:
            self._s3.delete_object(Bucket=self._bucket, Key=sample.key)
        damage = {
            **{sample.key: STALE for sample in overwritten},
            **{sample.key: ORPHANED for sample in deleted},
        }
        wrong += self._expect("After the damage", damage, 1)
        # What `pulumi up` would do.
        self._s3.put_bucket_notification_configuration(
            Bucket=self._bucket, NotificationConfiguration=notification
        )
        at = then.strftime("%Y-%m-%dT%H:%M:%SZ")
        code, said = self._backupctl("restore", self._bucket, "--at", at, "--yes")
        wrong += code != 0
        self._out.print(said, end="", markup=False, highlight=False, soft_wrap=True)
        different = [
            f"{sample.key}: {'; '.join(found)}"
            for sample in uploads
            if (found := self._unlike(sample))
        ]
        for line in different:
            self._out.print(line, style="red", markup=False)
        self._out.print(
            f"{len(uploads) - len(different)} of {len(uploads)} objects are what was uploaded",
            highlight=False,
        )
        # What was restored is new in the source, and on its way to the backup.
        try:
            wait_for(
                lambda: self._findings() == (0, {}), "the copies of what was restored", PATIENCE
            )
        except NotInTimeError as late:
            self._err.print(str(late), markup=False)
        return wrong + len(different) + self._expect("After the restore", {}, 0)

    def _unlike(self, sample: Sample) -> list[str]:
        try:
            return unlike(self._s3, self._bucket, sample.key, sample)
        except self._s3.exceptions.NoSuchKey:
            return ["missing"]

    def _moment(self) -> datetime:
        """A whole second that lies between what was written and what will be."""
        then = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
        while datetime.now(UTC) < then + timedelta(seconds=1):
            time.sleep(0.1)
        return then

    def _expect(self, when: str, findings: dict[str, str], code: int) -> int:
        """Verify; returns 1 and says so if it does not find exactly that."""
        found = self._findings(show=True)
        for key, finding in found[1].items():
            self._out.print(f"  {finding:<9} {key!r}", markup=False, highlight=False)
        if found == (code, findings):
            return 0
        self._out.print(f"{when}: {findings}, exit code {code} expected", style="red", markup=False)
        return 1

    def _findings(self, *, show: bool = False) -> tuple[int, dict[str, str]]:
        """What `backupctl verify` finds: its exit code, and each finding by its key."""
        report = self._folder / "findings.jsonl"
        report.unlink(missing_ok=True)
        code, said = self._backupctl(
            *("verify", self._bucket, "--checksum", "--grace", "0", "--output", report.name),
            show=show,
        )
        if show:
            self._out.print(said, end="", markup=False, highlight=False, soft_wrap=True)
        lines = report.read_text(encoding="utf-8").splitlines() if report.exists() else []
        findings = map(json.loads, lines)
        return code, {finding["key"]: finding["finding"] for finding in findings}

    def _backupctl(self, *arguments: str, show: bool = True) -> tuple[int, str]:
        """Run it as a person would; returns its exit code and what it printed."""
        command = ["backupctl", "--stack", self._stack, *arguments]
        if show:
            self._out.print(f"$ {shlex.join(command)}", style="bold", markup=False, soft_wrap=True)
        ran = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr
