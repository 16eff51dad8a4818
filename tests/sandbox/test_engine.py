"""The engine alone, with a provider that only takes notes."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest

from sandbox.engine import (
    Created,
    DuplicateUrnError,
    RegistrationError,
    UnsupportedError,
    deploy,
    tree,
)

Write = Callable[[str], Path]

RESOURCES = """
    import pulumi

    class Thing(pulumi.CustomResource):
        size: pulumi.Output[int]
        def __init__(self, name, size=None, token="my:index:Thing", opts=None):
            super().__init__(token, name, {"size": size}, opts)

    class Group(pulumi.ComponentResource):
        def __init__(self, name, opts=None):
            super().__init__("my:index:Group", name, None, opts)
            self.thing = Thing(name, opts=pulumi.ResourceOptions(parent=self))
            self.register_outputs({"thing": self.thing.id})
"""


class Notes:
    """A provider that notes what it is asked to create, and fails on things named `bad`."""

    def __init__(self) -> None:
        self.created: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.Lock()

    def create(self, type_: str, name: str, inputs: Mapping[str, Any]) -> Created:
        if name.startswith("bad"):
            raise ValueError(f"no {name}")
        with self._lock:
            self.created.append((name, dict(inputs)))
        return Created(f"id-{name}", {"size": inputs.get("size", 7)})

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"token": token, **arguments}


def test_dependencies_come_first_and_outputs_come_out(project: Write) -> None:
    folder = project(
        RESOURCES
        + """
    last = Thing("last", size=1, opts=pulumi.ResourceOptions(depends_on=[first := Thing("first")]))
    mid = Thing("mid", size=first.size.apply(lambda size: size + 1), opts=pulumi.ResourceOptions(
        protect=True, retain_on_delete=True))
    pulumi.export("sizes", [first.size, mid.size, last.size])
    pulumi.export("secret", pulumi.Output.secret("s"))
    """
    )
    notes = Notes()
    done = deploy(folder, "dev", {}, notes)
    assert notes.created[0] == ("first", {})
    assert sorted(notes.created[1:]) == [("last", {"size": 1}), ("mid", {"size": 8})]
    assert done.outputs == {"sizes": [7, 8, 1], "secret": "s"}

    first, mid, last = (done.find("my:index:Thing", name) for name in ("first", "mid", "last"))
    assert (last.dependencies, last.property_dependencies) == ([first.urn], {"size": []})
    assert mid.property_dependencies == {"size": [first.urn]}
    assert (mid.protect, mid.retain_on_delete) == (True, True)
    assert (first.protect, first.retain_on_delete) == (False, False)
    assert (first.id, first.inputs, first.outputs) == ("id-first", {}, {"size": 7})


def test_components_are_recorded_and_drawn_as_a_tree(project: Write) -> None:
    folder = project(RESOURCES + '    Group("one")\n    Group("two")\n')
    done = deploy(folder, "dev", {}, Notes())
    group = done.find("my:index:Group", "one")
    thing = done.find("my:index:Thing", "one")
    assert group.urn == "urn:pulumi:dev::demo::my:index:Group::one"
    assert thing.urn == "urn:pulumi:dev::demo::my:index:Group$my:index:Thing::one"
    assert (thing.parent, group.custom, group.outputs) == (group.urn, False, {"thing": "id-one"})
    assert tree(done) == [
        "     Type                  Name      Status",
        " +   pulumi:pulumi:Stack   demo-dev  created",
        " +   ├─ my:index:Group     one       created",
        " +   │  └─ my:index:Thing  one       created",
        " +   └─ my:index:Group     two       created",
        " +      └─ my:index:Thing  two       created",
    ]


def test_the_first_failure_is_the_one_reported(project: Write) -> None:
    folder = project(
        RESOURCES
        + """
    bad = Thing("bad")
    Thing("victim", size=bad.size)
    pulumi.export("size", bad.size)
    """
    )
    notes = Notes()
    with pytest.raises(RegistrationError) as caught:
        deploy(folder, "dev", {}, notes)
    urn = "urn:pulumi:dev::demo::my:index:Thing::bad"
    assert str(caught.value) == f"my:index:Thing 'bad' ({urn}): no bad"
    assert (caught.value.urn, caught.value.type, caught.value.name) == (
        urn,
        "my:index:Thing",
        "bad",
    )
    assert isinstance(caught.value.__cause__, ValueError)
    assert notes.created == []


def test_one_urn_is_given_once(project: Write) -> None:
    folder = project(RESOURCES + '    Thing("twin")\n    Thing("twin")\n')
    with pytest.raises(RegistrationError, match="Duplicate resource URN") as caught:
        deploy(folder, "dev", {}, Notes())
    assert isinstance(caught.value.__cause__, DuplicateUrnError)


def test_same_names_under_different_types_are_two_urns(project: Write) -> None:
    folder = project(RESOURCES + '    Thing("same")\n    Group("same")\n')
    assert len(deploy(folder, "dev", {}, Notes()).of_type("my:index:Thing")) == 2


def test_errors_of_the_program_are_its_own(project: Write) -> None:
    folder = project(RESOURCES + '    Thing("ok")\n    raise pulumi.RunError("wrong config")\n')
    with pytest.raises(pulumi.RunError, match=r"^wrong config$"):
        deploy(folder, "dev", {}, Notes())


def test_errors_in_apply_come_out(project: Write) -> None:
    folder = project(
        RESOURCES
        + """
    def fail(size):
        raise LookupError("in apply")
    Thing("b", size=Thing("a").size.apply(fail))
    """
    )
    with pytest.raises(LookupError, match="in apply"):
        deploy(folder, "dev", {}, Notes())


def test_config_arrives_and_does_not_leak_into_the_next_deployment(project: Write) -> None:
    folder = project(
        """
    import pulumi
    pulumi.export("who", pulumi.Config().get("who"))
    pulumi.export("stack", f"{pulumi.get_project()}/{pulumi.get_stack()}")
    """
    )
    assert deploy(folder, "one", {"demo:who": "me"}, Notes()).outputs == {
        "who": "me",
        "stack": "demo/one",
    }
    assert deploy(folder, "two", {}, Notes()).outputs == {"stack": "demo/two"}


def test_working_directory_and_import_path_are_the_projects(project: Write) -> None:
    folder = project(
        """
    import pathlib, pulumi, sandbox_test_neighbour
    pulumi.export("cwd", str(pathlib.Path.cwd()))
    pulumi.export("value", sandbox_test_neighbour.VALUE)
    """
    )
    (folder / "sandbox_test_neighbour.py").write_text("VALUE = 1\n")
    before = Path.cwd()
    assert deploy(folder, "dev", {}, Notes()).outputs == {"cwd": str(folder), "value": 1}
    assert Path.cwd() == before


def test_invokes_are_answered(project: Write) -> None:
    folder = project(
        """
    import pulumi
    pulumi.export("direct", pulumi.runtime.invoke("my:index:f", {"a": 1}).value)
    pulumi.export("output", pulumi.runtime.invoke_output("my:index:f", {"a": 2}))
    """
    )
    assert deploy(folder, "dev", {}, Notes()).outputs == {
        "direct": {"token": "my:index:f", "a": 1},
        "output": {"token": "my:index:f", "a": 2},
    }


@pytest.mark.parametrize(
    ("statement", "feature"),
    [
        ('Thing("a", opts=pulumi.ResourceOptions(import_="x"))', "'importId'"),
        ('Thing("a", opts=pulumi.ResourceOptions(id="x"))', "reading my:index:Thing 'a'"),
    ],
)
def test_unsupported_features_are_refused(project: Write, statement: str, feature: str) -> None:
    folder = project(f"{RESOURCES}    {statement}\n")
    with pytest.raises((UnsupportedError, RegistrationError), match=feature):
        deploy(folder, "dev", {}, Notes())
