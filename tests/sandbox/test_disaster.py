"""The demonstration must fail where `backupctl` does not do what it says."""

import io
from pathlib import Path

from rich.console import Console

from sandbox.demo import put
from sandbox.disaster import Disaster
from sandbox.ministack import MiniStack
from sandbox.samples import Sample

# Finds nothing, and restores nothing.
USELESS = """
import sys
from pathlib import Path
if "verify" in sys.argv:
    Path(sys.argv[sys.argv.index("--output") + 1]).write_text("")
"""


def test_a_useless_backupctl_is_noticed(ministack: MiniStack, tmp_path: Path) -> None:
    package = tmp_path / "backupctl"
    package.mkdir()
    (package / "__main__.py").write_text(USELESS)
    s3 = ministack.client("s3")
    s3.create_bucket(
        Bucket="disaster", CreateBucketConfiguration={"LocationConstraint": ministack.region}
    )
    uploads = [Sample(f"{number}.txt", f"{number}".encode()) for number in range(7)]
    for sample in uploads:
        put(s3, "disaster", sample)
    said = io.StringIO()
    console = Console(file=said, width=200)
    disaster = Disaster(ministack, tmp_path, "demo", "disaster", console, console)
    # It did not find the damage, and five objects are not what they were.
    assert disaster.run(uploads) == 6
    assert "2 of 7 objects are what was uploaded" in said.getvalue()
    assert "After the damage: {'1.txt': 'stale'" in said.getvalue()
    assert "exit code 1 expected" in said.getvalue()
