"""Tasks of S3 Batch Operations: what an invocation asks for, and how it is answered.

Makes no AWS calls. https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html
"""

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

from .events import Damaged, UnknownEvent
from .records import ObjectVersion

# AWS names no limit. What it writes into the completion report should stay readable there.
_LONGEST_TEXT = 1024


class Code(StrEnum):
    """What S3 is told about a task."""

    SUCCEEDED = "Succeeded"
    TEMPORARY = "TemporaryFailure"
    """S3 tries the task again before the job ends."""
    PERMANENT = "PermanentFailure"


@dataclass(frozen=True, slots=True)
class Task:
    """One line of a job's manifest."""

    id: str | None
    """What S3 knows the task by; None if it did not say, so that it cannot be answered."""
    item: ObjectVersion | Damaged
    """The version to back up; without a version id, the one that is current."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one invocation asks for."""

    schema: str
    id: str
    tasks: tuple[Task, ...]

    def answer(self, results: Iterable[tuple[Task, Code, str]]) -> dict[str, Any]:
        """The function's answer.

        :param results: what became of each task, and a text for the job's report.
        """
        return {
            "invocationSchemaVersion": self.schema,
            "invocationId": self.id,
            # Missing here is only a task that has no id.
            "treatMissingKeysAs": Code.PERMANENT.value,
            "results": [
                {"taskId": task.id, "resultCode": code.value, "resultString": _one_line(text)}
                for task, code, text in results
                if task.id is not None
            ],
        }


def parse(event: object) -> Invocation:
    """Read what S3 Batch Operations sent.

    :param event: the decoded JSON of the invocation, of schema 1.0 or 2.0.
    :raises UnknownEvent: if it is no such thing, or of another schema.
    """
    if not isinstance(event, Mapping) or "invocationSchemaVersion" not in event:
        raise UnknownEvent(
            "not an invocation by S3 Batch Operations: expected an object with "
            "'invocationSchemaVersion'; create a job that invokes this function"
        )
    schema = event["invocationSchemaVersion"]
    if not isinstance(schema, str) or schema not in _BUCKETS:
        raise UnknownEvent(
            f"invocationSchemaVersion is {reprlib.repr(schema)}, known here are "
            f"{' and '.join(_BUCKETS)}; create the job with one of these"
        )
    invocation_id, tasks = event.get("invocationId"), event.get("tasks")
    if not isinstance(invocation_id, str) or not isinstance(tasks, list) or not tasks:
        raise UnknownEvent(
            "not an invocation by S3 Batch Operations: expected a text 'invocationId' and a "
            "non-empty list 'tasks'"
        )
    return Invocation(schema, invocation_id, tuple(_task(schema, task) for task in tasks))


def _task(schema: str, task: Any) -> Task:  # noqa: ANN401
    task_id = task.get("taskId") if isinstance(task, Mapping) else None
    item: ObjectVersion | Damaged
    try:
        item = _object_version(schema, task)
    except Exception as error:
        # Whatever is wrong with one task, the others are still read.
        item = Damaged(f"unreadable task: {type(error).__name__}: {error}")
    if not isinstance(task_id, str) or not task_id:
        return Task(None, Damaged(f"the task has no taskId: {reprlib.repr(task)}"))
    return Task(task_id, item)


def _object_version(schema: str, task: Mapping[str, Any]) -> ObjectVersion:
    version = task.get("s3VersionId")
    return ObjectVersion(
        bucket=_BUCKETS[schema](task),
        # "Object keys must be URL-encoded" in the manifest, and so they come. A manifest that S3
        # made from an inventory says "+" for a space, one of backupctl says "%20": a key's own plus
        # is "%2B" in both.
        key=unquote_plus(_text("s3Key", task["s3Key"]), errors="strict"),
        version_id=None if version is None else _text("s3VersionId", version),
    )


def _bucket_of_arn(task: Mapping[str, Any]) -> str:
    arn = _text("s3BucketArn", task["s3BucketArn"])
    # AWS's own examples have both arn:aws:s3:::NAME and arn:aws:s3:REGION:ACCOUNT:NAME.
    parts = arn.split(":")
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "s3" or "/" in parts[5] or not parts[5]:
        raise ValueError(f"s3BucketArn is {reprlib.repr(arn)}, not the ARN of a bucket")
    return parts[5]


def _bucket_by_name(task: Mapping[str, Any]) -> str:
    return _text("s3Bucket", task["s3Bucket"])


# Each schema's way to name a bucket.
_BUCKETS = {"1.0": _bucket_of_arn, "2.0": _bucket_by_name}


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{field} is {reprlib.repr(value)}, not a non-empty text")
    return value


def _one_line(text: str) -> str:
    """As the report, which has a line for each task, can show it."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[: _LONGEST_TEXT - 3]}..."
