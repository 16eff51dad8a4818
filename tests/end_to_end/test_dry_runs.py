"""`--dry-run` changes nothing: all that the local AWS has is the same before and after."""

import importlib
from typing import Any

import pytest

from backupctl import permissions
from backupctl.cli import COMMANDS
from sandbox.aliases import Client
from sandbox.ministack import MiniStack
from tests.backupctl.place import Place
from tests.backupctl.test_redrive_command import Failed

TRIED = {
    "backfill": [(), ("--all-versions", "--track-deletes"), ("--everything", "--json")],
    "restore": [(), ("--exact",), ("--include-deleted", "--json"), ("--exact", "--yes")],
}


def everything(ministack: MiniStack) -> dict[str, Any]:
    """What could have been changed, in all buckets and beyond."""
    s3, sqs = ministack.client("s3"), ministack.client("sqs")
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    counted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    ssm = ministack.client("ssm")
    names = [parameter["Name"] for parameter in ssm.describe_parameters()["Parameters"]]
    return {
        "versions": {name: _versions(s3, name) for name in buckets},
        "uploads": {
            name: s3.list_multipart_uploads(Bucket=name).get("Uploads") for name in buckets
        },
        "queues": {
            url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counted)["Attributes"]
            for url in sqs.list_queues().get("QueueUrls", [])
        },
        "parameters": {
            name: ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"] for name in names
        },
        "metrics": ministack.client("cloudwatch").list_metrics()["Metrics"],
    }


def _versions(s3: Client, bucket: str) -> list[tuple[Any, ...]]:
    return [
        (kind, entry["Key"], entry["VersionId"], entry["IsLatest"], entry["LastModified"])
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        for kind in ("Versions", "DeleteMarkers")
        for entry in page.get(kind, [])
    ]


@pytest.fixture(scope="module")
def place(ministack: MiniStack) -> Place:
    made = Place(ministack)
    for key in ("copied", "line\nfeed", "k" * 1015):
        made.copy(made.put(key))
    made.put("copied", b"newer")
    made.put("missing")
    made.s3.delete_object(Bucket=made.source, Key="line\nfeed")
    queue = ministack.client("sqs").create_queue(QueueName=f"{made.name}-queue")["QueueUrl"]
    ministack.client("sqs").send_message(QueueUrl=queue, MessageBody="{}")
    name = f"/{made.name}/parameter"
    ministack.client("ssm").put_parameter(Name=name, Value="value", Type="String")
    return made


@pytest.mark.parametrize(
    ("command", "options"),
    [(command, options) for command, tried in TRIED.items() for options in tried],
)
def test_nothing_is_changed(place: Place, command: str, options: tuple[str, ...]) -> None:
    # With more rights than it needs: it is not the policy that holds it back.
    allowed = [
        *permissions.backfill(place.backup, [place.source], track_deletes=True),
        *permissions.restore(place.backup, place.source, exact=True),
    ]
    operator = place.operator(allowed)
    before = everything(place.ministack)
    ran = place.run(command, place.source, *options, "--dry-run", credentials=operator)
    assert ran.code in {0, 1}
    assert ran.out
    assert everything(place.ministack) == before


@pytest.mark.parametrize("options", [(), ("--json",), ("--yes",)])
def test_nothing_is_changed_in_the_failure_queue(
    ministack: MiniStack, options: tuple[str, ...]
) -> None:
    place = Failed(ministack)
    place.fail(place.put("line\nfeed"))
    place.send("nobody can read this")
    before = everything(ministack)
    ran = place.redrive("--dry-run", *options)
    assert ran.code == 1
    assert ran.out
    # Visible again, all of it.
    assert everything(ministack) == before


def test_every_command_that_has_it_is_tried() -> None:
    having: set[str] = set()
    for name, place in COMMANDS.items():
        module, _, attribute = place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if any("--dry-run" in param.opts for param in command.params):
            having.add(name)
    assert having == TRIED.keys() | {"redrive"}
