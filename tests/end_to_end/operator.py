"""`backupctl` as an operator runs it: a process of its own, with a role that may do no more."""

import json
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sandbox.ministack import Credentials
from tests.recorder import ROOT

from .local_stack import LocalStack


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output, which is nothing but lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        """The last of them."""
        return self.lines[-1]["summary"]


@dataclass(frozen=True)
class Operator:
    """Somebody with a role.

    :param stack: the stack to work on.
    :param credentials: of the role.
    :param endpoint: another than the local AWS's own.
    """

    stack: LocalStack
    credentials: Credentials
    endpoint: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def with_statements(
        cls, stack: LocalStack, name: str, statements: Sequence[dict[str, Any]]
    ) -> "Operator":
        """Whoever may do exactly this."""
        role = stack.role_of_ours(name, {"operator": list(statements)})
        return cls(stack, stack.assume(role))

    @contextmanager
    def start(self, *arguments: str) -> Generator[subprocess.Popen[str]]:
        """A command under way; it does not outlive the context."""
        with subprocess.Popen(
            [sys.executable, "-m", "backupctl", *arguments],
            cwd=ROOT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *arguments: str) -> Ran:
        """Run a command to its end; none may end in a traceback."""
        with self.start("--stack", self.stack.name, *arguments) as process:
            out, err = process.communicate(timeout=100)
            code = process.returncode
        assert "Traceback" not in err, err
        return Ran(code, out, err)

    def _environment(self) -> dict[str, str]:
        variables = self.stack.ministack.environment()
        variables |= {
            "AWS_ACCESS_KEY_ID": self.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_access_key,
            "AWS_SESSION_TOKEN": self.credentials.session_token or "",
            "PATH": "/usr/bin:/bin",
            **self.environment,
        }
        if self.endpoint is not None:
            variables["AWS_ENDPOINT_URL"] = self.endpoint
        return variables
