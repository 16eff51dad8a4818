"""Entry point for S3 Batch Operations: tasks of a job -> copies -> a result for each.

Configured by the environment as `handler.main` is, but for the failure queue: what fails is tried
again by the job, and told in its completion report.
"""

from typing import Any

from . import attempts, clients
from .failures import Failed
from .records import Backup
from .tasks import Code, Task, parse


def handler(event: object, context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's own class
    """Back up the versions that the tasks name.

    :param event: an invocation by S3 Batch Operations, of schema 1.0 or 2.0.
    :param context: Lambda's context object.
    :returns: what became of each task.
    :raises UnknownEvent: if the event is no such invocation.
    """
    invocation = parse(event)
    tries = [(task, attempts.Attempt(task.item)) for task in invocation.tasks]
    attempts.run([attempt for _, attempt in tries], context, answering=True)
    return invocation.answer(
        _result(task, attempt.backup, attempt.failure) for task, attempt in tries
    )


def _result(task: Task, backup: Backup | None, failure: Failed | None) -> tuple[Task, Code, str]:
    if backup is not None:
        return task, Code.SUCCEEDED, backup.outcome
    if failure is None:
        return task, Code.TEMPORARY, "OutOfTime: the task was about to end when time was up"
    code = Code.TEMPORARY if failure.retryable else Code.PERMANENT
    return task, code, f"{failure.kind}: {failure}"


clients.prepare()
