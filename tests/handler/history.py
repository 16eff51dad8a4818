"""What a source bucket had at any time, from the backup bucket alone.

Written after docs/backup-bucket.md and without the function's code, so that a format which lacks
something, or a record that says too little, shows here.
"""

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .fake_s3 import Bucket, Stored


@dataclass(frozen=True)
class Step:
    """A version that was written, or a deletion."""

    time: datetime
    sequencer: int | None
    name: str
    """The version's id."""
    copy: Stored | None
    """Of the version; None for a deletion."""
    removes: bool = False
    """Whether that version was removed for good."""


def state(backup: Bucket, source: str, key: str, at: datetime) -> Stored | None:
    """The backup of what the source had under a key at the end of that second."""
    stack: list[Step] = []
    for step in steps(backup, source, key):
        if step.time > at:
            continue
        if step.removes or step.name == "null":
            stack = [below for below in stack if below.name != step.name]
        if not step.removes:
            stack.append(step)
    return stack[-1].copy if stack else None


def steps(backup: Bucket, source: str, key: str) -> list[Step]:
    """All that is known of a key, in the source's order."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    record = deletion_record(backup, source, key)
    places = {f"{source}/{key}", f".s3-backup/long/{source}/{digest}"}
    late = f".s3-backup/late/{source}/{digest}/"
    versions: dict[str, Step] = {}
    for copy in backup.under(""):
        if copy.is_delete_marker or not (copy.key in places or copy.key.startswith(late)):
            continue
        step = _written(copy, record["sequencers"])
        identity = step.name if step.name != "null" else _unversioned_name(copy)
        known = versions.get(identity)
        if known is None or known.sequencer is None:
            versions[identity] = step
    found = [*versions.values(), *(_deleted(entry) for entry in record["deletions"])]
    numbered = [step for step in found if step.sequencer is not None]
    ordered = sorted(numbered, key=lambda step: step.sequencer or 0)
    for step in sorted(found, key=lambda step: step.time):
        if step.sequencer is None:
            later = (n for n, other in enumerate(ordered) if _second(other) > _second(step))
            ordered.insert(next(later, len(ordered)), step)
    return ordered


def _second(step: Step) -> datetime:
    return step.time.replace(microsecond=0)


def deletion_record(backup: Bucket, source: str, key: str) -> dict[str, Any]:
    """What is recorded of a key's deletions."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    found = backup.current(f".s3-backup/deleted/{source}/{digest}")
    if found is None:
        return {"key": key, "deletions": [], "sequencers": {}}
    return json.loads(found.content)


def _written(copy: Stored, sequencers: dict[str, str]) -> Step:
    said = {name.removeprefix("s3-backup-"): value for name, value in copy.metadata.items()}
    name = said.get("version", "null")
    named = f"v{name}" if name != "null" else _unversioned_name(copy)
    identity = urlsafe_b64encode(hashlib.sha256(named.encode()).digest()[:9]).decode()
    sequencer = sequencers.get(identity) or said.get("sequencer")
    number = int(sequencer, 16) if sequencer else None
    return Step(datetime.fromisoformat(said["modified"]), number, name, copy)


def _unversioned_name(copy: Stored) -> str:
    modified = datetime.fromisoformat(copy.metadata["s3-backup-modified"])
    return f"e{copy.metadata['s3-backup-etag']} {modified.timestamp()}"


def _deleted(entry: dict[str, Any]) -> Step:
    time = datetime.fromisoformat(entry["time"]).astimezone(UTC)
    sequencer = int(entry["sequencer"], 16) if entry["sequencer"] else None
    return Step(time, sequencer, entry["version"] or "null", None, removes=not entry["marker"])
