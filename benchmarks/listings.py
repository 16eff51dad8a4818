"""Ready-made listings of buckets with many keys, for the stub.

`photos` has so many objects; `backups` has, under `photos/`, copies of the first of them. Every key
has two versions, written two months apart. All other buckets are empty.
"""

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import parse_qs, quote

SOURCE, BACKUPS = "photos", "backups"
KEYS_PER_FOLDER = 1000
PAGE = 1000
"""S3 puts no more on a page."""
OLDER, NEWER = "2026-03-04T05:06:07.000Z", "2026-05-04T05:06:07.000Z"
"""When the two versions were written."""


def key(number: int) -> str:
    """A key, by its place in the order."""
    return f"{number // KEYS_PER_FOLDER:04}/{number:08}.jpg"


def _number_after(last: str) -> int:
    """The place of the first key that comes after this one, which need not be one."""
    folder, _, name = last.partition("/")
    if not folder.isdigit():
        return 0
    return int(name[:8]) + 1 if name[:8].isdigit() else int(folder) * KEYS_PER_FOLDER


class Listings:
    """Answers to ListObjectsV2 and ListObjectVersions.

    :param objects: how many objects the source has.
    :param copies: how many of them the backup has.
    :param about: elements that every object has, as its ETag and size.
    """

    def __init__(self, objects: int, copies: int, about: str) -> None:
        self._about = f"{about}<StorageClass>STANDARD</StorageClass>"
        self._sizes = {SOURCE: objects, BACKUPS: copies}
        # A benchmark asks for the same pages round after round.
        self.page = lru_cache(maxsize=256)(self._page)

    def _page(self, bucket: str, query: str) -> str:
        """The body of an answer.

        :param query: of the request.
        """
        asked = {name: values[0] for name, values in parse_qs(query, True).items()}
        prefix = asked.get("prefix", "")
        own = f"{SOURCE}/" if bucket == BACKUPS else ""
        # Prefixes are those that our own clients and their peers ask for: of all, or of a folder.
        there = prefix.startswith(own) or own.startswith(prefix)
        size = self._sizes.get(bucket, 0) if there else 0
        within = prefix[len(own) :].partition("/")[0]
        first, end = 0, size
        if within:
            first = int(within) * KEYS_PER_FOLDER if within.isdigit() else size
            end = min(size, first + KEYS_PER_FOLDER)
        versions = "list-type" not in asked
        after = asked.get("key-marker" if versions else "start-after", "").removeprefix(own)
        after = asked.get("continuation-token", "").removeprefix(own) or after
        if after:
            first = max(first, _number_after(after))
        if asked.get("delimiter") and not within:
            folders = range(0, size, KEYS_PER_FOLDER)
            names = (own + key(number).partition("/")[0] for number in folders)
            listed = "".join(
                f"<CommonPrefixes><Prefix>{n}/</Prefix></CommonPrefixes>" for n in names
            )
            return _result(bucket, prefix, listed, "", versions=versions)
        per_page = PAGE // 2 if versions else PAGE
        last = min(end, first + per_page)
        entries = self._versions if versions else self._objects
        following = f"{own}{key(last - 1)}" if last < end else ""
        listed = "".join(entries(own, range(first, last)))
        return _result(bucket, prefix, listed, following, versions=versions)

    def _objects(self, own: str, numbers: Iterable[int]) -> Iterable[str]:
        when = f"<LastModified>{NEWER if own else OLDER}</LastModified>{self._about}"
        for number in numbers:
            yield f"<Contents><Key>{own}{key(number)}</Key>{when}</Contents>"

    def _versions(self, own: str, numbers: Iterable[int]) -> Iterable[str]:
        for number in numbers:
            for version, when in (("newer", NEWER), ("older", OLDER)):
                latest = "true" if version == "newer" else "false"
                yield (
                    f"<Version><Key>{own}{key(number)}</Key><VersionId>{version}</VersionId>"
                    f"<IsLatest>{latest}</IsLatest><LastModified>{when}</LastModified>"
                    f"{self._about}</Version>"
                )


def _result(bucket: str, prefix: str, listed: str, following: str, *, versions: bool) -> str:
    about = f"<Name>{bucket}</Name><Prefix>{quote(prefix)}</Prefix><MaxKeys>{PAGE}</MaxKeys>"
    about += "<EncodingType>url</EncodingType>"
    about += f"<IsTruncated>{'true' if following else 'false'}</IsTruncated>"
    if following and versions:
        about += f"<NextKeyMarker>{following}</NextKeyMarker>"
        about += "<NextVersionIdMarker>older</NextVersionIdMarker>"
    elif following:
        about += f"<NextContinuationToken>{following}</NextContinuationToken>"
    root = "ListVersionsResult" if versions else "ListBucketResult"
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    content = f'<{root} xmlns="{namespace}">{about}{listed}</{root}>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{content}'
