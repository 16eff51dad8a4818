"""The zip holds the handler's code, nothing else, and the same code makes the same zip."""

import ast
import base64
import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from components import deployment_package, zipped_package
from sandbox.archive import zip_bytes
from tests.recorder import ROOT

HANDLER = ROOT / "handler"


def zipped(folder: Path) -> bytes:
    return zip_bytes(deployment_package(folder), folder.parent)


def listing(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return {name: package.read(name) for name in package.namelist()}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_the_package_is_every_python_file_that_git_keeps() -> None:
    kept = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "handler"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout.split()
    there = {name: (ROOT / name).read_bytes() for name in kept if (ROOT / name).exists()}
    assert "handler/main.py" in there
    assert listing(zipped(HANDLER)) == there


def test_the_zip_for_other_services_holds_the_same_and_is_the_same_every_time(
    tmp_path: Path,
) -> None:
    first = write(tmp_path / "first" / "handler", {"b.py": "2", "a.py": "1"})
    second = write(tmp_path / "second" / "handler", {"a.py": "1", "b.py": "2", "c.txt": "3"})
    os.utime(second / "a.py", (0, 0))
    assert zipped_package(first) == zipped_package(second)
    package = base64.b64decode(zipped_package(first))
    assert listing(package) == {"handler/a.py": b"1", "handler/b.py": b"2"}
    assert listing(package) == listing(zipped(first))
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o644}


def test_several_packages_lie_beside_each_other(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"a.py": "1"})
    two = write(tmp_path / "two", {"inner/b.py": "2"})
    together = {"one/a.py": b"1", "two/inner/b.py": b"2"}
    assert listing(zip_bytes(deployment_package(one, two), tmp_path)) == together
    assert listing(base64.b64decode(zipped_package(one, two))) == together
    with pytest.raises(FileNotFoundError, match="empty holds no Python file to deploy"):
        deployment_package(one, tmp_path / "empty")


def test_what_is_no_python_file_stays_out(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "code",
        {
            "__init__.py": "",
            "inner/deep.py": "x = 1\n",
            "notes.md": "text",
            "__pycache__/main.cpython-313.pyc": "bytes",
            ".DS_Store": "",
        },
    )
    assert listing(zipped(folder)) == {"code/__init__.py": b"", "code/inner/deep.py": b"x = 1\n"}


def test_the_same_code_makes_the_same_bytes_wherever_and_whenever(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "handler", tmp_path / "b" / "handler"
    shutil.copytree(HANDLER, first, ignore=shutil.ignore_patterns("__pycache__"))
    # The other copy is made in the opposite order, at another time, and was run already.
    second.mkdir(parents=True)
    for file in sorted(first.iterdir(), reverse=True):
        shutil.copyfile(file, second / file.name)
        os.utime(second / file.name, (1, 1))
        (second / file.name).chmod(0o600)
    write(second, {"__pycache__/main.cpython-313.pyc": "bytes"})
    assert zipped(first) == zipped(second) == zipped(HANDLER)


def test_every_byte_of_code_counts(tmp_path: Path) -> None:
    folder = write(tmp_path / "handler", {"main.py": "x = 1\r\n"})
    before = zipped(folder)
    assert listing(before) == {"handler/main.py": b"x = 1\r\n"}
    write(folder, {"main.py": "x = 2\r\n"})
    assert zipped(folder) != before
    write(folder, {"main.py": "x = 1\r\n"})
    assert zipped(folder) == before


def test_a_renamed_file_counts(tmp_path: Path) -> None:
    folder = write(tmp_path / "handler", {"one.py": ""})
    before = zipped(folder)
    (folder / "one.py").rename(folder / "other.py")
    assert zipped(folder) != before


@pytest.mark.parametrize("files", [{}, {"notes.md": ""}])
def test_a_folder_without_code_is_an_error(tmp_path: Path, files: dict[str, str]) -> None:
    folder = write(tmp_path / "handler", files)
    folder.mkdir(exist_ok=True)
    text = f"^{re.escape(str(folder))} holds no Python file to deploy$"
    with pytest.raises(FileNotFoundError, match=text):
        deployment_package(folder)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere holds no Python file to deploy"):
        deployment_package(tmp_path / "nowhere")


def imports(source: str) -> set[str]:
    """Top-level packages that a file imports by an absolute name, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).partition(".")[0])
    return found


def test_the_code_needs_nothing_that_lambda_does_not_have() -> None:
    used = set[str]().union(*(imports(file.read_text()) for file in HANDLER.rglob("*.py")))
    assert {"json", "botocore"} <= used
    # boto3 is there too, but importing it doubles what a start takes.
    assert used - sys.stdlib_module_names - {"botocore"} == set()


# What botocore brings along is what Lambda has too.
ONLY_WHAT_LAMBDA_HAS = """
import sys
class Refuse:
    allowed = {"backupctl", "botocore", "dateutil", "handler", "jmespath", "six", "urllib3"}
    def find_spec(self, name, path, target=None):
        top = name.partition(".")[0]
        if top not in self.allowed | sys.stdlib_module_names:
            raise ModuleNotFoundError(f"no {name} in Lambda", name=name)
sys.meta_path.insert(0, Refuse())
root, *modules = sys.argv[1:]
sys.path.insert(0, root)
for module in modules:
    __import__(module)
    assert sys.modules[module].__file__.startswith(root), module
"""


def test_what_drills_runs_with_what_lambda_has(tmp_path: Path) -> None:
    modules = [f"backupctl.{name}" for name in ("drilling", "scheduled_drill")]
    package = zip_bytes(deployment_package(HANDLER, ROOT / "backupctl"), ROOT)
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        archive.extractall(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-I", "-c", ONLY_WHAT_LAMBDA_HAS, str(tmp_path), *modules],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_functions_entry_point_is_in_the_package() -> None:
    tree = ast.parse(listing(zipped(HANDLER))["handler/main.py"])
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    [entry] = [node for node in functions if node.name == "handler"]
    assert len(entry.args.args) == 2
