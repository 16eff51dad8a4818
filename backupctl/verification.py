"""Whether the backup has what the source has: judges listings, and looks where they say little.

`Judge.sort` decides from two listings alone; `Judge.examine` asks S3 about one pair. Neither does
I/O. What listings can tell: a key, its bytes' number, and when each was written. A copy is never
older than the version that it is of. ETags tell more only where both sides are encrypted by S3
itself and neither was uploaded in parts; elsewhere they always differ.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, StrEnum, auto
from http import HTTPStatus
from typing import Any

from handler import backup_keys
from handler.asking import Asking
from handler.catalogue import Catalogue
from handler.failures import worth_retrying
from handler.provenance import Provenance
from handler.records import ObjectVersion
from handler.requests import S3Error, Steps

from . import likeness
from .joined import Pair
from .moments import second, shown
from .s3.listing import Listed, ListedVersion
from .stack import Source


class Depth(StrEnum):
    """How much is looked at."""

    LISTING = "listing"
    """Both listings; single objects only where those contradict each other."""
    CHECKSUM = "checksum"
    """Also what S3 knows of each object: provenance and checksums."""
    DEEP = "deep"
    """Also all bytes."""


class Kind(StrEnum):
    """What is wrong, or at least worth knowing, about a key."""

    MISSING = "missing"
    """It is not in the backup."""
    STALE = "stale"
    """The backup is of an older version."""
    DIFFERENT = "different"
    """The backup has other bytes than the version that it is of."""
    UNPROVEN = "unproven"
    """Nothing tells whether the backup is of this version: neither provenance nor checksums."""
    UNREADABLE = "unreadable"
    """S3 refuses a look at it."""
    AHEAD = "ahead"
    """The backup is of a newer version, which the source has no more: no fault."""
    ORPHANED = "orphaned"
    """The source has it no more: no fault, unless its deletion should show in the backup."""


FAULTS = frozenset({Kind.MISSING, Kind.STALE, Kind.DIFFERENT, Kind.UNPROVEN, Kind.UNREADABLE})
"""What is a fault in any case."""
REPAIRABLE = frozenset({Kind.MISSING, Kind.STALE, Kind.DIFFERENT, Kind.UNPROVEN})
"""What copying again may repair."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One of them."""

    kind: Kind
    bucket: str
    """The source."""
    key: str
    source: Listed | None = None
    """What the source has."""
    backup: Listed | None = None
    """What the backup has."""
    detail: str = ""
    fault: bool = True
    deleted: datetime | None = None
    """Of an orphan whose deletion is to be recorded: when that was, or else when it was found gone
    (UTC)."""
    marker: str | None = None
    """The source's delete marker that tells so."""

    def to_json(self) -> dict[str, Any]:
        """As one line of the report."""
        return {
            "finding": self.kind,
            "fault": self.fault,
            "bucket": self.bucket,
            "key": self.key,
            **({"source": _described(self.source)} if self.source else {}),
            **(
                {"backup": {"key": self.backup.key, **_described(self.backup)}}
                if self.backup
                else {}
            ),
            **({"version_id": self.marker} if self.marker else {}),
            **({"deleted": _text(self.deleted)} if self.deleted else {}),
            **({"detail": self.detail} if self.detail else {}),
        }


class Moved(Enum):
    """Instead of a finding."""

    MOVED = auto()


MOVED = Moved.MOVED
"""One side was written while they were compared."""


@dataclass
class Tally:
    """What was seen."""

    objects: int = 0
    """Keys that should be in the backup, those too recent to judge excepted."""
    size: int = 0
    """Their bytes."""
    same_etag: int = 0
    """Of these, how many have the ETag of their copy, which proves that the bytes are the same."""
    plausible: int = 0
    """Of these, how many were compared by size and time alone."""
    examined: int = 0
    """Of these, how many were looked at one by one."""
    recent: int = 0
    """Keys not judged, because they, or their deletions, are too recent or changed meanwhile."""
    excluded: int = 0
    """Keys not judged, because the stack does not back them up."""
    findings: dict[Kind, int] = field(default_factory=dict[Kind, int])
    faults: int = 0
    """How many are faults; those that remain, if it was tried to mend them."""
    fixed: int | None = None
    """Faults that were mended; None if that was not tried."""

    def count(self, finding: Finding) -> None:
        """One more."""
        self.findings[finding.kind] = self.findings.get(finding.kind, 0) + 1
        self.faults += finding.fault


@dataclass(frozen=True)
class Judge:
    """Compares one source with its backup.

    :param source: name and filters.
    :param asking: whoever asks S3; knows the backup bucket.
    :param cutoff: what was written later is not judged (UTC).
    :param depth: how much is looked at.
    :param etags_tell: whether both buckets encrypt with keys of S3, so that different ETags of
        objects uploaded in one piece are worth a look.
    :param deletions_tracked: whether a deletion should show in the backup.
    """

    source: Source
    asking: Asking
    cutoff: datetime
    depth: Depth = Depth.LISTING
    etags_tell: bool = False
    deletions_tracked: bool = False

    def sort(
        self,
        pairs: Iterable[Pair],
        tally: Tally,
        long: Callable[[str], Listed | None] = lambda _key: None,
    ) -> tuple[list[Finding], list[tuple[Listed, Listed]]]:
        """Judge what two listings tell.

        :param pairs: what the source has, and what the backup has under `SOURCE/`.
        :param tally: counts what is settled here.
        :param long: finds the copy of a key that is too long to be there.
        :returns: what is found, and the pairs that must be examined.
        """
        findings: list[Finding] = []
        doubtful: list[tuple[Listed, Listed]] = []
        includes, name = self.source.includes, self.source.name
        look, deep = self.depth is not Depth.LISTING, self.depth is Depth.DEEP
        objects = size = same = plausible = 0
        for one, copy in pairs:
            if one is None:
                if copy is not None:
                    findings += self.orphan(copy.key[len(name) + 1 :], copy)
                continue
            if not includes(one.key):
                tally.excluded += 1
                continue
            if copy is None and backup_keys.needs_key_record(name, one.key):
                copy = long(one.key)  # noqa: PLW2901 - where to look is a matter of length only
            if copy is None or one.modified > copy.modified:
                if one.modified > self.cutoff:
                    tally.recent += 1
                    continue
                kind = Kind.MISSING if copy is None else Kind.STALE
                findings.append(Finding(kind, name, one.key, one, copy))
            elif one.size != copy.size:
                doubtful.append((one, copy))
            elif one.etag == copy.etag:
                same += 1
                if deep:
                    doubtful.append((one, copy))
            elif look or (self.etags_tell and "-" not in one.etag + copy.etag):
                doubtful.append((one, copy))
            else:
                plausible += 1
            objects += 1
            size += one.size
        tally.objects += objects
        tally.size += size
        tally.same_etag += same
        tally.plausible += plausible
        return findings, doubtful

    def orphan(self, key: str, copy: Listed) -> list[Finding]:
        """What to say of a copy whose key the source does not have.

        Where deletions are tracked it is only suspected: `convict` decides.
        """
        if copy.modified > self.cutoff or not self.source.includes(key):
            return []
        name, fault = self.source.name, self.deletions_tracked
        return [Finding(Kind.ORPHANED, name, key, backup=copy, fault=fault)]

    def convict(
        self, suspect: Finding, top: ListedVersion | None, at: datetime
    ) -> Steps[Finding | Moved]:
        """Judge an orphan where deletions are tracked.

        :param suspect: the orphan.
        :param top: the latest that the source has of the key's versions and delete markers; None
            if there are none.
        :param at: when that was found (UTC).
        :returns: the finding, which says what is to be recorded.
        :raises S3Error: if S3 refuses.
        """
        if top is not None and (not top.is_marker or top.modified > self.cutoff):
            return MOVED
        if suspect.backup is not None and not (yield from self._is_shown(suspect.backup)):
            return MOVED
        if top is not None:
            detail = "its deletion is not recorded; --fix records it"
            return replace(suspect, detail=detail, deleted=top.modified, marker=top.version_id)
        detail = (
            "its deletion is not recorded, nor known when it was; --fix records it as of when it "
            "was found gone"
        )
        return replace(suspect, detail=detail, deleted=at)

    def _is_shown(self, copy: Listed) -> Steps[bool]:
        """Whether the backup still shows a copy that was listed."""
        there: dict[str, Any] = {**self.asking.in_backup(copy.key), "IfMatch": copy.etag}
        try:
            yield from self.asking.ask("HeadObject", **there)
        except S3Error as error:
            if error.status not in {404, 412}:
                raise
            return False
        return True

    def examine(self, one: Listed, copy: Listed) -> Steps[Finding | Moved | None]:
        """Ask S3 about a pair of the same key.

        :returns: what is found; None if all is well; `MOVED` if something was written meanwhile.
        """
        name = ObjectVersion(self.source.name, one.key)
        here = {**self.asking.in_source(name), "IfMatch": one.etag}
        there = {**self.asking.in_backup(copy.key), "IfMatch": copy.etag}
        try:
            judgement = yield from self._examine(name, one, here, there)
        except S3Error as error:
            if error.status in {404, 412}:
                return MOVED
            if worth_retrying(error):
                raise
            judgement = Kind.UNREADABLE, str(error)
        if judgement is None:
            return None
        if one.modified > self.cutoff:
            return MOVED
        kind, detail = judgement
        return Finding(kind, name.bucket, one.key, one, copy, detail, fault=kind in FAULTS)

    def look_again(self, key: str) -> Steps[Finding | None]:
        """Judge a key as it is now.

        :returns: what is found; None if all is well, or if that cannot be said yet.
        :raises S3Error: if S3 does not answer.
        """
        name = ObjectVersion(self.source.name, key)
        try:
            one = yield from self._seen(key, self.asking.in_source(name))
            target = backup_keys.backup_key(name.bucket, key)
            copy = yield from self._seen(target, self.asking.in_backup(target))
        except S3Error as error:
            if worth_retrying(error):
                raise
            return Finding(Kind.UNREADABLE, name.bucket, key, detail=str(error))
        if one is None:
            return next(iter(self.orphan(key, copy)), None) if copy else None
        findings, doubtful = self.sort([(one, copy)], Tally())
        for pair in doubtful:
            judgement = yield from self.examine(*pair)
            if isinstance(judgement, Finding):
                findings.append(judgement)
        return next(iter(findings), None)

    def _seen(self, key: str, place: Mapping[str, Any]) -> Steps[Listed | None]:
        """What a listing would tell of an object."""
        try:
            head = yield from self.asking.ask("HeadObject", **place)
        except S3Error as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return Listed(
            key,
            head["ETag"].strip('"'),
            head["ContentLength"],
            head["LastModified"],
            head.get("StorageClass", "STANDARD"),
        )

    def _examine(
        self,
        name: ObjectVersion,
        one: Listed,
        here: Mapping[str, Any],
        there: Mapping[str, Any],
    ) -> Steps[tuple[Kind, str] | None]:
        look = self.depth is not Depth.LISTING
        mode: dict[str, Any] = {"ChecksumMode": "ENABLED"} if look else {}
        mine = yield from self.asking.ask("HeadObject", **here, **mode)
        others = yield from self.asking.ask("HeadObject", **there, **mode)
        version = Provenance.from_metadata(others.get("Metadata", {}))
        if version is None:
            version = yield from Catalogue(self.asking).recorded_provenance(
                name, others.get("VersionId", "null")
            )
        written = second(one.modified)
        if version is not None and (version.etag, version.modified) != (one.etag, written):
            kind = Kind.AHEAD if version.modified > written else Kind.STALE
            return kind, f"of the version of {shown(version.modified)}"
        same = likeness.same_content(mine, others)
        if same is not False and self.depth is Depth.DEEP:
            same = yield from likeness.same_bytes(self.asking, here, there, one.size)
        if same is False:
            return Kind.DIFFERENT, ""
        if same is None and version is None and look:
            return Kind.UNPROVEN, "neither provenance nor checksums"
        return None


def _described(listed: Listed) -> dict[str, Any]:
    return {
        "size": listed.size,
        "etag": listed.etag,
        "modified": _text(listed.modified),
    }


def _text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
