"""What the engine asks of S3 and what it hears back, whoever talks to S3 for it."""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One S3 request, in the words of S3's API: an operation and its parameters."""

    operation: str
    parameters: Mapping[str, Any]
    seconds: float = 20.0
    """How long S3 may keep silent before there is no hope of an answer. A driver that cannot tell
    every request its own time waits longer rather than shorter."""
    left: float = math.inf
    """Seconds after which nobody waits for the answer any more. A driver stops before."""


@dataclass(frozen=True, slots=True)
class Together:
    """Conversations that do not depend on each other, each with its own retries and pauses.

    A driver holds as many at the same time as it can and begins the others, in order, as these
    end. The answer is a list in the same order: what each one returned or, where it raised
    `S3Error` or `Failed`, that error.
    """

    conversations: "Sequence[Steps[Any]]"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done for so many seconds."""

    seconds: float


class S3Error(Exception):
    """S3 refused a request, or no answer came."""

    def __init__(
        self, operation: str, code: str, status: int, message: str, condition: str | None = None
    ) -> None:
        super().__init__(f"{operation}: {code}: {message}" if message else f"{operation}: {code}")
        self.operation = operation
        self.code = code
        """S3's error code; the HTTP status as text for HEAD, whose errors have no body."""
        self.status = status
        """HTTP status; 0 if there was no answer. 200 is possible: an error in a good answer."""
        self.condition = condition
        """Which condition a 412 is about, if S3 said so."""


Steps = Generator[Request | Together | Wait, Any, T]
"""The engine's side of a conversation: it yields what it wants and is sent the answers, or has
`S3Error` thrown into it."""
