"""Alarms, the SNS topics that they tell, dashboards and saved queries."""

import uuid
from collections.abc import Mapping

from sandbox.engine import Created, Registered
from sandbox.model_validation import ModelError, check, check_json_policy

from .base import (
    Aws,
    Creator,
    Deleter,
    Inputs,
    Spec,
    To,
    Updater,
    again,
    nested,
    tag_list,
    translate,
    with_tags,
)

_HOUR, _DAY, _WEEK = 3600, 24 * 3600, 7 * 24 * 3600
_MISSING = ("breaching", "ignore", "missing", "notBreaching")

_TOPIC: Spec = {
    "name": "Name",
    "displayName": "Attributes.DisplayName",
    "kmsMasterKeyId": "Attributes.KmsMasterKeyId",
    "tags": To("Tags", tag_list),
}
_SUBSCRIPTION: Spec = {"topic": "TopicArn", "protocol": "Protocol", "endpoint": "Endpoint"}
_ALARM: Spec = {
    "name": "AlarmName",
    "alarmDescription": "AlarmDescription",
    "namespace": "Namespace",
    "metricName": "MetricName",
    "dimensions": To(
        "Dimensions", lambda found: [{"Name": name, "Value": found[name]} for name in found]
    ),
    "statistic": "Statistic",
    "period": "Period",
    "evaluationPeriods": "EvaluationPeriods",
    "comparisonOperator": "ComparisonOperator",
    "threshold": "Threshold",
    "treatMissingData": "TreatMissingData",
    "warmUpConfiguration": nested(
        "WarmUpConfiguration", {"warmUpPeriodDurationInMinutes": "WarmUpPeriodDurationInMinutes"}
    ),
    "alarmActions": "AlarmActions",
    "okActions": "OKActions",
    "tags": To("Tags", tag_list),
}


def _topic(aws: Aws, inputs: Inputs) -> Created:
    arn = aws.client("sns").create_topic(**translate(inputs, _TOPIC))["TopicArn"]
    return Created(arn, {"arn": arn, "owner": aws.account_id, **with_tags(inputs)})


def _topic_policy(aws: Aws, inputs: Inputs) -> Created:
    check_json_policy("the topic policy", inputs["policy"])
    request = translate(inputs, {"arn": "TopicArn", "policy": "AttributeValue"})
    aws.client("sns").set_topic_attributes(AttributeName="Policy", **request)
    return Created(inputs["arn"], {"owner": aws.account_id})


def _subscription(aws: Aws, inputs: Inputs) -> Created:
    answer = aws.client("sns").subscribe(
        ReturnSubscriptionArn=True, **translate(inputs, _SUBSCRIPTION)
    )
    return Created(answer["SubscriptionArn"], {"arn": answer["SubscriptionArn"]})


def _alarm(aws: Aws, inputs: Inputs) -> Created:
    request = translate(inputs, _ALARM)
    period, window = request["Period"], request["Period"] * request["EvaluationPeriods"]
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    if period not in (10, 20, 30) and period % 60:
        raise ModelError(f"period is {period}, but must be 10, 20, 30 or a multiple of 60")
    longest = _DAY if period < _HOUR else _WEEK
    if window > longest:
        raise ModelError(
            f"period times evaluationPeriods is {window:,} seconds, but may be at most "
            f"{longest:,} with periods of {period:,}"
        )
    missing = request.get("TreatMissingData", "missing")
    if missing not in _MISSING:
        raise ModelError(
            f"treatMissingData is {missing!r}, but must be one of {', '.join(_MISSING)}"
        )
    aws.client("cloudwatch").put_metric_alarm(**request)
    name = inputs["name"]
    arn = f"arn:aws:cloudwatch:{aws.region}:{aws.account_id}:alarm:{name}"
    return Created(name, {"arn": arn, **with_tags(inputs)})


def _dashboard(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs, {"dashboardName": "DashboardName", "dashboardBody": "DashboardBody"}
    )
    aws.client("cloudwatch").put_dashboard(**request)
    name = inputs["dashboardName"]
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
    return Created(name, {"dashboardArn": f"arn:aws:cloudwatch::{aws.account_id}:dashboard/{name}"})


def _query(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs, {"name": "name", "logGroupNames": "logGroupNames", "queryString": "queryString"}
    )
    # MiniStack has no such thing; that AWS would take the request is all that can be known here.
    client = aws.client("logs")
    check(client.meta.service_model.operation_model("PutQueryDefinition"), request)
    id_ = str(uuid.uuid4())
    return Created(id_, {"queryDefinitionId": id_})


CREATORS: Mapping[str, Creator] = {
    "aws:sns/topic:Topic": _topic,
    "aws:sns/topicPolicy:TopicPolicy": _topic_policy,
    "aws:sns/topicSubscription:TopicSubscription": _subscription,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:cloudwatch/dashboard:Dashboard": _dashboard,
    "aws:cloudwatch/queryDefinition:QueryDefinition": _query,
}


def _no_alarm(aws: Aws, resource: Registered) -> None:
    aws.client("cloudwatch").delete_alarms(AlarmNames=[resource.id])


def _no_dashboard(aws: Aws, resource: Registered) -> None:
    aws.client("cloudwatch").delete_dashboards(DashboardNames=[resource.id])


UPDATERS: Mapping[str, Updater] = {
    # CloudWatch ignores tags of an alarm that exists.
    "aws:cloudwatch/metricAlarm:MetricAlarm": again(_alarm, *(_ALARM.keys() - {"name", "tags"})),
    "aws:cloudwatch/dashboard:Dashboard": again(_dashboard, "dashboardBody"),
}
DELETERS: Mapping[str, Deleter] = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": _no_alarm,
    "aws:cloudwatch/dashboard:Dashboard": _no_dashboard,
    "aws:cloudwatch/queryDefinition:QueryDefinition": lambda _aws, _resource: None,
}
