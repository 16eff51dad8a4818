"""What every function that runs the package `handler` has, whatever invokes it: role, logs, code.

Not a component: it declares the children of the component that the function belongs to.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import policies

# Of every event on the bus; see docs/events.md.
EVENT_SOURCE = "s3-backup"


class SignedCode(TypedDict):
    """A deployment package that AWS Signer has signed."""

    bucket: pulumi.Input[str]
    """Name of the bucket that holds it."""
    key: pulumi.Input[str]
    """Its key there."""
    config_arn: pulumi.Input[str]
    """ARN of the code signing configuration that the function must enforce."""


class EventBus(TypedDict):
    """An EventBridge bus that is told what happens."""

    arn: pulumi.Input[str]
    """ARN of the bus."""
    success: NotRequired[bool]
    """Whether it is told of each backup, beside failures. Default false."""


class FunctionNetwork(TypedDict):
    """The VPC that a function runs in."""

    subnet_ids: pulumi.Input[list[pulumi.Input[str]]]
    """Subnets, in two zones at least, so that the failure of one stops no backup."""
    security_group_ids: pulumi.Input[list[pulumi.Input[str]]]
    """Security groups; what they let out must reach S3, SQS and, with a KMS key, KMS."""


class HandlerFunctionArgs(TypedDict):
    """What is common to the args of components with such a function, and described there.

    Those repeat these fields, because Pulumi reads descriptions only where a field is declared.
    """

    backup_bucket_name: pulumi.Input[str]
    backup_bucket_arn: pulumi.Input[str]
    code: NotRequired[pulumi.Input[pulumi.Archive]]
    signed_code: NotRequired[SignedCode]
    kms_key_arn: NotRequired[pulumi.Input[str]]
    memory_size: NotRequired[pulumi.Input[int]]
    timeout: NotRequired[pulumi.Input[int]]
    reserved_concurrency: NotRequired[pulumi.Input[int]]
    log_retention_days: NotRequired[pulumi.Input[int]]
    bucket_metrics: NotRequired[bool]
    track_deletes: NotRequired[bool]
    storage_class: NotRequired[pulumi.Input[str]]
    event_bus: NotRequired[EventBus]
    network: NotRequired[FunctionNetwork]
    tracing: NotRequired[bool]
    permissions_boundary_arn: NotRequired[pulumi.Input[str]]
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]


class HandlerFunction:
    """A function with its role, its log group and what the role may do."""

    log_group: aws.cloudwatch.LogGroup
    """Where it logs."""
    role: aws.iam.Role
    """What it runs as."""
    rights: list[pulumi.Resource]
    """The policies of the role."""
    function: aws.lambda_.Function
    """The function, with all its rights."""

    def __init__(
        self,
        owner: pulumi.ComponentResource,
        name: str,
        args: HandlerFunctionArgs,
        *,
        entry_point: str,
        description: str,
        policy_name: str,
        statements: pulumi.Input[Sequence[policies.Statement]],
        key_services: Sequence[str],
        environment: Mapping[str, pulumi.Input[str]],
    ) -> None:
        """Declare the function.

        :param owner: the component that it becomes part of.
        :param name: unique logical name; resources beside the function add a suffix to it.
        :param args: see `HandlerFunctionArgs`.
        :param entry_point: what Lambda calls, such as `handler.main.handler`.
        :param description: what the function does.
        :param policy_name: logical name of the role's own policy.
        :param statements: what the role may do beside logging.
        :param key_services: services, such as `s3`, through which it may use the KMS key.
        :param environment: variables beside those of every such function.
        """
        child = pulumi.ResourceOptions(parent=owner)
        tags = args.get("tags")
        account = aws.get_caller_identity_output(
            opts=pulumi.InvokeOutputOptions(parent=owner)
        ).account_id
        self.log_group = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            retention_in_days=args.get("log_retention_days", 365),
            kms_key_id=args.get("kms_key_arn"),
            tags=tags,
            opts=child,
        )
        self.role = aws.iam.Role(
            f"{name}-role",
            description="What the backup function may do",
            assume_role_policy=pulumi.Output.json_dumps(account.apply(policies.lambda_trust)),
            permissions_boundary=args.get("permissions_boundary_arn"),
            tags=tags,
            opts=child,
        )
        own = aws.iam.RolePolicy(
            policy_name,
            role=self.role.id,
            policy=pulumi.Output.json_dumps(
                pulumi.Output.all(
                    self.log_group.arn,
                    statements,
                    args.get("kms_key_arn"),
                    key_services,
                ).apply(_own_permissions)
            ),
            opts=child,
        )
        self.rights = [own, *_further_rights(name, args, self.role, child)]
        signed, network = args.get("signed_code"), args.get("network")
        self.function = aws.lambda_.Function(
            name,
            description=description,
            role=self.role.arn,
            runtime="python3.13",
            architectures=["arm64"],
            handler=entry_point,
            code=args.get("code"),
            s3_bucket=signed["bucket"] if signed else None,
            s3_key=signed["key"] if signed else None,
            code_signing_config_arn=signed["config_arn"] if signed else None,
            memory_size=args.get("memory_size", 512),
            timeout=args.get("timeout", 900),
            reserved_concurrent_executions=args.get("reserved_concurrency", -1),
            kms_key_arn=args.get("kms_key_arn"),
            environment={
                "variables": {
                    "BACKUP_BUCKET": args["backup_bucket_name"],
                    "BUCKET_OWNER": account,
                    **environment,
                    **({} if args.get("bucket_metrics", True) else {"BUCKET_METRICS": "off"}),
                    **({"TRACK_DELETES": "on"} if args.get("track_deletes") else {}),
                    **(_told(args["event_bus"]) if "event_bus" in args else {}),
                    **({"STORAGE_CLASS": args["storage_class"]} if "storage_class" in args else {}),
                }
            },
            logging_config={"log_format": "JSON", "log_group": self.log_group.name},
            tracing_config={"mode": "Active"} if args.get("tracing") else None,
            vpc_config={
                "subnet_ids": network["subnet_ids"],
                "security_group_ids": network["security_group_ids"],
            }
            if network
            else None,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=owner, depends_on=self.rights),
        )


def require_one_package(name: str, args: HandlerFunctionArgs) -> None:
    """Check that there is exactly one of `code` and `signed_code`.

    :raises ValueError: if there is not.
    """
    if ("code" in args) == ("signed_code" in args):
        raise ValueError(f"{name}: give either code or signed_code")


def _told(event_bus: EventBus) -> dict[str, pulumi.Input[str]]:
    success: dict[str, pulumi.Input[str]] = (
        {"EVENT_SUCCESS": "on"} if event_bus.get("success") else {}
    )
    return {"EVENT_BUS": event_bus["arn"], **success}


def _further_rights(
    name: str, args: HandlerFunctionArgs, role: aws.iam.Role, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """A policy for each feature that needs one, and none for what is off."""
    documents: dict[str, pulumi.Input[policies.Document]] = {}
    if args.get("track_deletes"):
        documents["delete-markers"] = pulumi.Output.from_input(args["backup_bucket_arn"]).apply(
            lambda arn: policies.document(*policies.marker_statements(arn))
        )
    if "event_bus" in args:
        documents["announce"] = pulumi.Output.from_input(args["event_bus"]["arn"]).apply(
            lambda arn: policies.document(*policies.announce_statements(arn, EVENT_SOURCE))
        )
    if args.get("tracing"):
        documents["tracing"] = policies.document(*policies.tracing_statements())
    if "network" in args:
        region = aws.get_region_output(opts=pulumi.InvokeOutputOptions(parent=opts.parent)).region
        documents["network"] = pulumi.Output.all(role.arn, region).apply(
            lambda known: policies.document(*policies.network_statements(*known))
        )
    return [
        aws.iam.RolePolicy(
            f"{name}-{feature}",
            role=role.id,
            policy=pulumi.Output.json_dumps(document),
            opts=opts,
        )
        for feature, document in documents.items()
    ]


def _own_permissions(known: Sequence[Any]) -> policies.Document:
    log_group_arn, statements, kms_key_arn, key_services = known
    return policies.document(
        *policies.log_statements(log_group_arn),
        *statements,
        *(
            # Multipart uploads and queues need `kms:Decrypt` beside `kms:GenerateDataKey`.
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
            policies.use_key_statements(
                kms_key_arn, ["kms:Decrypt", "kms:GenerateDataKey"], key_services
            )
            if kms_key_arn is not None
            else []
        ),
    )
