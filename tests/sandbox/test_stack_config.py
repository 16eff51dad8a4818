from pathlib import Path
from typing import Any

import pytest

from sandbox.stack_config import StackConfigError, load, render


def declare(**config: Any) -> dict[str, Any]:
    return {"name": "demo", "config": config}


def test_values_reach_the_program_as_strings() -> None:
    assert render(
        declare(),
        {
            "text": "a",
            "number": 3,
            "yes": True,
            "list": [1, {"b": "<", "a": None}],
            "aws:region": "eu-central-1",
        },
    ) == {
        "demo:text": "a",
        "demo:number": "3",
        "demo:yes": "true",
        "demo:list": '[1,{"a":null,"b":"\\u003c"}]',
        "aws:region": "eu-central-1",
    }


def test_defaults_apply_and_can_be_overridden() -> None:
    project = declare(
        memory={"type": "integer", "default": 512}, lock={"default": {}}, short="plain default"
    )
    assert render(project, {}) == {
        "demo:memory": "512",
        "demo:lock": "{}",
        "demo:short": "plain default",
    }
    assert render(project, {"demo:memory": 128})["demo:memory"] == "128"


def test_missing_values_are_named_together() -> None:
    project = declare(a={"type": "string"}, b={"description": "no type"}, c={"type": "integer"})
    with pytest.raises(StackConfigError) as caught:
        render(project, {}, "prod")
    assert str(caught.value) == "Stack 'prod' is missing configuration values 'a', 'b' and 'c'"
    with pytest.raises(StackConfigError, match=r"is missing configuration value 'c'$"):
        render(project, {"a": "", "b": 1})


STRINGS = {"type": "string"}
LIST = {"type": "array", "items": STRINGS}
LISTS = {"type": "array", "items": LIST}


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ({"type": "integer"}, 3),
        ({"type": "integer"}, "-3"),
        ({"type": "integer"}, 3.0),
        ({"type": "boolean"}, True),
        ({"type": "boolean"}, "false"),
        (STRINGS, "text"),
        (LIST, ["a"]),
        (LISTS, [["a"], []]),
        ({"type": "object"}, {"a": 1}),
        ({}, {"anything": [1]}),
    ],
)
def test_values_of_the_declared_type_are_accepted(declaration: Any, value: Any) -> None:
    assert render(declare(key=declaration), {"key": value}).keys() == {"demo:key"}


@pytest.mark.parametrize(
    ("declaration", "value", "type_name"),
    [
        ({"type": "integer"}, "3.5", "integer"),
        ({"type": "integer"}, 3.5, "integer"),
        ({"type": "integer"}, "many", "integer"),
        ({"type": "boolean"}, "yes", "boolean"),
        (STRINGS, ["text"], "string"),
        (LIST, "text", "array<string>"),
        (LIST, [1], "array<string>"),
        (LISTS, ["a"], "array<array<string>>"),
        ({"type": "object"}, "text", "object"),
    ],
)
def test_values_of_another_type_are_refused(declaration: Any, value: Any, type_name: str) -> None:
    with pytest.raises(StackConfigError) as caught:
        render(declare(key=declaration), {"key": value})
    assert str(caught.value) == (
        f"Stack 'dev' with configuration key 'key' must be of type '{type_name}'"
    )


def test_scalars_of_the_file_keep_their_spelling(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text(
        "name: demo\nconfig:\n  account:\n    type: string\n  when:\n    type: string\n"
    )
    (tmp_path / "Pulumi.dev.yaml").write_text(
        "config:\n  aws:region: eu-central-1\n  demo:account: 001234567890\n"
        "  when: 2024-01-01\n  demo:list: [2024-01-01, yes, true]\n"
    )
    assert load(tmp_path, "dev") == {
        "aws:region": "eu-central-1",
        "demo:account": "001234567890",
        "demo:when": "2024-01-01",
        "demo:list": '["2024-01-01","yes",true]',
    }


def test_an_unknown_stack_is_named(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: demo\n")
    with pytest.raises(StackConfigError, match="no stack named 'qa' found"):
        load(tmp_path, "qa")


def test_secrets_are_refused() -> None:
    with pytest.raises(StackConfigError, match="demo:key: secrets are not supported"):
        render(declare(), {"key": {"secure": "AAAB"}})
