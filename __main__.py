"""The Pulumi program: settings -> components -> exports."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

import settings
from components import (
    AccessLogBucket,
    AccessLogBucketArgs,
    AuditTrail,
    AuditTrailArgs,
    BackupAlarms,
    BackupAlarmsArgs,
    BackupDashboard,
    BackupDashboardArgs,
    BackupFunction,
    BackupFunctionArgs,
    BackupQueue,
    BackupQueueArgs,
    BackupTarget,
    BatchFunction,
    BatchFunctionArgs,
    BatchJobRole,
    BatchJobRoleArgs,
    BucketProtection,
    DrilledSource,
    EncryptionKey,
    EncryptionKeyArgs,
    EventBus,
    Expiration,
    FailureRedrive,
    FailureTargets,
    FunctionNetwork,
    HandlerFunctionArgs,
    KeyFilter,
    Lifecycle,
    LogQueries,
    NotificationTopic,
    NotificationTopicArgs,
    ScheduledDrill,
    ScheduledDrillArgs,
    SignedPackage,
    SignedPackageArgs,
    StandardBucket,
    StandardBucketArgs,
    deployment_package,
    zipped_package,
)

ALARM_SERVICES = ["cloudwatch.amazonaws.com"]
HANDLER = Path(__file__).parent / "handler"
# Drills in Lambda are those of the operator's command line.
BACKUPCTL = Path(__file__).parent / "backupctl"
AUDIT_TRAIL = "audit-trail"
DRILL = "drill"
SIGNED_CODE = "signed-code"
# Where the functions keep what is no backup of its own; no bucket's name begins so.
BACKUP_RECORDS = ".s3-backup/"
# Manifests and reports of jobs of S3 Batch Operations: for asking what happened, not for ever.
BATCH_RECORDS = f"{BACKUP_RECORDS}batch/"
BATCH_RECORD_DAYS = 90
# For which a large copy can be gone on with.
UNFINISHED_UPLOAD_DAYS = 7
TAGS = {"Project": pulumi.get_project(), "Stack": pulumi.get_stack()}


def kept() -> pulumi.ResourceOptions:
    """Options of what neither `pulumi destroy` nor a change of config may take along."""
    return pulumi.ResourceOptions(protect=True, retain_on_delete=True)


def function_names(config: settings.Settings) -> list[str]:
    """Logical names of the functions, one per group of buckets."""
    further = range(2, len(config.backup_groups) + 1)
    return ["backup", *(f"backup-{number}" for number in further)]


def key_services(config: settings.Settings) -> list[str]:
    """Services that encrypt with the stack's key: CloudWatch for its topic, S3 for its queues."""
    services: list[str] = []
    if config.has_alarms:
        services += ALARM_SERVICES
    if config.delivery is not settings.Delivery.DIRECT:
        services.append("s3.amazonaws.com")
    return services


def batch_function_names(config: settings.Settings) -> list[str]:
    """Logical names of the functions for jobs: as many as the others, for the same groups."""
    if not config.batch_operations:
        return []
    return [f"batch-{name}" for name in function_names(config)]


def encryption_key(config: settings.Settings) -> pulumi.Input[str] | None:
    """ARN of the key that encrypts the stack's buckets, None for S3's own keys."""
    if config.encryption is settings.Encryption.STACK_KEY:
        args = EncryptionKeyArgs(
            description=f"S3 Backup, stack {pulumi.get_stack()}",
            log_groups=[
                f"{name}-logs-*"
                for name in (*function_names(config), *batch_function_names(config))
            ]
            + ([f"{DRILL}-*"] if config.drill else []),
            tags=TAGS,
            **protection(config),
        )
        if config.audit:
            args["trails"] = [trail_name()]
        services = key_services(config)
        if services:
            args["services"] = services
        return EncryptionKey("backup-key", args, kept()).key_arn
    return config.own_key_arn


def trail_name() -> str:
    """Name of the stack's CloudTrail trail."""
    return f"{pulumi.get_project()}-{pulumi.get_stack()}"


def refuse_lockout(config: settings.Settings) -> None:
    """Stop before the backup bucket's policy locks out whoever deploys the stack."""
    if config.break_glass_role_arn is None:
        return
    problem = config.lockout(aws.get_caller_identity().arn)
    if problem is not None:
        raise pulumi.RunError(problem)


def access_logs(config: settings.Settings) -> pulumi.Input[str] | None:
    """Name of the bucket that receives the access logs of all others, if config wants them."""
    if not config.access_logs:
        return None
    args = AccessLogBucketArgs(
        source_names=[
            config.backup_bucket,
            *(source.name for source in config.buckets),
            *([f"{SIGNED_CODE}-*"] if config.code_signing else []),
            *([f"{AUDIT_TRAIL}-*"] if config.audit else []),
            *([f"{DRILL}-scratch-*"] if config.drill else []),
        ],
        retention_days=config.access_log_retention_days,
        tags=TAGS,
        **protection(config),
    )
    # Logs outlive the stack, but not protected: turning them off must work.
    kept_logs = pulumi.ResourceOptions(retain_on_delete=True)
    return AccessLogBucket("access-logs", args, kept_logs).bucket_name


def protection(config: settings.Settings) -> BucketProtection:
    """Who may do what destroys backups."""
    allowed = BucketProtection()
    if config.break_glass_role_arn is not None:
        allowed["break_glass_role_arn"] = config.break_glass_role_arn
        allowed["deployer_role_arns"] = list(config.deployer_role_arns)
    return allowed


def lifecycle(config: settings.Settings) -> Lifecycle:
    """How long the backup bucket keeps what is not current any more."""
    # A note about an upload is of no use without it.
    expirations = [Expiration(prefix=f"{BACKUP_RECORDS}uploads/", days=UNFINISHED_UPLOAD_DAYS)]
    if config.track_deletes:
        # A version that came late is none that anybody sees. The record of a deletion must not end
        # before what it speaks of, or that would seem to be there again.
        days = config.retention_days
        expirations += [
            Expiration(prefix=f"{BACKUP_RECORDS}late/", days=days),
            Expiration(prefix=f"{BACKUP_RECORDS}deleted/", days=days + 1),
        ]
    if config.batch_operations:
        expirations.append(Expiration(prefix=BATCH_RECORDS, days=BATCH_RECORD_DAYS))
    return Lifecycle(
        noncurrent_days=config.retention_days,
        abort_upload_days=UNFINISHED_UPLOAD_DAYS,
        expirations=expirations,
    )


def backup_bucket(
    config: settings.Settings,
    key_arn: pulumi.Input[str] | None,
    log_bucket: pulumi.Input[str] | None,
) -> StandardBucket:
    """The bucket that receives every copy."""
    args = StandardBucketArgs(
        bucket_name=config.backup_bucket,
        versioning=True,
        lifecycle=lifecycle(config),
        protection=protection(config),
        tags=TAGS,
    )
    if log_bucket is not None:
        args["access_log_bucket"] = log_bucket
    if key_arn is not None:
        args["kms_key_arn"] = key_arn
    if config.object_lock is not None:
        args["object_lock"] = {
            "mode": config.object_lock.mode,
            "days": config.object_lock.days,
        }
    return StandardBucket(config.backup_bucket, args, kept())


def refuse_one_zone(network: settings.Vpc) -> None:
    """Stop if all subnets are in one zone, whose failure would stop every backup."""
    zones = {aws.ec2.get_subnet(id=subnet).availability_zone_id for subnet in network.subnet_ids}
    if len(zones) < 2:
        raise pulumi.RunError(
            f"{settings.NAMESPACE}:vpc.subnetIds: all of them are in zone {zones.pop()}, so its "
            "failure would stop every backup; add a subnet in another zone"
        )


def signed_package(
    config: settings.Settings, log_bucket: pulumi.Input[str] | None
) -> SignedPackage:
    """The functions' code, signed; one package for all of them."""
    folders = [HANDLER, BACKUPCTL] if config.drill else [HANDLER]
    args = SignedPackageArgs(package=zipped_package(*folders), tags=TAGS)
    if log_bucket is not None:
        args["access_log_bucket"] = log_bucket
    return SignedPackage(SIGNED_CODE, args)


def event_bus(config: settings.Settings) -> pulumi.Input[str] | None:
    """ARN of the bus that is told what happens, if there is one."""
    if config.events is None:
        return None
    bus = config.events.bus
    # The bus is somebody else's, and must be there.
    return bus if ":" in bus else aws.cloudwatch.get_event_bus_output(name=bus).arn


def failure_targets(config: settings.Settings) -> None:
    """Who else gets each failure, beside the failure queue."""
    if config.events is not None and config.events.failure_targets:
        FailureTargets(
            "backup-failure-targets",
            {
                "bus_name": config.events.bus,
                "backup_bucket_name": config.backup_bucket,
                "target_arns": list(config.events.failure_targets),
            },
        )


def handler_function(
    config: settings.Settings,
    bucket: StandardBucket,
    key_arn: pulumi.Input[str] | None,
    log_bucket: pulumi.Input[str] | None,
    bus_arn: pulumi.Input[str] | None,
) -> HandlerFunctionArgs:
    """What all functions have in common."""
    args = HandlerFunctionArgs(
        backup_bucket_name=bucket.bucket_name,
        backup_bucket_arn=bucket.bucket_arn,
        memory_size=config.memory,
        timeout=config.timeout,
        reserved_concurrency=config.reserved_concurrency,
        log_retention_days=config.log_retention_days,
        bucket_metrics=config.bucket_metrics,
        tracing=config.tracing,
        track_deletes=config.track_deletes,
        storage_class=config.storage_class,
        tags=TAGS,
    )
    if config.code_signing:
        args["signed_code"] = signed_package(config, log_bucket).code
    else:
        args["code"] = deployment_package(HANDLER)
    if config.vpc is not None:
        refuse_one_zone(config.vpc)
        args["network"] = FunctionNetwork(
            subnet_ids=[*config.vpc.subnet_ids],
            security_group_ids=[*config.vpc.security_group_ids],
        )
    if config.permissions_boundary_arn is not None:
        args["permissions_boundary_arn"] = config.permissions_boundary_arn
    if bus_arn is not None and config.events is not None:
        args["event_bus"] = EventBus(arn=bus_arn, success=config.events.success)
    if key_arn is not None:
        args["kms_key_arn"] = key_arn
    return args


def backup_functions(
    config: settings.Settings, common: HandlerFunctionArgs
) -> list[BackupFunction]:
    """One function per group of buckets; they share the first one's failure queue."""
    args = BackupFunctionArgs(**common)
    functions: list[BackupFunction] = []
    for name in function_names(config):
        functions.append(BackupFunction(name, args))
        args["failure_queue"] = functions[0].failure_queue
    return functions


def backup_queues(
    config: settings.Settings, functions: list[BackupFunction], key_arn: pulumi.Input[str] | None
) -> list[BackupQueue]:
    """One queue per function, for the same group of buckets; none with direct delivery."""
    if config.delivery is settings.Delivery.DIRECT:
        return []
    queues: list[BackupQueue] = []
    for number, (group, function) in enumerate(
        zip(config.backup_groups, functions, strict=True), start=1
    ):
        args = BackupQueueArgs(
            bucket_names=[source.name for source in group],
            function_name=function.function_name,
            function_timeout=config.timeout,
            role_id=function.role_id,
            batch_size=config.queue_batch_size,
            batch_window=config.queue_batch_window,
            # Once the events go another way the queue is emptied, and then it may go.
            protect_messages=config.delivery is settings.Delivery.QUEUE,
            tags=TAGS,
        )
        if config.queue_concurrency is not None:
            args["max_concurrency"] = config.queue_concurrency
        if key_arn is not None:
            args["kms_key_arn"] = key_arn
        name = "backup-queue" if number == 1 else f"backup-queue-{number}"
        queues.append(BackupQueue(name, args))
    FailureRedrive(
        "backup-redrive",
        {
            "failure_queue": functions[0].failure_queue,
            "queues": [{"arn": queue.queue_arn, "url": queue.queue_url} for queue in queues],
        },
    )
    return queues


def backup_targets(
    config: settings.Settings, functions: list[BackupFunction], queues: list[BackupQueue]
) -> dict[str, BackupTarget]:
    """Where the events of each bucket go."""
    targets = [function.target for function in functions]
    if config.delivery is settings.Delivery.QUEUE:
        for target, queue in zip(targets, queues, strict=True):
            target["queue_arn"] = queue.queue_arn
    return {
        source.name: target
        for group, target in zip(config.backup_groups, targets, strict=True)
        for source in group
    }


def key_filter(chosen: settings.KeyFilter) -> KeyFilter:
    """The component's form of a filter: a side that is not restricted is left out."""
    wanted = KeyFilter()
    if chosen.prefix is not None:
        wanted["prefix"] = chosen.prefix
    if chosen.suffix is not None:
        wanted["suffix"] = chosen.suffix
    return wanted


def source_bucket(
    config: settings.Settings,
    source: settings.SourceBucket,
    key_arn: pulumi.Input[str] | None,
    log_bucket: pulumi.Input[str] | None,
    target: BackupTarget | None,
) -> StandardBucket:
    """One bucket of the list, with a backup if it has a target."""
    args = StandardBucketArgs(bucket_name=source.name, tags=TAGS)
    if log_bucket is not None:
        args["access_log_bucket"] = log_bucket
    if key_arn is not None:
        args["kms_key_arn"] = key_arn
    if target is not None:
        args["backup"] = target
        args["backup_filters"] = [key_filter(chosen) for chosen in source.filters]
        args["track_deletes"] = config.track_deletes
    return StandardBucket(source.name, args)


def batch_functions(
    config: settings.Settings,
    common: HandlerFunctionArgs,
    sources: Mapping[str, StandardBucket],
) -> list[BatchFunction]:
    """One function per group of buckets, for jobs of S3 Batch Operations; none if they are off."""
    names = batch_function_names(config)
    return [
        BatchFunction(
            name,
            BatchFunctionArgs(
                **common,
                source_bucket_arns=[sources[source.name].bucket_arn for source in group],
            ),
        )
        for name, group in zip(names, config.backup_groups if names else [], strict=True)
    ]


def batch_job_role(
    config: settings.Settings, backup: StandardBucket, functions: list[BatchFunction]
) -> BatchJobRole:
    """What jobs run as."""
    args = BatchJobRoleArgs(
        function_arns=[function.function_arn for function in functions],
        backup_bucket_arn=backup.bucket_arn,
        tags=TAGS,
    )
    if config.permissions_boundary_arn is not None:
        args["permissions_boundary_arn"] = config.permissions_boundary_arn
    return BatchJobRole("batch-job", args)


def batch_operations(
    config: settings.Settings, backup: StandardBucket, functions: list[BatchFunction]
) -> dict[str, Any] | None:
    """What `backupctl` must know to create jobs; None if they are off."""
    if not functions:
        return None
    return {
        "roleArn": batch_job_role(config, backup, functions).role_arn,
        # The first function serves so many of the sources, in their order, and so on.
        "sourcesPerFunction": settings.BUCKETS_PER_FUNCTION,
        "functionArns": [function.function_arn for function in functions],
    }


def description(
    config: settings.Settings,
    backup: StandardBucket,
    functions: list[BackupFunction],
    queues: list[BackupQueue],
    key_arn: pulumi.Input[str] | None,
    batch: Mapping[str, Any] | None,
    bus_arn: pulumi.Input[str] | None,
    drill_bucket: pulumi.Input[str] | None,
) -> None:
    """Say in SSM parameters what the stack consists of: `backupctl --stack` reads it."""
    text = pulumi.Output.json_dumps(
        {
            "backupBucketName": backup.bucket_name,
            "functions": [
                {"name": function.function_name, "arn": function.function_arn}
                for function in functions
            ],
            "failureQueueUrl": functions[0].failure_queue_url,
            "queueUrls": [queue.queue_url for queue in queues],
            "sources": config.backed_up,
            "trackDeletes": config.track_deletes,
            "storageClass": config.storage_class,
            "encryptionKeyArn": key_arn,
            **({} if batch is None else {"batchOperations": batch}),
            **({"eventBus": bus_arn} if bus_arn is not None else {}),
            **({} if drill_bucket is None else {"drillBucketName": drill_bucket}),
        }
    )
    parameter = f"/{pulumi.get_project()}/{pulumi.get_stack()}"
    parts = config.description_parts
    values = {("stack", parameter): text}
    if parts > 1:
        # One is too small for hundreds of buckets.
        values = {("stack", parameter): pulumi.Output.json_dumps({"parts": parts})}
        values |= {
            (f"stack-{number}", f"{parameter}/{number}"): text.apply(
                lambda known, number=number: known[
                    len(known) * (number - 1) // parts : len(known) * number // parts
                ]
            )
            for number in range(1, parts + 1)
        }
    for (logical_name, name), value in values.items():
        aws.ssm.Parameter(
            logical_name,
            name=name,
            description="What backupctl works on",
            # It holds no secret.
            type="String",
            # Up to 4 KB cost nothing, up to 8 KB a few cents a month.
            tier="Intelligent-Tiering",
            value=value,
            tags=TAGS,
        )


def scheduled_drill(
    config: settings.Settings,
    common: HandlerFunctionArgs,
    sources: Mapping[str, StandardBucket],
    log_bucket: pulumi.Input[str] | None,
) -> ScheduledDrill | None:
    """What tries restores now and then, if config wants it."""
    if config.drill is None:
        return None
    args = ScheduledDrillArgs(
        backup_bucket_name=common["backup_bucket_name"],
        backup_bucket_arn=common["backup_bucket_arn"],
        sources=[
            DrilledSource(
                bucket_name=source.name,
                bucket_arn=sources[source.name].bucket_arn,
                prefixes=list(source.prefixes),
                suffixes=list(source.suffixes),
            )
            for group in config.backup_groups
            for source in group
        ],
        days=config.drill.days,
        sample=config.drill.sample,
        memory_size=config.memory,
        # Backups have to be quick; a drill may take the time that there is.
        timeout=900,
        log_retention_days=config.log_retention_days,
        tracing=config.tracing,
        tags=TAGS,
    )
    if "signed_code" in common:
        args["signed_code"] = common["signed_code"]
    else:
        args["code"] = deployment_package(HANDLER, BACKUPCTL)
    if "kms_key_arn" in common:
        args["kms_key_arn"] = common["kms_key_arn"]
    if "network" in common:
        args["network"] = common["network"]
    if "permissions_boundary_arn" in common:
        args["permissions_boundary_arn"] = common["permissions_boundary_arn"]
    if log_bucket is not None:
        args["access_log_bucket"] = log_bucket
    return ScheduledDrill(DRILL, args)


def audit_trail(
    config: settings.Settings,
    bucket_arns: list[pulumi.Input[str]],
    function_arns: list[pulumi.Input[str]],
    key_arn: pulumi.Input[str] | None,
    log_bucket: pulumi.Input[str] | None,
) -> AuditTrail:
    """Record who touches the buckets' objects and invokes the functions."""
    args = AuditTrailArgs(
        trail_name=trail_name(),
        bucket_arns=bucket_arns,
        function_arns=function_arns,
        retention_days=config.access_log_retention_days,
        tags=TAGS,
        **protection(config),
    )
    if key_arn is not None:
        args["kms_key_arn"] = key_arn
    if log_bucket is not None:
        args["access_log_bucket"] = log_bucket
    return AuditTrail(AUDIT_TRAIL, args, pulumi.ResourceOptions(retain_on_delete=True))


def alarm_key(key_arn: pulumi.Input[str] | None) -> pulumi.Input[str]:
    """ARN of the key that encrypts the alarms' messages: the stack's, or else one for them alone.

    CloudWatch cannot use the key that SNS itself manages, so without this one the messages would
    be readable. https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
    """
    if key_arn is not None:
        return key_arn
    return EncryptionKey(
        "backup-alarms-key",
        {
            "description": f"Alarms of S3 Backup, stack {pulumi.get_stack()}",
            "services": ALARM_SERVICES,
            "tags": TAGS,
        },
    ).key_arn


def alarms(
    config: settings.Settings,
    bucket: StandardBucket,
    functions: list[BackupFunction],
    queues: list[BackupQueue],
    key_arn: pulumi.Input[str] | None,
) -> tuple[NotificationTopic, BackupAlarms]:
    """The topic, and the alarms that tell it."""
    topic = NotificationTopic(
        "backup-alarms",
        NotificationTopicArgs(
            kms_key_arn=alarm_key(key_arn),
            subscriptions=[
                {"protocol": recipient.protocol, "endpoint": recipient.endpoint}
                for recipient in config.alarms.recipients
            ],
            tags=TAGS,
        ),
    )
    args = BackupAlarmsArgs(
        topic_arn=topic.topic_arn,
        backup_bucket_name=bucket.bucket_name,
        function_names=[function.function_name for function in functions],
        failure_queue_arn=functions[0].failure_queue_arn,
        direct=config.delivery is not settings.Delivery.QUEUE,
        announced=config.events is not None,
        event_queue_arns=[queue.queue_arn for queue in queues],
        lag_seconds=config.alarms.lag_seconds,
        sources=[source.name for group in config.backup_groups for source in group],
        verify_days=config.alarms.verify_days,
        drill_days=config.alarms.drill_days,
        quiet=[
            {
                "bucket": source.name,
                "function_name": function.function_name,
                "hours": source.quiet_hours,
            }
            for group, function in zip(config.backup_groups, functions, strict=True)
            for source in group
            if source.quiet_hours
        ],
        tags=TAGS,
    )
    if config.alarms.only is not None:
        args["only"] = list(config.alarms.only)
    return topic, BackupAlarms("backup", args)


def dashboard(
    config: settings.Settings,
    bucket: StandardBucket,
    functions: list[BackupFunction],
    queues: list[BackupQueue],
    alarm_arns: pulumi.Input[list[pulumi.Input[str]]],
) -> None:
    """What a person looks at."""
    BackupDashboard(
        "backup-dashboard",
        BackupDashboardArgs(
            dashboard_name=f"{pulumi.get_project()}-{pulumi.get_stack()}",
            backup_bucket_name=bucket.bucket_name,
            functions=[
                {
                    "name": function.function_name,
                    "log_group": function.log_group_name,
                    "sources": [source.name for source in group],
                }
                for group, function in zip(config.backup_groups, functions, strict=True)
            ],
            failure_queue_arn=functions[0].failure_queue_arn,
            event_queue_arns=[queue.queue_arn for queue in queues],
            alarm_arns=alarm_arns,
            bucket_metrics=config.bucket_metrics,
        ),
    )


def log_queries(functions: list[BackupFunction]) -> None:
    """What people ask the functions' logs."""
    LogQueries(
        "backup-logs",
        {
            "folder": f"{pulumi.get_project()}/{pulumi.get_stack()}",
            "log_groups": [function.log_group_name for function in functions],
        },
    )


def main() -> None:
    """Declare the stack."""
    config = settings.load()
    refuse_lockout(config)
    key_arn = encryption_key(config)
    log_bucket = access_logs(config)
    backup = backup_bucket(config, key_arn, log_bucket)
    bus_arn = event_bus(config)
    common = handler_function(config, backup, key_arn, log_bucket, bus_arn)
    functions = backup_functions(config, common)
    failure_targets(config)
    queues = backup_queues(config, functions, key_arn)
    targets = backup_targets(config, functions, queues)
    sources = {
        source.name: source_bucket(config, source, key_arn, log_bucket, targets.get(source.name))
        for source in config.buckets
    }
    for_jobs = batch_functions(config, common, sources)
    drill = scheduled_drill(config, common, sources, log_bucket)
    if config.audit:
        bucket_arns = [bucket.bucket_arn for bucket in (backup, *sources.values())]
        function_arns = [function.function_arn for function in (*functions, *for_jobs)]
        if drill is not None:
            bucket_arns.append(drill.bucket_arn)
            function_arns += drill.each_function_arn
        trail = audit_trail(config, [*bucket_arns], [*function_arns], key_arn, log_bucket)
        pulumi.export("auditBucketName", trail.bucket_name)
    alarm_arns: pulumi.Input[list[pulumi.Input[str]]] = []
    if config.has_alarms:
        topic, raised = alarms(config, backup, functions, queues, key_arn)
        alarm_arns = raised.alarm_arns.apply(list[pulumi.Input[str]])
        pulumi.export("alarmTopicArn", topic.topic_arn)
    if config.dashboard:
        dashboard(config, backup, functions, queues, alarm_arns)
    log_queries(functions)

    batch = batch_operations(config, backup, for_jobs)
    scratch = drill.bucket_name if drill is not None else None
    description(config, backup, functions, queues, key_arn, batch, bus_arn, scratch)
    if scratch is not None:
        pulumi.export("drillBucketName", scratch)
    if batch is not None:
        pulumi.export("batchOperations", batch)
    pulumi.export("backupBucketName", backup.bucket_name)
    pulumi.export("backupBucketArn", backup.bucket_arn)
    pulumi.export("functionName", functions[0].function_name)
    pulumi.export("functionArn", functions[0].function_arn)
    pulumi.export(
        "functions",
        [{"name": function.function_name, "arn": function.function_arn} for function in functions],
    )
    if log_bucket is not None:
        pulumi.export("accessLogBucketName", log_bucket)
    pulumi.export("queueUrls", [queue.queue_url for queue in queues])
    pulumi.export("failureQueueUrl", functions[0].failure_queue_url)
    pulumi.export(
        "buckets",
        {
            name: {"name": bucket.bucket_name, "arn": bucket.bucket_arn}
            for name, bucket in sources.items()
        },
    )


main()
