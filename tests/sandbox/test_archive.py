import io
import zipfile
from pathlib import Path

import pulumi
import pytest

from sandbox.archive import zip_bytes


def listing(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return {name: package.read(name).decode() for name in package.namelist()}


def test_assets_and_nested_archives_become_sorted_entries(tmp_path: Path) -> None:
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "c.txt").write_text("C")
    (tmp_path / "b.txt").write_text("B")
    archive = pulumi.AssetArchive(
        {
            "z": pulumi.StringAsset("Z"),
            "b": pulumi.FileAsset("b.txt"),
            "dir": pulumi.FileArchive("folder"),
            "inner": pulumi.AssetArchive({"a": pulumi.StringAsset("A")}),
        }
    )
    data = zip_bytes(archive, tmp_path)
    assert listing(data) == {"b": "B", "dir/sub/c.txt": "C", "inner/a": "A", "z": "Z"}
    assert list(listing(data)) == sorted(listing(data))
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert {(entry.date_time, entry.compress_type) for entry in package.infolist()} == {
            ((1990, 1, 1, 0, 0, 0), zipfile.ZIP_DEFLATED)
        }
    assert data == zip_bytes(archive, tmp_path)


def test_a_zip_file_goes_in_as_it_is(tmp_path: Path) -> None:
    data = zip_bytes(pulumi.AssetArchive({"a": pulumi.StringAsset("A")}), tmp_path)
    (tmp_path / "code.zip").write_bytes(data)
    assert zip_bytes(pulumi.FileArchive("code.zip"), tmp_path) == data


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: no such archive"):
        zip_bytes(pulumi.FileArchive("nowhere"), tmp_path)
    with pytest.raises(ValueError, match="RemoteArchive is not supported"):
        zip_bytes(pulumi.RemoteArchive("https://example.com/a.zip"), tmp_path)
