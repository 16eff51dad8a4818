"""What commands tell CloudWatch; alarms and the dashboard go by these names."""

from collections.abc import Mapping

from handler.metrics import NAMESPACE

from .aws import Aws

VERIFICATION_COMPLETED = "VerificationCompleted"
VERIFICATION_FINDINGS = "VerificationFindings"
DRILL_COMPLETED = "DrillCompleted"
DRILL_FINDINGS = "DrillFindings"


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
                "Dimensions": [{"Name": "SourceBucket", "Value": source}],
                "Value": value,
                "Unit": "Count",
            }
            for name, value in counts.items()
        ],
    )
