"""Prints docs/alarms.md from the alarms' own data: `python -m docs.alarms > docs/alarms.md`."""

from collections.abc import Iterator

from components import alarms
from components.alarms import Alarm

LAG_SECONDS = 3600
QUIET_HOURS = 24
DAYS = 7

BEGIN = """\
# Alarms

Made from `components/alarms.py` by `python -m docs.alarms`. Every message carries the backup
bucket's name, what happened and what to do, as below, and there is another one when it is over. By
default all are there but `queue-late` and those after it, and nobody has subscribed yet. With
`delivery: queue`, `queue-late` takes the place of `events-late` and `events-lost`.

```sh
pulumi config set --path 's3-backup:alarms.emails[0]' team@example.com
pulumi up
```

SNS sends each address a mail with a link to confirm. `alarms.subscriptions` takes other protocols;
a queue or a function that subscribes must itself let the topic (stack output `alarmTopicArn`) send.

| alarm | once for | raised when | missing data |
| --- | --- | --- | --- |
"""

END = """
## Test them

This sends what a real alarm would send, through key, topic and subscription; a minute or so later
the alarm returns to its real state and says so:

```sh
name=$(aws cloudwatch describe-alarms --alarm-name-prefix backup-errors \\
  --query 'MetricAlarms[0].AlarmName' --output text)
aws cloudwatch set-alarm-state --alarm-name "$name" --state-value ALARM --state-reason test
aws cloudwatch describe-alarm-history --alarm-name "$name" --history-item-type Action
```

## The key

CloudWatch may not use the key that SNS manages (`alias/aws/sns`), so with `encryption: s3` the
stack makes a key for the topic alone. A key of your own must let CloudWatch use it, or no message
is ever sent: [encryption.md](encryption.md#your-own-key) has the statement.
"""


_UNITS = {"ApproximateAgeOfOldestMessage": " s", "AsyncEventAge": " ms", "Lag": " s"}


def every() -> list[Alarm]:
    """One of each kind, with its default threshold or an example's."""
    return [
        *alarms.chosen(None, LAG_SECONDS, queued=True, announced=True),
        alarms.quiet(QUIET_HOURS),
        *alarms.verification(DAYS),
        *alarms.drill(DAYS),
    ]


def page() -> str:
    """The whole page."""
    return (
        BEGIN + "\n".join(_rows()) + "\n\n## What each means\n\n" + "\n".join(_texts()) + "\n" + END
    )


def _rows() -> Iterator[str]:
    for alarm in every():
        yield (
            f"| `{alarm.name}` | {alarm.subject} | {_condition(alarm)} | "
            f"`{alarm.missing}`: {alarm.because} |"
        )


def _condition(alarm: Alarm) -> str:
    minutes = alarm.period * alarm.periods // 60
    span = {3600: f"{minutes // 60} hours", 86_400: f"{minutes // 1440} days"}.get(
        alarm.period, f"{minutes} minutes"
    )
    of = "".join(f" with {name} {value}" for name, value in alarm.dimensions.items())
    side = "below" if alarm.below else "above"
    limit = f"{alarm.threshold:,.0f}{_UNITS.get(alarm.metric, '')}"
    return f"{alarm.statistic} of `{alarm.metric}`{of} {side} {limit} for {span}"


def _texts() -> Iterator[str]:
    for alarm in every():
        yield f"- `{alarm.name}`: {alarm.happened} {alarm.cure}"


if __name__ == "__main__":
    print(page(), end="")
