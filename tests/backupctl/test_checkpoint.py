"""How far a backfill is, and that the file that says so is never half a file."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupctl import checkpoint
from backupctl.checkpoint import Checkpoint, Watermark
from backupctl.errors import BackupctlError

ABOUT = {"backup_bucket": "backups", "all_versions": False}


def test_the_next_run_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    first = Checkpoint.open(path, ABOUT)
    assert first.start_after("photos") == ""
    first.passed("photos", "a\n\u00e9")
    first.passed("videos", "b")
    first.write()
    second = Checkpoint.open(path, ABOUT)
    assert (second.start_after("photos"), second.start_after("videos")) == ("a\n\u00e9", "b")
    second.remove()
    assert list(tmp_path.iterdir()) == []


def test_it_is_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    kept = Checkpoint.open(path, ABOUT)
    kept.passed("photos", "a")
    assert Checkpoint.open(path, ABOUT).start_after("photos") == ""
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_WRITES", 0.0)
    kept.passed("photos", "b")
    assert Checkpoint.open(path, ABOUT).start_after("photos") == "b"


def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    kept = Checkpoint.open(path, ABOUT)
    kept.passed("photos", "a")
    kept.write()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    kept.passed("photos", "b")
    with pytest.raises(BackupctlError, match="cannot be written: No space left on device"):
        kept.write()
    assert json.loads(path.read_text())["done"] == {"photos": "a"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no checkpoint"),
        ("[]", "is no checkpoint"),
        ("[" * 100_000, "is no checkpoint"),
        ('{"about": {}}', "is no checkpoint"),
        ('{"about": {}, "done": {}}', "is of another backfill ({})"),
        (json.dumps({"about": ABOUT, "done": {"photos": 1}}), "is of another backfill"),
    ],
)
def test_another_file_is_not_taken_for_one(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(BackupctlError, match=re.escape(message)) as error:
        Checkpoint.open(path, ABOUT)
    assert error.value.exit_code == 2
    assert path.read_text() == content


def test_where_it_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BackupctlError, match="cannot be written: No such file or directory"):
        Checkpoint.open(tmp_path / "absent" / "state.json", ABOUT)
    with pytest.raises(BackupctlError, match="cannot be read: Is a directory"):
        Checkpoint.open(tmp_path, ABOUT)


@given(st.data())
def test_the_watermark_never_passes_what_is_under_way_or_failed(data: st.DataObject) -> None:
    mark = Watermark()
    under_way: dict[int, str] = {}
    failed: list[str] = []
    begun: list[str] = []
    for step in range(data.draw(st.integers(0, 30))):
        if under_way and data.draw(st.booleans()):
            number = data.draw(st.sampled_from(sorted(under_way)))
            well = data.draw(st.integers(0, 9)) > 0
            key = under_way.pop(number)
            mark.end(number, well=well)
            failed += [] if well else [key]
        else:
            key = f"{step:02}"
            under_way[mark.begin(key)] = key
            begun.append(key)
        open_keys = [*under_way.values(), *failed]
        expected = [key for key in begun if not open_keys or key < min(open_keys)]
        assert mark.key == (expected[-1] if expected else "")


def test_the_watermark_remembers_only_what_is_under_way() -> None:
    mark = Watermark()
    for number in range(1000):
        mark.end(mark.begin(str(number)))
    mark.end(mark.begin("failed"), well=False)
    for number in range(1000):
        mark.end(mark.begin(str(number)))
    assert len(mark._marks) + len(mark._ended) == 0
    assert mark.key == "999"
