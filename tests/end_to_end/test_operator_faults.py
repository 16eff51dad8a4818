"""`backupctl` on a bad line to S3, by a role that may do no more than the command needs."""

import itertools
import random
import threading
from collections.abc import Callable, Mapping
from unittest import mock

import pytest

from backupctl import filling, permissions
from backupctl.permissions import Statement
from handler import asking
from sandbox.ministack import MiniStack
from tests.backupctl.place import Place, Ran

from .fault_proxy import Call, Fault, FaultProxy

PASSING = (
    Fault.SLOW_DOWN,
    Fault.INTERNAL_ERROR,
    Fault.RESET,
    Fault.LOST_ANSWER,
    Fault.FAILED_ANSWER,
    Fault.TRUNCATED,
    Fault.ERROR_IN_200,
    Fault.BROKEN_MARKUP,
)
KEYS = {
    f"{number:02} \u00e9\n{'k' * 1000 if number % 10 == 0 else ''}": b"%d" % number
    for number in range(60)
}
UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    # As often as ever, but not for a minute.
    monkeypatch.setattr(asking, "FIRST_PAUSE_SECONDS", 0.001)
    backoff = "botocore.retries.standard.ExponentialBackoff.delay_amount"
    monkeypatch.setattr(backoff, lambda *_: 0.0)
    # Where threads are, such as the proxy's, processes are not split.
    monkeypatch.setattr(filling, "sensible", lambda: 1)


class Damaged(Place):
    """A place with all kinds of keys, every other of which the backup has."""

    def __init__(self, ministack: MiniStack, *, copied: int = 2) -> None:
        super().__init__(ministack)
        self.attic = self.bucket("attic")
        for number, (key, body) in enumerate(KEYS.items()):
            version = self.put(key, body)
            if number % copied == 0:
                self.copy(version)

    @property
    def commands(self) -> Mapping[str, tuple[tuple[str, ...], list[Statement]]]:
        """Commands, and what each must be allowed."""
        backup, source, attic = self.backup, self.source, self.attic
        drill = ("drill", source, "--to", f"{attic}/drill/", "--grace", "0", "--json")
        return {
            "verify": (
                ("verify", source, "--grace", "0", "--checksum", "--json"),
                permissions.verify(backup, [source]),
            ),
            "verify --fix": (
                ("verify", source, "--grace", "0", "--checksum", "--fix", "--json"),
                [*permissions.verify(backup, [source]), *permissions.backfill(backup, [source])],
            ),
            "backfill": (
                ("backfill", source, "--all-versions", "--processes", "1", "--json"),
                permissions.backfill(backup, [source]),
            ),
            "restore": (
                ("restore", source, "--to", attic, "--json"),
                permissions.restore(backup, attic),
            ),
            "drill": (drill, permissions.drill(backup, [source], attic, "drill/")),
        }

    def on_line(self, endpoint: str, command: str) -> Ran:
        """Run a command as its operator; what it does not catch is raised here."""
        arguments, allowed = self.commands[command]
        return self.run("--endpoint-url", endpoint, *arguments, credentials=self.operator(allowed))


def now_and_then(seed: int) -> Callable[[Call], Fault | None]:
    """A tenth of all requests fails, of each kind some."""
    lock, chance, kinds = threading.Lock(), random.Random(seed), itertools.cycle(PASSING)

    def fault(_call: Call) -> Fault | None:
        with lock:
            return next(kinds) if chance.random() < 0.1 else None

    return fault


def told(ran: Ran) -> list[str]:
    """What stderr has beside progress."""
    return [line for line in ran.err.splitlines() if line.startswith("backupctl:")]


def test_what_passes_changes_no_result(ministack: MiniStack) -> None:
    place = Damaged(ministack)
    with FaultProxy(ministack, now_and_then(seed=1)) as proxy:
        found = place.on_line(proxy.endpoint, "verify")
        assert (found.code, told(found)) == (1, [])
        assert {line["key"] for line in found.lines} == set([*KEYS][1::2])
        assert {line["finding"] for line in found.lines} == {"missing"}

        filled = place.on_line(proxy.endpoint, "backfill")
        assert (filled.code, told(filled), filled.lines) == (0, [], [])
        assert filled.summary[place.source]["failed"] == 0

        clean = place.on_line(proxy.endpoint, "verify")
        assert (clean.code, told(clean), clean.lines) == (0, [], [])
        assert clean.summary[place.source]["objects"] == len(KEYS)

        restored = place.on_line(proxy.endpoint, "restore")
        assert (restored.code, told(restored)) == (0, [])
        assert place.contents(place.attic) == KEYS

        drilled = place.on_line(proxy.endpoint, "drill")
        assert (drilled.code, told(drilled)) == (0, [])
        assert {line["verdict"] for line in drilled.lines} == {"same"}
        # What it wrote is gone, and nothing else.
        assert place.contents(place.attic) == KEYS
        # Which of them, the order of the requests decides.
        assert len(set(proxy.met) & set(PASSING)) >= len(PASSING) - 2
    copies = [
        version["Key"]
        for page in place.s3.get_paginator("list_object_versions").paginate(Bucket=place.backup)
        for version in page["Versions"]
        if version["Key"].startswith((f"{place.source}/", ".s3-backup/long/", ".s3-backup/late/"))
    ]
    # Nothing was copied twice, whatever became of the answers.
    assert len(copies) == len(set(copies)) == len(KEYS)


def test_what_passes_keeps_nothing_from_being_mended(ministack: MiniStack) -> None:
    place = Damaged(ministack)
    with FaultProxy(ministack, now_and_then(seed=2)) as proxy:
        mended = place.on_line(proxy.endpoint, "verify --fix")
        assert proxy.met.total() > 10
    assert (mended.code, told(mended)) == (0, [])
    assert {line["key"]: line["finding"] for line in mended.lines} == dict.fromkeys(
        [*KEYS][1::2], "missing"
    )
    summary = mended.summary[place.source]
    assert (summary["fixed"], summary["faults"]) == (len(KEYS) // 2, 0)
    assert place.run("verify", place.source, "--grace", "0").code == 0


def test_what_cannot_be_mended_is_said_again(ministack: MiniStack) -> None:
    place = Damaged(ministack)

    def fault(call: Call) -> Fault | None:
        return Fault.SLOW_DOWN if call.copies and "/01 " in call.key else None

    with FaultProxy(ministack, fault) as proxy:
        ran = place.on_line(proxy.endpoint, "verify --fix")
    assert (ran.code, told(ran)) == (1, [])
    [failed] = [line for line in ran.lines if "kind" in line]
    [left] = [line for line in ran.lines if "remains" in line]
    assert failed["key"] == left["key"] == [*KEYS][1]
    assert (failed["kind"], failed["retryable"], left["finding"]) == ("SlowDown", True, "missing")
    assert ran.summary[place.source]["faults"] == 1


def only_in(place: Place, kind: Fault) -> Callable[[Call], Fault | None]:
    """Every request about a bucket of this place fails."""
    return lambda call: kind if call.bucket.startswith(place.name) else None


COMMANDS = ("verify", "verify --fix", "backfill", "restore", "drill")
LASTING = {
    Fault.DENIED: ("AccessDenied", "403"),
    Fault.EXPIRED: ("ExpiredToken",),
    Fault.NO_BUCKET: ("NoSuchBucket",),
    Fault.SLOW_DOWN: ("SlowDown",),
}


@pytest.fixture(scope="module")
def damaged(ministack: MiniStack) -> Damaged:
    return Damaged(ministack)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", LASTING)
def test_what_lasts_is_one_line(damaged: Damaged, command: str, kind: Fault) -> None:
    with FaultProxy(damaged.ministack, only_in(damaged, kind)) as proxy:
        ran = damaged.on_line(proxy.endpoint, command)
        assert proxy.met[kind]
    assert ran.code == 1
    assert_one_line(ran)
    assert any(word in ran.err for word in LASTING[kind])


@pytest.mark.parametrize("command", COMMANDS)
def test_half_a_listing_is_never_taken_for_a_whole_one(damaged: Damaged, command: str) -> None:
    before = damaged.contents(damaged.attic)

    def fault(call: Call) -> Fault | None:
        listing = call.method == "GET" and not call.key and "versioning" not in call.query
        return Fault.BROKEN_MARKUP if listing else None

    with FaultProxy(damaged.ministack, fault) as proxy:
        ran = damaged.on_line(proxy.endpoint, command)
        assert proxy.met[Fault.BROKEN_MARKUP]
    assert ran.code == 1
    assert_one_line(ran)
    assert "ResponseParserError" in ran.err
    assert damaged.contents(damaged.attic) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_at_the_endpoint_is_one_line(damaged: Damaged, command: str) -> None:
    ran = damaged.on_line(UNREACHABLE, command)
    assert ran.code == 1
    assert_one_line(ran)
    assert UNREACHABLE in ran.err


@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_at_s3_alone_is_one_line(damaged: Damaged, command: str) -> None:
    # STS tells the account first; then S3 is asked by a client of our own.
    arguments, allowed = damaged.commands[command]
    environment = damaged.environment(damaged.operator(allowed))
    environment["AWS_ENDPOINT_URL_S3"] = UNREACHABLE
    with mock.patch.object(damaged, "environment", return_value=environment):
        ran = damaged.run(*arguments)
    assert ran.code == 1
    assert_one_line(ran)


@pytest.mark.parametrize("command", COMMANDS)
def test_credentials_that_nobody_knows_are_one_line(damaged: Damaged, command: str) -> None:
    arguments, allowed = damaged.commands[command]
    environment = damaged.environment(damaged.operator(allowed))
    environment |= {"AWS_ACCESS_KEY_ID": "ASIAUNKNOWN", "AWS_SESSION_TOKEN": ""}
    with mock.patch.object(damaged, "environment", return_value=environment):
        ran = damaged.run(*arguments)
    assert ran.code == 1
    assert_one_line(ran)
    assert "check the profile" in ran.err


def assert_one_line(ran: Ran) -> None:
    """Something went wrong, in one line that says what."""
    (line,) = told(ran)
    assert line.isprintable()
    assert not [line for line in ran.lines if line.get("finding") == "missing"]
