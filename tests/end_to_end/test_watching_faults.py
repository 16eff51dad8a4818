"""`backupctl status` and `doctor` on a bad line to AWS, and with what others wrote there."""

import json
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from handler import asking
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for
from tests.backupctl.place import Ran, run

from .fault_proxy import Call, Fault, FaultProxy
from .local_stack import LocalStack
from .test_outputs import assert_printable
from .test_watching import as_somebody, statements_for

SOURCE = "unsteady-source"
COMMANDS = {
    "status": ("status", "--count", "--late", "0", "--json"),
    "doctor": ("doctor", "--json"),
}
PASSING = (
    Fault.SLOW_DOWN,
    Fault.INTERNAL_ERROR,
    Fault.RESET,
    Fault.LOST_ANSWER,
    Fault.FAILED_ANSWER,
    Fault.TRUNCATED,
)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    # As often as ever, but not for a minute.
    monkeypatch.setattr(asking, "FIRST_PAUSE_SECONDS", 0.001)
    backoff = "botocore.retries.standard.ExponentialBackoff.delay_amount"
    monkeypatch.setattr(backoff, lambda *_: 0.0)


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    config = {"backupBucket": "unsteady-backups", "buckets": [SOURCE], "delivery": "queue"}
    deployed = LocalStack.deploy(ministack, config)
    deployed.put(SOURCE, "cat")
    wait_for(lambda: deployed.backup_versions(f"{SOURCE}/cat"), "the backup")
    return deployed


@pytest.fixture(scope="module")
def environments(stack: LocalStack) -> dict[str, dict[str, str]]:
    """Of operators, by command."""
    return {
        command: as_somebody(stack, f"unsteady-{command}", statements_for(stack, command))
        for command in COMMANDS
    }


Environments = Mapping[str, Mapping[str, str]]


def ask(
    stack: LocalStack, environments: Environments, command: str, endpoint: str | None = None
) -> Ran:
    where = ("--endpoint-url", endpoint) if endpoint else ()
    arguments = ("--stack", stack.name, *where, *COMMANDS[command])
    return run(environments[command], *arguments)


def seen(ran: Ran) -> Any:
    """What was found, without what the time of the look changes."""
    found = json.loads(ran.out)
    for source in found.get("sources", []):
        del source["source"], source["backup"], source["newestBackup"]
    return found


def now_and_then(seed: int) -> Callable[[Call], Fault | None]:
    """A fifth of all requests fails."""
    lock, chance = threading.Lock(), random.Random(seed)

    def fault(_call: Call) -> Fault | None:
        with lock:
            return chance.choice(PASSING) if chance.random() < 0.2 else None

    return fault


@pytest.mark.parametrize("command", COMMANDS)
def test_what_passes_changes_no_result(
    stack: LocalStack, environments: Environments, command: str
) -> None:
    steady = ask(stack, environments, command)
    met = 0
    for seed in range(2):
        with FaultProxy(stack.ministack, now_and_then(seed)) as proxy:
            ran = ask(stack, environments, command, proxy.endpoint)
            met += proxy.met.total()
        assert (ran.code, seen(ran)) == (steady.code, seen(steady)), ran
    assert met > 2


def described(call: Call) -> bool:
    """Whether the stack is asked what it consists of."""
    return call.headers.get("x-amz-target", "").startswith("AmazonSSM")


# Not all services understand an error in the words of S3.
LASTING = {
    Fault.DENIED: ("AccessDenied", "HTTP 403"),
    Fault.EXPIRED: ("ExpiredToken", "HTTP 400"),
    Fault.SLOW_DOWN: ("SlowDown", "HTTP 503"),
    Fault.TRUNCATED: ("127.0.0.1",),
    Fault.RESET: ("127.0.0.1",),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", LASTING)
@pytest.mark.parametrize("at_once", [True, False])
def test_what_lasts_is_said_in_one_line_or_for_each_check(
    stack: LocalStack, environments: Environments, command: str, kind: Fault, *, at_once: bool
) -> None:
    def fault(call: Call) -> Fault | None:
        return kind if at_once or not described(call) else None

    with FaultProxy(stack.ministack, fault) as proxy:
        ran = ask(stack, environments, command, proxy.endpoint)
        assert proxy.met[kind]
    assert ran.code == 1
    told = [line for line in ran.err.splitlines() if line.startswith("backupctl:")]
    checks = json.loads(ran.out)["findings"] if ran.out else []
    if checks:
        assert (command, at_once, told) == ("doctor", False, [])
        said = [finding["problem"] for finding in checks]
        assert all(finding["cure"] for finding in checks)
    else:
        assert len(told) == 1, ran
        said = told
    # JSON has it as it came.
    assert checks or said[0].isprintable()
    assert [one for one in said if not any(word in one for word in LASTING[kind])] == []


@pytest.mark.parametrize("kind", [Fault.DENIED, Fault.SLOW_DOWN])
def test_for_people_each_check_that_cannot_be_made_is_one_line(
    stack: LocalStack, environments: Environments, kind: Fault
) -> None:
    def fault(call: Call) -> Fault | None:
        return None if described(call) else kind

    with FaultProxy(stack.ministack, fault) as proxy:
        arguments = ("--stack", stack.name, "--endpoint-url", proxy.endpoint, "doctor")
        ran = run(environments["doctor"], *arguments)
    assert ran.code == 1
    assert_printable(ran.out)
    found = [line for line in ran.out.splitlines() if line.startswith("! ")]
    assert len(found) == len(ran.out.splitlines()) / 2, "each check has one finding"
    assert all("this cannot be checked: " in line for line in found)


ODD = "line\nfeed \x1b[31mred \u202etfel \u2028 [bold]markup[/bold] \u00e9"


@pytest.mark.parametrize("as_json", [True, False])
def test_what_others_wrote_is_shown_in_lines_of_its_own(
    ministack: MiniStack, environments: Environments, stack: LocalStack, *, as_json: bool
) -> None:
    key = f".s3-backup/results/drill/{SOURCE}.json"
    result = {"started": ODD, "finished": ODD, "faults": ODD}
    stack.s3.put_object(Bucket=stack.backup_bucket, Key=key, Body=json.dumps(result).encode())
    before = stack.s3.get_bucket_notification_configuration(Bucket=SOURCE)
    del before["ResponseMetadata"]
    topic = ministack.client("sns").create_topic(Name="unsteady-theirs")["TopicArn"]
    theirs = {
        "Id": "[bold]x[/bold] \u2028 \u202e \u00e9",
        "TopicArn": topic,
        "Events": ["s3:ObjectCreated:Put"],
    }
    stack.s3.put_bucket_notification_configuration(
        Bucket=SOURCE, NotificationConfiguration={**before, "TopicConfigurations": [theirs]}
    )
    try:
        for command, (*arguments, _) in COMMANDS.items():
            options = ("--json",) if as_json else ()
            ran = run(environments[command], "--stack", stack.name, *arguments, *options)
            assert ran.code == 1, ran
            assert_printable(ran.out, *ran.err.splitlines())
            assert ran.out.isascii() or not as_json
            shown = {"status": "[bold]markup[/bold]", "doctor": topic.rpartition(":")[2]}
            assert shown[command] in ran.out
    finally:
        stack.s3.put_bucket_notification_configuration(
            Bucket=SOURCE, NotificationConfiguration=before
        )
        stack.s3.delete_object(Bucket=stack.backup_bucket, Key=key)


@pytest.mark.parametrize("command", COMMANDS)
def test_half_an_answer_is_never_taken_for_a_whole_one(
    stack: LocalStack, environments: Environments, command: str
) -> None:
    with FaultProxy(stack.ministack, lambda _: Fault.BROKEN_MARKUP) as proxy:
        ran = ask(stack, environments, command, proxy.endpoint)
        assert proxy.met[Fault.BROKEN_MARKUP]
    assert ran.code == 1
    if not ran.out:
        [line] = [line for line in ran.err.splitlines() if line.startswith("backupctl:")]
        assert line.isprintable()
