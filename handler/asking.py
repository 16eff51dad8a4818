"""Asking S3 about both sides of a copy, again where that may help and there is time."""

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .failures import Failed, worth_retrying
from .records import ObjectVersion
from .requests import Request, S3Error, Steps, Together, Wait

# Pauses double from the first to the longest, each shortened at random.
# https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
MAX_TRIES = 8

# How long to wait for an answer. S3 answers a copy only when it is done, which it never promises
# to be by a certain time; this is many times what copies are seen to take.
ANSWER_SECONDS = 20.0
SLOWEST_COPY_BYTES_PER_SECOND = 8 * 1024**2
LAST_SECONDS = 2.0

OUT_OF_TIME = "OutOfTime"
"""Kind of the failure of what ends because the invocation does."""


def copy_seconds(size: int) -> float:
    """How long to wait for the answer to a copy of so many bytes."""
    return ANSWER_SECONDS + size / SLOWEST_COPY_BYTES_PER_SECOND


@dataclass(frozen=True)
class Asking:
    """Names the two buckets in each request and decides how long one is worth repeating.

    :param backup_bucket: name of the bucket that receives the copies.
    :param owner: the 12-digit account id that must own both buckets.
    :param seconds_left: how long an attempt may still take.
    :param jitter: a number from 0 to 1, another one each time.
    """

    backup_bucket: str
    owner: str
    seconds_left: Callable[[], float] = lambda: math.inf
    jitter: Callable[[], float] = field(default=random.random)

    def ask(
        self,
        operation: str,
        *,
        seconds: float = ANSWER_SECONDS,
        **parameters: Any,  # noqa: ANN401
    ) -> Steps[Any]:
        """Ask, and ask again while that may help and there is time.

        :param seconds: how long to wait for an answer.
        :param parameters: of S3's operation.
        :returns: S3's answer.
        :raises S3Error: what S3 said last.
        :raises Failed: if there is no time to ask.
        """
        for attempt in itertools.count(1):
            self.need_time()
            left = self.seconds_left()
            try:
                return (yield Request(operation, parameters, min(seconds, left), left))
            except S3Error as error:
                yield from self.pause(attempt, error)
        raise AssertionError("unreachable")

    def ask_once(self, operation: str, **parameters: Any) -> Steps[None]:  # noqa: ANN401
        """Ask for something that does not matter enough to fail."""
        # If time is up, there is still what is kept for reports.
        left = max(self.seconds_left(), LAST_SECONDS)
        try:
            yield Request(operation, parameters, min(ANSWER_SECONDS, left), left)
        except S3Error:
            return

    def together(self, *conversations: Steps[Any]) -> Steps[list[Any]]:
        """Hold conversations at the same time.

        :returns: what each one returned.
        :raises Exception: the first one's error, in this order, after all have ended.
        """
        answers: list[Any] = yield Together(conversations)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def need_time(self) -> None:
        """Check that there is time for another request.

        :raises Failed: if there is none.
        """
        if self.seconds_left() <= 0:
            raise Failed(
                "no time was left for another request; the repeated event goes on",
                kind=OUT_OF_TIME,
                retryable=True,
            )

    def pause(self, attempt: int, error: S3Error) -> Steps[None]:
        """Wait before another attempt.

        :param attempt: the number, from 1, of the one that failed.
        :raises S3Error: the given error, if there is to be no other attempt.
        """
        longest = min(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
        pause = longest * self.jitter()
        if not worth_retrying(error) or attempt == MAX_TRIES or pause >= self.seconds_left():
            raise error
        yield Wait(pause)

    def in_backup(self, key: str) -> dict[str, Any]:
        """Parameters that name an object of the backup bucket."""
        return {"Bucket": self.backup_bucket, "Key": key, "ExpectedBucketOwner": self.owner}

    def in_source(self, source: ObjectVersion) -> dict[str, Any]:
        """Parameters that name a version in its source bucket."""
        return {
            "Bucket": source.bucket,
            "Key": source.key,
            "ExpectedBucketOwner": self.owner,
            **({"VersionId": source.version_id} if source.version_id else {}),
        }

    def copied_from(self, source: ObjectVersion, etag: str) -> dict[str, Any]:
        """Parameters that name what is copied: that version, as long as it has that ETag."""
        place = {"Bucket": source.bucket, "Key": source.key}
        if source.version_id:
            place["VersionId"] = source.version_id
        return {
            "CopySource": place,
            "CopySourceIfMatch": etag,
            "ExpectedSourceBucketOwner": self.owner,
        }
