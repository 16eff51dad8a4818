"""The alarms as data: sound in themselves, and about metrics that exist."""

import re

import pytest

from components import alarms
from components.alarms import Alarm, Missing, Subject
from handler import metrics
from settings import StandardAlarm
from tests.recorder import ROOT

from .emitted import EMITTED_BY_COMMANDS

EVERY = [
    *alarms.chosen(None, 3600, queued=True, announced=True),
    alarms.quiet(24),
    *alarms.verification(7),
    *alarms.drill(7),
]

# What AWS reports, by namespace and the one dimension that is used here.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
DOCUMENTED = {
    "AWS/Lambda": {
        "AsyncEventAge",
        "DestinationDeliveryFailures",
        "Errors",
        "RecursiveInvocationsDropped",
        "Throttles",
    },
    "AWS/SQS": {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
}
DIMENSIONS = {
    Subject.STACK: {"BackupBucket"},
    Subject.BUCKET: {"FunctionName", "SourceBucket"},
    Subject.EVENT_QUEUE: {"QueueName"},
    Subject.FUNCTION: {"FunctionName"},
    Subject.FAILURE_QUEUE: {"QueueName"},
    Subject.VERIFIED: {"SourceBucket"},
    Subject.DRILLED: {"SourceBucket"},
}


def test_these_are_the_alarms_there_are() -> None:
    assert [(alarm.name, alarm.subject.name) for alarm in EVERY] == [
        ("failures-waiting", "FAILURE_QUEUE"),
        ("events-lost", "FUNCTION"),
        ("errors", "FUNCTION"),
        ("throttles", "FUNCTION"),
        ("recursion-stopped", "FUNCTION"),
        ("out-of-time", "STACK"),
        ("copies-late", "STACK"),
        ("events-late", "FUNCTION"),
        ("queue-late", "EVENT_QUEUE"),
        ("events-unsent", "STACK"),
        ("quiet", "BUCKET"),
        ("verification-found", "VERIFIED"),
        ("verification-missing", "VERIFIED"),
        ("drill-failed", "DRILLED"),
        ("drill-missing", "DRILLED"),
    ]


def test_the_config_knows_the_names_of_the_standard_alarms() -> None:
    assert sorted(alarm.name for alarm in alarms.STANDARD) == list(StandardAlarm.__args__)


@pytest.mark.parametrize("alarm", EVERY, ids=lambda alarm: alarm.name)
def test_each_watches_a_metric_that_is_emitted_with_these_dimensions(alarm: Alarm) -> None:
    wanted = DIMENSIONS[alarm.subject] | alarm.dimensions.keys()
    if alarm.subject in (Subject.VERIFIED, Subject.DRILLED):
        assert alarm.namespace == metrics.NAMESPACE
        assert wanted in map(set, EMITTED_BY_COMMANDS[alarm.metric])
    elif alarm.namespace == metrics.NAMESPACE:
        assert wanted in map(set, metrics.METRICS[alarm.metric].dimensions)
    else:
        assert alarm.metric in DOCUMENTED[alarm.namespace]
        assert len(wanted) == 1


def test_the_kind_that_is_watched_is_one_that_the_engine_reports() -> None:
    [kind] = alarms.OUT_OF_TIME.dimensions.values()
    sources = "".join(file.read_text() for file in (ROOT / "handler").glob("*.py"))
    assert f'kind="{kind}"' in sources


@pytest.mark.parametrize("alarm", EVERY, ids=lambda alarm: alarm.name)
def test_each_says_what_happened_and_which_command_to_run(alarm: Alarm) -> None:
    assert alarm.happened[0].isupper()
    assert alarm.happened.endswith(".")
    commands = re.findall(r"`backupctl (\w+)", alarm.description)
    assert commands
    assert set(commands) <= {"status", "verify", "redrive", "restore", "drill", "doctor"}
    # With the backup bucket's name, of at most 63 characters, in front.
    assert len(alarm.description) + len(": ") + 63 <= 1024


@pytest.mark.parametrize("alarm", EVERY, ids=lambda alarm: alarm.name)
def test_each_says_why_it_treats_missing_data_as_it_does(alarm: Alarm) -> None:
    assert len(alarm.because) > 20
    expected = {
        "failures-waiting": Missing.IGNORE,
        "quiet": Missing.BREACHING,
        "verification-found": Missing.IGNORE,
        "verification-missing": Missing.BREACHING,
        "drill-failed": Missing.IGNORE,
        "drill-missing": Missing.BREACHING,
    }
    assert alarm.missing is expected.get(alarm.name, Missing.NOT_BREACHING)


@pytest.mark.parametrize(
    "alarm",
    [*EVERY, alarms.quiet(1), alarms.quiet(168), *alarms.drill(1)],
    ids=lambda alarm: alarm.name,
)
def test_none_looks_back_further_than_cloudwatch_lets_it(alarm: Alarm) -> None:
    assert alarm.period % 60 == 0
    longest = 86_400 if alarm.period < 3600 else 604_800
    assert alarm.period * alarm.periods <= longest
    assert 0 <= alarm.warm_up_minutes <= 2880


def test_a_bucket_has_been_quiet_when_every_hour_was() -> None:
    alarm = alarms.quiet(26)
    assert (alarm.period, alarm.periods, alarm.threshold, alarm.comparison) == (
        3600,
        26,
        1,
        "LessThanThreshold",
    )
    assert alarm.warm_up_minutes == 26 * 60
    assert alarms.quiet(49).warm_up_minutes == 48 * 60


def test_thresholds_of_lag_are_in_the_units_of_their_metrics() -> None:
    *_, copies, events, queue = alarms.chosen(None, 90, queued=True)
    assert (queue.metric, queue.threshold) == ("ApproximateAgeOfOldestMessage", 90)
    assert (copies.metric, copies.threshold) == ("Lag", 90)
    assert metrics.METRICS["Lag"].unit == "Seconds"
    # Lambda reports the age in milliseconds.
    assert (events.metric, events.threshold) == ("AsyncEventAge", 90_000)


def test_what_is_not_asked_for_is_not_there() -> None:
    assert alarms.chosen([], 0) == []
    assert alarms.chosen(["errors"], 0) == [alarms.ERRORS]
    assert [alarm.name for alarm in alarms.chosen([], 1)] == ["copies-late", "events-late"]


def test_events_wait_where_they_are_delivered() -> None:
    def names(*, direct: bool, queued: bool) -> set[str]:
        return {a.name for a in alarms.chosen(None, 60, direct=direct, queued=queued)}

    direct = names(direct=True, queued=False)
    assert names(direct=True, queued=True) == direct | {"queue-late"}
    assert names(direct=False, queued=True) == direct - {"events-late", "events-lost"} | {
        "queue-late"
    }


def test_a_name_that_no_alarm_has_is_told() -> None:
    with pytest.raises(ValueError, match=r"^no alarm is called error, quiet; there are failures-"):
        alarms.chosen(["errors", "quiet", "error"], 0)
