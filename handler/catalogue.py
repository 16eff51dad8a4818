"""What the backup bucket tells about the backups in it: which version each is, and of which key."""

import json
from dataclasses import dataclass

from . import backup_keys
from .asking import Asking
from .provenance import Provenance
from .records import ObjectVersion
from .replica import Replica
from .requests import S3Error, Steps

_REFUSALS_BY_CHANCE = 2


@dataclass(frozen=True)
class Catalogue:
    """Reads and writes it.

    :param asking: whoever asks S3.
    """

    asking: Asking

    def present(
        self, source: ObjectVersion, target_key: str, *, refusals: int = 0
    ) -> Steps[tuple[str, Provenance | None] | None]:
        """Look at the backup there is.

        :param refusals: as of `absent`.
        :returns: its ETag and, if it can be told, its provenance; None if there is no backup.
        """
        try:
            head = yield from self.asking.ask("HeadObject", **self.asking.in_backup(target_key))
        except S3Error as error:
            if absent(error, refusals):
                return None
            raise
        provenance = Provenance.from_metadata(head.get("Metadata", {}))
        if provenance is None:
            provenance = yield from self.recorded_provenance(source, head.get("VersionId", "null"))
        return head["ETag"], provenance

    def record_key(self, source: ObjectVersion) -> Steps[None]:
        """Write down the source's key where the backup's does not tell it."""
        try:
            yield from self.asking.ask(
                "PutObject",
                **self.asking.in_backup(backup_keys.key_record(source.bucket, source.key)),
                Body=source.key.encode(),
                ContentType="text/plain; charset=utf-8",
                IfNoneMatch="*",
            )
        except S3Error as error:
            if error.status != 412:
                raise

    def record_provenance(self, replica: Replica, version_id: str) -> Steps[None]:
        """Write down the provenance of a backup that has no room for it.

        :param version_id: the backup's own.
        """
        source = replica.source
        yield from self.asking.ask(
            "PutObject",
            **self.asking.in_backup(
                backup_keys.provenance_key(source.bucket, source.key, version_id)
            ),
            Body=json.dumps(replica.provenance.to_metadata()).encode(),
            ContentType="application/json",
        )

    def recorded_provenance(
        self, source: ObjectVersion, version_id: str
    ) -> Steps[Provenance | None]:
        """The provenance of a backup that has no room for it.

        :param version_id: the backup's own.
        :returns: None if there is none that makes sense.
        """
        key = backup_keys.provenance_key(source.bucket, source.key, version_id)
        try:
            answer = yield from self.asking.ask("GetObject", **self.asking.in_backup(key))
            return Provenance.from_metadata(json.loads(answer["Body"]))
        except ValueError:
            return None
        except S3Error as error:
            if absent(error):
                return None
            raise


def absent(error: S3Error, refusals: int = 0) -> bool:
    """Whether an error about an object of the backup bucket means that it is not there.

    404 does. 403 does as well: the role may not list the bucket, so that is what S3 answers for
    what is not there. It stops to mean that when S3 goes on refusing to write because something
    is there. Twice may be chance: another writer's object that was deleted since, or a refusal
    that was about the source and did not say so.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html

    :param refusals: how often S3 refused to write there on the condition that nothing is there.
    """
    return error.status == 404 or (error.status == 403 and refusals <= _REFUSALS_BY_CHANCE)
