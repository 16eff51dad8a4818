"""The objects of the backup bucket that record deletions."""

from dataclasses import dataclass, replace
from typing import Any

from . import backup_keys
from .asking import Asking
from .catalogue import absent
from .deletions import Deletions
from .records import ObjectVersion
from .requests import S3Error, Steps


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is recorded of a key."""

    deletions: Deletions
    etag: str | None = None
    """Of the object that says so; None if there is none."""


@dataclass(frozen=True)
class DeletionRecords:
    """Reads and writes them.

    :param asking: whoever asks S3.
    """

    asking: Asking

    def read(self, place: ObjectVersion, *, refusals: int = 0) -> Steps[Recorded]:
        """Look at the record of a key.

        :param refusals: how often S3 refused to write it on the condition that there is none.
        """
        nothing = Recorded(Deletions(place.key))
        try:
            answer = yield from self.asking.ask("GetObject", **self._record(place))
        except S3Error as error:
            if absent(error, refusals):
                return nothing
            raise
        try:
            return Recorded(Deletions.from_json(answer["Body"]), answer["ETag"])
        except (ValueError, TypeError, KeyError, AttributeError):
            # Somebody else wrote there. The next deletion replaces it, and S3 keeps what it was.
            return replace(nothing, etag=answer["ETag"])

    def write(
        self, place: ObjectVersion, deletions: Deletions, seen: Recorded
    ) -> Steps[Recorded | None]:
        """Change the record of a key.

        :param seen: the record that is changed.
        :returns: the new record; None if it was not any more the one that was seen.
        """
        condition: dict[str, Any] = {"IfMatch": seen.etag} if seen.etag else {"IfNoneMatch": "*"}
        try:
            answer = yield from self.asking.ask(
                "PutObject",
                **self._record(place),
                **condition,
                Body=deletions.to_json(),
                ContentType="application/json",
            )
        except S3Error as error:
            if overtaken(error):
                return None
            raise
        return Recorded(deletions, answer["ETag"])

    def _record(self, place: ObjectVersion) -> dict[str, Any]:
        return self.asking.in_backup(backup_keys.deletion_record(place.bucket, place.key))


def overtaken(error: S3Error) -> bool:
    """Whether a condition on an object of the backup bucket was not met.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    return error.status in {409, 412} or (error.status == 404 and error.code != "NoSuchBucket")
