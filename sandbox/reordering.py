"""The part of the demonstration in which events come twice and in the wrong order."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from .aliases import Client
from .observation import wait_for

KEY = "drafts/contract.txt"


@dataclass(frozen=True)
class Delivery:
    """An event that was delivered, and what the function made of it."""

    what: str
    outcome: str
    current: str
    """What the backup's current version says afterwards."""
    expected: str
    """What the outcome should be."""
    newest: str
    """What the backup's current version should say."""

    @property
    def good(self) -> bool:
        return (self.outcome, self.current) == (self.expected, self.newest)


class Reordering:
    """Writes three versions of one object and delivers their events as a bad day would.

    :param function: calls the function with an event, and waits for it.
    :param said: the outcomes that the function has logged for a key so far.
    :param bucket: a versioned source whose notification leaves `KEY` out.
    """

    def __init__(
        self,
        s3: Client,
        function: Callable[[dict[str, Any]], object],
        said: Callable[[str], list[str]],
        bucket: str,
        backup_bucket: str,
    ) -> None:
        self._s3 = s3
        self._function = function
        self._said = said
        self._bucket = bucket
        self._backup_bucket = backup_bucket

    def run(self) -> list[Delivery]:
        """Write all, then deliver; returns what became of each delivery."""
        first, second, third = (
            self._write(number, f"{name} version".encode())
            for number, name in enumerate(("first", "second", "third"), start=1)
        )
        script = [
            ("second version", second, "copied", "second version"),
            ("second version, a duplicate", second, "duplicate", "second version"),
            ("first version, overtaken", first, "superseded", "second version"),
            ("third version", third, "copied", "third version"),
            ("second version, a late duplicate", second, "duplicate", "third version"),
        ]
        deliveries: list[Delivery] = []
        for number, (what, event, *expected) in enumerate(script, start=1):
            self._function(event)
            said = wait_for(lambda n=number: self._said(KEY)[n - 1 : n], f"log line of {what}")
            deliveries.append(Delivery(what, said[0], self._current(), *expected))
        return deliveries

    def overtaken_version(self) -> str | None:
        """What the version says that came too late to be current; None if it is lost."""
        answer = self._s3.list_object_versions(
            Bucket=self._backup_bucket, Prefix=f".s3-backup/late/{self._bucket}/"
        )
        for version in answer.get("Versions", []):
            body = self._s3.get_object(
                Bucket=self._backup_bucket, Key=version["Key"], VersionId=version["VersionId"]
            )["Body"]
            return str(body.read().decode())
        return None

    def _write(self, number: int, body: bytes) -> dict[str, Any]:
        made = self._s3.put_object(Bucket=self._bucket, Key=KEY, Body=body)
        record = {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "eventTime": datetime.now(UTC).isoformat(),
            "s3": {
                "bucket": {"name": self._bucket, "arn": f"arn:aws:s3:::{self._bucket}"},
                "object": {
                    "key": quote_plus(KEY),
                    "size": len(body),
                    "eTag": made["ETag"].strip('"'),
                    "versionId": made["VersionId"],
                    "sequencer": f"{number:018X}",
                },
            },
        }
        return {"Records": [record]}

    def _current(self) -> str:
        answer = self._s3.get_object(Bucket=self._backup_bucket, Key=f"{self._bucket}/{KEY}")
        return str(answer["Body"].read().decode())
