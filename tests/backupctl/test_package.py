"""`pip install .`: what is in the package."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.recorder import ROOT


def test_the_package_has_backupctl_and_the_engine_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "__pycache__"), symlinks=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"),
            *("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path)),
            str(source),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [info] = [name for name in names if ".dist-info/" in name and name.endswith("METADATA")]
        [scripts] = [name for name in names if name.endswith("entry_points.txt")]
        metadata, entry_points = archive.read(info).decode(), archive.read(scripts).decode()
    folders = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert folders == {"backupctl", "handler"}
    packed = {name for name in names if name.endswith(".py")}
    expected = {
        str(path.relative_to(ROOT))
        for folder in ("backupctl", "handler")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert packed == expected
    assert entry_points.split() == ["[console_scripts]", "backupctl", "=", "backupctl.__main__:run"]
    needed = {line.partition(": ")[2] for line in metadata.splitlines() if "Requires-Dist" in line}
    assert needed == {
        line
        for line in (ROOT / "requirements-cli.in").read_text().splitlines()
        if line and not line.startswith("#")
    }
