"""What a bucket announces and to whom, compared with what the stack set up. Makes no AWS calls."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from .stack import Source

CREATED = ("s3:ObjectCreated:*",)
DELETED = ("s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")
EVENT_BRIDGE = "EventBridge"
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html
_KINDS = {
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
    "QueueConfigurations": "QueueArn",
    "TopicConfigurations": "TopicArn",
}


@dataclass(frozen=True)
class Entry:
    """One entry of a notification configuration."""

    target: str
    """ARN of who is told, or `EVENT_BRIDGE`."""
    events: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""

    def covers(self, prefix: str, suffix: str, events: Collection[str]) -> bool:
        """Whether it announces all these events of all keys that begin and end so."""
        return (
            prefix.startswith(self.prefix)
            and suffix.endswith(self.suffix)
            and all(any(_includes(own, event) for own in self.events) for event in events)
        )

    def overlaps(self, prefix: str, suffix: str, events: Collection[str]) -> bool:
        """Whether S3 would refuse it beside an entry for these."""
        return (
            (prefix.startswith(self.prefix) or self.prefix.startswith(prefix))
            and (suffix.endswith(self.suffix) or self.suffix.endswith(suffix))
            and any(
                _includes(own, event) or _includes(event, own)
                for own in self.events
                for event in events
            )
        )


@dataclass(frozen=True)
class Notification:
    """How a source bucket announces what happens in it."""

    missing: tuple[tuple[str, str], ...]
    """Prefix and suffix of what should be announced to the stack and is not."""
    foreign: tuple[Entry, ...]
    """Entries that the stack did not make: a deployment replaces them."""
    overlapping: tuple[Entry, ...]
    """Those of them that S3 refuses beside the stack's own."""
    entries: int
    """All entries that count against the quota."""

    @property
    def in_place(self) -> bool:
        """Whether everything that is to be backed up is announced."""
        return not self.missing


def entries(configuration: Mapping[str, Any]) -> list[Entry]:
    """The entries of S3's answer."""
    found = [
        Entry(
            one[target],
            tuple(one["Events"]),
            _rule(one, "prefix"),
            _rule(one, "suffix"),
        )
        for kind, target in _KINDS.items()
        for one in configuration.get(kind, [])
    ]
    if "EventBridgeConfiguration" in configuration:
        found.append(Entry(EVENT_BRIDGE))
    return found


def judge(
    found: Collection[Entry], source: Source, targets: Collection[str], *, track_deletes: bool
) -> Notification:
    """Compare.

    :param found: what the bucket has.
    :param targets: ARNs of the stack's functions and queues.
    :param track_deletes: whether deletions should be announced too.
    """
    events = CREATED + (DELETED if track_deletes else ())
    wanted = list(product(source.prefixes, source.suffixes))
    own = [entry for entry in found if entry.target in targets]
    foreign = tuple(entry for entry in found if entry.target not in targets)
    return Notification(
        missing=tuple(
            (prefix, suffix)
            for prefix, suffix in wanted
            if not any(entry.covers(prefix, suffix, events) for entry in own)
        ),
        foreign=foreign,
        overlapping=tuple(
            entry
            for entry in foreign
            if any(entry.overlaps(prefix, suffix, events) for prefix, suffix in wanted)
        ),
        entries=sum(entry.target != EVENT_BRIDGE for entry in found),
    )


def _rule(entry: Mapping[str, Any], name: str) -> str:
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    # S3 takes and gives the name in any case.
    return next((rule["Value"] for rule in rules if rule["Name"].lower() == name), "")


def _includes(general: str, event: str) -> bool:
    return general == event or (general.endswith(":*") and event.startswith(general[:-1]))
