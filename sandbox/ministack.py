"""MiniStack, a local AWS, as a context manager: TLS, signatures and IAM are enforced.

    with MiniStack() as aws:
        aws.client("s3").create_bucket(...)

Everything it writes stays in one state folder, and it never outlives the process that started
it. Findings about MiniStack 1.5, which `tests/sandbox/test_ministack_facts.py` watches:

- It evaluates `aws:SecureTransport`, as true for an https client: a `Deny` on "false" lets such a
  client pass. The gateway speaks TLS only, so a plain http client gets no answer at all.
- `ExpectedBucketOwner` and `ExpectedSourceBucketOwner` are ignored: an owner that is wrong passes.
  Check that a request carries them; the refusal can be seen on AWS only.
- `CopySourceIfMatch` is honoured, also with a version id and in `UploadPartCopy`.
- Keys over 1,024 bytes are accepted.
- The account root passes every bucket policy: test refusals with a role's credentials.
"""

import http.client
import os
import re
import shutil
import site
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import botocore.config
import botocore.session
import trustme

from .aliases import Client

_GUARD = Path(__file__).with_name("_guard.py")
_APP = Path(__file__).parent / "server" / "corrected.py"
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT")
_PORT_ATTEMPTS = 5
_LOG_LINES_SHOWN = 20
# MiniStack accepts an account id as the root's access key, signed with this secret.
_ROOT_SECRET = "test"


class MiniStackError(RuntimeError):
    """MiniStack did not start or is not running; the message ends with its last log lines."""


@dataclass(frozen=True)
class Credentials:
    """Temporary or permanent credentials, as STS and IAM hand them out."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    @classmethod
    def of(cls, response: Mapping[str, Any]) -> Self:
        """Read the `Credentials` of an `AssumeRole` or the `AccessKey` of a `CreateAccessKey`."""
        return cls(
            response["AccessKeyId"], response["SecretAccessKey"], response.get("SessionToken")
        )


class MiniStack:
    """A MiniStack process of one's own.

    :param account_id: the 12 digits of the account.
    :param region: the only region in use.
    :param state_dir: where certificates, log and data go; default: a temporary folder that is
        removed at the end, and kept if MiniStack fails to start.
    :param start_timeout: seconds to wait for its first answer.
    :param env: further environment variables of the process, e.g. `{"LOG_LEVEL": "DEBUG"}`.
    """

    endpoint: str
    """URL of the gateway, known once started."""
    state_dir: Path
    """Where everything is written, known once started."""

    def __init__(
        self,
        account_id: str = "123456789012",
        region: str = "eu-central-1",
        *,
        state_dir: Path | None = None,
        start_timeout: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> None:
        if re.fullmatch(r"\d{12}", account_id) is None:
            raise ValueError(f"{account_id!r} is not an account id: it needs 12 digits")
        self.account_id = account_id
        self.region = region
        self._temporary = state_dir is None
        if state_dir is not None:
            self.state_dir = state_dir.resolve()
        self._start_timeout = start_timeout
        self._extra_env = dict(env or {})
        self._guard: subprocess.Popen[bytes] | None = None
        # One session for all clients: it keeps the service models, which are slow to load.
        self._session = boto3.Session(
            botocore_session=botocore.session.Session(
                session_vars={
                    "profile": (None, None, None, None),
                    "config_file": (None, None, os.devnull, None),
                    "credentials_file": (None, None, os.devnull, None),
                }
            )
        )
        # Creating boto3 clients is not thread-safe, using them is.
        self._client_lock = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def ca_bundle(self) -> Path:
        """Certificate of the authority that signed the gateway's."""
        return self.state_dir / "ca.pem"

    @property
    def log_path(self) -> Path:
        """What MiniStack writes to standard output and error."""
        return self.state_dir / "ministack.log"

    def start(self) -> None:
        """Start and wait until MiniStack answers.

        :raises MiniStackError: if it ends or does not answer in time.
        """
        if self._temporary:
            self.state_dir = Path(tempfile.mkdtemp(prefix="ministack-")).resolve()
        for folder in ("tmp", "state", "s3", "home"):
            (self.state_dir / folder).mkdir(parents=True, exist_ok=True)
        self._issue_certificate()
        for _ in range(_PORT_ATTEMPTS):
            port = _free_port()
            already_logged = self.log_path.stat().st_size if self.log_path.exists() else 0
            try:
                self._launch(port)
                return
            except BaseException as error:
                self.stop(keep_state=True)
                # Somebody may take the port between choosing and binding it.
                taken = "address already in use" in self._log(already_logged).lower()
                if not isinstance(error, MiniStackError) or not taken:
                    raise
        raise MiniStackError(self._failure(f"found no free port in {_PORT_ATTEMPTS} attempts"))

    def stop(self, *, keep_state: bool = False) -> None:
        """Kill MiniStack and all it started. Its data is gone: nothing needs a graceful end."""
        guard, self._guard = self._guard, None
        if guard is None or guard.stdin is None:
            return
        try:
            if keep_state:
                guard.stdin.write(b"k")
            guard.stdin.close()
        except BrokenPipeError:
            pass
        guard.wait()
        if self._temporary and not keep_state:
            # The guard did it, unless MiniStack had died before.
            shutil.rmtree(self.state_dir, ignore_errors=True)

    def client(self, service: str, credentials: Credentials | None = None) -> Client:
        """A boto3 client as the account's root, or with the given credentials.

        The developer's own AWS profile, config files and proxies have no influence on it.
        """
        credentials = credentials or Credentials(self.account_id, _ROOT_SECRET)
        with self._client_lock:
            client = self._session.client(
                service,
                region_name=self.region,
                aws_access_key_id=credentials.access_key_id,
                aws_secret_access_key=credentials.secret_access_key,
                aws_session_token=credentials.session_token,
                endpoint_url=self.endpoint,
                verify=str(self.ca_bundle),
                config=botocore.config.Config(
                    s3={"addressing_style": "path"},
                    max_pool_connections=64,
                    retries={"mode": "standard", "total_max_attempts": 3},
                    connect_timeout=10,
                    read_timeout=120,
                    proxies={},
                    use_fips_endpoint=False,
                    use_dualstack_endpoint=False,
                ),
            )
            client.meta.events.register("before-call.s3-control", _address)
            return client

    def environment(self) -> dict[str, str]:
        """Environment variables that point `aws` and boto3 at this MiniStack, as the root."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CA_BUNDLE": str(self.ca_bundle),
            "AWS_ACCESS_KEY_ID": self.account_id,
            "AWS_SECRET_ACCESS_KEY": _ROOT_SECRET,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def _issue_certificate(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_bundle))
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        key = self.state_dir / "server.key"
        key.touch(mode=0o600)
        certificate.private_key_pem.write_to_path(str(key))
        (self.state_dir / "server.pem").write_bytes(
            b"".join(part.bytes() for part in certificate.cert_chain_pems)
        )

    def _server_environment(self, port: int) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return inherited | {
            # A developer's ~/.aws must not reach the Lambda workers, which inherit all this.
            "HOME": str(self.state_dir / "home"),
            "PYTHONUSERBASE": site.getuserbase(),
            "TMPDIR": str(self.state_dir / "tmp"),
            "STATE_DIR": str(self.state_dir / "state"),
            "S3_DATA_DIR": str(self.state_dir / "s3"),
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(self.state_dir / "server.pem"),
            "MINISTACK_SSL_KEY": str(self.state_dir / "server.key"),
            "MINISTACK_ACCOUNT_ID": self.account_id,
            "MINISTACK_REGION": self.region,
            "AWS_CA_BUNDLE": str(self.ca_bundle),
            "LAMBDA_EXECUTOR": "local",
            "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.2",
            # No listener but the gateway, and hands off the developer's Docker.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{self.state_dir}/no-docker.sock",
            **self._extra_env,
        }

    def _launch(self, port: int) -> None:
        self.endpoint = f"https://127.0.0.1:{port}"
        # What `python -m ministack` runs, without its second listener on 443 and its pid file.
        server = [
            *(sys.executable, "-m", "hypercorn", f"{_APP}:app"),
            *("--config", "python:ministack.core.hypercorn_conf"),
            *("--bind", f"127.0.0.1:{port}", "--keep-alive", "75", "--graceful-timeout", "0"),
        ]
        folder = str(self.state_dir) if self._temporary else ""
        self._guard = subprocess.Popen(
            [sys.executable, "-I", str(_GUARD), str(self.log_path), folder, *server],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=self._server_environment(port),
            cwd=self.state_dir,
            start_new_session=True,
        )
        deadline = time.monotonic() + self._start_timeout
        while not self._healthy(port):
            if self._guard.poll() is not None:
                raise MiniStackError(self._failure("ended while starting"))
            if time.monotonic() > deadline:
                raise MiniStackError(
                    self._failure(f"gave no answer within {self._start_timeout:g} seconds")
                )
            time.sleep(0.05)

    def _healthy(self, port: int) -> bool:
        # Only the server with our own certificate counts as ours.
        trust = ssl.create_default_context(cafile=str(self.ca_bundle))
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=trust)
        try:
            connection.request("GET", "/_ministack/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _log(self, offset: int = 0) -> str:
        try:
            return self.log_path.read_bytes()[offset:].decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _failure(self, what: str) -> str:
        lines = self._log().splitlines()[-_LOG_LINES_SHOWN:]
        return "\n".join([f"MiniStack {what}; its log is {self.log_path}, ending in:", *lines])


def _address(params: dict[str, Any], **_: Any) -> None:
    """S3 Control puts the account into the host's name, which this host has no name for."""
    account = params["headers"].get("x-amz-account-id")
    params["url"] = params["url"].replace(f"://{account}.", "://", 1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
