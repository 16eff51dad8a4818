"""S3 through botocore, in threads: for where there is nothing but what Lambda carries."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol, Self

from handler.asking import ANSWER_SECONDS, Asking
from handler.requests import Request, S3Error

from .driver import AsyncDriver
from .explanations import explain
from .s3.listing import Listed, ListedVersion, Page
from .s3.paging import Paging

THREADS = 16
_ABOUT = ("NextContinuationToken", "NextKeyMarker", "NextVersionIdMarker")


class Answers(Protocol):
    """Whatever answers requests one at a time, from any thread."""

    def answer(self, request: Request) -> Mapping[str, Any]:
        """Answer one request, or raise `S3Error`."""
        ...


class ThreadedS3(Paging):
    """Asks S3, some questions at a time. To be used as an asynchronous context manager.

    Of versions, delete markers that are not on top come after the versions of their key.

    :param driver: whom to ask.
    """

    def __init__(self, driver: Answers) -> None:
        self._driver = driver
        self._threads = ThreadPoolExecutor(THREADS, "s3")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown()

    async def ask(self, request: Request) -> Mapping[str, Any]:
        """One request, once.

        :raises S3Error: if S3 refuses, or gives no answer, or half of one.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._driver.answer, request)

    async def list_page(self, operation: str, bucket: str, wanted: Mapping[str, Any]) -> Page:
        """One page, asked for again where that may help.

        :param operation: ListObjectsV2 or ListObjectVersions.
        :param wanted: parameters of the operation.
        :raises BackupctlError: if S3 refuses, or keeps failing.
        """
        asking = Asking("", "").ask(operation, seconds=ANSWER_SECONDS, Bucket=bucket, **wanted)
        try:
            return _page(await AsyncDriver(self).run(asking))
        except S3Error as error:
            raise explain(error, f"the listing of {bucket}") from error


def _page(answer: Mapping[str, Any]) -> Page:
    """What botocore has read, keys decoded already."""
    entries = [
        *((entry, False) for entry in answer.get("Versions", ())),
        *((entry, True) for entry in answer.get("DeleteMarkers", ())),
    ]
    versions = [_version(entry, is_marker=is_marker) for entry, is_marker in entries]
    # S3 sends both in one order, botocore makes two lists of it. Of that order only what is on top
    # can be told; among versions it is not that of their times, as uploads in parts are dated by
    # their beginning.
    versions.sort(key=lambda one: (one.key, 0 if one.is_latest else 2 if one.is_marker else 1))
    return Page(
        [_listed(entry) for entry in answer.get("Contents", ())],
        versions,
        [entry["Prefix"] for entry in answer.get("CommonPrefixes", ())],
        is_last=not answer["IsTruncated"],
        about={name: answer[name] for name in _ABOUT if name in answer},
    )


def _listed(entry: Mapping[str, Any]) -> Listed:
    return Listed(
        entry["Key"],
        entry.get("ETag", "").strip('"'),
        entry["Size"],
        entry["LastModified"],
        entry.get("StorageClass", "STANDARD"),
    )


def _version(entry: Mapping[str, Any], *, is_marker: bool) -> ListedVersion:
    return ListedVersion(
        entry["Key"],
        entry.get("VersionId", "null"),
        entry["IsLatest"],
        is_marker,
        entry.get("ETag", "").strip('"'),
        entry.get("Size", 0),
        entry["LastModified"],
        entry.get("StorageClass", ""),
    )
