"""What commands tell CloudWatch; alarms and the dashboard go by these names."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from handler.metrics import NAMESPACE

from .aws import Aws

VERIFICATION_COMPLETED = "VerificationCompleted"
VERIFICATION_FINDINGS = "VerificationFindings"
DRILL_COMPLETED = "DrillCompleted"
DRILL_FINDINGS = "DrillFindings"

_DIMENSION = "SourceBucket"


def publish(aws: Aws, source: str, counts: Mapping[str, int]) -> None:
    """Publish counts about one source bucket.

    :param source: name of the bucket, the metrics' only dimension.
    :param counts: by the metric's name.
    :raises botocore.exceptions.ClientError: if CloudWatch refuses.
    """
    aws.client("cloudwatch").put_metric_data(
        Namespace=NAMESPACE,
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [{"Name": _DIMENSION, "Value": source}],
                "Value": value,
                "Unit": "Count",
            }
            for name, value in counts.items()
        ],
    )


def embedded(now: datetime, source: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """The same as a line of a function's log, which takes no permission and no request.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

    :param now: when it was counted (UTC).
    :param source: as for `publish`.
    :param counts: as for `publish`.
    :returns: a structure that becomes one line of JSON.
    """
    return {
        "_aws": {
            "Timestamp": int(now.timestamp() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [[_DIMENSION]],
                    "Metrics": [{"Name": name, "Unit": "Count"} for name in counts],
                }
            ],
        },
        _DIMENSION: source,
        **counts,
    }
