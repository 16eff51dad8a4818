"""How events reach the function: the config of it, and what the program makes of it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from settings import BUCKETS_PER_FUNCTION, ConfigError, Delivery, Settings, parse
from tests.recorder import ACCOUNT, KEY_ARN, REGION, Recording, policy, record_stack

BASE: dict[str, Any] = {"backupBucket": "the-backups", "buckets": ["photos"]}
QUEUE = {"delivery": "queue"}
WHERE = f"{REGION}:{ACCOUNT}"
QUEUE_ARN = f"arn:aws:sqs:{WHERE}:backup-queue-0000000"


def read(**changes: Any) -> Settings:
    return parse({**BASE, **changes}, file="Pulumi.prod.yaml")


@pytest.mark.parametrize("delivery", list(Delivery))
def test_there_are_three_ways(delivery: Delivery) -> None:
    assert read(delivery=delivery.value).delivery is delivery


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"delivery": "sqs"},
            "delivery: \"sqs\": not one of the choices; use 'direct', 'queue' or 'draining'",
        ),
        ({"queueBatchSize": 0}, "queueBatchSize: 0: too small; use 1 or more"),
        ({"queueBatchSize": 10_001}, "queueBatchSize: 10001: too large; use 10000 or less"),
        ({"queueBatchSize": "ten"}, 'queueBatchSize: "ten": not a whole number; write digits only'),
        ({"queueBatchWindow": -1}, "queueBatchWindow: -1: too small; use 0 or more"),
        ({"queueBatchWindow": 301}, "queueBatchWindow: 301: too large; use 300 or less"),
        *(
            (
                {"queueMaxConcurrency": number},
                f"queueMaxConcurrency: {number}: Lambda takes 2 to 1,000; use such a number, or -1 "
                "for as many as there can be",
            )
            for number in (-2, 0, 1, 1001)
        ),
        (
            {"queueBatchSize": 11, "queueBatchWindow": "0", **QUEUE},
            "queueBatchSize: 11: more than 10 events are not collected in a queueBatchWindow of 0; "
            "use a window of 1 or more, or a smaller size",
        ),
        (
            {"queueBatchWindow": 0, "delivery": "draining"},
            "queueBatchSize: 100: more than 10 events are not collected in a queueBatchWindow of "
            "0; use a window of 1 or more, or a smaller size",
        ),
        (
            {"reservedConcurrency": 1, **QUEUE},
            "reservedConcurrency: 1: a queue causes at least 2 invocations at the same time; "
            "reserve 2 or more, or nothing with -1",
        ),
        (
            {"reservedConcurrency": "5", "queueMaxConcurrency": "6", **QUEUE},
            "queueMaxConcurrency: 6: more than the 5 that reservedConcurrency allows; lower it, or "
            "use -1 for as many as are reserved",
        ),
    ],
)
def test_a_mistake_is_named(change: Mapping[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**change)
    assert str(caught.value) == f"Pulumi.prod.yaml: s3-backup:{line}"


@pytest.mark.parametrize(
    "change",
    [
        {"queueBatchSize": 10, "queueBatchWindow": 0, **QUEUE},
        {"queueBatchSize": 10_000, "queueBatchWindow": 300, **QUEUE},
        {"queueMaxConcurrency": 2, **QUEUE},
        {"queueMaxConcurrency": 1000, **QUEUE},
        {"queueMaxConcurrency": 5, "reservedConcurrency": 5, **QUEUE},
        {"buckets": [f"b-{number:03}" for number in range(100)], **QUEUE},
        # What a queue would not take is of no interest without one.
        {"queueBatchWindow": 0},
        {"reservedConcurrency": 1},
    ],
)
def test_what_fits_together_is_accepted(change: Mapping[str, Any]) -> None:
    assert read(**change)


def test_a_mistake_elsewhere_hides_none_of_these() -> None:
    with pytest.raises(ConfigError) as caught:
        read(
            memory="much", queueBatchSize="ten", queueBatchWindow=0, reservedConcurrency=1, **QUEUE
        )
    problems = [line.split(":")[2] for line in str(caught.value).splitlines()]
    assert problems == ["memory", "queueBatchSize", "queueBatchSize", "reservedConcurrency"]


@pytest.mark.parametrize(
    ("most", "reserved", "limit"),
    [(-1, -1, None), (7, -1, 7), (7, 9, 7), (-1, 9, 9), (-1, 5000, 1000)],
)
def test_a_queue_causes_no_more_invocations_than_are_reserved(
    most: int, reserved: int, limit: int | None
) -> None:
    found = read(queueMaxConcurrency=most, reservedConcurrency=reserved, **QUEUE)
    assert found.queue_concurrency == limit


def stack(*buckets: object, **config: object) -> Recording:
    return record_stack({**BASE, "buckets": list(buckets) or ["photos"], **config})


def rows(recording: Recording) -> set[tuple[str, str]]:
    return {(r.type, r.name) for r in recording.deployment.resources}


ADDED = {
    ("s3-backup:index:BackupQueue", "backup-queue"),
    ("aws:sqs/queue:Queue", "backup-queue"),
    ("aws:sqs/queuePolicy:QueuePolicy", "backup-queue-senders"),
    ("aws:iam/rolePolicy:RolePolicy", "backup-queue-receive"),
    ("aws:lambda/eventSourceMapping:EventSourceMapping", "backup-queue-mapping"),
    ("s3-backup:index:FailureRedrive", "backup-redrive"),
    ("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy", "backup-redrive"),
    ("aws:sqs/redrivePolicy:RedrivePolicy", "backup-redrive-1"),
    ("aws:cloudwatch/metricAlarm:MetricAlarm", "backup-queue-late"),
}
# What can only happen where S3 invokes the function itself.
REMOVED = {
    ("aws:cloudwatch/metricAlarm:MetricAlarm", "backup-events-late"),
    ("aws:cloudwatch/metricAlarm:MetricAlarm", "backup-events-lost"),
}


@pytest.mark.parametrize(("delivery", "removed"), [("queue", REMOVED), ("draining", set())])
def test_a_queue_adds_exactly_this(delivery: str, removed: set[tuple[str, str]]) -> None:
    directly, queued = rows(stack("photos")), rows(stack("photos", delivery=delivery))
    assert queued - directly == ADDED
    assert directly - queued == removed


def destination(recording: Recording, bucket: str) -> dict[str, Any]:
    inputs = recording.one("BucketNotification", f"{bucket}-notification").inputs
    [kind] = inputs.keys() - {"bucket"}
    [target] = inputs[kind]
    return target


def test_s3_tells_the_queue_only_while_events_shall_go_there() -> None:
    found = {
        delivery: destination(stack("photos", delivery=delivery), "photos")
        for delivery in ("direct", "draining", "queue")
    }
    function = f"arn:aws:lambda:{WHERE}:function:backup-0000000"
    directly = {"lambdaFunctionArn": function, "events": ["s3:ObjectCreated:*"]}
    assert found == {
        "direct": directly,
        "draining": directly,
        "queue": {"queueArn": QUEUE_ARN, "events": ["s3:ObjectCreated:*"]},
    }


@pytest.mark.parametrize("delivery", ["direct", "draining", "queue"])
def test_late_events_may_always_reach_the_function(delivery: str) -> None:
    recording = stack("photos", delivery=delivery)
    permission = recording.one("lambda/permission:Permission", "photos-invoke")
    assert permission.inputs["sourceArn"] == "arn:aws:s3:::photos"
    notification = recording.one("BucketNotification")
    assert "photos-invoke" in recording.waits_for(notification)


def protected(recording: Recording) -> set[str]:
    return {
        r.name for r in recording.deployment.resources if r.protect and r.type.endswith("Queue")
    }


@pytest.mark.parametrize(("delivery", "names"), [("queue", {"backup-queue"}), ("draining", set())])
def test_what_waits_is_protected_until_the_queue_is_drained(delivery: str, names: set[str]) -> None:
    assert protected(stack("photos", delivery=delivery)) == names


def test_each_function_has_a_queue_for_its_own_buckets() -> None:
    names = [f"source-{number}" for number in range(BUCKETS_PER_FUNCTION + 1)]
    recording = stack(*names, {"name": "scratch", "backup": False}, **QUEUE)
    groups = {"backup-queue": names[:-1], "backup-queue-2": names[-1:]}
    functions = {"backup-queue": "backup", "backup-queue-2": "backup-2"}
    for queue, group in groups.items():
        statement = policy(recording.one("QueuePolicy", f"{queue}-senders"))["Statement"][0]
        assert statement["Condition"]["ArnEquals"]["aws:SourceArn"] == [
            f"arn:aws:s3:::{name}" for name in group
        ]
        assert {destination(recording, name)["queueArn"] for name in group} == {
            f"arn:aws:sqs:{WHERE}:{queue}-0000000"
        }
        mapping = recording.one("EventSourceMapping", f"{queue}-mapping").inputs
        assert mapping["functionName"] == f"{functions[queue]}-0000000"
        receive = recording.one("RolePolicy", f"{queue}-receive").inputs
        assert receive["role"] == f"{functions[queue]}-role-0000000"
    allowed = json.loads(recording.one("RedriveAllowPolicy").inputs["redriveAllowPolicy"])
    assert allowed["sourceQueueArns"] == [
        f"arn:aws:sqs:{WHERE}:{queue}-0000000" for queue in groups
    ]


def test_settings_of_the_queue_reach_it() -> None:
    recording = stack(
        timeout=60, queueBatchSize=500, queueBatchWindow=20, queueMaxConcurrency=30, **QUEUE
    )
    assert recording.one("EventSourceMapping").inputs == {
        "eventSourceArn": QUEUE_ARN,
        "functionName": "backup-0000000",
        "batchSize": 500,
        "maximumBatchingWindowInSeconds": 20,
        "scalingConfig": {"maximumConcurrency": 30},
        "functionResponseTypes": ["ReportBatchItemFailures"],
        "tags": {"Project": "s3-backup", "Stack": "test"},
    }
    assert (
        recording.one("sqs/queue:Queue", "backup-queue").inputs["visibilityTimeoutSeconds"] == 380
    )


def test_without_a_limit_there_is_none() -> None:
    assert "scalingConfig" not in stack(**QUEUE).one("EventSourceMapping").inputs


@pytest.mark.parametrize(
    ("encryption", "of_the_queue"),
    [
        ("kms", {"kmsMasterKeyId": KEY_ARN}),
        ("s3", {"sqsManagedSseEnabled": True}),
        (KEY_ARN, {"kmsMasterKeyId": KEY_ARN}),
    ],
)
def test_the_queue_is_encrypted_like_the_backups(
    encryption: str, of_the_queue: dict[str, Any]
) -> None:
    recording = stack(encryption=encryption, **QUEUE)
    inputs = recording.one("sqs/queue:Queue", "backup-queue").inputs
    assert {name: inputs[name] for name in inputs if "Key" in name or "Sse" in name} == of_the_queue


def services(recording: Recording) -> list[str]:
    """The services that may use the stack's key."""
    found = [
        statement["Principal"]["Service"]
        for statement in policy(recording.one("kms/key:Key", "backup-key"))["Statement"]
        if "Service" in statement["Principal"]
    ]
    return [name for names in found for name in names]


@pytest.mark.parametrize(
    ("delivery", "may"), [("direct", False), ("draining", True), ("queue", True)]
)
def test_s3_may_use_the_key_as_long_as_there_is_a_queue_to_send_to(
    delivery: str, may: bool
) -> None:
    recording = stack(delivery=delivery)
    assert ("s3.amazonaws.com" in services(recording)) is may


def test_no_event_is_sent_before_the_queue_takes_it_and_the_function_gets_it() -> None:
    recording = stack(**QUEUE)
    waits_for = recording.waits_for(recording.one("BucketNotification"))
    assert waits_for >= {
        "backup-key",
        "backup-queue",
        "backup-queue-senders",
        "backup-queue-mapping",
        "backup-queue-receive",
        "backup-write",
        "photos-read",
        "photos-invoke",
        "the-backups-versioning",
    }


def test_the_order_in_which_a_stack_is_switched_back_follows_from_what_waits_for_what() -> None:
    """The engine deletes what waits before what it waits for."""
    recording = stack(delivery="draining")
    mapping = recording.one("EventSourceMapping")
    assert recording.waits_for(mapping) >= {"backup-queue", "backup-queue-receive"}
    redrive = recording.one("sqs/redrivePolicy:RedrivePolicy")
    assert recording.waits_for(redrive) >= {"backup-queue", "backup-redrive"}


def test_the_queues_are_exported() -> None:
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/backup-queue-0000000"
    assert stack(**QUEUE).outputs["queueUrls"] == [url]
    assert stack(delivery="draining").outputs["queueUrls"] == [url]
    assert stack().outputs["queueUrls"] == []
