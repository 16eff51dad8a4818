"""Manifests: rows as S3 Batch Operations reads them, sent while they are written."""

from typing import Any
from urllib.parse import unquote_plus

import pytest

from backupctl.manifests import ManifestWriter


class Bucket:
    """Takes objects in one piece or in parts."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.objects: dict[str, bytes] = {}
        self.parts: list[bytes] = []

    def put_object(self, **request: Any) -> dict[str, str]:
        assert request["ServerSideEncryption"] == "AES256"
        self.calls.append("put")
        self.objects[request["Key"]] = request["Body"]
        return {"ETag": '"whole"'}

    def create_multipart_upload(self, **request: Any) -> dict[str, str]:
        assert request["ServerSideEncryption"] == "AES256"
        self.calls.append("create")
        return {"UploadId": "upload"}

    def upload_part(self, **request: Any) -> dict[str, str]:
        assert request["PartNumber"] == len(self.parts) + 1
        self.calls.append("part")
        self.parts.append(request["Body"])
        return {"ETag": f'"{len(self.parts)}"', "ChecksumCRC32": f"sum{len(self.parts)}"}

    def complete_multipart_upload(self, **request: Any) -> dict[str, str]:
        self.calls.append("complete")
        assert request["MultipartUpload"]["Parts"] == [
            {"PartNumber": n, "ETag": f'"{n}"', "ChecksumCRC32": f"sum{n}"}
            for n in range(1, len(self.parts) + 1)
        ]
        self.objects[request["Key"]] = b"".join(self.parts)
        return {"ETag": '"parts-2"'}

    def abort_multipart_upload(self, **request: Any) -> None:
        assert request["UploadId"] == "upload"
        self.calls.append("abort")


KEYS = ["plain", "a b+c", 'quote",comma', "line\nfeed", "caf\u00e9/\U0001f600", "100%"]


def writer(s3: Bucket, **more: Any) -> ManifestWriter:
    return ManifestWriter(s3, "backups", "manifest.csv", "123456789012", **more)


def test_a_small_manifest_is_one_object_whose_keys_come_back() -> None:
    s3 = Bucket()
    manifest = writer(s3)
    for key in KEYS:
        manifest.add("photos", key, None)
    closed = manifest.close()
    assert closed is not None
    assert (closed.key, closed.etag, closed.rows) == ("manifest.csv", "whole", len(KEYS))
    assert s3.calls == ["put"]
    rows = [line.split(",") for line in s3.objects["manifest.csv"].decode().splitlines()]
    assert [(bucket, unquote_plus(key)) for bucket, key in rows] == [("photos", k) for k in KEYS]
    manifest.give_up()
    assert s3.calls == ["put"]


def test_a_large_one_is_sent_in_parts_and_never_held_as_a_whole() -> None:
    s3 = Bucket()
    manifest = writer(s3, versions=True, part_size=1000)
    for number in range(100):
        manifest.add("photos", f"key-{number}", f"version-{number}")
        if manifest.is_full:
            manifest.send()
    closed = manifest.close()
    assert closed is not None
    assert (closed.etag, closed.rows, closed.versions) == ("parts-2", 100, True)
    assert s3.calls == ["create", *["part"] * len(s3.parts), "complete"]
    assert len(s3.parts) > 2
    assert max(map(len, s3.parts)) < 1100
    assert s3.objects["manifest.csv"].decode().splitlines() == [
        f"photos,key-{number},version-{number}" for number in range(100)
    ]


def test_without_rows_there_is_nothing() -> None:
    s3 = Bucket()
    assert writer(s3).close() is None
    assert s3.calls == []


def test_what_is_given_up_leaves_no_parts() -> None:
    s3 = Bucket()
    manifest = writer(s3)
    manifest.add("photos", "a", None)
    manifest.send()
    manifest.give_up()
    manifest.give_up()
    assert s3.calls == ["create", "part", "abort"]


@pytest.mark.parametrize(("versions", "version_id"), [(True, None), (False, "v1")])
def test_rows_with_and_without_versions_are_not_mixed(
    versions: bool, version_id: str | None
) -> None:
    with pytest.raises(ValueError, match="photos/a: version id"):
        writer(Bucket(), versions=versions).add("photos", "a", version_id)


@pytest.mark.parametrize(
    ("source", "key", "version_id"),
    [
        ("photos", "a", "v1\nother,secret,v9"),
        ("photos", "a", "v1,v2"),
        ("photos", "a", 'v"1'),
        ("photos", "a", ""),
        ("photos", "\ud800", "v1"),
        ("photos,a", "a", "v1"),
        ("photos\nother", "a", "v1"),
    ],
)
def test_no_row_is_written_that_reads_otherwise(source: str, key: str, version_id: str) -> None:
    s3 = Bucket()
    manifest = writer(s3, versions=True)
    with pytest.raises(ValueError, match=r"the (key|version_id|bucket) "):
        manifest.add(source, key, version_id)
    assert manifest.close() is None
    assert s3.calls == []
