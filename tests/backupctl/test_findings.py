"""Lines that name what to copy."""

import asyncio
import io
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from backupctl.errors import BackupctlError
from backupctl.findings import named
from backupctl.selection import Reason, Task, Wanted
from backupctl.verification import FAULTS, REPAIRABLE, Finding, Kind


def read(lines: Iterable[str], sources: list[str] | None = None) -> list[list[Task]]:
    async def main() -> list[list[Task]]:
        return [batch.tasks async for batch in named(lines, "f.jsonl", sources)]

    return [tasks for tasks in asyncio.run(main()) if tasks]


def task(key: str, version: str | None = None, *, again: bool = False) -> Task:
    return Task("photos", key, (Wanted(version, Reason.NAMED, again=again),))


def test_lines_become_tasks_in_their_order() -> None:
    lines = [
        '{"bucket": "photos", "key": "b\\n\\u00e9"}\n',
        "\n",
        '{"bucket": "photos", "key": "a", "version_id": "v1", "kind": "SlowDown"}',
    ]
    assert read(lines) == [[task("b\n\u00e9"), task("a", "v1")]]


def test_a_key_that_comes_twice_is_not_in_one_batch() -> None:
    lines = [f'{{"bucket": "photos", "key": "k", "version_id": "v{n}"}}' for n in (1, 2)]
    assert read(lines) == [[task("k", "v1")], [task("k", "v2")]]


def test_many_lines_come_in_batches() -> None:
    lines = [f'{{"bucket": "photos", "key": "{n}"}}\n' for n in range(250)]
    assert [len(tasks) for tasks in read(io.StringIO("".join(lines)))] == [100, 100, 50]


def test_a_deletion_is_recorded_whether_or_not_a_marker_tells_of_it() -> None:
    time = datetime(2026, 1, 2, tzinfo=UTC)
    for marker in ("m1", None):
        orphan = Finding(Kind.ORPHANED, "photos", "k", deleted=time, marker=marker)
        [[found]] = read([json.dumps(orphan.to_json())])
        [wanted] = found.versions
        assert (wanted.version_id, wanted.deleted) == (marker, "2026-01-02T00:00:00Z")


@pytest.mark.parametrize("kind", Kind)
def test_what_verify_finds_is_taken_if_copying_repairs_it(kind: Kind) -> None:
    line = json.dumps(Finding(kind, "photos", "k").to_json())
    expected = [[task("k", again=kind is Kind.DIFFERENT)]] if kind in REPAIRABLE else []
    assert read([line]) == expected
    assert REPAIRABLE < FAULTS


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "3",
        '{"bucket": "photos"}',
        '{"bucket": "photos", "key": 3}',
        '{"bucket": "photos", "key": ""}',
        '{"bucket": "photos", "key": "k", "version_id": 3}',
        '{"bucket": "photos", "key": "k", "finding": "odd"}',
        '{"bucket": "photos", "key": "k", "deleted": "yesterday"}',
        '{"bucket": "photos", "key": "k", "deleted": "2026-01-02T03:04:05"}',
        '{"bucket": "photos", "key": "k", "deleted": 3}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"bucket": "photos", "key": "k", "deleted": "0001-01-01T00:00:00+01:00"}',
        '{"bucket": "photos", "key": "k", "deleted": "9999-12-31T23:59:59-01:00"}',
    ],
)
def test_a_line_that_is_something_else_is_named(line: str) -> None:
    good = '{"bucket": "photos", "key": "k"}'
    with pytest.raises(BackupctlError, match=r"f\.jsonl, line 2: not an object with") as error:
        read([good, line])
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"key": "\ud800"}, "the key is not UTF-8"),
        ({"key": "k" * 1025}, "the key has 1,025 bytes, and one of S3 1,024 at most"),
        ({"key": "\u00e9" * 513}, "the key has 1,026 bytes"),
        ({"key": "k", "version_id": ""}, "the version_id is empty; leave it out"),
        ({"key": "k", "version_id": "v" * 1025}, "the version_id has 1,025 bytes"),
        *(
            ({"key": "k", "version_id": f"v{odd}1"}, f"the version_id has {odd!r} in it")
            for odd in ("\n", "\r", "\0", "\x7f", ",", '"', "'", " ", "\u2028", "\u00e9", "\ud800")
        ),
    ],
)
def test_what_s3_never_has_for_a_name_is_told(named: dict[str, str], said: str) -> None:
    good = '{"bucket": "photos", "key": "k"}'
    with pytest.raises(BackupctlError, match=re.escape(f"f.jsonl, line 2: {said}")) as error:
        read([good, json.dumps({"bucket": "photos", **named})])
    assert error.value.exit_code == 2
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "version_id", ["null", "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdR", "a_.b-c/d="]
)
def test_ids_as_s3_has_them_are_taken(version_id: str) -> None:
    line = {"bucket": "photos", "key": "\u00e9" * 512, "version_id": version_id}
    assert read([json.dumps(line)]) == [[task("\u00e9" * 512, version_id)]]


def test_a_bucket_that_the_stack_does_not_back_up_is_named() -> None:
    message = "f.jsonl, line 1: the bucket 'photos' is none of music, videos"
    with pytest.raises(BackupctlError, match=re.escape(message)):
        read(['{"bucket": "photos", "key": "k"}'], ["videos", "music"])


def test_what_is_no_text_is_told() -> None:
    stream = io.TextIOWrapper(io.BytesIO(b'{"bucket": "\xff"}\n'), encoding="utf-8")
    with pytest.raises(BackupctlError, match=r"f\.jsonl, after line 0: not UTF-8"):
        read(stream)
