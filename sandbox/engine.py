"""Run a Pulumi program in this process and create what it declares, as `pulumi up` would.

The program runs unchanged under Pulumi's own SDK, which awaits dependencies; only the engine at
the other end of its calls is ours. Each deployment has a thread, an event loop and a context of
its own, so several can follow each other in one process.
"""

import asyncio
import contextvars
import logging
import os
import runpy
import sys
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pulumi
import yaml
from google.protobuf import empty_pb2
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_in_stack

from .aliases import Message, Value

_STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Created:
    """What a provider says of a resource it created: its id and its outputs."""

    id: str
    outputs: Mapping[str, Any]


class Provider(Protocol):
    """What the engine needs to know of a cloud."""

    def create(self, type_: str, name: str, inputs: Mapping[str, Any]) -> Created:
        """Create a resource of the given type token and logical name."""
        ...

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a function such as `aws:index/getRegion:getRegion`."""
        ...


@dataclass
class Registered:
    """One resource, as the program declared it and the provider created it."""

    urn: str
    type: str
    name: str
    custom: bool
    parent: str
    """URN of the parent; empty for the stack itself."""
    dependencies: list[str]
    """URNs of what had to exist before."""
    property_dependencies: dict[str, list[str]]
    inputs: dict[str, Any]
    protect: bool
    retain_on_delete: bool
    deleted_with: str
    """URN of the resource whose deletion deletes this one too; empty if there is none."""
    ignore_changes: list[str]
    id: str = ""
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])


class Maker(Protocol):
    """Makes true what a program declares."""

    def make(self, resource: Registered) -> Created:
        """See that a resource exists as declared; its `id` and `outputs` are not known yet."""
        ...

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """As `Provider.invoke`."""
        ...


@dataclass
class Deployment:
    """The result: resources in the order of their registration, and the stack's outputs."""

    resources: list[Registered]
    outputs: dict[str, Any]

    def find(self, type_: str, name: str) -> Registered:
        """The resource of a type token and logical name.

        :raises LookupError: if there is none.
        """
        for resource in self.resources:
            if (resource.type, resource.name) == (type_, name):
                return resource
        raise LookupError(f"the program declared no {type_} named {name}")

    def of_type(self, type_: str) -> list[Registered]:
        """All resources of a type token."""
        return [resource for resource in self.resources if resource.type == type_]


class DuplicateUrnError(ValueError):
    """Two resources have the same type, name and parent types."""


class UnsupportedError(NotImplementedError):
    """The program uses a feature of Pulumi that this engine does not have."""


class RegistrationError(RuntimeError):
    """A resource could not be created or changed; the cause is what the provider raised."""

    def __init__(self, urn: str, type_: str, name: str, cause: BaseException) -> None:
        super().__init__(f"{type_} {name!r} ({urn}): {cause}")
        self.urn = urn
        self.type = type_
        self.name = name


def deploy(
    project_dir: Path, stack: str, config: Mapping[str, str], provider: Provider
) -> Deployment:
    """Run the project's `__main__.py` and create its resources.

    :param project_dir: the folder of `Pulumi.yaml`.
    :param stack: name of the stack.
    :param config: full key to value, see `stack_config`.
    :param provider: creates the resources.
    :raises RegistrationError: for the first resource that could not be created.
    :raises pulumi.RunError: raised by the program itself, like any other exception of its own.
    """
    return run_project(project_dir, stack, config, _Creation(provider))


def run_project(
    project_dir: Path, stack: str, config: Mapping[str, str], maker: Maker
) -> Deployment:
    """As `deploy`, with whatever has to be done for each resource."""
    project_dir = project_dir.resolve()
    project = str(yaml.safe_load((project_dir / "Pulumi.yaml").read_text(encoding="utf-8"))["name"])

    def program() -> None:
        runpy.run_path(str(project_dir / "__main__.py"), run_name="__main__")

    with _inside(project_dir):
        return _run(program, project, stack, config, maker)


def run_program(
    program: Callable[[], object],
    project: str,
    stack: str,
    config: Mapping[str, str],
    provider: Provider,
) -> Deployment:
    """Run a function that declares resources; parameters and errors as for `deploy`.

    :param program: may return an Output, which is awaited with everything else.
    """
    return _run(program, project, stack, config, _Creation(provider))


class _Creation:
    """Nothing exists yet."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def make(self, resource: Registered) -> Created:
        return self._provider.create(resource.type, resource.name, resource.inputs)

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._provider.invoke(token, arguments)


def _run(
    program: Callable[[], object],
    project: str,
    stack: str,
    config: Mapping[str, str],
    maker: Maker,
) -> Deployment:
    monitor = _Monitor(maker, project, stack)

    def run() -> None:
        # A program that failed before leaves tasks of its own loop behind, and the SDK keeps them
        # for the whole process.
        shared: Value = settings.SETTINGS
        shared.outputs.clear()
        settings.configure(
            mocks.MockSettings(
                monitor=monitor,
                monitor_features=set(
                    monitor.GetDeploymentInfo(empty_pb2.Empty()).supportedFeatures
                ),
                engine=mocks.MockEngine(logging.getLogger("sandbox.program")),
                project=project,
                stack=stack,
                dry_run=False,
                organization="organization",
                root_directory=str(Path.cwd()),
                callbacks=None,
            )
        )
        pulumi.runtime.set_all_config(dict(config))
        with asyncio.Runner() as runner:
            # Resources that wait for a failed one fail too; only the first failure is news.
            runner.get_loop().set_exception_handler(lambda _loop, _context: None)
            runner.run(run_in_stack(noted))

    def noted() -> Awaitable[None] | None:
        try:
            result = program()
        except BaseException as error:
            monitor.note(error)
            raise
        return _awaited(result) if isinstance(result, pulumi.Output) else None

    error = _in_thread(run)
    if monitor.first_error is not None:
        raise monitor.first_error
    if error is not None:
        raise error
    return Deployment(list(monitor.registered.values()), monitor.stack_outputs)


async def _awaited(output: pulumi.Output[Any]) -> None:
    await output.future()


def tree(deployment: Deployment) -> list[str]:
    """The resources as `pulumi up` prints them, children below their parents."""
    children: dict[str, list[Registered]] = {}
    for resource in deployment.resources:
        children.setdefault(resource.parent, []).append(resource)

    def rows(parent: str, indent: str) -> Iterator[tuple[str, str]]:
        # Registration is concurrent, so its order differs from run to run.
        siblings = sorted(children.get(parent, []), key=lambda child: (child.name, child.type))
        for position, resource in enumerate(siblings):
            last = position == len(siblings) - 1
            branch = ("└─ " if last else "├─ ") if parent else ""
            yield f"{indent}{branch}{_short_type(resource.type)}", resource.name
            deeper = ("   " if last else "│  ") if parent else ""
            yield from rows(resource.urn, indent + deeper)

    table = list(rows("", ""))
    width = max((len(type_) for type_, _ in table), default=0)
    names = max((len(name) for _, name in table), default=0)
    head = f"     {'Type':<{width}}  {'Name':<{names}}  Status"
    return [head, *(f" +   {type_:<{width}}  {name:<{names}}  created" for type_, name in table)]


def _short_type(token: str) -> str:
    package, module, type_ = token.split(":")
    return f"{package}:{module.split('/')[0]}:{type_}"


class _Monitor(mocks.MockMonitor):
    """The engine's side of the SDK's calls. Its methods run on several threads."""

    def __init__(self, maker: Maker, project: str, stack: str) -> None:
        super().__init__(_NoMocks())
        self.registered: dict[str, Registered] = {}
        self.stack_outputs: dict[str, Any] = {}
        self.first_error: BaseException | None = None
        self._maker = maker
        self._urn_prefix = f"urn:pulumi:{stack}::{project}::"
        self._lock = threading.Lock()

    def note(self, error: BaseException) -> None:
        """Remember an error, unless there was one before: what follows are consequences."""
        with self._lock:
            if self.first_error is None:
                self.first_error = error

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The engine's URN: the types of all ancestors but the stack, then the name."""
        parent_type = parent.split("::")[2] if parent else _STACK_TYPE
        qualified = type_ if parent_type == _STACK_TYPE else f"{parent_type}${type_}"
        return f"{self._urn_prefix}{qualified}::{name}"

    def RegisterResource(self, request: Message) -> Message:
        urn = self.make_urn(request.parent, request.type, request.name)
        try:
            resource = self._register(urn, request)
        except Exception as error:
            failure = RegistrationError(urn, request.type, request.name, error)
            failure.__cause__ = error
            self.note(failure)
            raise failure from error
        state = _in_own_loop(lambda: rpc.serialize_properties(resource.outputs, {}))
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id=resource.id, object=None if request.type == _STACK_TYPE else state
        )

    def _register(self, urn: str, request: Message) -> Registered:
        for feature in ("importId", "remote", "transforms"):
            if getattr(request, feature):
                raise UnsupportedError(f"the sandbox does not support {feature!r}")
        inputs = _plain(request.object)
        resource = Registered(
            urn=urn,
            type=request.type,
            name=request.name,
            custom=request.custom,
            parent=request.parent,
            dependencies=sorted(request.dependencies),
            property_dependencies={
                key: sorted(value.urns) for key, value in request.propertyDependencies.items()
            },
            inputs=inputs,
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            deleted_with=request.deletedWith,
            ignore_changes=list(request.ignoreChanges),
        )
        with self._lock:
            if self.first_error is not None:
                raise RuntimeError("not created, because something before it failed")
            if urn in self.registered:
                raise DuplicateUrnError(
                    f"Duplicate resource URN '{urn}'; try giving it a unique name"
                )
            self.registered[urn] = resource
        if request.custom:
            created = self._maker.make(resource)
            resource.id = created.id
            resource.outputs = {**inputs, **created.outputs}
        return resource

    def RegisterResourceOutputs(self, request: Message) -> Message:
        outputs = _plain(request.outputs)
        resource = self.registered[request.urn]
        resource.outputs = outputs
        if resource.type == _STACK_TYPE:
            self.stack_outputs = outputs
        return empty_pb2.Empty()

    def Invoke(self, request: Message) -> Message:
        try:
            answer = dict(self._maker.invoke(request.tok, _plain(request.args)))
        except Exception as error:
            self.note(error)
            raise
        result = _in_own_loop(lambda: rpc.serialize_properties(answer, {}))
        return resource_pb2.ResourceInvokeResponse(**{"return": result})

    def ReadResource(self, request: Message) -> Message:
        return self._refuse(f"reading {request.type} {request.name!r}")

    def RegisterStackTransform(self, request: Message) -> Message:
        return self._refuse("transforms of the whole stack")

    def RegisterStackInvokeTransform(self, request: Message) -> Message:
        return self._refuse("transforms of invokes")

    def RegisterResourceHook(self, request: Message) -> Message:
        return self._refuse("resource hooks")

    def _refuse(self, feature: str) -> Message:
        error = UnsupportedError(f"the sandbox does not support {feature}")
        self.note(error)
        raise error


class _NoMocks(mocks.Mocks):
    """`MockMonitor` wants one, and everything that would use it is overridden."""

    def call(self, args: mocks.MockCallArgs) -> Value:
        raise NotImplementedError

    def new_resource(self, args: mocks.MockResourceArgs) -> Value:
        raise NotImplementedError


def _plain(message: Message) -> dict[str, Any]:
    """Protobuf to Python, secrets opened, whole numbers as `int`."""

    async def read() -> Value:
        return rpc.deserialize_properties_unwrap_secrets(message)[0]

    return _whole_numbers(_in_own_loop(read))


def _whole_numbers(value: Value) -> Value:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_numbers(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(member) for member in value]
    return value


def _in_own_loop(make: Callable[[], Awaitable[Value]]) -> Value:
    # Pulumi's (de)serializers are coroutines or want a loop; this is a worker thread without one.
    with asyncio.Runner() as runner:

        async def run() -> Value:
            return await make()

        return runner.run(run())


def _in_thread(function: Callable[[], None]) -> BaseException | None:
    """Call in a new thread with a fresh context; return what it raised."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            contextvars.Context().run(function)
        except BaseException as error:
            caught.append(error)

    # Daemonic, so that Ctrl-C ends the process instead of waiting for the deployment.
    thread = threading.Thread(target=run, name="pulumi-program", daemon=True)
    thread.start()
    thread.join()
    return caught[0] if caught else None


@contextmanager
def _inside(project_dir: Path) -> Generator[None]:
    """Working directory and import path as the language host sets them."""
    before = Path.cwd()
    os.chdir(project_dir)
    sys.path.insert(0, str(project_dir))
    try:
        yield
    finally:
        sys.path.remove(str(project_dir))
        os.chdir(before)
