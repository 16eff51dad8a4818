"""Refuse requests that AWS would refuse but MiniStack accepts.

botocore checks types and minima before it sends a request; its service models know more, and this
module checks the rest: enumerations, patterns, maximum lengths, numbers and sizes of lists. The
quotas that no model states follow below.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from .aliases import Client, Model, Value

MAX_ENVIRONMENT_BYTES = 4096
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
MAX_FUNCTION_POLICY_BYTES = 20_480
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
MAX_INLINE_POLICY_CHARACTERS = 10_240
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


class ModelError(ValueError):
    """A request breaks a rule of its service."""


def install(client: Client) -> None:
    """Check every request of a boto3 client against the service's model from now on."""
    client.meta.events.register(
        "provide-client-params", _on_request, unique_id="sandbox-model-validation"
    )


def check(operation: Model, parameters: Mapping[str, Any]) -> None:
    """Check the parameters of one request.

    :param operation: botocore's `OperationModel`.
    :raises ModelError: naming operation, parameter, value and rule.
    """
    if operation.input_shape is None:
        return
    for path, value, rule in _violations(operation.input_shape, parameters, ""):
        shown = repr(value) if len(repr(value)) <= 200 else f"{repr(value)[:200]}..."
        raise ModelError(f"{operation.name}: {path} is {shown}, but {rule}")


def check_environment(variables: Mapping[str, str]) -> None:
    """All environment variables of a function together."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())
    if size > MAX_ENVIRONMENT_BYTES:
        raise ModelError(
            f"the function's environment is {size:,} bytes, but Lambda allows "
            f"{MAX_ENVIRONMENT_BYTES:,}"
        )


def check_function_policy(policy: str) -> None:
    """The resource-based policy of a function, as a JSON text."""
    size = len(policy.encode())
    if size > MAX_FUNCTION_POLICY_BYTES:
        raise ModelError(
            f"the function's policy is {size:,} bytes, but Lambda allows "
            f"{MAX_FUNCTION_POLICY_BYTES:,}"
        )


def check_inline_policies(role: str, policies: Mapping[str, str]) -> None:
    """All inline policies of a role together, as JSON texts by name."""
    size = sum(len(re.sub(r"\s", "", policy)) for policy in policies.values())
    if size > MAX_INLINE_POLICY_CHARACTERS:
        raise ModelError(
            f"the {len(policies)} inline policies of role {role} are {size:,} characters, but IAM "
            f"allows {MAX_INLINE_POLICY_CHARACTERS:,} for all of them together"
        )


def check_json_policy(what: str, policy: str) -> None:
    """A policy must be a JSON object; MiniStack stores anything."""
    try:
        document = json.loads(policy)
    except ValueError as error:
        raise ModelError(f"{what} is not JSON: {error}") from error
    if not isinstance(document, dict) or not document.get("Statement"):
        raise ModelError(f"{what} has no statements")


def _on_request(params: Mapping[str, Any], model: Model, **_: object) -> None:
    check(model, params)


def _violations(shape: Model, value: Value, path: str) -> Iterator[tuple[str, Any, str]]:
    """Each broken rule, as path, value and rule. What botocore itself refuses is left to it."""
    match shape.type_name:
        case "structure" if isinstance(value, Mapping):
            for name, member in value.items():
                if name in shape.members:
                    yield from _violations(shape.members[name], member, _join(path, name))
        case "list" if isinstance(value, list | tuple):
            yield from _size(shape, len(value), "items", path, value)
            for index, member in enumerate(value):
                yield from _violations(shape.member, member, f"{path}[{index}]")
        case "map" if isinstance(value, Mapping):
            yield from _size(shape, len(value), "entries", path, value)
            for key, member in value.items():
                yield from _violations(shape.key, key, f"{path} (key)")
                yield from _violations(shape.value, member, _join(path, str(key)))
        case "string" if isinstance(value, str):
            if shape.enum and value not in shape.enum:
                yield path, value, f"must be one of {', '.join(shape.enum)}"
            yield from _size(shape, len(value), "characters", path, value)
            pattern = shape.metadata.get("pattern")
            if pattern and not _compiled(pattern).fullmatch(value):
                yield path, value, f"must match {pattern}"
        case "blob" if isinstance(value, bytes | bytearray):
            yield from _size(shape, len(value), "bytes", path, value)
        case "integer" | "long" | "float" | "double" if isinstance(value, int | float):
            low, high = shape.metadata.get("min"), shape.metadata.get("max")
            if low is not None and value < low:
                yield path, value, f"must be at least {low}"
            if high is not None and value > high:
                yield path, value, f"must be at most {high}"
        case _:
            pass


def _size(
    shape: Model, size: int, unit: str, path: str, value: Value
) -> Iterator[tuple[str, Any, str]]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield path, value, f"needs at least {low} {unit}"
    if high is not None and size > high:
        yield path, value, f"may have at most {high} {unit}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # Java's Unicode classes; nearly Python's, and only ever used for tags.
    for java, python in {
        r"\p{L}": r"\w",
        r"\p{Z}": r"\s",
        r"\p{N}": r"\d",
        r"[\w-_": r"[\w\-_",
    }.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)
