"""The program's resources in the shape of a Terraform plan, for tools that read those.

pulumi-aws is generated from Terraform's AWS provider, so names follow rules: types and properties
in snake case, an object inside a list of one, a list of objects under a singular name. What does
not follow them is listed below.
https://www.pulumi.com/docs/iac/guides/building-extending/packages/#pulumi-schema
https://developer.hashicorp.com/terraform/internals/json-format
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pulumi

from sandbox.engine import Registered

# https://github.com/pulumi/pulumi-aws/blob/master/provider/resources.go
_TYPES = {
    "aws:cloudtrail/trail:Trail": "aws_cloudtrail",
    "aws:cloudwatch/eventArchive:EventArchive": "aws_cloudwatch_event_archive",
    "aws:s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
}
_PROPERTIES = {
    ("aws:lambda/permission:Permission", "function"): "function_name",
    ("aws:lambda/function:Function", "code"): "filename",
    ("aws:lambda/function:Function", "name"): "function_name",
}
# Lists of texts that Pulumi gives a plural and Terraform does not.
_LISTS = {"startsWiths": "starts_with"}
# Maps of the user's own names: neither their keys are translated nor are they put into a list.
_MAPS = {"tags", "variables"}


def resource_type(token: str) -> str:
    """Terraform's name of a Pulumi type; of `aws:kms/key:Key` it is `aws_kms_key`.

    :raises ValueError: for a type of another provider than AWS.
    """
    if token in _TYPES:
        return _TYPES[token]
    found = re.fullmatch(r"aws:(\w+)/\w+:(\w+)", token)
    if found is None:
        raise ValueError(f"{token} is not a resource type of pulumi-aws")
    return f"aws_{found[1]}_{_snake(found[2])}"


def plan(resources: Mapping[str, Iterable[Registered]]) -> dict[str, Any]:
    """A plan that creates the custom resources of several stacks side by side.

    :param resources: name of each stack to its resources; the name goes into addresses, so that
        nothing of one stack seems to belong to another.
    """
    planned: list[dict[str, Any]] = []
    configured: list[dict[str, Any]] = []
    for stack, registered in resources.items():
        custom = {r.urn: r for r in registered if r.custom}
        addresses = {urn: _address(stack, r) for urn, r in custom.items()}
        for urn, r in custom.items():
            of = {
                "address": addresses[urn],
                "mode": "managed",
                "type": resource_type(r.type),
                "name": addresses[urn].partition(".")[2],
                "provider_name": "registry.terraform.io/hashicorp/aws",
            }
            planned.append({**of, "schema_version": 0, "values": _values(r)})
            configured.append({**of, "expressions": _references(r, addresses)})
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": [
            {
                **{key: r[key] for key in ("address", "mode", "type", "name", "provider_name")},
                "change": {"actions": ["create"], "before": None, "after": r["values"]},
            }
            for r in planned
        ],
        "configuration": {"root_module": {"resources": configured}},
    }


def _address(stack: str, resource: Registered) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", resource.name)
    return f"{resource_type(resource.type)}.{stack}--{name}"


def _values(resource: Registered) -> dict[str, Any]:
    return {_property(resource, key): _value(key, value) for key, value in resource.inputs.items()}


def _property(resource: Registered, key: str) -> str:
    renamed = _PROPERTIES.get((resource.type, key))
    return renamed or _block_name(key, resource.inputs.get(key))


def _value(key: str, value: object) -> object:
    if key in _MAPS:
        return value
    if isinstance(value, Mapping):
        return [_object(value)]
    if isinstance(value, list) and value and all(isinstance(member, Mapping) for member in value):
        return [_object(member) for member in value]
    if isinstance(value, pulumi.Asset | pulumi.Archive):
        return "package.zip"
    return value


def _object(value: Mapping[str, Any]) -> dict[str, Any]:
    return {_block_name(key, member): _value(key, member) for key, member in value.items()}


def _block_name(key: str, value: object) -> str:
    name = _LISTS.get(key, _snake(key))
    objects = isinstance(value, list) and any(isinstance(member, Mapping) for member in value)
    return name.removesuffix("s") if objects else name


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _references(resource: Registered, addresses: Mapping[str, str]) -> dict[str, Any]:
    """What each property was made from, as Terraform notes it of expressions."""
    found: dict[str, Any] = {}
    for key, urns in resource.property_dependencies.items():
        known = [addresses[urn] for urn in urns if urn in addresses]
        if known:
            found[_property(resource, key)] = {
                "references": [ref for address in known for ref in (f"{address}.id", address)]
            }
    return found


def dump(resources: Mapping[str, Iterable[Registered]]) -> str:
    """The same as `plan`, as JSON text."""
    return json.dumps(plan(resources))
