from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from sandbox.ministack import MiniStack
from sandbox.provider import AwsProvider


@pytest.fixture(scope="session")
def provider(ministack: MiniStack) -> AwsProvider:
    return AwsProvider(ministack)


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    """Write a Pulumi project that consists of one program."""

    def write(program: str) -> Path:
        (tmp_path / "Pulumi.yaml").write_text("name: demo\nruntime: python\n")
        (tmp_path / "__main__.py").write_text(dedent(program))
        return tmp_path

    return write
