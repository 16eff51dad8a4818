"""The Lambda's code as an archive that depends on nothing but the code."""

from pathlib import Path

import pulumi


def deployment_package(folder: Path) -> pulumi.AssetArchive:
    """Pack the Python files of a package folder, under the folder's name.

    Every file goes in by content, so the engine sees no difference where there is none: neither
    `__pycache__` nor times, owners or paths of the machine become part of it. The engine writes
    entries sorted by name and with a constant date.
    https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/archive/archive.go

    :param folder: the package, e.g. `handler/`.
    :raises FileNotFoundError: if it holds no Python file.
    """
    files = sorted(folder.rglob("*.py"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no Python file to deploy")
    return pulumi.AssetArchive(
        {
            f"{folder.name}/{file.relative_to(folder).as_posix()}": pulumi.StringAsset(
                file.read_bytes().decode()
            )
            for file in files
        }
    )
