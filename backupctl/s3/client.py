"""An asynchronous client for what is done per object."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from backupctl.aws import Aws
from backupctl.explanations import explain
from handler.boto import BotoDriver
from handler.requests import Request, Steps

from .listing import Listed, ListedVersion


class S3Client:
    """Asks S3, many questions at a time.

    :param aws: whose credentials, region and endpoints to use.
    :param connections: how many requests may be on their way at once.
    """

    def __init__(self, aws: Aws, connections: int = 64) -> None:
        self._client = aws.client("s3")
        self._driver = BotoDriver(aws.engine_s3)
        self._threads = ThreadPoolExecutor(connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def ask(self, request: Request) -> Mapping[str, Any]:
        """One request, once.

        :returns: the answer in the form that botocore gives it; a body is bytes.
        :raises S3Error: if S3 refuses, or gives no answer, or half of one.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._driver.run, _only(request))

    async def list_objects(
        self, bucket: str, prefix: str = "", start_after: str = ""
    ) -> AsyncIterator[list[Listed]]:
        """The objects of a bucket, page by page, in the order of their keys' UTF-8.

        :param prefix: of the keys wanted.
        :param start_after: only keys beyond this one.
        :raises BackupctlError: if S3 refuses, or keeps failing.
        """
        parameters = {"Bucket": bucket, "Prefix": prefix, "StartAfter": start_after}
        async for page in self._pages("list_objects_v2", parameters):
            yield [
                Listed(
                    entry["Key"],
                    entry["ETag"].strip('"'),
                    entry["Size"],
                    entry["LastModified"],
                    entry.get("StorageClass", "STANDARD"),
                )
                for entry in page.get("Contents", [])
            ]

    async def list_versions(
        self, bucket: str, prefix: str = "", key_marker: str = ""
    ) -> AsyncIterator[list[ListedVersion]]:
        """All versions and delete markers, page by page: by key, each key's newest first.

        :param prefix: of the keys wanted.
        :param key_marker: only keys beyond this one.
        :raises BackupctlError: if S3 refuses, or keeps failing.
        """
        parameters = {"Bucket": bucket, "Prefix": prefix, "KeyMarker": key_marker}
        async for page in self._pages("list_object_versions", parameters):
            entries = [
                ListedVersion(
                    entry["Key"],
                    entry["VersionId"],
                    entry["IsLatest"],
                    "ETag" not in entry,
                    entry.get("ETag", "").strip('"'),
                    entry.get("Size", 0),
                    entry["LastModified"],
                    entry.get("StorageClass", ""),
                )
                for entry in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
            ]
            # Python's sort is stable: versions of one second stay in S3's order.
            entries.sort(key=lambda entry: entry.modified, reverse=True)
            entries.sort(key=lambda entry: entry.is_latest, reverse=True)
            entries.sort(key=lambda entry: entry.key.encode())
            yield entries

    async def _pages(
        self, operation: str, parameters: Mapping[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        pages = iter(self._client.get_paginator(operation).paginate(**parameters))
        while True:
            try:
                page = await loop.run_in_executor(self._threads, next, pages, None)
            except (BotoCoreError, ClientError) as error:
                raise explain(error) from error
            if page is None:
                return
            yield page


def _only(request: Request) -> Steps[Mapping[str, Any]]:
    return (yield request)
