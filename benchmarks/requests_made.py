"""How many requests S3 is asked to answer, and bills, for one object."""

from typing import Any

import botocore.session
from botocore.config import Config

from handler.boto import BotoDriver
from handler.copy import Engine
from handler.events import ObjectVersion

from .function import ACCOUNT, BACKUP_BUCKET, environment
from .measure import Finding, Say
from .stub import Stub

FIRST_COPY = 2
OVERWRITE = 4


def run(say: Say) -> list[Finding]:
    """Copy one object that has no backup yet and one that has."""
    say("a first copy and an overwrite")
    with Stub() as stub:
        return [
            _finding(stub, "a first copy", "a.jpg", FIRST_COPY),
            _finding(stub, "an overwrite", "replaced/a.jpg", OVERWRITE),
        ]


def _finding(stub: Stub, what: str, key: str, at_most: int) -> Finding:
    variables = environment(stub.url)

    def client(config: Config) -> Any:  # noqa: ANN401 - botocore's clients have no static type
        return botocore.session.get_session().create_client(
            "s3",
            region_name=variables["AWS_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=stub.url,
            config=config,
        )

    source = ObjectVersion("photos", key, "v1", sequencer="0055")
    stub.counts()
    BotoDriver(client).run(Engine(BACKUP_BUCKET, ACCOUNT).copy(source))
    counts = stub.counts()
    return Finding(
        what=f"requests for {what}",
        value=sum(counts.values()),
        unit="requests",
        at_most=at_most,
        how=", ".join(f"{count} {name}" for name, count in sorted(counts.items())),
    )
