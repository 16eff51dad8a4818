"""The alarms as data: what each watches, what it means and what to do. Declares no resources.

docs/alarms.md is made of this, so whatever an alarm says is said here, once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

LAMBDA = "AWS/Lambda"
SQS = "AWS/SQS"
OURS = "S3Backup"

# An alarm looks back at most so far, if its periods have an hour or more.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
LONGEST_WINDOW_DAYS = 7
LONGEST_WINDOW_HOURS = LONGEST_WINDOW_DAYS * 24
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_WarmUpConfiguration.html
LONGEST_WARM_UP_MINUTES = 2 * 24 * 60


class Subject(StrEnum):
    """What an alarm exists once for, and so which dimensions its metric has."""

    STACK = "the stack"
    FUNCTION = "each function"
    FAILURE_QUEUE = "the failure queue"
    EVENT_QUEUE = "each queue, with `delivery: queue`"
    BUCKET = "each bucket with quietHours"
    VERIFIED = "each bucket, with `alarms.verifyDays`"
    DRILLED = "each bucket, with `alarms.drillDays`"


class Missing(StrEnum):
    """What periods without data count as.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """

    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"
    IGNORE = "ignore"


@dataclass(frozen=True)
class Alarm:
    """One alarm, or one for each of its subjects."""

    name: str
    subject: Subject
    happened: str
    """A sentence for whoever gets the message."""
    cure: str
    """What to do, with the command."""
    namespace: str
    metric: str
    statistic: str
    missing: Missing
    because: str
    """Why missing data is treated so."""
    dimensions: Mapping[str, str]
    """Dimensions beside those that the subject gives."""
    threshold: float = 0
    """The alarm is raised above it, or below it with `below`."""
    below: bool = False
    period: int = 300
    """Seconds."""
    periods: int = 1
    """How many of them, one after the other, it takes to raise the alarm."""
    direct_only: bool = False
    """Whether it is about what happens only where S3 invokes the function itself."""
    warm_up_minutes: int = 0
    """For so long after its creation the alarm raises nothing."""

    @property
    def description(self) -> str:
        """What the message says."""
        return f"{self.happened} {self.cure}"

    @property
    def comparison(self) -> str:
        """CloudWatch's word for how a value raises the alarm."""
        return "LessThanThreshold" if self.below else "GreaterThanThreshold"


_ABSENCE = "no data is what the alarm is about"
_ONLY_WHEN_IT_HAPPENS = "the metric has data only when it happens"

FAILURES_WAITING = Alarm(
    name="failures-waiting",
    subject=Subject.FAILURE_QUEUE,
    happened="Events that failed wait in the failure queue: what they announced is not backed up.",
    cure="`backupctl status` shows the reasons; mend the cause, then `backupctl redrive`.",
    namespace=SQS,
    metric="ApproximateNumberOfMessagesVisible",
    statistic="Maximum",
    missing=Missing.IGNORE,
    because="SQS stops reporting on a queue that nobody used for six hours, full or empty",
    dimensions={},
)
EVENTS_LOST = Alarm(
    name="events-lost",
    subject=Subject.FUNCTION,
    happened="An event failed and the failure queue did not take it: nothing retries it any more.",
    cure=(
        "`backupctl doctor` names what is wrong with queue, key or role; mend it, then "
        "`backupctl verify --fix` copies what is missing."
    ),
    namespace=LAMBDA,
    metric="DestinationDeliveryFailures",
    statistic="Sum",
    missing=Missing.NOT_BREACHING,
    because=_ONLY_WHEN_IT_HAPPENS,
    dimensions={},
    direct_only=True,
)
ERRORS = Alarm(
    name="errors",
    subject=Subject.FUNCTION,
    happened=(
        "Invocations have failed for 15 minutes; events are tried three times and end in the "
        "failure queue."
    ),
    cure="`backupctl status` shows what fails; `backupctl doctor` looks for the cause.",
    namespace=LAMBDA,
    metric="Errors",
    statistic="Sum",
    missing=Missing.NOT_BREACHING,
    because="no data means no invocation, and so no failed one",
    dimensions={},
    periods=3,
)
THROTTLES = Alarm(
    name="throttles",
    subject=Subject.FUNCTION,
    happened=(
        "Lambda has refused invocations for 15 minutes; events wait up to six hours, then fail."
    ),
    cure=(
        "`backupctl doctor` compares with the quotas; raise reservedConcurrency or the account's "
        "concurrency."
    ),
    namespace=LAMBDA,
    metric="Throttles",
    statistic="Sum",
    missing=Missing.NOT_BREACHING,
    because="no data means no invocation, and so no refused one",
    dimensions={},
    periods=3,
)
RECURSION_STOPPED = Alarm(
    name="recursion-stopped",
    subject=Subject.FUNCTION,
    happened="Lambda stopped a loop: a copy announced itself as a new object.",
    cure=(
        "`backupctl doctor` lists the notifications; remove the one that makes the loop, then "
        "`backupctl redrive`."
    ),
    namespace=LAMBDA,
    metric="RecursiveInvocationsDropped",
    statistic="Sum",
    missing=Missing.NOT_BREACHING,
    because=_ONLY_WHEN_IT_HAPPENS,
    dimensions={},
)
OUT_OF_TIME = Alarm(
    name="out-of-time",
    subject=Subject.STACK,
    happened="A copy did not end within the function's time.",
    cure=(
        "Lambda tries again; if it comes often, raise timeout or memory. What does not fit at all "
        "ends in the failure queue: `backupctl redrive` copies it without a limit of time."
    ),
    namespace=OURS,
    metric="Failed",
    statistic="Sum",
    missing=Missing.NOT_BREACHING,
    because=_ONLY_WHEN_IT_HAPPENS,
    dimensions={"Kind": "OutOfTime"},
)

EVENTS_UNSENT = Alarm(
    name="events-unsent",
    subject=Subject.STACK,
    happened="The event bus did not take events about backups or failures; the backups went on.",
    cure=(
        "`backupctl status` shows failures that wait; compare the bus's policy and key with "
        "docs/events.md."
    ),
    namespace=OURS,
    metric="EventsNotSent",
    statistic="Sum",
    missing=Missing.NOT_BREACHING,
    because=_ONLY_WHEN_IT_HAPPENS,
    dimensions={},
)
"""Where there is an event bus."""

STANDARD = (
    FAILURES_WAITING,
    EVENTS_LOST,
    ERRORS,
    THROTTLES,
    RECURSION_STOPPED,
    OUT_OF_TIME,
)
"""The alarms that need no number from the config."""


def copies_late(seconds: int) -> Alarm:
    """Copies end later than that after their event."""
    return Alarm(
        name="copies-late",
        subject=Subject.STACK,
        happened=f"A copy ended more than {seconds:,} seconds after its event.",
        cure=(
            "`backupctl status` shows what waits; large objects may need more memory, many events "
            "more concurrency."
        ),
        namespace=OURS,
        metric="Lag",
        statistic="Maximum",
        missing=Missing.NOT_BREACHING,
        because="no data means no copy; events that wait have an alarm of their own",
        dimensions={},
        threshold=seconds,
    )


def events_late(seconds: int) -> Alarm:
    """Lambda hands events to the function later than that."""
    return Alarm(
        name="events-late",
        subject=Subject.FUNCTION,
        happened=f"Lambda holds events for more than {seconds:,} seconds before a try.",
        cure="`backupctl status` shows what waits; `backupctl doctor` compares with the quotas.",
        namespace=LAMBDA,
        metric="AsyncEventAge",
        statistic="Maximum",
        missing=Missing.NOT_BREACHING,
        because="no data means that no event was handed over; throttles have an alarm of their own",
        dimensions={},
        threshold=seconds * 1000,
        direct_only=True,
    )


def queue_late(seconds: int) -> Alarm:
    """Events wait in their queue for longer than that."""
    return Alarm(
        name="queue-late",
        subject=Subject.EVENT_QUEUE,
        happened=f"An event has waited in its queue for more than {seconds:,} seconds.",
        cure=(
            "`backupctl status` shows what waits; `backupctl doctor` compares with the quotas. "
            "Many events need a higher queueMaxConcurrency or reservedConcurrency."
        ),
        namespace=SQS,
        metric="ApproximateAgeOfOldestMessage",
        statistic="Maximum",
        missing=Missing.NOT_BREACHING,
        because="SQS reports an age only while something waits",
        dimensions={},
        threshold=seconds,
    )


def quiet(hours: int) -> Alarm:
    """Nothing was backed up from a bucket for so many hours, at most a week."""
    return Alarm(
        name="quiet",
        subject=Subject.BUCKET,
        happened=f"Nothing was backed up from this bucket for {hours} hours.",
        cure=(
            "If something was written to it, `backupctl status` shows whether the notification "
            "is in place and `backupctl verify --fix` copies what is missing."
        ),
        namespace=OURS,
        metric="BackedUp",
        statistic="Sum",
        missing=Missing.BREACHING,
        because=_ABSENCE,
        dimensions={},
        threshold=1,
        below=True,
        period=3600,
        periods=hours,
        # A new stack has not been quiet yet.
        warm_up_minutes=min(hours * 60, LONGEST_WARM_UP_MINUTES),
    )


def verification(days: int) -> list[Alarm]:
    """A bucket was not verified for so many days, at most a week, or something was found."""
    return [
        Alarm(
            name="verification-found",
            subject=Subject.VERIFIED,
            happened="The last verification found objects of this bucket without a right backup.",
            cure=(
                "`backupctl verify` lists them, `backupctl verify --fix` copies them; verify again "
                "with --metric to end this alarm."
            ),
            namespace=OURS,
            metric="VerificationFindings",
            statistic="Maximum",
            missing=Missing.IGNORE,
            because="what was found stays found until the next verification finds nothing",
            dimensions={},
        ),
        _overdue(
            "verification-missing",
            Subject.VERIFIED,
            f"This bucket was not verified for {days} days.",
            "Run `backupctl verify --metric`, and see why whatever runs it did not.",
            "VerificationCompleted",
            days,
        ),
    ]


def drill(days: int) -> list[Alarm]:
    """No restore of a bucket was tried for so many days, at most a week, or one failed."""
    return [
        Alarm(
            name="drill-failed",
            subject=Subject.DRILLED,
            happened="In the last drill, objects of this bucket did not come back as they are.",
            cure=(
                "`backupctl drill` shows which and why; `backupctl verify --deep` looks at all of "
                "them. Drill again with --metric to end this alarm."
            ),
            namespace=OURS,
            metric="DrillFindings",
            statistic="Maximum",
            missing=Missing.IGNORE,
            because="what did not come back is not mended by time, but shown so by the next drill",
            dimensions={},
        ),
        _overdue(
            "drill-missing",
            Subject.DRILLED,
            f"No restore of this bucket was tried for {days} days.",
            "Run `backupctl drill --metric`, and see why whatever runs it did not: with `drill` in "
            "the config, the log of the function `drill` says why.",
            "DrillCompleted",
            days,
        ),
    ]


def _overdue(
    name: str, subject: Subject, happened: str, cure: str, metric: str, days: int
) -> Alarm:
    return Alarm(
        name=name,
        subject=subject,
        happened=happened,
        cure=cure,
        namespace=OURS,
        metric=metric,
        statistic="Sum",
        missing=Missing.BREACHING,
        because=_ABSENCE,
        dimensions={},
        threshold=1,
        below=True,
        period=86_400,
        periods=days,
        warm_up_minutes=min(days * 24 * 60, LONGEST_WARM_UP_MINUTES),
    )


def chosen(
    only: list[str] | None,
    lag_seconds: int,
    *,
    direct: bool = True,
    queued: bool = False,
    announced: bool = False,
) -> list[Alarm]:
    """The alarms that a config asks for, without those of single buckets.

    :param only: names of the standard alarms that are wanted; None for all.
    :param lag_seconds: threshold of the alarms on lag; 0 for none of them.
    :param direct: whether S3 invokes the functions itself.
    :param queued: whether there are queues for events.
    :param announced: whether an event bus is told what happens.
    :raises ValueError: for a name that no standard alarm has.
    """
    names = [alarm.name for alarm in STANDARD]
    unknown = sorted(set(only or ()) - set(names))
    if unknown:
        raise ValueError(f"no alarm is called {', '.join(unknown)}; there are {', '.join(names)}")
    alarms = [alarm for alarm in STANDARD if only is None or alarm.name in only]
    if lag_seconds:
        alarms += [copies_late(lag_seconds), events_late(lag_seconds)]
        alarms += [queue_late(lag_seconds)] if queued else []
    alarms += [EVENTS_UNSENT] if announced and only is None else []
    return [alarm for alarm in alarms if direct or not alarm.direct_only]
