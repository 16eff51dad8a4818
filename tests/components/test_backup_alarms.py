"""Each alarm as CloudWatch gets it."""

from typing import Any

import pytest

from components import BackupAlarms, BackupAlarmsArgs, QuietBucket, alarms
from tests.recorder import ACCOUNT, REGION, Recording, record

TOPIC_ARN = f"arn:aws:sns:{REGION}:{ACCOUNT}:topic"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


def declared(**more: Any) -> Recording:
    args = BackupAlarmsArgs(
        topic_arn=TOPIC_ARN,
        backup_bucket_name="the-backups",
        function_names=["backup-1a2b3c4"],
        failure_queue_arn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:failures-1a2b3c4",
    )
    args.update(more)  # pyright: ignore
    return record(lambda: BackupAlarms("backup", args))


def quiet(bucket: str, hours: float) -> QuietBucket:
    return {"bucket": bucket, "function_name": "backup-1a2b3c4", "hours": hours}  # pyright: ignore


def names(recording: Recording) -> list[str]:
    return sorted(r.name for r in recording.all("MetricAlarm"))


ONE_FUNCTION = [
    "backup-copies-late",
    "backup-errors",
    "backup-events-late",
    "backup-events-lost",
    "backup-failures-waiting",
    "backup-out-of-time",
    "backup-recursion-stopped",
    "backup-throttles",
]


def test_a_stack_has_these_alarms() -> None:
    recording = declared()
    assert recording.children(recording.one("index:BackupAlarms")) == [
        (ALARM, name) for name in ONE_FUNCTION
    ]


def test_every_function_has_its_own_and_the_stacks_are_there_once() -> None:
    recording = declared(function_names=["one", "two", "three"])
    added = [
        f"backup-{number}-{alarm}"
        for number in (2, 3)
        for alarm in ("errors", "events-late", "events-lost", "recursion-stopped", "throttles")
    ]
    assert names(recording) == sorted([*ONE_FUNCTION, *added])
    watched = {
        r.name: r.inputs["dimensions"]
        for r in recording.all("MetricAlarm")
        if r.name.endswith("-errors")
    }
    assert watched == {
        "backup-errors": {"FunctionName": "one"},
        "backup-2-errors": {"FunctionName": "two"},
        "backup-3-errors": {"FunctionName": "three"},
    }


def test_every_queue_has_its_own() -> None:
    arns = [f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}" for name in ("one", "two")]
    recording = declared(event_queue_arns=arns, direct=False, lag_seconds=60)
    without = {"backup-events-late", "backup-events-lost"}
    added = {"backup-2-queue-late", "backup-queue-late"}
    assert names(recording) == sorted(set(ONE_FUNCTION) - without | added)
    watched = {
        r.name: (r.inputs["dimensions"], r.inputs["metricName"], r.inputs["threshold"])
        for r in recording.all("MetricAlarm")
        if r.name in added
    }
    assert watched == {
        "backup-queue-late": ({"QueueName": "one"}, "ApproximateAgeOfOldestMessage", 60),
        "backup-2-queue-late": ({"QueueName": "two"}, "ApproximateAgeOfOldestMessage", 60),
    }


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"only": [], "lag_seconds": 0}, []),
        ({"only": ["errors"], "lag_seconds": 0}, ["backup-errors"]),
        ({"only": [], "lag_seconds": 0, "sources": ["photos"]}, []),
        (
            {"only": [], "lag_seconds": 0, "sources": ["photos"], "verify_days": 2.0},
            ["backup-verification-found-photos", "backup-verification-missing-photos"],
        ),
        (
            {"only": [], "lag_seconds": 0, "sources": ["photos", "videos"], "drill_days": 7},
            [
                "backup-drill-failed-photos",
                "backup-drill-failed-videos",
                "backup-drill-missing-photos",
                "backup-drill-missing-videos",
            ],
        ),
        ({"only": [], "lag_seconds": 60}, ["backup-copies-late", "backup-events-late"]),
        (
            {"only": [], "lag_seconds": 0, "quiet": [quiet("photos", 2)]},
            ["backup-quiet-photos"],
        ),
    ],
)
def test_what_is_off_leaves_nothing_behind(args: dict[str, Any], expected: list[str]) -> None:
    assert names(declared(**args)) == expected


def test_an_alarm_is_what_it_is() -> None:
    recording = declared(tags={"a": "b"})
    assert recording.one(ALARM, "backup-failures-waiting").inputs == {
        "alarmDescription": f"the-backups: {alarms.FAILURES_WAITING.description}",
        "namespace": "AWS/SQS",
        "metricName": "ApproximateNumberOfMessagesVisible",
        "dimensions": {"QueueName": "failures-1a2b3c4"},
        "statistic": "Maximum",
        "period": 300,
        "evaluationPeriods": 1,
        "comparisonOperator": "GreaterThanThreshold",
        "threshold": 0,
        "treatMissingData": "ignore",
        "alarmActions": [TOPIC_ARN],
        "okActions": [TOPIC_ARN],
        "tags": {"a": "b"},
    }


def test_dimensions_and_thresholds_are_those_of_the_data() -> None:
    recording = declared(lag_seconds=60)
    found = {
        r.name: (
            r.inputs["metricName"],
            r.inputs["dimensions"],
            r.inputs["threshold"],
            r.inputs["treatMissingData"],
        )
        for r in recording.all("MetricAlarm")
        if r.name in {"backup-out-of-time", "backup-copies-late", "backup-events-late"}
    }
    assert found == {
        "backup-out-of-time": (
            "Failed",
            {"BackupBucket": "the-backups", "Kind": "OutOfTime"},
            0,
            "notBreaching",
        ),
        "backup-copies-late": ("Lag", {"BackupBucket": "the-backups"}, 60, "notBreaching"),
        "backup-events-late": (
            "AsyncEventAge",
            {"FunctionName": "backup-1a2b3c4"},
            60_000,
            "notBreaching",
        ),
    }


def test_a_quiet_bucket_is_one_without_a_backup_in_any_hour() -> None:
    recording = declared(quiet=[quiet("photos", 26), quiet("videos", 1.0)])
    alarm = recording.one(ALARM, "backup-quiet-photos").inputs
    assert {name: alarm[name] for name in alarm if name != "alarmDescription"} == {
        "namespace": "S3Backup",
        "metricName": "BackedUp",
        "dimensions": {"FunctionName": "backup-1a2b3c4", "SourceBucket": "photos"},
        "statistic": "Sum",
        "period": 3600,
        "evaluationPeriods": 26,
        "comparisonOperator": "LessThanThreshold",
        "threshold": 1,
        "treatMissingData": "breaching",
        "warmUpConfiguration": {"warmUpPeriodDurationInMinutes": 1560},
        "alarmActions": [TOPIC_ARN],
        "okActions": [TOPIC_ARN],
    }
    assert recording.one(ALARM, "backup-quiet-videos").inputs["evaluationPeriods"] == 1


def test_the_output_lists_every_alarm() -> None:
    [arns] = declared().one("index:BackupAlarms").outputs.values()
    where = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm"
    assert sorted(arns) == [f"{where}:{name}-0000000" for name in ONE_FUNCTION]


def test_an_unknown_name_stops_the_program() -> None:
    with pytest.raises(ValueError, match="no alarm is called error; there are"):
        declared(only=["error"])
