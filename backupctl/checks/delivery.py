"""Whether events come to the functions, and failures to the failure queue."""

from collections.abc import Iterator

from backupctl import notifications
from backupctl.condition import Finding

from .patient import Patient


def functions(patient: Patient) -> Iterator[Finding]:
    """Functions are there, ready, and know where failures go."""
    client = patient.aws.client("lambda")
    for function in patient.stack.functions:
        configuration = patient.configurations.get(function.arn)
        if configuration is None:
            yield Finding(function.name, "there is no such function", "run pulumi up")
            continue
        # https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
        if configuration.get("State", "Active") not in {"Active", "Inactive"}:
            reason = configuration.get("StateReason", "")
            yield Finding(
                function.name,
                f"the function is {configuration['State']}: {reason}",
                "mend what it says, then run pulumi up",
            )
        try:
            invocation = client.get_function_event_invoke_config(FunctionName=function.name)
        except client.exceptions.ResourceNotFoundException:
            invocation = {}
        target = invocation.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if target != patient.stack.failure_queue_arn:
            yield Finding(
                function.name,
                f"events that Lambda gives up go to {target or 'nowhere'}, not to the failure "
                "queue",
                "run pulumi up --refresh",
            )


def queues(patient: Patient) -> Iterator[Finding]:
    """Each queue feeds a function."""
    for arn, mappings in patient.mappings.items():
        name = arn.rpartition(":")[2]
        if not mappings:
            yield Finding(name, "no function takes events from this queue", "run pulumi up")
        for mapping in mappings:
            if mapping["State"] not in {"Enabled", "Enabling", "Creating", "Updating"}:
                yield Finding(
                    name,
                    f"its event source mapping {mapping['UUID']} is {mapping['State']}",
                    "enable it: aws lambda update-event-source-mapping --enabled --uuid "
                    f"{mapping['UUID']}",
                )


def announcements(patient: Patient) -> Iterator[Finding]:
    """Sources tell the stack what it backs up, and nobody whom a deployment would silence."""
    for source in patient.sources:
        if source.name not in patient.entries:
            yield Finding(source.name, "there is no such bucket", "run pulumi up")
            continue
        found = notifications.judge(
            patient.entries[source.name],
            source,
            patient.targets,
            track_deletes=patient.stack.track_deletes,
        )
        for prefix, suffix in found.missing:
            what = f"{prefix}*{suffix}" if prefix or suffix else "what is written here"
            yield Finding(
                source.name, f"{what} is not announced to the stack", "run pulumi up --refresh"
            )
        for entry in found.foreign:
            overlap = ""
            if entry in found.overlapping:
                overlap = ", and S3 refuses it beside the stack's own, because they overlap"
            yield Finding(
                source.name,
                f"{entry.target} is told of events too: the next deployment that changes the "
                f"notification removes that{overlap}",
                "save it (aws s3api get-bucket-notification-configuration --bucket "
                f"{source.name}); one configuration is all that a bucket has",
            )
    for entry in patient.entries.get(patient.stack.backup_bucket, []):
        if entry.target in patient.targets:
            yield Finding(
                patient.stack.backup_bucket,
                f"the backup bucket announces its own copies to {entry.target}",
                "remove that notification",
            )
