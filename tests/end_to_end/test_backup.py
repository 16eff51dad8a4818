"""What arrives in the backup bucket, byte for byte, on a real stack with IAM enforced."""

import hashlib
from typing import Any

import pytest

from handler.records import Backup, ObjectVersion, Outcome
from handler.units import MIB
from sandbox import demo, samples
from sandbox.aliases import Client
from sandbox.comparison import differences, unlike
from sandbox.ministack import MiniStack
from sandbox.observation import wait_for

from .local_stack import LocalStack

TAGS = {"a b": "c&d", "e": ""}
ALL, FILTERED, VERSIONED, PLAIN = "e2e-all", "e2e-filtered", "e2e-versioned", "e2e-plain"


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    deployed = LocalStack.deploy(
        ministack,
        {
            "backupBucket": "e2e-backups",
            "buckets": [
                ALL,
                {"name": FILTERED, "prefix": ["in/", "also/"], "suffix": ".txt"},
                {"name": VERSIONED, "prefix": "many"},
                {"name": PLAIN, "backup": False},
            ],
        },
    )
    deployed.s3.put_bucket_versioning(
        Bucket=VERSIONED, VersioningConfiguration={"Status": "Enabled"}
    )
    return deployed


def backed_up(stack: LocalStack, bucket: str, key: str, versions: int = 1) -> list[str]:
    """Wait for the copy, then say how it differs from its source."""
    copy = f"{bucket}/{key}"
    wait_for(lambda: len(stack.backup_versions(copy)) >= versions, f"{versions} of {copy!r}")
    assert len(stack.backup_versions(copy)) == versions
    return differences(stack.s3, (bucket, key), (stack.backup_bucket, copy))


@pytest.mark.parametrize("sample", samples.awkward(), ids=lambda sample: repr(sample.key)[:30])
def test_every_awkward_key_arrives_untouched(stack: LocalStack, sample: samples.Sample) -> None:
    demo.put(stack.s3, ALL, sample)
    assert unlike(stack.s3, ALL, sample.key, sample) == []
    assert backed_up(stack, ALL, sample.key) == []


def test_headers_metadata_and_tags_arrive(stack: LocalStack) -> None:
    picture = samples.image("gradient.png")
    demo.put(stack.s3, ALL, picture)
    assert unlike(stack.s3, ALL, "gradient.png", picture) == []
    assert backed_up(stack, ALL, "gradient.png") == []


def test_a_backup_says_which_version_it_is_a_copy_of(stack: LocalStack) -> None:
    version = stack.put(VERSIONED, "many/known", b"content", Metadata={"mine": "1"})
    copy = f"{VERSIONED}/many/known"
    wait_for(lambda: stack.backup_versions(copy), "the copy")
    source = stack.s3.head_object(Bucket=VERSIONED, Key="many/known")
    metadata = stack.s3.head_object(Bucket=stack.backup_bucket, Key=copy)["Metadata"]
    assert metadata.pop("s3-backup-sequencer")
    assert metadata == {
        "mine": "1",
        "s3-backup-version": version["VersionId"],
        "s3-backup-etag": version["ETag"].strip('"'),
        "s3-backup-size": "7",
        "s3-backup-modified": source["LastModified"].strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def test_a_key_too_long_for_the_backup_can_still_be_found(stack: LocalStack) -> None:
    key = "long " + "k" * 1019
    stack.put(ALL, key, b"long")
    digest = hashlib.sha256(key.encode()).hexdigest()
    copy = f".s3-backup/long/{ALL}/{digest}"
    wait_for(lambda: stack.backup_versions(copy), "the copy")
    assert differences(stack.s3, (ALL, key), (stack.backup_bucket, copy)) == []
    record = stack.s3.get_object(Bucket=stack.backup_bucket, Key=f".s3-backup/keys/{ALL}/{digest}")
    assert record["Body"].read().decode() == key


def test_an_upload_in_parts_arrives(stack: LocalStack) -> None:
    demo.put(stack.s3, ALL, samples.large("film.bin", 20 * MIB))
    assert backed_up(stack, ALL, "film.bin") == []


def test_an_empty_object_arrives(stack: LocalStack) -> None:
    stack.put(ALL, "empty", b"")
    assert backed_up(stack, ALL, "empty") == []


def test_an_overwritten_object_has_both_versions_in_the_backup(stack: LocalStack) -> None:
    stack.put(ALL, "twice", b"first", tags={"version": "1"})
    assert backed_up(stack, ALL, "twice") == []
    stack.put(ALL, "twice", b"second", tags={"version": "2"})
    assert backed_up(stack, ALL, "twice", versions=2) == []
    oldest = stack.backup_versions(f"{ALL}/twice")[-1]["VersionId"]
    kept = stack.s3.get_object(Bucket=stack.backup_bucket, Key=f"{ALL}/twice", VersionId=oldest)
    assert kept["Body"].read() == b"first"


def test_only_what_the_filters_match_arrives(stack: LocalStack) -> None:
    keys = {"in/a.txt": True, "also/b.txt": True, "in/c.jpg": False, "out/d.txt": False}
    for key in keys:
        stack.put(FILTERED, key)
    for key, matches in keys.items():
        if matches:
            assert backed_up(stack, FILTERED, key) == []
    for key, matches in keys.items():
        assert bool(stack.backup_versions(f"{FILTERED}/{key}")) == matches


def test_a_bucket_without_backup_triggers_nothing(stack: LocalStack) -> None:
    configuration = stack.s3.get_bucket_notification_configuration(Bucket=PLAIN)
    assert set(configuration) == {"ResponseMetadata"}
    stack.put(PLAIN, "ignored")
    stack.put(ALL, "control")
    assert backed_up(stack, ALL, "control") == []
    assert stack.outcomes("ignored") == []
    assert stack.backup_versions(f"{PLAIN}/ignored") == []


def test_the_notification_goes_to_the_function_and_nowhere_else(stack: LocalStack) -> None:
    configuration = stack.s3.get_bucket_notification_configuration(Bucket=ALL)
    del configuration["ResponseMetadata"]
    [entry] = configuration.pop("LambdaFunctionConfigurations")
    assert configuration == {}
    assert entry["LambdaFunctionArn"] == stack.deployment.outputs["functionArn"]
    assert entry["Events"] == ["s3:ObjectCreated:*"]


@pytest.fixture(scope="module")
def function(stack: LocalStack) -> Client:
    """S3 with the function's permissions."""
    return stack.as_the_function()


def test_an_object_copied_in_parts_keeps_all_it_has(stack: LocalStack, function: Client) -> None:
    picture = samples.image("parts")
    sample = samples.Sample(
        "parts", samples.large("", 12 * MIB).body, picture.headers, picture.metadata, TAGS
    )
    demo.put(stack.s3, FILTERED, sample)  # Matches no filter: the function leaves it alone.
    backup = stack.copy(ObjectVersion(FILTERED, "parts"), function, part_size=5 * MIB)
    assert backup == Backup(Outcome.COPIED, 12 * MIB)
    assert (
        differences(stack.s3, (FILTERED, "parts"), (stack.backup_bucket, f"{FILTERED}/parts")) == []
    )
    uploads = stack.s3.list_multipart_uploads(
        Bucket=stack.backup_bucket, Prefix=f"{FILTERED}/parts"
    )
    assert uploads.get("Uploads", []) == []


# HEAD, HEAD, tags, HEAD, note, begin, note, three parts, complete.
@pytest.mark.parametrize("requests", range(1, 12))
def test_a_copy_in_parts_that_is_killed_is_gone_on_with(
    stack: LocalStack, function: Client, requests: int
) -> None:
    key = f"killed after {requests}"
    picture = samples.image("parts")
    body = samples.large("", 3 * MIB - 1).body
    sample = samples.Sample(key, body, picture.headers, picture.metadata, TAGS)
    demo.put(stack.s3, FILTERED, sample)
    source = ObjectVersion(FILTERED, key)
    asked = stack.interrupt(source, function, part_size=MIB, requests=requests)
    assert len(asked) == requests
    asked += stack.interrupt(source, function, part_size=MIB, requests=99)
    assert asked.count("UploadPartCopy") == 3, "a part was copied twice"
    assert stack.copy(source, function, part_size=MIB).outcome is Outcome.DUPLICATE
    copy = f"{FILTERED}/{key}"
    assert len(stack.backup_versions(copy)) == 1
    assert unlike(stack.s3, FILTERED, key, sample) == []
    assert differences(stack.s3, (FILTERED, key), (stack.backup_bucket, copy)) == []


def test_every_version_of_a_versioned_bucket_arrives(stack: LocalStack) -> None:
    bodies = {b"first", b"second", b"third"}
    announced = {stack.put(VERSIONED, "many", body)["VersionId"] for body in bodies}
    # What the function handles last need not have been written last.
    late = f".s3-backup/late/{VERSIONED}/{hashlib.sha256(b'many').hexdigest()}/"

    def copies() -> list[bytes]:
        keys = [f"{VERSIONED}/many", *(late + version for version in announced)]
        return [
            stack.s3.get_object(
                Bucket=stack.backup_bucket, Key=key, VersionId=version["VersionId"]
            )["Body"].read()
            for key in keys
            for version in stack.backup_versions(key)
        ]

    wait_for(lambda: len(copies()) >= 3, "three versions")
    assert sorted(copies()) == sorted(bodies)
    assert {line["version"] for line in stack.outcomes("many")} == announced


def test_exactly_the_announced_version_is_copied(stack: LocalStack, function: Client) -> None:
    first = stack.put(VERSIONED, "ignored/pinned", b"first")
    stack.put(VERSIONED, "ignored/pinned", b"second")
    stack.s3.delete_object(Bucket=VERSIONED, Key="ignored/pinned")
    source = ObjectVersion(
        VERSIONED, "ignored/pinned", first["VersionId"], first["ETag"].strip('"')
    )
    assert stack.copy(source, function) == Backup(Outcome.COPIED, 5)
    body = stack.s3.get_object(Bucket=stack.backup_bucket, Key=f"{VERSIONED}/ignored/pinned")[
        "Body"
    ]
    assert body.read() == b"first"


IN_PARTS = pytest.mark.parametrize("part_size", [None, 5 * MIB], ids=["whole", "in parts"])


@IN_PARTS
def test_a_version_announced_twice_is_in_the_backup_once(
    stack: LocalStack, function: Client, part_size: int | None
) -> None:
    key = f"ignored/twice {part_size}"
    made = stack.put(VERSIONED, key, bytes(6 * MIB))
    source = ObjectVersion(VERSIONED, key, made["VersionId"], sequencer="01")
    outcomes = [stack.copy(source, function, part_size=part_size).outcome for _ in range(3)]
    assert outcomes == [Outcome.COPIED, Outcome.DUPLICATE, Outcome.DUPLICATE]
    assert len(stack.backup_versions(f"{VERSIONED}/{key}")) == 1


@IN_PARTS
def test_a_version_that_arrives_late_is_kept_without_burying_the_newer_one(
    stack: LocalStack, function: Client, part_size: int | None
) -> None:
    key = f"ignored/late {part_size}"
    copy = f"{VERSIONED}/{key}"
    announced = [
        ObjectVersion(
            VERSIONED,
            key,
            stack.put(VERSIONED, key, body * 6 * MIB)["VersionId"],
            sequencer=f"0{number}",
        )
        for number, body in enumerate((b"1", b"2", b"3"))
    ]
    first, second, third = announced
    delivered = [second, first, third, second, first]
    outcomes = [
        stack.copy(source, function, part_size=part_size).outcome.value for source in delivered
    ]
    assert outcomes == ["copied", "superseded", "copied", "duplicate", "superseded"]
    kept = [first_byte(stack, copy, version) for version in stack.backup_versions(copy)]
    assert kept == [b"3", b"2"]
    digest = hashlib.sha256(key.encode()).hexdigest()
    late = f".s3-backup/late/{VERSIONED}/{digest}/{first.version_id}"
    assert [first_byte(stack, late, version) for version in stack.backup_versions(late)] == [b"1"]


def first_byte(stack: LocalStack, key: str, version: dict[str, Any]) -> bytes:
    answer = stack.s3.get_object(
        Bucket=stack.backup_bucket, Key=key, VersionId=version["VersionId"]
    )
    return answer["Body"].read()[:1]


def test_an_object_overwritten_meanwhile_is_superseded(stack: LocalStack, function: Client) -> None:
    announced = stack.put(FILTERED, "raced", b"first")["ETag"].strip('"')
    stack.put(FILTERED, "raced", b"second")
    backup = stack.copy(ObjectVersion(FILTERED, "raced", etag=announced), function)
    assert backup == Backup(Outcome.SUPERSEDED)
    assert stack.backup_versions(f"{FILTERED}/raced") == []


def test_an_object_deleted_meanwhile_is_gone(stack: LocalStack, function: Client) -> None:
    announced = stack.put(FILTERED, "deleted", b"first")["ETag"].strip('"')
    stack.s3.delete_object(Bucket=FILTERED, Key="deleted")
    backup = stack.copy(ObjectVersion(FILTERED, "deleted", etag=announced), function)
    assert backup == Backup(Outcome.GONE)
