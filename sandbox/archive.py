"""Deployment packages, zipped byte for byte as Pulumi's engine zips them.

https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/archive/archive.go
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pulumi

# The engine's constant date.
_DATE = (1990, 1, 1, 0, 0, 0)


def zip_bytes(archive: pulumi.Archive, root: Path) -> bytes:
    """The archive as a zip: entries sorted by name, deflated, all of one date.

    :param root: the folder that relative paths start from.
    :raises ValueError: for an archive or asset that cannot be read here.
    """
    if isinstance(archive, pulumi.FileArchive):
        file = root / archive.path
        if file.is_file():
            if file.suffix not in (".zip", ".jar"):
                raise ValueError(f"{file}: only zip archives are supported")
            return file.read_bytes()
    entries = dict(_entries(archive, root))
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as package:
        for name in sorted(entries):
            header = zipfile.ZipInfo(name, _DATE)
            header.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(header, entries[name])
    return output.getvalue()


def _entries(archive: pulumi.Archive, root: Path) -> Iterator[tuple[str, bytes]]:
    if isinstance(archive, pulumi.FileArchive):
        folder = root / archive.path
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such archive")
        for file in folder.rglob("*"):
            if file.is_file():
                yield file.relative_to(folder).as_posix(), file.read_bytes()
    elif isinstance(archive, pulumi.AssetArchive):
        for name, part in archive.assets.items():
            if isinstance(part, pulumi.Archive):
                for inner, content in _entries(part, root):
                    yield f"{name}/{inner}", content
            else:
                yield name, _content(part, root)
    else:
        raise ValueError(f"{type(archive).__name__} is not supported")


def _content(asset: object, root: Path) -> bytes:
    if isinstance(asset, pulumi.StringAsset):
        return asset.text.encode()
    if isinstance(asset, pulumi.FileAsset):
        return (root / asset.path).read_bytes()
    raise ValueError(f"{type(asset).__name__} is not supported")
