"""A copy has the checksum of its source, and S3 compares it before it accepts the copy."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from handler.failures import Failed
from handler.records import Outcome

from .fake_checksums import OF_PARTS, WHOLE, composite, whole
from .fake_s3 import Stepper, Versioning
from .test_engine_model import ENGINE, World

CONTENT = bytes(range(30))
ITS_PARTS = [CONTENT[first : first + 7] for first in range(0, 30, 7)]
OUR_PARTS = [CONTENT[first : first + 4] for first in range(0, 30, 4)]


def copied(checksum: Mapping[str, str]) -> tuple[World, Mapping[str, str]]:
    """Copy an object with that checksum in parts; returns the copy's."""
    world = World()
    assert world.deliver(world.write(CONTENT, checksum=checksum)).outcome is Outcome.COPIED
    (copy,) = world.main()
    assert copy.content == CONTENT
    return world, copy.checksum


def asked(world: World, operation: str) -> list[Mapping[str, Any]]:
    return [asked.parameters for asked in world.s3.requests if asked.operation == operation]


def test_the_fake_computes_what_others_compute() -> None:
    # The check values of the catalogue of parametrised CRC algorithms.
    values = {"CRC32": "y/Q5Jg==", "CRC32C": "4waSgw==", "CRC64NVME": "rosUhgp5mIg="}
    for algorithm, value in values.items():
        assert whole(algorithm, b"123456789")[f"Checksum{algorithm}"] == value


@pytest.mark.parametrize("algorithm", WHOLE)
def test_a_checksum_of_the_whole_object_is_the_copys_and_is_compared(algorithm: str) -> None:
    checksum = whole(algorithm, CONTENT)
    world, kept = copied(checksum)
    assert kept == checksum
    (complete,) = asked(world, "CompleteMultipartUpload")
    assert {name: complete[name] for name in checksum} == checksum
    assert complete["MpuObjectSize"] == 30


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C"])
def test_a_checksum_made_of_parts_becomes_one_of_the_whole_object_where_it_can(
    algorithm: str,
) -> None:
    _, kept = copied(composite(algorithm, ITS_PARTS))
    assert kept == whole(algorithm, CONTENT)


@pytest.mark.parametrize("algorithm", OF_PARTS)
@pytest.mark.parametrize("made_of_parts", [True, False])
def test_one_that_cannot_be_of_the_whole_is_made_of_the_copys_parts(
    algorithm: str, *, made_of_parts: bool
) -> None:
    its = composite(algorithm, ITS_PARTS) if made_of_parts else whole(algorithm, CONTENT)
    _, kept = copied(its)
    assert kept == composite(algorithm, OUR_PARTS)


@pytest.mark.parametrize("checksum", [{}, {"ChecksumXXHASH3": "x", "ChecksumType": "FULL_OBJECT"}])
def test_without_a_checksum_that_is_known_it_is_left_to_s3(checksum: dict[str, str]) -> None:
    world, kept = copied(checksum)
    assert kept == whole("CRC64NVME", CONTENT)
    (create,) = asked(world, "CreateMultipartUpload")
    assert [name for name in create if "Checksum" in name] == []


@pytest.mark.parametrize("algorithm", [*WHOLE, *OF_PARTS])
def test_a_copy_that_is_gone_on_with_has_it_too(algorithm: str) -> None:
    world = World()
    event = world.write(CONTENT, checksum=whole(algorithm, CONTENT))
    stepper = Stepper(ENGINE.copy(event), world.s3)
    while world.s3.counts["UploadPartCopy"] < 5:
        stepper.advance()
    stepper.crash()
    assert world.deliver(event).outcome is Outcome.COPIED
    assert world.s3.counts["UploadPartCopy"] == 8
    (copy,) = world.main()
    assert copy.checksum in (whole(algorithm, CONTENT), composite(algorithm, OUR_PARTS))


@pytest.mark.parametrize("algorithm", WHOLE)
def test_a_copy_with_other_bytes_is_refused_and_begun_again_by_the_next_call(
    algorithm: str,
) -> None:
    world = World()
    event = world.write(CONTENT, checksum=whole(algorithm, CONTENT))
    stepper = Stepper(ENGINE.copy(event), world.s3)
    while world.s3.counts["UploadPartCopy"] < 8:
        stepper.advance()
    (upload,) = world.s3.uploads.values()
    upload.parts[3] = replace(upload.parts[3], content=b"evil")

    def run() -> None:
        while not stepper.advance():
            pass

    with pytest.raises(Failed) as failed:
        run()
    assert (failed.value.kind, failed.value.retryable) == ("BadDigest", True)
    assert world.main() == []
    assert world.s3.uploads == {}
    assert world.deliver(event).outcome is Outcome.COPIED
    assert world.contents() == [CONTENT]


def test_an_object_that_changes_before_its_checksum_is_told_is_superseded() -> None:
    world = World(Versioning.NEVER)
    event = world.write(CONTENT, checksum=whole("CRC32", CONTENT))
    stepper = Stepper(ENGINE.copy(event), world.s3)
    while world.s3.operations[-1:] != ["GetObjectTagging"]:
        stepper.advance()
    world.write(b"other", checksum=whole("CRC32C", b"other"))
    while not stepper.advance():
        pass
    assert stepper.result.outcome is Outcome.SUPERSEDED
    assert world.main() == []
    assert world.s3.uploads == {}


def test_a_copy_in_one_request_leaves_the_checksum_to_s3() -> None:
    world = World()
    checksum = whole("SHA256", b"small")
    world.deliver(world.write(b"small", checksum=checksum))
    (copy,) = world.main()
    assert copy.checksum == checksum
    for request in world.s3.requests:
        assert [name for name in request.parameters if "Checksum" in name] == []
