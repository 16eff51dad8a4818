"""How long a 6 GiB copy in parts takes on a model of S3, ours against boto3's managed copy.

No bytes are copied: the engine's own generator is driven with a clock of the model's. In the model
every request takes the same time, and a copied part as long as its bytes take on top.
"""

import heapq
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from boto3.s3.transfer import TransferConfig

from handler.boto import PARTS_IN_FLIGHT
from handler.copy import Engine
from handler.records import ObjectVersion, Outcome
from handler.requests import Request, S3Error, Steps, Together, Wait
from handler.units import GIB, MIB

from .function import ACCOUNT, BACKUP_BUCKET
from .measure import Finding, Say

T = TypeVar("T")

GOAL = 4.0
SIZE = 6 * GIB
LATENCY = 0.06
"""Seconds that every request takes."""
BYTES_PER_SECOND = 60 * MIB
"""How fast one part is copied, however many others are."""

_ETAG = '"etag-768"'


def run(say: Say) -> list[Finding]:
    """Let both copy on the model."""
    say(f"{SIZE // GIB} GiB, {LATENCY * 1000:.0f} ms and {BYTES_PER_SECOND // MIB} MiB/s per part")
    model = Model(PARTS_IN_FLIGHT)
    source = ObjectVersion("photos", "film.mov", "v1")
    backup = model.run(Engine(BACKUP_BUCKET, ACCOUNT).copy(source))
    if backup.outcome is not Outcome.COPIED or backup.size != SIZE:
        raise RuntimeError(f"the engine did not copy it: {backup}")
    managed = _managed_copy()
    return [
        Finding(
            what=f"speed of copying {SIZE // GIB} GiB, of boto3's managed copy",
            value=managed / model.now,
            at_least=GOAL,
            how=f"{model.now:.1f} s in {model.parts} parts, {PARTS_IN_FLIGHT} in flight, "
            f"against {managed:.1f} s",
        )
    ]


def _managed_copy() -> float:
    """Seconds that boto3's `copy` takes with its defaults, where it need not read tags."""
    defaults = TransferConfig()
    threads = [0.0] * defaults.max_concurrency
    for first in range(0, SIZE, defaults.multipart_chunksize):
        size = min(defaults.multipart_chunksize, SIZE - first)
        heapq.heapreplace(threads, threads[0] + _part_seconds(size))
    # HeadObject, CreateMultipartUpload and CompleteMultipartUpload.
    return 3 * LATENCY + max(threads)


def _tell(steps: Steps[Any], answer: Any) -> Request | Together | Wait:  # noqa: ANN401
    return steps.throw(answer) if isinstance(answer, S3Error) else steps.send(answer)


def _part_seconds(size: int) -> float:
    return LATENCY + size / BYTES_PER_SECOND


@dataclass
class Model:
    """Drives the engine against the model: S3 has one object and copies it.

    :param in_flight: how many conversations a driver holds at the same time.
    """

    in_flight: int
    now: float = 0.0
    """Seconds since the beginning."""
    parts: int = 0
    """How many were copied."""

    def run(self, steps: Steps[T]) -> T:
        """Do what the engine asks for until it has a result."""
        answer: Any = None
        while True:
            try:
                wanted = _tell(steps, answer)
            except StopIteration as end:
                return end.value
            if isinstance(wanted, Together):
                answer = self._together(wanted.conversations)
            else:
                seconds, answer = self._one(wanted)
                self.now += seconds

    def _together(self, conversations: Iterable[Steps[Any]]) -> list[Any]:
        waiting = enumerate(conversations)
        answers: dict[int, Any] = {}
        # When what was asked is answered, for each conversation that goes on.
        running: list[tuple[float, int, Steps[Any], Any]] = []

        def go_on(number: int, steps: Steps[Any], answer: Any) -> None:  # noqa: ANN401
            try:
                wanted = _tell(steps, answer)
            except StopIteration as end:
                answers[number] = end.value
                for following, other in itertools.islice(waiting, 1):
                    go_on(following, other, None)
                return
            if isinstance(wanted, Together):
                raise TypeError("the model knows no conversations within conversations")
            seconds, said = self._one(wanted)
            heapq.heappush(running, (self.now + seconds, number, steps, said))

        for number, steps in itertools.islice(waiting, self.in_flight):
            go_on(number, steps, None)
        while running:
            self.now, number, steps, said = heapq.heappop(running)
            go_on(number, steps, said)
        return [answers[number] for number in sorted(answers)]

    def _one(self, wanted: Request | Wait) -> tuple[float, Any]:
        """How long it takes, and the answer or the error."""
        if isinstance(wanted, Wait):
            return wanted.seconds, None
        match wanted.operation:
            case "HeadObject" if wanted.parameters["Bucket"] == BACKUP_BUCKET:
                return LATENCY, S3Error("HeadObject", "404", 404, "")
            case "HeadObject":
                modified = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
                return LATENCY, {"ETag": _ETAG, "ContentLength": SIZE, "LastModified": modified}
            case "GetObjectTagging":
                return LATENCY, {"TagSet": []}
            case "GetObject":
                return LATENCY, S3Error("GetObject", "NoSuchKey", 404, "")
            case "PutObject":
                return LATENCY, {"ETag": _ETAG}
            case "CreateMultipartUpload":
                return LATENCY, {"UploadId": "upload"}
            case "UploadPartCopy":
                first, last = wanted.parameters["CopySourceRange"].removeprefix("bytes=").split("-")
                self.parts += 1
                size = int(last) - int(first) + 1
                return _part_seconds(size), {"CopyPartResult": {"ETag": _ETAG}}
            case "CompleteMultipartUpload":
                return LATENCY, {"ETag": _ETAG}
            case other:
                raise ValueError(f"the model does not know {other}")
