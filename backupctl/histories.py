"""Puts together what listings say of each key: of its copies in the backup and of a destination.

Memory does not grow with the number of keys. Both listings are in the order of the keys; what
lies under digests is not, so that is spooled first and taken when its key comes along.
"""

import hashlib
import re
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from handler import backup_keys
from handler.asking import Asking
from handler.deletions import Deletions
from handler.requests import S3Error, Steps

from .joined import Unordered
from .protocols import Lists
from .s3.listing import Listed, ListedVersion
from .spool import Kind, Spool, Spooled
from .timeline import History

_FOLDERS = {Kind.LONG: "long", Kind.LATE: "late", Kind.DELETED: "deleted"}
_DIGEST = re.compile(r"(?P<digest>[0-9a-f]{64})(/.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Known:
    """What the listings say of one key."""

    key: str | None
    """The source's; None if only its digest is known."""
    digest: str
    copies: Sequence[ListedVersion] = ()
    """Those under `SOURCE/KEY`, the newest first."""
    spooled: Sequence[Spooled] = ()
    """What lies under its digest."""
    present: Listed | None = None
    """What the destination has."""

    @property
    def has_copies(self) -> bool:
        """Whether the backup has any."""
        return bool(self.copies) or any(one.kind is not Kind.DELETED for one in self.spooled)


def digest_of(key: str) -> str:
    """What a key is called where the key itself cannot be part of a name."""
    return hashlib.sha256(key.encode()).hexdigest()


async def spool_digests(
    lists: Lists, backup_bucket: str, source: str, spool: Spool, digest: str = ""
) -> Counter[Kind]:
    """Keep what lies under digests.

    :param digest: only under this one; empty for all.
    :returns: how much of which kind there is.
    """
    found = Counter[Kind]()
    for kind, folder in _FOLDERS.items():
        prefix = f"{backup_keys.RESERVED}{folder}/{source}/"
        async for page in lists.list_versions(backup_bucket, prefix + digest):
            matches = [(_DIGEST.fullmatch(entry.key[len(prefix) :]), entry) for entry in page]
            entries = [(match["digest"], entry) for match, entry in matches if match]
            spool.add(kind, entries)
            found[kind] += len(entries)
    return found


async def known_keys(
    lists: Lists,
    backup_bucket: str,
    source: str,
    prefix: str,
    destination: tuple[str, str],
    spool: Spool,
) -> AsyncGenerator[Known]:
    """Everything that is in the backup or at the destination, each key once.

    :param prefix: of the source's keys wanted; where only a digest is known, all come.
    :param destination: bucket and prefix.
    :param spool: filled by `spool_digests`.
    :returns: the keys in their order, then the digests that no key was seen for.
    """
    bucket, there = destination
    async with (
        aclosing(_copies(lists, backup_bucket, f"{source}/", prefix)) as copies,
        aclosing(_present(lists, bucket, there, prefix)) as present,
    ):
        mine, theirs = await anext(copies, None), await anext(present, None)
        while mine is not None or theirs is not None:
            # Python compares texts by code points, which is the order of their UTF-8.
            key = min(pair[0] for pair in (mine, theirs) if pair is not None)
            digest = digest_of(key) if spool else ""
            here = there_is = None
            if mine is not None and mine[0] == key:
                here, mine = mine[1], await anext(copies, None)
            if theirs is not None and theirs[0] == key:
                there_is, theirs = theirs[1], await anext(present, None)
            yield Known(key, digest, here or (), spool.take(digest), there_is)
    for digest, spooled in spool.rest():
        yield Known(None, digest, (), spooled)


async def known_key(lists: Lists, backup_bucket: str, source: str, key: str) -> Known:
    """What the backup has of one key; asks about no other."""
    digest = digest_of(key)
    name = backup_keys.backup_key(source, key)
    copies: list[ListedVersion] = []
    # What goes on where this key ends comes after it.
    async for page in lists.list_versions(backup_bucket, name):
        copies += (entry for entry in page if entry.key == name)
        if page and page[-1].key != name:
            break
    with Spool() as spool:
        await spool_digests(lists, backup_bucket, source, spool, digest)
        spooled = spool.take(digest)
    return Known(key, digest, copies, [one for one in spooled if one.kind is not Kind.LONG])


def key_of(asking: Asking, source: str, digest: str) -> Steps[str | None]:
    """The key that a digest stands for, as the backup has it on record.

    :returns: None if it is on no record, or the record is not of that key.
    :raises S3Error: if S3 refuses.
    """
    name = f"{backup_keys.RESERVED}keys/{source}/{digest}"
    try:
        answer = yield from asking.ask("GetObject", **asking.in_backup(name))
        key: str = answer["Body"].decode()
    except UnicodeDecodeError:
        return None
    except S3Error as error:
        if error.status == 404:
            return None
        raise
    return key if digest_of(key) == digest else None


def history(asking: Asking, source: str, key: str, known: Known) -> Steps[History]:
    """All that the backup has of a key.

    :raises S3Error: if S3 refuses.
    """
    by_kind = {kind: [one.entry for one in known.spooled if one.kind is kind] for kind in Kind}
    deletions = None
    if by_kind[Kind.DELETED]:
        deletions = yield from _deletions(asking, source, key)
    copies = known.copies or by_kind[Kind.LONG]
    return History(source, key, copies, by_kind[Kind.LATE], deletions)


def _deletions(asking: Asking, source: str, key: str) -> Steps[Deletions | None]:
    name = backup_keys.deletion_record(source, key)
    try:
        answer = yield from asking.ask("GetObject", **asking.in_backup(name))
        return Deletions.from_json(answer["Body"])
    except (ValueError, TypeError, KeyError, AttributeError):
        # Somebody else wrote there: who knows what was deleted?
        return Deletions(key, since=datetime.max.replace(tzinfo=UTC))
    except S3Error as error:
        if error.status == 404:
            return None
        raise


async def _copies(
    lists: Lists, bucket: str, owner: str, prefix: str
) -> AsyncGenerator[tuple[str, list[ListedVersion]]]:
    if len((owner + prefix).encode()) > backup_keys.MAX_KEY_BYTES:
        return
    together = list[ListedVersion]()
    async for page in lists.list_versions(bucket, owner + prefix):
        for entry in page:
            if together and together[0].key != entry.key:
                if entry.key < together[0].key:
                    raise Unordered(entry.key)
                yield together[0].key[len(owner) :], together
                together = []
            together.append(entry)
    if together:
        yield together[0].key[len(owner) :], together


async def _present(
    lists: Lists, bucket: str, there: str, prefix: str
) -> AsyncGenerator[tuple[str, Listed]]:
    if len((there + prefix).encode()) > backup_keys.MAX_KEY_BYTES:
        return
    last = ""
    async for page in lists.list_objects(bucket, there + prefix):
        for entry in page:
            if entry.key <= last:
                raise Unordered(entry.key)
            last = entry.key
            yield entry.key[len(there) :], entry
