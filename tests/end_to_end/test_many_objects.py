"""A bucket of all kinds of objects, taken through the whole of `backupctl`.

    S3_BACKUP_TEST_OBJECTS=1020 python -m pytest tests/end_to_end/test_many_objects.py

takes less time: the local AWS needs milliseconds of CPU for each request, and there are about eight
requests for each object.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from backupctl import permissions
from backupctl.driver import AsyncDriver
from backupctl.s3 import S3Client
from handler.asking import Asking
from sandbox import samples
from sandbox.comparison import differences
from sandbox.demo import put
from sandbox.ministack import MiniStack
from tests.backupctl.local import aws
from tests.backupctl.place import Place

OBJECTS = int(os.environ.get("S3_BACKUP_TEST_OBJECTS", "10000"))
PART = 5 * 1024**2
AT_ONCE = 16
AWKWARD = ("line\nfeed", "\x01", "\x1b[31m", "c\rd", "\u2028", "long\n" + "k" * 1010, "l" * 1024)

Row = tuple[str, int]


class Many(Place):
    """A place whose source has a history."""

    def __init__(self, ministack: MiniStack) -> None:
        super().__init__(ministack)
        self.attic = self.bucket("attic")

    def ask_all(self, asked: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Any]:
        """As the root, many at a time; the answers in that order."""

        async def work() -> list[Any]:
            waiting = iter(enumerate(asked))
            answers: dict[int, Any] = {}
            async with S3Client(aws(self.ministack), AT_ONCE) as s3:
                driver = AsyncDriver(s3)

                async def some() -> None:
                    for number, (operation, parameters) in waiting:
                        steps = Asking("", "").ask(operation, **parameters)
                        answers[number] = await driver.run(steps)

                async with asyncio.TaskGroup() as group:
                    for _ in range(AT_ONCE):
                        group.create_task(some())
            return [answers[number] for number in sorted(answers)]

        return asyncio.run(work())

    def upload_in_parts(self, key: str) -> None:
        name = {"Bucket": self.source, "Key": key}
        upload = self.s3.create_multipart_upload(**name, Metadata={"n": "parts"})["UploadId"]
        parts = [
            {
                "PartNumber": number,
                "ETag": self.s3.upload_part(**name, UploadId=upload, PartNumber=number, Body=body)[
                    "ETag"
                ],
            }
            for number, body in enumerate((b"1" * PART, key.encode()), start=1)
        ]
        self.s3.complete_multipart_upload(**name, UploadId=upload, MultipartUpload={"Parts": parts})

    def rows(self, bucket: str) -> dict[str, Row]:
        """ETag and size of everything, by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {
            entry["Key"]: (entry["ETag"].strip('"'), entry["Size"])
            for page in pages
            for entry in page.get("Contents", [])
        }

    def metadata(self, bucket: str, keys: Iterable[str]) -> list[dict[str, str]]:
        asked = (("HeadObject", {"Bucket": bucket, "Key": key}) for key in keys)
        return [answer["Metadata"] for answer in self.ask_all(asked)]


@pytest.mark.timeout(900 * max(1, OBJECTS // 1000))
def test_everything_is_backed_up_found_in_place_and_restored(
    ministack: MiniStack, record_property: Callable[[str, object], None]
) -> None:
    place = Many(ministack)
    plain = [f"{number % 10}/{number:06}" for number in range(OBJECTS)]
    again, gone = plain[::25], plain[::60]

    def puts(keys: Iterable[str], what: str) -> list[tuple[str, Mapping[str, Any]]]:
        return [
            (
                "PutObject",
                {
                    "Bucket": place.source,
                    "Key": key,
                    "Body": f"{what} {key}".encode(),
                    "Metadata": {"n": f"{what} {number}"},
                },
            )
            for number, key in enumerate(keys)
        ]

    place.ask_all(puts([*plain, *AWKWARD], "first"))
    place.ask_all(puts(again, "second"))
    place.ask_all(("DeleteObject", {"Bucket": place.source, "Key": key}) for key in gone)
    for sample in samples.awkward():
        put(place.s3, place.source, sample)
    in_parts = ["parts", "parts\n" + "p" * 1010]
    for key in in_parts:
        place.upload_in_parts(key)
    source = place.rows(place.source)
    assert len(source) == OBJECTS - len(gone) + len(AWKWARD) + len(samples.awkward()) + 2
    described = dict(zip(source, place.metadata(place.source, source), strict=True))
    assert all(described.values())

    tracked = permissions.backfill(place.backup, [place.source], track_deletes=True)
    filled = place.run(
        *("backfill", place.source, "--all-versions", "--track-deletes", "--json"),
        *("--processes", "1"),
        credentials=place.operator(tracked),
    )
    assert (filled.code, filled.lines) == (0, [])
    versions = len(source) + len(again) + len(gone)
    counted = filled.summary[place.source]
    assert (counted["failed"], counted["listed"]) == (0, versions)

    checking = place.operator(permissions.verify(place.backup, [place.source]))
    found = place.run(
        "verify", place.source, "--grace", "0", "--checksum", "--json", credentials=checking
    )
    assert (found.code, found.lines) == (0, [])
    assert found.summary[place.source]["objects"] == len(source)

    restoring = place.operator(permissions.restore(place.backup, place.attic))
    restored = place.run(
        "restore", place.source, "--to", place.attic, "--json", credentials=restoring
    )
    assert restored.code == 0
    assert {line["key"] for line in restored.lines} == source.keys()
    attic = place.rows(place.attic)
    # A copy has no parts, and so another ETag.
    whole = {key: row for key, row in source.items() if key not in in_parts}
    assert {key: row for key, row in attic.items() if key not in in_parts} == whole
    assert dict(zip(attic, place.metadata(place.attic, attic), strict=True)) == described
    looked_at = [*AWKWARD, *in_parts, *again[1:20], *(one.key for one in samples.awkward())]
    for key in set(looked_at) - set(gone):
        assert differences(place.s3, (place.source, key), (place.attic, key)) == []

    # What was deleted is there as well, if somebody asks for it.
    deleted = place.run(
        *("restore", place.source, "--to", place.attic, "--include-deleted", "--json"),
        credentials=restoring,
    )
    assert {line["key"] for line in deleted.lines} == set(gone)
    record_property(
        "counts",
        f"{len(source):,} objects, {versions:,} versions and {len(gone)} delete markers, "
        f"{len(in_parts)} in parts, {len(AWKWARD) + len(samples.awkward())} awkward keys, "
        f"{sum(itertools.starmap(_long, source.items()))} over-long",
    )


def _long(key: str, _row: Row) -> bool:
    return len(key.encode()) > 960
