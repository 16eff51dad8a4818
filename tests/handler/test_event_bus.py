"""Events get to the bus, or somebody is told which did not."""

import json
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import EndpointConnectionError

from handler import event_bus

BUS = "arn:aws:events:eu-central-1:111122223333:event-bus/security"


class Bus:
    """Takes events, or answers as it is told."""

    def __init__(self, *refusals: set[str] | Exception) -> None:
        self.refusals = list(refusals)
        self.asked: list[list[str]] = []
        self.taken: list[str] = []

    def put_events(self, *, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        names = [json.loads(entry["Detail"])["name"] for entry in Entries]
        self.asked.append(names)
        refused = self.refusals.pop(0) if self.refusals else set[str]()
        if isinstance(refused, Exception):
            raise refused
        self.taken += [name for name in names if name not in refused]
        results = [
            {"ErrorCode": "InternalFailure", "ErrorMessage": "later"}
            if name in refused
            else {"EventId": name}
            for name in names
        ]
        return {"FailedEntryCount": len(refused), "Entries": results}


def entries(count: int) -> list[event_bus.Entry]:
    return [event_bus.entry(BUS, "Kind", {"name": f"{number}"}) for number in range(count)]


def test_an_event_has_an_envelope() -> None:
    [entry] = entries(1)
    assert entry == {
        "EventBusName": BUS,
        "Source": "s3-backup",
        "DetailType": "Kind",
        "Detail": '{"version": "1", "name": "0"}',
    }


def test_ten_are_sent_at_a_time() -> None:
    bus = Bus()
    assert event_bus.put(bus, entries(21)) == []
    assert [len(names) for names in bus.asked] == [10, 10, 1]
    assert bus.taken == [f"{number}" for number in range(21)]


def test_what_the_bus_did_not_take_is_sent_once_more() -> None:
    bus = Bus({"1", "3"}, {"3"})
    assert event_bus.put(bus, entries(4)) == ["InternalFailure: later"]
    assert bus.asked == [["0", "1", "2", "3"], ["1", "3"]]
    assert sorted(bus.taken) == ["0", "1", "2"]


def test_a_bus_that_does_not_answer_is_asked_once_more_and_the_rest_still_sent() -> None:
    away = EndpointConnectionError(endpoint_url="https://events")
    bus = Bus(away, away)
    unsent = event_bus.put(bus, entries(11))
    assert len(unsent) == 10
    assert all(problem.startswith("EndpointConnectionError: ") for problem in unsent)
    assert bus.taken == ["10"]
    assert event_bus.put(Bus(away), entries(11)) == []


def test_without_time_nothing_is_sent() -> None:
    bus = Bus()
    times = iter([True, False])
    assert event_bus.put(bus, entries(12), lambda: next(times)) == ["there was no time left"] * 2
    assert len(bus.taken) == 10
