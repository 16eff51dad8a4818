"""Listings, page by page, of whoever can get one page."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from backupctl.errors import BackupctlError

from .listing import Listed, ListedVersion, Page


class Paging(ABC):
    """What all clients list in the same way."""

    @abstractmethod
    async def list_page(self, operation: str, bucket: str, wanted: Mapping[str, Any]) -> Page:
        """One page, asked for again where that may help.

        :param operation: ListObjectsV2 or ListObjectVersions.
        :param wanted: parameters of the operation.
        :raises BackupctlError: if S3 refuses, or keeps failing.
        """

    async def list_objects(
        self, bucket: str, prefix: str = "", start_after: str = ""
    ) -> AsyncGenerator[list[Listed]]:
        """The objects of a bucket, page by page, in the order of their keys' UTF-8.

        :param prefix: of the keys wanted.
        :param start_after: only keys beyond this one.
        :raises BackupctlError: if S3 refuses, or keeps failing.
        """
        wanted = {"Prefix": prefix, **({"StartAfter": start_after} if start_after else {})}
        following = {"ContinuationToken": "NextContinuationToken"}
        async with aclosing(self._pages("ListObjectsV2", bucket, wanted, following)) as pages:
            async for page in pages:
                yield page.objects

    async def list_versions(
        self, bucket: str, prefix: str = "", key_marker: str = ""
    ) -> AsyncGenerator[list[ListedVersion]]:
        """All versions and delete markers, page by page: by key, each key's newest first.

        :param prefix: of the keys wanted.
        :param key_marker: only keys beyond this one.
        :raises BackupctlError: if S3 refuses, or keeps failing.
        """
        wanted = {"Prefix": prefix, **({"KeyMarker": key_marker} if key_marker else {})}
        following = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
        async with aclosing(self._pages("ListObjectVersions", bucket, wanted, following)) as pages:
            async for page in pages:
                yield page.versions

    async def _pages(
        self,
        operation: str,
        bucket: str,
        wanted: Mapping[str, Any],
        following: Mapping[str, str],
    ) -> AsyncGenerator[Page]:
        """All pages.

        :param following: names of the parameters of the next page, as `_following` takes them.
        """
        while True:
            page = await self.list_page(operation, bucket, wanted)
            yield page
            if page.is_last:
                return
            wanted = _following(page, wanted, following)


def _following(page: Page, wanted: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of the next page.

    :param names: of the parameters, each with the name under which the page says its value.
    """
    following = {name: page.about.get(said) for name, said in names.items()}
    changed = {name: value for name, value in following.items() if value}
    if not changed or all(wanted.get(name) == value for name, value in changed.items()):
        raise BackupctlError(
            "the listing has more pages, but S3 does not say how to go on; run the command again"
        )
    return {**wanted, **changed}
