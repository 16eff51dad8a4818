"""The engine over an existing stack, with a provider that only takes notes."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.engine import Created, Deployment, Registered, RegistrationError, deploy
from sandbox.redeployment import ProtectedError, redeploy

Write = Callable[[str], Path]

RESOURCES = """
    import pulumi

    class Thing(pulumi.CustomResource):
        size: pulumi.Output[int]
        def __init__(self, name, size=None, code=None, **opts):
            super().__init__("my:index:Thing", name, {"size": size, "code": code},
                pulumi.ResourceOptions(**opts))

    class Group(pulumi.ComponentResource):
        def __init__(self, name):
            super().__init__("my:index:Group", name)
            self.thing = Thing("in-" + name, parent=self)
            self.register_outputs({})

    def archive(text):
        return pulumi.AssetArchive({"a.py": pulumi.StringAsset(text)})
"""


class Notes:
    """Notes what it is asked to do, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._lock = threading.Lock()

    def _note(self, what: str) -> None:
        with self._lock:
            self.done.append(what)

    def create(self, type_: str, name: str, inputs: Mapping[str, Any]) -> Created:
        self._note(f"create {name}")
        return Created(f"id-{name}", {"size": inputs.get("size", 7), "origin": f"of {name}"})

    def update(self, before: Registered, inputs: Mapping[str, Any]) -> Created:
        if inputs.get("size") == 13:
            raise ValueError("no 13")
        self._note(f"update {before.name}: {before.inputs.get('size')} -> {inputs.get('size')}")
        return Created(before.id, {**before.outputs, "size": inputs.get("size", 7)})

    def delete(self, resource: Registered) -> None:
        self._note(f"delete {resource.name} ({resource.id})")

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"token": token, **arguments}


class Stack:
    """A stack whose program changes."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.state: Deployment | None = None
        self.done: list[str] = []

    def up(self, program: str) -> list[str]:
        """Run a program; returns what was done, in order."""
        notes = Notes()
        self.done = notes.done
        folder = self._write(f"{RESOURCES}\n{program}")
        if self.state is None:
            self.state = deploy(folder, "dev", {}, notes)
        else:
            self.state = redeploy(folder, "dev", {}, notes, self.state)
        return self.done


@pytest.fixture
def stack(project: Write) -> Stack:
    return Stack(project)


def test_what_has_not_changed_is_left_alone_and_still_known(stack: Stack) -> None:
    program = """
    first = Thing("first", size=1, code=archive("x = 1"))
    second = Thing("second", size=first.size)
    Group("group")
    pulumi.export("size", second.size)
    """
    assert sorted(stack.up(program)) == ["create first", "create in-group", "create second"]
    first = stack.state
    assert stack.up(program) == []
    assert stack.state is not None
    assert first is not None
    assert stack.state is not first
    assert sorted((r.urn, r.id, repr(r.outputs.keys())) for r in stack.state.resources) == sorted(
        (r.urn, r.id, repr(r.outputs.keys())) for r in first.resources
    )
    assert stack.state.outputs == {"size": 1}


def test_what_has_changed_is_updated_after_what_it_depends_on_and_before_what_depends_on_it(
    stack: Stack,
) -> None:
    program = """
    a = Thing("a", size={size})
    b = Thing("b", size=a.size)
    {new}
    c = Thing("c", size=b.size, depends_on=[{wait}])
    """
    stack.up(program.format(size=1, new="", wait=""))
    done = stack.up(program.format(size=2, new='d = Thing("d", size=b.size)', wait="d"))
    assert done == ["update a: 1 -> 2", "update b: 1 -> 2", "create d", "update c: 1 -> 2"]
    assert stack.state is not None
    found = stack.state.find("my:index:Thing", "c")
    assert (found.id, found.outputs) == ("id-c", {"size": 2, "origin": "of c"})


def test_code_is_compared_by_its_content(stack: Stack) -> None:
    stack.up('    Thing("a", code=archive("x = 1"))')
    assert stack.up('    Thing("a", code=archive("x = 1"))') == []
    assert stack.up('    Thing("a", code=archive("x = 2"))') == ["update a: None -> None"]


def test_deletions_come_last_dependents_first(stack: Stack) -> None:
    stack.up(
        """
    a = Thing("a")
    b = Thing("b", depends_on=[a])
    c = Thing("c", depends_on=[b])
    stays = Thing("stays", size=1)
    Group("group")
    """
    )
    done = stack.up('    Thing("new", depends_on=[Thing("stays", size=2)])')
    assert done[:2] == ["update stays: 1 -> 2", "create new"]
    assert sorted(done[2:]) == [
        "delete a (id-a)",
        "delete b (id-b)",
        "delete c (id-c)",
        "delete in-group (id-in-group)",
    ]
    order = [step.split()[1] for step in done[2:] if "group" not in step]
    assert order == ["c", "b", "a"]
    assert stack.state is not None
    assert sorted(r.name for r in stack.state.resources) == ["demo-dev", "new", "stays"]


def test_some_are_not_deleted(stack: Stack) -> None:
    stack.up(
        """
    owner = Thing("owner")
    Thing("with-it", deleted_with=owner)
    Thing("kept", retain_on_delete=True)
    kept_alone = Thing("kept-alone")
    Thing("apart", deleted_with=kept_alone)
    """
    )
    assert sorted(stack.up('    Thing("kept-alone")')) == [
        "delete apart (id-apart)",
        "delete owner (id-owner)",
    ]


def test_nothing_is_deleted_if_one_of_them_is_protected(stack: Stack) -> None:
    stack.up('    Thing("a", protect=True)\n    Thing("b")\n    Thing("c", size=1)')
    urn = "urn:pulumi:dev::demo::my:index:Thing::a"
    with pytest.raises(ProtectedError, match=f"^{urn} cannot be deleted because it is") as refused:
        stack.up('    Thing("c", size=2)')
    assert stack.done == ["update c: 1 -> 2"]
    stack.state = refused.value.state
    # Unprotecting it is no change of the resource, and takes effect the next time.
    assert stack.up('    Thing("a")\n    Thing("b")\n    Thing("c", size=2)') == []
    assert sorted(stack.up("    pass")) == [
        "delete a (id-a)",
        "delete b (id-b)",
        "delete c (id-c)",
    ]


def test_an_ignored_property_stays_as_it_is(stack: Stack) -> None:
    program = '    Thing("a", size={}, code=archive("x = {}"), ignore_changes=["size"])'
    stack.up(program.format(1, 1))
    assert stack.up(program.format(2, 1)) == []
    assert stack.up(program.format(2, 2)) == ["update a: 1 -> 1"]


def test_a_failed_update_deletes_nothing(stack: Stack) -> None:
    stack.up('    Thing("a", size=1)\n    Thing("b")')
    with pytest.raises(RegistrationError, match=r"'a' .*: no 13"):
        stack.up('    Thing("a", size=13)')
    assert stack.done == []
