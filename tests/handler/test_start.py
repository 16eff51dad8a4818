"""How the process starts in Lambda: with what it needs, and with nothing more."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.recorder import ROOT

REPORT = """
import gc, importlib, json, sys
before = gc.isenabled()
importlib.import_module(sys.argv[1])
from handler import boto, clients
driver = clients.driver()
s3 = driver._clients.get(boto.QUICK_SECONDS)
print(json.dumps({
    "boto3": "boto3" in sys.modules,
    "rarely needed": sorted(
        name for name in ("multipart", "settlement", "uploads") if f"handler.{name}" in sys.modules
    ),
    "collects": gc.isenabled(),
    "frozen": gc.get_freeze_count() > 1000,
    "s3": None if s3 is None else s3.meta.service_model.service_name,
    "long": boto.LONG_SECONDS in driver._clients,
    "sqs": clients._sqs.cache_info().currsize,
}))
"""


def start(module: str, **environment: str) -> Any:
    """Import an entry point in a process of its own; returns what it looks like then."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REPORT, module],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", ["handler.main", "handler.batch"])
def test_in_lambda_a_client_is_there_before_the_first_event(module: str) -> None:
    seen = start(
        module,
        AWS_LAMBDA_FUNCTION_NAME="backup",
        AWS_REGION="eu-central-1",
        AWS_DEFAULT_REGION="eu-central-1",
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="x",
        AWS_SESSION_TOKEN="x",
    )
    assert seen == {
        "boto3": False,
        "rarely needed": [],
        "collects": True,
        "frozen": True,
        "s3": "s3",
        "long": False,
        "sqs": 0,
    }


@pytest.mark.parametrize("module", ["handler.main", "handler.batch"])
def test_elsewhere_importing_does_nothing_but_import(module: str) -> None:
    # Without credentials a client would look for an EC2 instance's.
    assert start(module) == {
        "boto3": False,
        "rarely needed": [],
        "collects": True,
        "frozen": False,
        "s3": None,
        "long": False,
        "sqs": 0,
    }
