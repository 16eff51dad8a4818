"""Finds every policy document among a program's resources, whatever resource it belongs to."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sandbox.engine import Registered
from tests.recorder import Recording


class Kind(StrEnum):
    """What a policy is attached to, which decides what it may say."""

    IDENTITY = "identity"
    TRUST = "trust"
    KEY = "key"
    RESOURCE = "resource"


_KINDS = {
    ("aws:iam/role:Role", "assumeRolePolicy"): Kind.TRUST,
    ("aws:iam/rolePolicy:RolePolicy", "policy"): Kind.IDENTITY,
    ("aws:iam/policy:Policy", "policy"): Kind.IDENTITY,
    ("aws:kms/key:Key", "policy"): Kind.KEY,
    ("aws:s3/bucketPolicy:BucketPolicy", "policy"): Kind.RESOURCE,
    ("aws:sns/topicPolicy:TopicPolicy", "policy"): Kind.RESOURCE,
    ("aws:sns/topic:Topic", "policy"): Kind.RESOURCE,
    ("aws:sqs/queuePolicy:QueuePolicy", "policy"): Kind.RESOURCE,
    ("aws:sqs/queue:Queue", "policy"): Kind.RESOURCE,
}


@dataclass(frozen=True)
class Document:
    """One policy as the program declares it."""

    where: str
    """Shape, type, name and property of the resource that carries it."""
    kind: Kind
    owner: str
    """For an identity policy the role; for others the resource's own ARN or name."""
    content: Mapping[str, Any] = field(hash=False)


def documents(shape: str, recording: Recording) -> Iterator[Document]:
    """Every property that is a policy, found by its form, so that none is forgotten.

    :raises KeyError: for a policy in a place that nobody has classified above.
    """
    for resource in recording.deployment.resources:
        for property_, value in resource.inputs.items():
            content = _policy(value)
            if content is None:
                continue
            kind = _KINDS[resource.type, property_]
            where = f"{shape}: {resource.type} {resource.name} {property_}"
            yield Document(where, kind, _owner(kind, resource), content)


def _policy(value: object) -> Mapping[str, Any] | None:
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return None
    content = json.loads(value)
    return content if "Statement" in content else None


def _owner(kind: Kind, resource: Registered) -> str:
    if kind is Kind.IDENTITY:
        return str(resource.inputs["role"])
    return str(resource.outputs.get("arn", resource.name))
