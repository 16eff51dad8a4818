"""Results that verifications and drills left."""

import pytest

from backupctl.results import DRILL, last
from handler.asking import Asking


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"[" * 100_000])
def test_what_cannot_be_read_is_no_result(body: bytes) -> None:
    steps = last(Asking("backups", "123456789012"), DRILL, "photos")
    next(steps)
    with pytest.raises(StopIteration) as stop:
        steps.send({"Body": body})
    assert stop.value.value is None
