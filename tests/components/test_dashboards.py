"""The dashboard is one that CloudWatch takes, of metrics that exist."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from components import dashboards
from components.dashboards import Scope
from handler import metrics
from tests.recorder import ROOT

from .emitted import EMITTED_BY_COMMANDS

SCOPE = Scope(
    region="eu-central-1",
    backup_bucket="the-backups",
    functions={"backup-1": ["photos", "videos"], "backup-2": ["music"]},
    failure_queue="failures",
    event_queues=["events-1", "events-2"],
    log_groups=["logs-1", "logs-2"],
    alarm_arns=["arn:aws:cloudwatch:eu-central-1:111122223333:alarm:one"],
    by_bucket=True,
)
SMALLEST = dataclasses.replace(
    SCOPE, functions={"backup-1": ["photos"]}, event_queues=[], alarm_arns=[], by_bucket=False
)


def many(functions: int) -> Scope:
    """So many functions, with 50 buckets each."""
    return dataclasses.replace(
        SCOPE,
        functions={f"backup-{n}": [f"source-{n}-{i}" for i in range(50)] for n in range(functions)},
        alarm_arns=[f"{SCOPE.alarm_arns[0]}-{n}" for n in range(functions * 25)],
    )


SCOPES = pytest.mark.parametrize(
    "scope",
    [SCOPE, SMALLEST, *(many(functions) for functions in (4, 20, 21))],
    ids=["some", "least", "200", "1000", "1050"],
)

# The part of it that is used here, in which nothing unknown is allowed:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
TEXT = {"type": "string", "minLength": 1}
PERIOD = {"type": "integer", "minimum": 60, "multipleOf": 60}
STAT = {"type": "string", "pattern": r"^(Average|Maximum|Minimum|SampleCount|Sum|p\d{1,2})$"}
ID = {"type": "string", "pattern": "^[a-z][A-Za-z0-9_]*$"}
RENDERING = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "expression": TEXT,
        "id": ID,
        "label": TEXT,
        "period": PERIOD,
        "stat": STAT,
        "visible": {"type": "boolean"},
    },
}
PROPERTIES: dict[str, dict[str, Any]] = {
    "alarm": {
        "required": ["alarms"],
        "properties": {
            "alarms": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 100},
            "title": TEXT,
        },
    },
    "log": {
        "required": ["query", "region"],
        "properties": {
            "query": {"type": "string", "pattern": "^SOURCE '"},
            "region": TEXT,
            "title": TEXT,
            "view": {"enum": ["table", "timeSeries", "bar", "pie"]},
        },
    },
    "metric": {
        "required": ["metrics", "region"],
        "properties": {
            "metrics": {
                "type": "array",
                "minItems": 1,
                "maxItems": 500,
                "items": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"anyOf": [TEXT, RENDERING]},
                },
            },
            "period": PERIOD,
            "region": TEXT,
            "setPeriodToTimeRange": {"type": "boolean"},
            "stacked": {"type": "boolean"},
            "stat": STAT,
            "title": TEXT,
            "view": {"enum": ["timeSeries", "singleValue", "gauge", "bar", "pie", "table"]},
        },
    },
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["widgets"],
    "properties": {
        "start": {"type": "string", "pattern": r"^-P(\d+[DWM]|T\d+[HM])$"},
        "periodOverride": {"enum": ["auto", "inherit"]},
        "widgets": {
            "type": "array",
            "maxItems": 500,
            "items": {
                "oneOf": [
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["type", "properties"],
                        "properties": {
                            "type": {"const": kind},
                            "x": {"type": "integer", "minimum": 0, "maximum": 23},
                            "y": {"type": "integer", "minimum": 0},
                            "width": {"type": "integer", "minimum": 1, "maximum": 24},
                            "height": {"type": "integer", "minimum": 1, "maximum": 1000},
                            "properties": {
                                "type": "object",
                                "additionalProperties": False,
                                **properties,
                            },
                        },
                    }
                    for kind, properties in PROPERTIES.items()
                ]
            },
        },
    },
}


def metric_rows(body: dict[str, Any]) -> Iterator[list[Any]]:
    for widget in body["widgets"]:
        yield from widget["properties"].get("metrics", [])


def emitted(namespace: str, name: str, dimensions: set[str]) -> bool:
    """Whether somebody emits a metric with exactly these dimensions."""
    if namespace == metrics.NAMESPACE:
        ours = metrics.METRICS.get(name)
        sets = [*map(set, ours.dimensions if ours else ()), *EMITTED_BY_COMMANDS.get(name, [])]
        return dimensions in sets
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html
    return (namespace, name, dimensions) in [
        *(
            ("AWS/Lambda", metric, {"FunctionName"})
            for metric in ("Errors", "Throttles", "DestinationDeliveryFailures")
        ),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName"}),
        ("AWS/S3", "BucketSizeBytes", {"BucketName", "StorageType"}),
    ]


@SCOPES
def test_cloudwatch_would_take_it(scope: Scope) -> None:
    body = dashboards.body(scope)
    jsonschema.Draft202012Validator(SCHEMA).validate(body)
    taken: set[tuple[int, int]] = set()
    for widget in body["widgets"]:
        assert widget["x"] + widget["width"] <= dashboards.COLUMNS
        place = {
            (widget["x"] + column, widget["y"] + row)
            for column in range(widget["width"])
            for row in range(widget["height"])
        }
        assert not place & taken
        taken |= place
    assert len([row for row in metric_rows(body) if len(row) > 1]) <= 2500


@SCOPES
def test_every_metric_is_one_that_is_emitted_with_these_dimensions(scope: Scope) -> None:
    seen: set[str] = set()
    for row in metric_rows(dashboards.body(scope)):
        texts = [part for part in row if isinstance(part, str)]
        if not texts:
            continue
        namespace, name, *dimensions = texts
        assert emitted(namespace, name, set(dimensions[::2])), row
        assert len(dimensions) % 2 == 0
        seen.add(name)
    assert {"BackedUp", "Bytes", "Lag", "Failed", "VerificationFindings", "DrillFindings"} <= seen


@SCOPES
def test_expressions_are_about_metrics_of_their_widget(scope: Scope) -> None:
    found = 0
    for widget in dashboards.body(scope)["widgets"]:
        rendering = [
            row[-1] for row in widget["properties"].get("metrics", []) if isinstance(row[-1], dict)
        ]
        ids = [one["id"] for one in rendering if "id" in one]
        assert len(ids) == len(set(ids))
        for one in rendering:
            if "expression" in one:
                found += 1
                assert set(re.findall(r"[a-z]\w*", one["expression"])) <= set(ids) - {one["id"]}
    assert found == 2


def test_buckets_are_shown_where_they_are_counted() -> None:
    def per_bucket(scope: Scope) -> set[tuple[str, str, str]]:
        return {
            (row[1], row[3], row[5])
            for row in metric_rows(dashboards.body(scope))
            if "SourceBucket" in row and "FunctionName" in row
        }

    assert per_bucket(SCOPE) == {
        (metric, function, bucket)
        for metric in ("BackedUp", "Bytes")
        for function, buckets in SCOPE.functions.items()
        for bucket in buckets
    }
    assert per_bucket(SMALLEST) == set()


def test_queries_ask_for_fields_that_the_log_has() -> None:
    logged = set(re.findall(r'"([a-zA-Z]+)"', (ROOT / "handler" / "log.py").read_text()))
    assert dashboards.QUERIES
    for query in dashboards.QUERIES.values():
        assert len(query) <= 10_000
        asked = set(re.findall(r"(?:filter|by|display|sort) ([^|\n]+)", query))
        fields = {
            word for part in asked for word in re.findall(r"(?<![\w@\"])[a-zA-Z]+(?![\w\"(])", part)
        }
        assert fields - {"asc", "desc", "records"} <= logged
