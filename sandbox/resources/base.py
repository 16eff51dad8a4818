"""What all creators share: the account they work in and the translation of properties."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.aliases import Client, Value
from sandbox.engine import Created, Registered
from sandbox.model_validation import ModelError

Inputs = Mapping[str, Any]
"""What a program says of a resource, by property."""


class Aws(Protocol):
    """The account that creators work in."""

    @property
    def account_id(self) -> str:
        """Its 12 digits."""
        ...

    @property
    def region(self) -> str:
        """The region in use."""
        ...

    def client(self, service: str) -> Client:
        """A boto3 client whose requests are checked against the service's model."""
        ...


Creator = Callable[[Aws, Inputs], Created]
"""Account and inputs to what was created."""


@dataclass(frozen=True)
class Updater:
    """How a resource gets other inputs without being replaced."""

    properties: frozenset[str]
    """Those that may change; a change of any other one would replace the resource."""
    update: Callable[[Aws, Registered, Inputs], Created]
    """Account, the resource as it is, and all its inputs as they shall be."""


Deleter = Callable[[Aws, Registered], None]
"""Deletes a resource as it is."""


def again(create: Creator, *properties: str) -> Updater:
    """For what is updated by being asked for again."""
    return Updater(frozenset(properties), lambda aws, _, inputs: create(aws, inputs))


class UnsupportedPropertyError(NotImplementedError):
    """A program sets a property that its creator does not know."""


@dataclass(frozen=True)
class To:
    """Where a property goes: a dotted path in the request, after a conversion."""

    path: str
    convert: Callable[[Value], Value] | None = None
    spec: "Spec | None" = None
    """For a property that is an object, or a list of objects: where its properties go."""


Spec = Mapping[str, str | To | None]
"""Property to destination. `None`: accepted, and of no meaning when a resource is created."""


def translate(properties: Inputs, spec: Spec, where: str = "") -> dict[str, Any]:
    """Turn properties into the parameters of an AWS request; nothing is silently ignored.

    :raises UnsupportedPropertyError: naming a property that the table does not have.
    """
    request: dict[str, Any] = {}
    for name, value in properties.items():
        if name not in spec:
            raise UnsupportedPropertyError(
                f"the sandbox does not support property {where + name!r}"
            )
        target = spec[name]
        if target is None or value is None:
            continue
        if isinstance(target, str):
            target = To(target)
        *parents, last = target.path.split(".")
        place = request
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = _converted(value, target, f"{where}{name}")
    return request


def _converted(value: Value, target: To, name: str) -> Value:
    if target.convert is not None:
        value = target.convert(value)
    if target.spec is None:
        return value
    if isinstance(value, list):
        return [translate(member, target.spec, f"{name}[].") for member in value]
    return translate(value, target.spec, f"{name}.")


def nested(path: str, spec: Spec) -> To:
    """A property that is an object, or a list of objects, with properties of its own."""
    return To(path, spec=spec)


def check_range(inputs: Inputs, property_: str, low: int, high: int) -> None:
    """A number whose range the service's model does not state, or states too widely."""
    if property_ in inputs and not low <= inputs[property_] <= high:
        raise ModelError(f"{property_} is {inputs[property_]}, but must be {low} to {high}")


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in the form of S3, IAM and SSM."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def kms_tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in the form of KMS."""
    return [{"TagKey": key, "TagValue": value} for key, value in tags.items()]


def with_tags(inputs: Inputs) -> dict[str, Any]:
    """The computed `tagsAll` of a resource with tags."""
    return {"tagsAll": inputs.get("tags", {})}
