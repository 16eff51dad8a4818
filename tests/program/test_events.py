"""Who is told of what happens: from config to resources."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from settings import ConfigError, parse
from tests.recorder import ACCOUNT, REGION, Recording, policy, record_stack

BASE: dict[str, Any] = {"backupBucket": "the-backups", "buckets": ["photos"]}
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/security"
FOREIGN = f"arn:aws:events:{REGION}:111122223333:event-bus/security"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:on-call"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:on-call"


def stack(**events: Any) -> Recording:
    return record_stack({**BASE, **({"events": events} if events else {})})


def environment(recording: Recording) -> dict[str, str]:
    variables = recording.one("lambda/function:Function").inputs["environment"]["variables"]
    return {name: variables[name] for name in variables if name.startswith("EVENT")}


def test_without_it_nothing_is_left_of_it() -> None:
    recording = stack()
    assert environment(recording) == {}
    names = {r.name for r in recording.deployment.resources}
    assert {r.name for r in stack(bus="default").deployment.resources} - names == {
        "backup-announce",
        "backup-events-unsent",
    }
    rights = [json.dumps(policy(r)) for r in recording.all("iam/rolePolicy:RolePolicy")]
    assert rights
    assert not any("events:" in one for one in rights)
    assert "eventBus" not in json.loads(recording.one("ssm/parameter:Parameter").inputs["value"])


@pytest.mark.parametrize(("bus", "arn"), [("security", BUS), (FOREIGN, FOREIGN)])
def test_the_function_may_tell_that_bus_and_does(bus: str, arn: str) -> None:
    recording = stack(bus=bus)
    assert environment(recording) == {"EVENT_BUS": arn}
    assert policy(recording.one("RolePolicy", "backup-announce"))["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "events:PutEvents",
            "Resource": arn,
            "Condition": {"StringEquals": {"events:source": "s3-backup"}},
        }
    ]
    assert json.loads(recording.one("ssm/parameter:Parameter").inputs["value"])["eventBus"] == arn
    assert environment(stack(bus=bus, success=True)) == {"EVENT_BUS": arn, "EVENT_SUCCESS": "on"}


def test_each_failure_target_gets_the_failures_of_this_stack_only() -> None:
    recording = stack(bus="security", failureTargets=[TOPIC, FUNCTION])
    rule = recording.one("eventRule:EventRule")
    assert rule.inputs["eventBusName"] == "security"
    assert json.loads(rule.inputs["eventPattern"]) == {
        "source": ["s3-backup"],
        "detail-type": ["Backup Failed"],
        "detail": {"backupBucket": ["the-backups"]},
    }
    targets = recording.all("eventTarget:EventTarget")
    assert sorted(t.inputs["arn"] for t in targets) == sorted([TOPIC, FUNCTION])
    assert {(t.inputs["rule"], t.inputs["eventBusName"]) for t in targets} == {
        (rule.outputs["name"], "security")
    }
    [permission] = [
        r.inputs
        for r in recording.all("lambda/permission:Permission")
        if r.inputs["principal"] == "events.amazonaws.com"
    ]
    assert (permission["function"], permission["sourceArn"]) == (FUNCTION, rule.outputs["arn"])


@pytest.mark.parametrize(
    ("events", "line"),
    [
        ({"success": True}, "events.bus: required, but missing; add it"),
        (
            {"bus": "a bus"},
            'events.bus: "a bus": neither the name nor the ARN of an event bus; write it as in '
            "default or arn:aws:events:eu-central-1:111122223333:event-bus/security",
        ),
        ({"bus": "a", "success": 2}, "events.success: 2: neither true nor false; write true or "),
        (
            {"bus": "a", "failureTargets": BUS},
            f'events.failureTargets[0]: "{BUS}": neither the ARN of an SNS topic nor that of a '
            "Lambda function; write it as in arn:aws:sns:eu-central-1:111122223333:on-call",
        ),
        (
            {"bus": BUS, "failureTargets": TOPIC},
            "failureTargets need a bus of this account, whose name is known; write the name of the "
            "bus instead of its ARN",
        ),
        (
            {"bus": "a", "failureTargets": [TOPIC, TOPIC]},
            "a target is there twice; list each once",
        ),
        ({"bus": "a", "failure": TOPIC}, "known here: bus, failureTargets, success"),
    ],
)
def test_a_mistake_is_named(events: Mapping[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({**BASE, "events": events}, file="Pulumi.prod.yaml")
    assert str(caught.value).startswith("Pulumi.prod.yaml: s3-backup:events")
    assert line in str(caught.value)
