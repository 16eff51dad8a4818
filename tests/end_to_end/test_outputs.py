"""Keys that would break lines, colour terminals or write from right to left, in all outputs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backupctl import filling, permissions
from backupctl.errors import one_line
from sandbox.ministack import MiniStack
from tests.backupctl.place import Place, Ran
from tests.recorder import ROOT

from .fault_proxy import Call, Fault, FaultProxy

KEYS = (
    "line\nfeed",
    "carriage\rreturn",
    "tab\tulator",
    "nul-ish\x01",
    "\x1b[31mred\x1b]0;title\x07",
    "c1 \x9b2J",
    "separator\u2028and\u2029",
    "\u202etfel ot thgir",
    "[bold]markup[/bold] :smile:",
    'quotes "\' {"key": 1}',
    "plain \u00e9 \u6f22\u5b57 \U0001f600",
    "long\n" + "k" * 1010,
)


class Awkward(Place):
    """A place whose backup lacks all of it, and has what the source has no more."""

    def __init__(self, ministack: MiniStack) -> None:
        super().__init__(ministack)
        self.attic = self.bucket("attic")
        for key in KEYS:
            self.put(key, key.encode())

    def fill(self) -> None:
        for key in KEYS:
            self.copy(self.put(key, key.encode()))


@pytest.fixture
def place(ministack: MiniStack) -> Awkward:
    return Awkward(ministack)


def assert_printable(*outputs: str) -> None:
    for output in outputs:
        # Not splitlines(), which knows more ends of lines than a terminal.
        for line in output.split("\n"):
            assert line.isprintable(), repr(line)


def keys_of(ran: Ran) -> list[str]:
    """In lines of JSON, which are ASCII."""
    assert ran.out.isascii()
    return [json.loads(line)["key"] for line in ran.out.splitlines() if '"summary"' not in line]


def test_verify(place: Awkward) -> None:
    operator = place.operator(permissions.verify(place.backup, [place.source]))
    for arguments in ((), ("--json",), ("--checksum", "--json")):
        ran = place.run("verify", place.source, "--grace", "0", *arguments, credentials=operator)
        assert ran.code == 1
        assert_printable(ran.out, ran.err)
        assert sorted(keys_of(ran)) == sorted(KEYS)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_verify_that_mends(
    place: Awkward, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where threads are, such as the proxy's, processes are not split.
    monkeypatch.setattr(filling, "sensible", lambda: 1)
    rights = [
        *permissions.verify(place.backup, [place.source]),
        *permissions.backfill(place.backup, [place.source]),
    ]
    operator = place.operator(rights)
    arguments = ("verify", place.source, "--grace", "0", "--fix", *options)
    with FaultProxy(place.ministack, lambda call: Fault.ARCHIVED if call.copies else None) as proxy:
        failed = place.run("--endpoint-url", proxy.endpoint, *arguments, credentials=operator)
    assert failed.code == 1
    assert_printable(failed.out, failed.err)
    # Found, failed, and found again.
    assert sorted(keys_of(failed)) == sorted(KEYS * 3)
    assert sum('"remains"' in line for line in failed.out.splitlines()) == len(KEYS)

    file = tmp_path / "findings.jsonl"
    mended = place.run(*arguments, "--output", str(file), credentials=operator)
    assert mended.code == 0
    written = file.read_text(encoding="ascii")
    assert_printable(mended.out, mended.err, written)
    assert sorted(json.loads(line)["key"] for line in written.split("\n")[:-1]) == sorted(KEYS)
    clean = place.run(*arguments, credentials=operator)
    assert (clean.code, [line for line in clean.out.splitlines() if '"key"' in line]) == (0, [])


def test_backfill(place: Awkward) -> None:
    operator = place.operator(permissions.backfill(place.backup, [place.source]))
    for arguments in (("--dry-run",), ("--dry-run", "--json"), ("--dry-run", "--all-versions")):
        planned = place.run("backfill", place.source, *arguments, credentials=operator)
        assert planned.code == 0
        assert_printable(planned.out, planned.err)
        assert sorted(keys_of(planned)) == sorted(KEYS)

    def fault(call: Call) -> Fault | None:
        return Fault.ARCHIVED if call.copies else None

    with FaultProxy(place.ministack, fault) as proxy:
        for arguments in ((), ("--json",)):
            failed = place.run(
                *("--endpoint-url", proxy.endpoint, "backfill", place.source, "--processes", "1"),
                *arguments,
                credentials=operator,
            )
            assert failed.code == 1
            assert_printable(failed.out, failed.err)
            assert sorted(keys_of(failed)) == sorted(KEYS)


def test_restore(place: Awkward) -> None:
    place.fill()
    operator = place.operator(permissions.restore(place.backup, place.attic))
    arguments = ("restore", place.source, "--to", f"{place.attic}/\n/")
    planned = place.run(*arguments, "--dry-run", credentials=operator)
    assert planned.code == 0
    assert_printable(planned.out, planned.err)
    assert len(planned.out.splitlines()) == len(KEYS)
    shown = [line[24:] for line in planned.out.splitlines()]
    assert sorted(shown) == sorted(one_line(f"\n/{key}") for key in KEYS)
    as_json = place.run(*arguments, "--json", credentials=operator)
    assert as_json.code == 0
    assert sorted(keys_of(as_json)) == sorted(KEYS)
    assert place.contents(place.attic) == {f"\n/{key}": key.encode() for key in KEYS}


def test_restore_of_what_cannot_be_read(place: Awkward) -> None:
    place.fill()
    for listed in place.s3.list_objects_v2(Bucket=place.backup)["Contents"]:
        name = {"Bucket": place.backup, "Key": listed["Key"]}
        if not listed["Key"].startswith(".s3-backup/keys/"):
            place.s3.copy_object(**name, CopySource=name, StorageClass="GLACIER")
    operator = place.operator(permissions.restore(place.backup, place.attic))
    arguments = ("restore", place.source, "--to", place.attic)
    told = place.run(*arguments, credentials=operator)
    assert told.code == 1
    assert_printable(told.out, told.err)
    assert len(told.err.splitlines()) == len(KEYS)
    for key in KEYS:
        assert sum(
            line.startswith(f"backupctl: {one_line(key)}: ") for line in told.err.split("\n")
        )
    as_json = place.run(*arguments, "--json", credentials=operator)
    assert sorted(keys_of(as_json)) == sorted(KEYS)
    assert all("GLACIER" in line["problem"] for line in as_json.lines)


def test_drill(place: Awkward) -> None:
    allowed = permissions.drill(place.backup, [place.source], place.attic, "d\n/")
    operator = place.operator(allowed)
    arguments = ("drill", place.source, "--to", f"{place.attic}/d\n/", "--grace", "0")
    told = place.run(*arguments, credentials=operator)
    assert told.code == 1
    assert_printable(told.out, told.err)
    *lines, _headings, _row = told.out.split("\n")[:-1]
    assert sorted(lines) == sorted(
        one_line(f"lost: {place.source}/{key}: the backup does not have it") for key in KEYS
    )
    as_json = place.run(*arguments, "--json", credentials=operator)
    assert sorted(keys_of(as_json)) == sorted(KEYS)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_cannot_show_a_key(place: Awkward, encoding: str) -> None:
    place.fill()
    operator = place.operator(permissions.restore(place.backup, place.attic))
    arguments = ("restore", place.source, "--to", f"{place.attic}/\U0001f600/", "--dry-run")
    ran = subprocess.run(
        [sys.executable, "-m", "backupctl", *arguments],
        cwd=ROOT,
        env=place.environment(operator) | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == len(KEYS)
    assert b"\\U0001f600" in ran.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("restore", "b\nc"),
        ("restore", "SOURCE", "--to", "x\x1b[31m/y"),
        ("restore", "SOURCE", "p\n", "--version", "v\n\x1b[31m"),
        ("restore", "SOURCE", "--at", "\x1b[31m"),
        ("backfill", "b\nc", "--processes", "1"),
        ("backfill", "--from", "f\n\x1b[31m"),
        ("backfill", "SOURCE", "--processes", "1", "--checkpoint", "none\n/\x1b[31m"),
        ("verify", "b\nc"),
        ("verify", "SOURCE", "--output", "none\n/\x1b[31m"),
        ("drill", "SOURCE", "--to", "x\x1b[31m/y"),
        ("--stack", "s\n\x1b[31m", "verify"),
        ("--backup-bucket", "b\n\x1b[31m", "verify", "SOURCE"),
        ("--region", "r\n\x1b[31m", "verify", "SOURCE"),
        ("--profile", "p\n\x1b[31m", "verify", "SOURCE"),
        ("no\n\x1b[31m",),
    ],
)
def test_what_a_person_typed_is_told_in_one_line(
    place: Awkward, arguments: tuple[str, ...]
) -> None:
    ran = place.run(*(place.source if word == "SOURCE" else word for word in arguments))
    assert ran.code in {1, 2}
    assert ran.out == ""
    assert_printable(ran.err)
    (_line,) = (line for line in ran.err.split("\n") if line.startswith("backupctl: "))
