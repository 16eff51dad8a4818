"""Uploads of many parts, begun now or by an earlier call that did not get to the end.

What an upload was begun with cannot be asked of S3. So a note in the backup bucket says which
upload is that of a version, and names by a digest all that a copy is made of. An upload is gone on
with only if S3 still has it and the digest is that of the copy now wanted: the same bytes, headers,
metadata and tags in the same parts to the same place.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import backup_keys
from .asking import Asking
from .catalogue import absent
from .replica import Replica
from .requests import S3Error, Steps

Parts = dict[int, Mapping[str, Any]]
"""What S3 told of each part it has, by number."""


@dataclass(frozen=True)
class Upload:
    """An upload that S3 has.

    :param asking: whoever asks S3.
    :param target_key: where in the backup bucket it ends up.
    :param upload_id: S3's name of it.
    """

    asking: Asking
    target_key: str
    upload_id: str

    @property
    def parameters(self) -> dict[str, Any]:
        """What names it in a request."""
        return {**self.asking.in_backup(self.target_key), "UploadId": self.upload_id}

    def parts(self) -> Steps[Parts]:
        """The parts that are there, their numbers, ETags and sizes.

        :raises S3Error: NoSuchUpload if it was completed or given up.
        """
        parts: Parts = {}
        page: dict[str, Any] = {}
        while True:
            answer = yield from self.asking.ask("ListParts", **self.parameters, **page)
            parts |= {part["PartNumber"]: part for part in answer.get("Parts", [])}
            if not answer.get("IsTruncated"):
                return parts
            page = {"PartNumberMarker": answer["NextPartNumberMarker"]}

    def abort(self) -> Steps[None]:
        """Give it up. If that fails, the bucket's lifecycle does it some days later."""
        yield from self.asking.ask_once("AbortMultipartUpload", **self.parameters)


@dataclass(frozen=True)
class Note:
    """What is written down about an upload.

    :param digest: of all that the copy is made of.
    """

    upload: Upload
    digest: str


@dataclass(frozen=True)
class Uploads:
    """Those of one version.

    :param asking: whoever asks S3.
    :param replica: the copy wanted.
    """

    asking: Asking
    replica: Replica

    def noted(self) -> Steps[Note | None]:
        """What is written down about the version's upload, if anything is."""
        try:
            answer = yield from self.asking.ask(
                "GetObject", **self.asking.in_backup(self._note_key)
            )
            note = json.loads(answer["Body"])
            upload = Upload(self.asking, str(note["target"]), str(note["upload"]))
            return Note(upload, str(note["copy"]))
        except (KeyError, TypeError, ValueError):
            return None
        except S3Error as error:
            if absent(error):
                return None
            raise

    def resume(self, note: Note, digest: str) -> Steps[tuple[Upload, Parts] | None]:
        """Take up the noted upload, if it is one of the same copy.

        :param digest: of all that the copy wanted is made of.
        :returns: the upload and the parts it has.
        :raises S3Error: NoSuchUpload if it was completed, or given up.
        """
        if note.upload.target_key != self.replica.target_key:
            # The version was overtaken, or is no longer: nobody will complete that one.
            yield from note.upload.abort()
            return None
        if note.digest != digest:
            # Somebody else may still be at it.
            return None
        return note.upload, (yield from note.upload.parts())

    def begin(self, wanted: Mapping[str, Any], digest: str | None) -> Steps[Upload]:
        """Begin an upload.

        :param wanted: parameters of CreateMultipartUpload beside the target.
        :param digest: of all that the copy is made of, for a later call to find the upload by;
            None if none is to.
        """
        source, target_key = self.replica.source, self.replica.target_key
        created = yield from self.asking.ask(
            "CreateMultipartUpload", **self.asking.in_backup(target_key), **wanted
        )
        upload = Upload(self.asking, target_key, created["UploadId"])
        if digest is not None:
            yield from self.asking.ask(
                "PutObject",
                **self.asking.in_backup(self._note_key),
                Body=json.dumps(
                    {
                        "upload": upload.upload_id,
                        "target": target_key,
                        "copy": digest,
                        "key": source.key,
                        "version": source.version_id,
                    }
                ).encode(),
                ContentType="application/json",
            )
        return upload

    @property
    def _note_key(self) -> str:
        source = self.replica.source
        return backup_keys.upload_record(
            source.bucket, source.key, self.replica.provenance.identity
        )


def digest_of(*everything: object) -> str:
    """A short name of what JSON can express, the same for what is equal and for nothing else."""
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()
