"""The events as docs/events.md describes them to those who subscribe."""

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema

from handler import event_bus
from tests.recorder import ROOT

[_BLOCK] = re.findall(
    r"^```json\n(.*?)^```", (ROOT / "docs" / "events.md").read_text(), re.MULTILINE | re.DOTALL
)
SCHEMA: Mapping[str, Any] = json.loads(_BLOCK)


def check(detail_type: str, detail: Mapping[str, Any]) -> None:
    """Fail unless an event is one that the page describes."""
    schema = {**SCHEMA, "$ref": f"#/$defs/{detail_type.replace(' ', '%20')}"}
    jsonschema.Draft202012Validator(schema).validate(detail)


def checked(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The detail of what is given to PutEvents, if all of it is right."""
    assert entry.keys() == {"EventBusName", "Source", "DetailType", "Detail"}
    assert entry["Source"] == event_bus.SOURCE
    detail = json.loads(entry["Detail"])
    check(entry["DetailType"], detail)
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
    assert len(json.dumps(entry)) < 25_000
    return detail
