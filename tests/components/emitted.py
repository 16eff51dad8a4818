"""What commands emit, seen by running what emits it."""

from typing import Any, cast

from backupctl import metrics
from backupctl.aws import Aws
from handler.metrics import NAMESPACE


class _Account:
    """Keeps what CloudWatch is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def client(self, service: str) -> "_Account":
        assert service == "cloudwatch"
        return self

    def put_metric_data(self, **request: Any) -> None:
        assert request["Namespace"] == NAMESPACE
        self.told += request["MetricData"]


def _emitted() -> dict[str, list[set[str]]]:
    account = _Account()
    names = [
        value for name, value in vars(metrics).items() if name.isupper() and name != "NAMESPACE"
    ]
    metrics.publish(cast(Aws, account), "photos", dict.fromkeys(names, 1))
    found: dict[str, list[set[str]]] = {}
    for data in account.told:
        dimensions = {dimension["Name"] for dimension in data["Dimensions"]}
        found.setdefault(data["MetricName"], []).append(dimensions)
    return found


EMITTED_BY_COMMANDS = _emitted()
"""Name of each metric to the sets of its dimensions."""
