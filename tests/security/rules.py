"""Rules that a rendered stack keeps, named in docs/security.yaml. Each yields what breaks it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.recorder import ACCOUNT, Recording

from .documents import Document, Kind, documents

Rule = Callable[[Recording], Iterator[str]]


def resource_policies_allow_only_services_of_this_account(recording: Recording) -> Iterator[str]:
    """Only AWS services, and they for something of this account; and a key's own account."""
    for document, statement in _allowed(recording, Kind.RESOURCE, Kind.KEY):
        principal = statement["Principal"]
        if principal == {"AWS": ACCOUNT} and document.kind is Kind.KEY:
            continue
        named = isinstance(principal, Mapping) and set(principal) == {"Service"}
        if not named or ACCOUNT not in str(statement.get("Condition")):
            yield f"{document.where}: {statement}"


def every_permission_to_invoke_names_source_and_account(recording: Recording) -> Iterator[str]:
    """Without the account, whoever takes a deleted bucket's name could invoke the function.

    The ARN of a bucket does not name it, as that of an event rule does.
    """
    for permission in recording.all("lambda/permission:Permission"):
        given = permission.inputs
        source = str(given.get("sourceArn", ""))
        accounts = {given.get("sourceAccount"), *source.split(":")[4:5]}
        if ACCOUNT not in accounts or not source or "*" in source:
            yield f"{permission.name}: {given}"


def no_statement_allows_all_actions_of_a_service(recording: Recording) -> Iterator[str]:
    """Neither `*` nor `s3:*`; a key's own policy lets IAM decide, which takes `kms:*`."""
    for document, statement in _allowed(recording, *Kind):
        if document.kind is Kind.KEY and statement["Principal"] == {"AWS": ACCOUNT}:
            continue
        if any(action.rpartition(":")[2] == "*" for action in listed(statement["Action"])):
            yield f"{document.where}: {statement}"


def every_use_of_a_key_names_one_key_and_the_services(recording: Recording) -> Iterator[str]:
    """A role uses keys through S3 and SQS, never by a request to KMS."""
    for document, statement in _allowed(recording, Kind.IDENTITY):
        if not any(action.startswith(("kms:", "*")) for action in listed(statement["Action"])):
            continue
        keys = listed(statement["Resource"])
        condition = statement.get("Condition", {}).get("StringLike", {})
        if any("*" in key for key in keys) or "kms:ViaService" not in condition:
            yield f"{document.where}: {statement}"


def trails_record_reading_and_writing_of_all_objects_of_the_stack(
    recording: Recording,
) -> Iterator[str]:
    """Sources and backups, both ways, and every function."""
    buckets = {r.outputs["arn"] for r in recording.all("s3/bucket:Bucket")}
    # Those for evidence and packages hold nothing that is backed up.
    machinery = ("access-logs", "audit-trail", "signed-code")
    watched = {f"{arn}/" for arn in buckets if not arn.rpartition(":")[2].startswith(machinery)}
    functions = {r.outputs["arn"] for r in recording.all("lambda/function:Function")}
    for trail in recording.all("cloudtrail/trail:Trail"):
        fields = [
            {field["field"]: field for field in selector["fieldSelectors"]}
            for selector in trail.inputs["advancedEventSelectors"]
        ]
        if any("readOnly" in selector for selector in fields):
            yield f"{trail.name}: reads or writes only"
        arns = [selector["resources.ARN"] for selector in fields if "resources.ARN" in selector]
        starts = {value for arn in arns for value in arn.get("startsWiths", [])}
        equal = {value for arn in arns for value in arn.get("equals", [])}
        if starts != watched or equal != functions:
            yield f"{trail.name}: records {starts | equal}, not {watched | functions}"


def every_alarm_tells_somebody(recording: Recording) -> Iterator[str]:
    """Actions are there for the alarm and for its end, and on."""
    for alarm in recording.all("metricAlarm:MetricAlarm"):
        actions = alarm.inputs.get("alarmActions"), alarm.inputs.get("okActions")
        if not all(actions) or alarm.inputs.get("actionsEnabled") is False:
            yield f"{alarm.name}: {actions}"


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        every_alarm_tells_somebody,
        every_permission_to_invoke_names_source_and_account,
        every_use_of_a_key_names_one_key_and_the_services,
        no_statement_allows_all_actions_of_a_service,
        resource_policies_allow_only_services_of_this_account,
        trails_record_reading_and_writing_of_all_objects_of_the_stack,
    )
}


def listed(value: Any) -> list[Any]:
    """What a policy says once or several times."""
    return value if isinstance(value, list) else [value]


def _allowed(recording: Recording, *kinds: Kind) -> Iterator[tuple[Document, Mapping[str, Any]]]:
    for document in documents("rendered", recording):
        if document.kind in kinds:
            for statement in document.content["Statement"]:
                if statement["Effect"] == "Allow":
                    yield document, statement
