import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sandbox import ministack as module
from sandbox.ministack import MiniStack, MiniStackError

ROOT = Path(__file__).parents[2]

# Starts MiniStack and one Lambda worker, says where they are, and waits to be killed.
OWNER = """
import io, json, signal, sys, time, zipfile
from sandbox.ministack import MiniStack

# Whoever runs the tests in the background has SIGINT ignored, and that would be inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
with MiniStack() as aws:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.writestr("m.py", "import os\\ndef handler(event, context): return os.getpid()")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))
    function = aws.client("lambda")
    function.create_function(FunctionName="f", Role=role["Role"]["Arn"], Runtime="python3.13",
        Handler="m.handler", Code={"ZipFile": code.getvalue()})
    worker = json.load(function.invoke(FunctionName="f")["Payload"])
    print(json.dumps([aws.endpoint, str(aws.state_dir), worker]), flush=True)
    time.sleep(600)
"""


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def listens(endpoint: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(endpoint).port)) == 0


def runs_in(state_dir: Path | str) -> bool:
    """Whether a process has the folder in its command or environment.

    The port does not tell: another program may have been given it since.
    """
    shown = subprocess.run(
        ["ps", "axeww", "-o", "command="], capture_output=True, text=True, check=True
    ).stdout
    return f"{state_dir}/" in shown


def runs(pid: int) -> bool:
    # A zombie has ended; it waits for whoever adopted it.
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return state != "" and not state.startswith("Z")


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_owner_however_it_ends(signum: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert owner.stdout is not None
        with owner.stdout as said:
            endpoint, state_dir, worker = json.loads(said.readline())
        assert listens(endpoint)
        assert runs_in(state_dir)
        assert runs(worker)
        owner.send_signal(signum)
        owner.wait(timeout=15)
    finally:
        owner.kill()
        owner.wait()
    assert eventually(lambda: not runs_in(state_dir))
    assert eventually(lambda: not runs(worker))
    assert eventually(lambda: not Path(state_dir).exists())


def test_an_exception_stops_it_too() -> None:
    class Failure(Exception):
        pass

    aws = MiniStack()
    with pytest.raises(Failure), aws:
        raise Failure if runs_in(aws.state_dir) else AssertionError
    assert not runs_in(aws.state_dir)
    assert not aws.state_dir.exists()


def test_a_failed_start_shows_the_log_and_keeps_it(tmp_path: Path) -> None:
    aws = MiniStack(state_dir=tmp_path, env={"MINISTACK_SSL_CERT": "/nowhere.pem"})
    with pytest.raises(MiniStackError) as caught:
        aws.start()
    assert str(caught.value).startswith("MiniStack ended while starting; its log is ")
    assert str(tmp_path / "ministack.log") in str(caught.value)
    assert "MINISTACK_SSL_CERT path not found: /nowhere.pem" in str(caught.value)
    assert aws.log_path.exists()


def test_a_start_that_takes_too_long_leaves_nothing_running(tmp_path: Path) -> None:
    aws = MiniStack(state_dir=tmp_path, start_timeout=0)
    with pytest.raises(MiniStackError, match="gave no answer within 0 seconds; its log is"):
        aws.start()
    assert not runs_in(aws.state_dir)


def test_another_port_is_tried_when_one_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = module._free_port
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = [other.getsockname()[1], choose()]
        monkeypatch.setattr(module, "_free_port", lambda: ports.pop(0))
        with MiniStack() as aws:
            assert ports == []
            assert aws.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_the_developers_own_aws_setup_has_no_influence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPRODUCTION")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://example.invalid")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://example.invalid:1")
    with MiniStack("210987654321", "us-west-2") as aws:
        identity = aws.client("sts").get_caller_identity()
        bucket = aws.client("s3").create_bucket(
            Bucket="abc", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
        )
    assert identity["Arn"] == "arn:aws:iam::210987654321:root"
    assert bucket["Location"]


def test_two_have_nothing_in_common(ministack: MiniStack) -> None:
    with MiniStack() as other:
        other.client("ssm").put_parameter(Name="/only/here", Value="1", Type="String")
        names = ministack.client("ssm").describe_parameters()["Parameters"]
    assert "/only/here" not in [parameter["Name"] for parameter in names]


def test_environment_lets_an_aws_sdk_find_it(ministack: MiniStack) -> None:
    program = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], **ministack.environment()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == ministack.account_id


def test_plain_http_gets_no_answer(ministack: MiniStack) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(ministack.endpoint).port)
    connection.request("GET", "/_ministack/health")
    with pytest.raises((OSError, http.client.HTTPException)):
        connection.getresponse()
    connection.close()


def test_an_account_id_has_12_digits() -> None:
    with pytest.raises(ValueError, match="'123' is not an account id: it needs 12 digits"):
        MiniStack("123")
