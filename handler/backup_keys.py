"""Where things live in the backup bucket.

`SOURCE/KEY` is the backup of `KEY` in the bucket `SOURCE`. What does not fit there lives under
`.s3-backup/`, which no bucket's name can begin with:

- `.s3-backup/long/SOURCE/DIGEST`: like `SOURCE/KEY`, where that would be longer than S3 allows.
  The object `.s3-backup/keys/SOURCE/DIGEST` holds the key, as its content.
- `.s3-backup/late/SOURCE/DIGEST/VERSION`: a version that arrived after a newer one, which must
  not be buried under it. Its key is in `.s3-backup/keys/` too.
- `.s3-backup/provenance/SOURCE/DIGEST/BACKUP-VERSION`: the provenance of a backup whose user
  metadata has no room for it, as JSON.
- `.s3-backup/deleted/SOURCE/DIGEST`: what was deleted of a key in its source and when, as JSON.
- `.s3-backup/uploads/SOURCE/DIGEST/IDENTITY`: which unfinished upload is that of a version too
  large to be copied at once, as JSON.

`DIGEST` is the SHA-256 of the key's UTF-8, in hex: nobody can make two keys share one.
"""

import hashlib

MAX_KEY_BYTES = 1024
RESERVED = ".s3-backup/"


def backup_key(bucket: str, key: str) -> str:
    """The key of a source object's backup."""
    plain = f"{bucket}/{key}"
    return plain if len(plain.encode()) <= MAX_KEY_BYTES else _reserved("long", bucket, key)


def needs_key_record(bucket: str, key: str) -> bool:
    """Whether the backup's key does not tell the source's."""
    return backup_key(bucket, key).startswith(RESERVED)


def key_record(bucket: str, key: str) -> str:
    """The key of the object that holds a source key."""
    return _reserved("keys", bucket, key)


def late_key(bucket: str, key: str, version_id: str) -> str:
    """The key of a version that arrived after a newer one."""
    return f"{_reserved('late', bucket, key)}/{version_id}"


def provenance_key(bucket: str, key: str, backup_version_id: str) -> str:
    """The key of the provenance of one version of a backup."""
    return f"{_reserved('provenance', bucket, key)}/{backup_version_id}"


def deletion_record(bucket: str, key: str) -> str:
    """The key of the object that tells what was deleted of a source key."""
    return _reserved("deleted", bucket, key)


def upload_record(bucket: str, key: str, identity: str) -> str:
    """The key of the note about a version's unfinished upload.

    One per version: if two versions of a key shared one, each would make the other start again.

    :param identity: of the version, as its provenance tells it.
    """
    return f"{_reserved('uploads', bucket, key)}/{identity}"


def _reserved(kind: str, bucket: str, key: str) -> str:
    return f"{RESERVED}{kind}/{bucket}/{hashlib.sha256(key.encode()).hexdigest()}"
