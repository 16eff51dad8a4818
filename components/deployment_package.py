"""The Lambda's code as an archive that depends on nothing but the code."""

import base64
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pulumi


def deployment_package(*folders: Path) -> pulumi.AssetArchive:
    """Pack the Python files of package folders, each under the folder's name.

    Every file goes in by content, so the engine sees no difference where there is none: neither
    `__pycache__` nor times, owners or paths of the machine become part of it. The engine writes
    entries sorted by name and with a constant date.
    https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/archive/archive.go

    :param folders: the packages, e.g. `handler/`.
    :raises FileNotFoundError: if one of them holds no Python file.
    """
    return pulumi.AssetArchive(
        {name: pulumi.StringAsset(content.decode()) for name, content in _files(folders).items()}
    )


def zipped_package(*folders: Path) -> str:
    """The same as a zip file in base64, equal for equal code: for services that take bytes.

    :param folders: as for `deployment_package`.
    :raises FileNotFoundError: as `deployment_package`.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _files(folders).items():
            # The first date that the format knows, and readable by all, as Lambda wants it.
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return base64.b64encode(packed.getvalue()).decode()


def _files(folders: Sequence[Path]) -> dict[str, bytes]:
    return {
        f"{folder.name}/{file.relative_to(folder).as_posix()}": file.read_bytes()
        for folder in folders
        for file in _python_files(folder)
    }


def _python_files(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.py"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no Python file to deploy")
    return files
