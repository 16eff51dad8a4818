"""Sessions of botocore that read from disk only what their clients need."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.session import Session


def lean(session: Session) -> Session:
    """Spare a session what takes half of the time in which its first client is made.

    Its clients need a region, and one in which S3 is: without, botocore takes that of the services
    that have only one from what is spared here. In us-east-1, S3's need the regional endpoint in
    their configuration (`s3={"us_east_1_regional_endpoint": "regional"}`).

    :returns: the same.
    """
    # https://botocore.amazonaws.com/v1/documentation/api/latest/reference/loaders.html
    loader: Any = session.get_component("data_loader")
    # To know that there is a service, botocore looks on the disk for each of the hundreds that it
    # knows, which takes as long as reading what it needs of one.
    loader.list_available_services = lambda _: _folders(loader.search_paths)
    # Where a request goes and how it is signed is decided by the rules of its own service. The list
    # of all services' endpoints, which is older, is read all the same, and is the largest file.
    read = loader.load_data_with_path
    nothing = {"partitions": []}, str(Path(loader.BUILTIN_DATA_PATH, "endpoints"))
    loader.load_data_with_path = lambda name: nothing if name == "endpoints" else read(name)
    return session


def _folders(paths: list[str]) -> list[str]:
    found: set[str] = set()
    for path in paths:
        # A home need not have such a folder, nor be readable.
        with suppress(OSError):
            found.update(os.listdir(path))  # noqa: PTH208 - it does not need more than names
    return sorted(found)
