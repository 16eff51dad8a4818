"""Numbers for people."""

import io

from backupctl.tables import show


def test_a_row_is_a_line_whatever_its_name() -> None:
    out = io.StringIO()
    show({"photos": {"bytesCopied": 1234}, "a\nb\x1b[31m [red]": {"bytesCopied": 0}}, out)
    assert [line.split() for line in out.getvalue().splitlines()] == [
        ["source", "bytes", "copied"],
        ["photos", "1,234"],
        [r"a\nb\x1b[31m", "[red]", "0"],
    ]
