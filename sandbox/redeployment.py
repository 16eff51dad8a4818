"""Run a Pulumi program over what an earlier run of it made, as a second `pulumi up` would."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pulumi

from .aliases import Value
from .archive import zip_bytes
from .engine import Created, Deployment, Provider, Registered, run_project


class ChangingProvider(Provider, Protocol):
    """What is needed of a cloud to change a stack."""

    def update(self, before: Registered, inputs: Mapping[str, Any]) -> Created:
        """Give a resource other inputs, in place."""
        ...

    def delete(self, resource: Registered) -> None:
        """Delete a resource."""
        ...


class ProtectedError(RuntimeError):
    """A protected resource is no longer declared, so nothing was deleted."""

    def __init__(self, urns: list[str], state: Deployment) -> None:
        super().__init__(
            f"{', '.join(urns)} cannot be deleted because it is protected: remove the `protect` "
            "flag in the program and deploy that first"
        )
        self.state = state
        """What there is now: what was created and updated, and what was not deleted."""


def redeploy(
    project_dir: Path,
    stack: str,
    config: Mapping[str, str],
    provider: ChangingProvider,
    before: Deployment,
) -> Deployment:
    """Run the project's `__main__.py` again, as `pulumi up --skip-preview` does.

    While the program runs, resources are created, and updated in place where their inputs differ,
    each after those that it depends on. What the program no longer declares is deleted when all
    that is done, dependents first. Replacing a resource is not supported.

    :param project_dir: the folder of `Pulumi.yaml`.
    :param stack: name of the stack.
    :param config: full key to value, see `stack_config`.
    :param provider: creates, updates and deletes.
    :param before: the state; what a failed run made beyond it is not known to the next one.
    :raises ProtectedError: instead of any deletion, if one of them is protected. A preview would
        have refused the whole change.
    :raises RegistrationError: for the first resource that could not be created or updated.
    """
    after = run_project(project_dir, stack, config, _Change(provider, before))
    declared = {resource.urn for resource in after.resources}
    gone = [resource for resource in before.resources if resource.urn not in declared]
    protected = [resource.urn for resource in gone if resource.protect]
    if protected:
        raise ProtectedError(protected, Deployment([*gone, *after.resources], after.outputs))
    urns = {resource.urn for resource in gone}
    # A resource is registered after those that it depends on.
    for resource in reversed(gone):
        if resource.custom and not resource.retain_on_delete and resource.deleted_with not in urns:
            provider.delete(resource)
    return after


class _Change:
    """Something exists already."""

    def __init__(self, provider: ChangingProvider, before: Deployment) -> None:
        self._provider = provider
        self._before = {resource.urn: resource for resource in before.resources}

    def make(self, resource: Registered) -> Created:
        before = self._before.get(resource.urn)
        if before is None:
            return self._provider.create(resource.type, resource.name, resource.inputs)
        for ignored in resource.ignore_changes:
            resource.inputs.pop(ignored, None)
            if ignored in before.inputs:
                resource.inputs[ignored] = before.inputs[ignored]
        if _comparable(before.inputs) == _comparable(resource.inputs):
            return Created(before.id, before.outputs)
        return self._provider.update(before, resource.inputs)

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._provider.invoke(token, arguments)


def _comparable(inputs: Mapping[str, Any]) -> dict[str, Value]:
    """Inputs with archives as their bytes, because archives have no notion of equality."""
    return {
        name: zip_bytes(value, Path.cwd()) if isinstance(value, pulumi.Archive) else value
        for name, value in inputs.items()
        if value is not None
    }
