"""What the last verification, or the last drill, of a source found, kept in the backup bucket.

`.s3-backup/results/KIND/SOURCE.json` is the last result; the bucket's versions are the ones before.
"""

import json
from collections.abc import Mapping
from typing import Any

from handler.asking import Asking
from handler.backup_keys import RESERVED
from handler.requests import S3Error, Steps

from .json_text import loads

VERIFICATION = "verification"
DRILL = "drill"


def result_key(kind: str, source: str) -> str:
    """Where the last result of a kind is kept."""
    return f"{RESERVED}results/{kind}/{source}.json"


def record(asking: Asking, kind: str, source: str, result: Mapping[str, Any]) -> Steps[None]:
    """Keep a result.

    :param result: what becomes JSON.
    :raises S3Error: if S3 refuses.
    """
    yield from asking.ask(
        "PutObject",
        **asking.in_backup(result_key(kind, source)),
        Body=json.dumps(result).encode(),
        ContentType="application/json",
    )


def last(asking: Asking, kind: str, source: str) -> Steps[Mapping[str, Any] | None]:
    """Read the last result.

    :returns: None if there is none that can be read.
    :raises S3Error: if S3 refuses.
    """
    try:
        answer = yield from asking.ask("GetObject", **asking.in_backup(result_key(kind, source)))
        result = loads(answer["Body"])
    except ValueError:
        return None
    except S3Error as error:
        if error.status == 404:
            return None
        raise
    return result if isinstance(result, Mapping) else None
