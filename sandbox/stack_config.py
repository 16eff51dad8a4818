"""Stack configuration as the Pulumi engine hands it to the program: every value a string.

Follows the engine's `sdk/go/common/workspace` (`config.go`, `project.go`), error texts included.
Secrets, ESC environments and `pulumi config --path` keys are not supported, and refused.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .aliases import Value


class StackConfigError(ValueError):
    """The stack's configuration does not fit the project's declarations."""


class _Loader(yaml.SafeLoader):
    """YAML as Go's parser reads it: no dates, and `yes`, `no`, `on`, `off` are plain words."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if not tag.endswith((":timestamp", ":bool"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")
)


def load(project_dir: Path, stack: str) -> dict[str, str]:
    """Read `Pulumi.yaml` and `Pulumi.<stack>.yaml`.

    :raises StackConfigError: with the engine's message, if a value is missing or of a wrong type.
    """
    file = project_dir / f"Pulumi.{stack}.yaml"
    declared = _mapping(project_dir / "Pulumi.yaml")
    if not file.exists():
        raise StackConfigError(f"no stack named '{stack}' found: {file} does not exist")
    content = _mapping(file)
    unsupported = sorted(set(content) - {"config"})
    if unsupported:
        raise StackConfigError(f"{file}: {', '.join(unsupported)}: not supported by the sandbox")
    # The engine keeps a scalar as it is written, `007` included, so take the text of the node.
    root = yaml.compose(file.read_text(encoding="utf-8"), Loader=_Loader)
    written: dict[str, object] = dict(content.get("config") or {})
    for key, node in _entries(_entries(root).get("config")).items():
        if isinstance(node, yaml.ScalarNode):
            written[key] = "" if node.tag.endswith(":null") else node.value
    return render(declared, written, stack)


def render(
    project: Mapping[str, Any], config: Mapping[str, object], stack: str = "dev"
) -> dict[str, str]:
    """Apply a project's declarations to a stack's values.

    :param project: the content of `Pulumi.yaml`.
    :param config: the stack's values; keys without a namespace belong to the project.
    :param stack: name of the stack, for messages.
    """
    name = str(project["name"])
    values = {_key(name, key): _plain(value) for key, value in config.items()}
    for key, value in values.items():
        if isinstance(value, dict) and "secure" in value:
            raise StackConfigError(f"{key}: secrets are not supported by the sandbox")

    declarations = {
        key: declaration if isinstance(declaration, Mapping) else {"default": declaration}
        for key, declaration in (project.get("config") or {}).items()
    }
    missing: list[str] = []
    for key, declaration in sorted(declarations.items()):
        full = _key(name, key)
        if full in values:
            continue
        default = declaration.get("default", declaration.get("value"))
        if default is not None:
            values[full] = _plain(default)
        elif full.startswith(f"{name}:"):
            missing.append(key)
    if missing:
        raise StackConfigError(
            f"Stack '{stack}' is missing configuration value{'s' if len(missing) > 1 else ''} "
            + _enumerate(missing)
        )
    for key, declaration in sorted(declarations.items()):
        kind = declaration.get("type")
        if kind is None or _key(name, key) not in values:
            continue
        if declaration.get("secret"):
            raise StackConfigError(
                f"Stack '{stack}' with configuration key '{key}' must be encrypted as it's secret"
            )
        if not _is(kind, declaration.get("items"), values[_key(name, key)]):
            raise StackConfigError(
                f"Stack '{stack}' with configuration key '{key}' must be of type "
                f"'{_type_name(kind, declaration.get('items'))}'"
            )
    return {key: _text(value) for key, value in values.items()}


def _key(project: str, key: str) -> str:
    return key if ":" in key else f"{project}:{key}"


def _plain(value: object) -> Value:
    """The value as it comes out of the engine's own JSON: containers of plain data."""
    return json.loads(json.dumps(value))


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    # Go's encoder sorts keys, writes no blanks and escapes what HTML would take amiss.
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _is(kind: str, items: Mapping[str, Any] | None, value: Value) -> bool:
    match kind:
        case "string":
            # A scalar at the top of the file has become a string by the time it is checked.
            return isinstance(value, str)
        case "integer":
            if isinstance(value, str):
                return re.fullmatch(r"[+-]?\d+", value, re.ASCII) is not None
            return not isinstance(value, bool) and isinstance(value, int | float) and value % 1 == 0
        case "boolean":
            return isinstance(value, bool) or value in ("true", "false")
        case "array":
            if not isinstance(value, list) or items is None:
                return False
            return all(_is(items["type"], items.get("items"), item) for item in value)
        case "object":
            return isinstance(value, dict)
        case _:
            raise StackConfigError(f"Pulumi.yaml declares a value of the unknown type '{kind}'")


def _type_name(kind: str, items: Mapping[str, Any] | None) -> str:
    if kind == "array" and items is not None:
        return f"array<{_type_name(items['type'], items.get('items'))}>"
    return kind


def _enumerate(keys: list[str]) -> str:
    quoted = [f"'{key}'" for key in sorted(keys)]
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _mapping(file: Path) -> dict[str, Any]:
    # A SafeLoader subclass: constructs plain data only.
    content = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise StackConfigError(f"{file}: expected a mapping")
    return content


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value}
