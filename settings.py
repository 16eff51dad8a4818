"""Stack config -> frozen, validated settings. Declares no resources.

`parse` is pure and reports every mistake at once; `load` reads the running stack's config and
turns a mistake into `pulumi.RunError`, which the engine prints without a stack trace.
"""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

import pulumi
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

NAMESPACE = "s3-backup"

# One function serves this many buckets. Each bucket adds an inline policy to the function's role,
# and IAM allows 10,240 characters for all of them together. Tests prove that twice as many of the
# longest names fit, because an update adds all new policies before it removes the old ones. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
BUCKETS_PER_FUNCTION = 7

# Each function has a queue, and a failure queue takes what 10 queues give up.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html

# More messages in a batch take a window in which they are collected.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
BATCH_WITHOUT_WINDOW = 10

# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
MIN_QUEUE_CONCURRENCY, MAX_QUEUE_CONCURRENCY = 2, 1000

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip

# Not ONEZONE_IA, which is lost with its zone, nor REDUCED_REDUNDANCY, which loses more objects.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html
STORAGE_CLASSES = (
    "STANDARD",
    "INTELLIGENT_TIERING",
    "STANDARD_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/archived-objects.html
ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
MAX_FILTERS_PER_BUCKET = 100

# What an SSM parameter holds for nothing. The names of functions and queues end as Pulumi chooses.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
BYTES_PER_PARAMETER = 4000
BYTES_PER_FUNCTION = 350
BYTES_PER_BATCH_FUNCTION = 100
# With the ARN of an event bus.
BYTES_OF_THE_REST = 1100
# Of buckets and functions, in all selectors of a trail.
# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/WhatIsCloudTrail-Limits.html
MAX_AUDITED = 500
# Whose ARNs fit into the policy of the role that jobs run as; tests prove it.
MAX_BATCH_FUNCTIONS = 100

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Target.html
SCHEDULE_INPUT_CHARACTERS = 8192

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_IP_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}", re.ASCII)
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3", "-an")
_KMS_KEY_ARN = re.compile(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/(mrk-)?[0-9a-f-]{32,36}", re.ASCII
)
_ROLE_ARN = re.compile(
    r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):role/(?:[\x21-\x7e]+/)?(?P<name>[\w+=,.@-]{1,64})",
    re.ASCII,
)
_FILTER_CHARACTERS = re.compile(r"[A-Za-z0-9/!\-_.'()]*", re.ASCII)
_WHOLE_NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)
_BOOLEAN = TypeAdapter(bool)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+", re.ASCII)
# http is left out: an alarm's message would travel in the clear.
_ENDPOINTS = {
    "email": (_EMAIL, "team@example.com"),
    "email-json": (_EMAIL, "team@example.com"),
    "https": (re.compile(r"https://[^\s/]+(/\S*)?", re.ASCII), "https://example.com/alarms"),
    "lambda": (
        re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(:[\w$-]+)?", re.ASCII),
        "arn:aws:lambda:eu-central-1:111122223333:function:page-somebody",
    ),
    "sms": (re.compile(r"\+[1-9]\d{6,14}", re.ASCII), "+4915112345678"),
    "sqs": (
        re.compile(r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[\w-]+", re.ASCII),
        "arn:aws:sqs:eu-central-1:111122223333:alarms",
    ),
}


# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html
_BUS_NAME = re.compile(r"[A-Za-z0-9._\-]{1,256}", re.ASCII)
_BUS_ARN = re.compile(
    r"arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:event-bus/[A-Za-z0-9._\-/]{1,256}", re.ASCII
)
_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}", re.ASCII)


class ConfigError(ValueError):
    """Every mistake found in a stack's config, one line each."""


def _mistake(problem: str, cure: str) -> PydanticCustomError:
    # Braces are pydantic's template syntax, so the text travels as context.
    return PydanticCustomError("config", "{text}", {"text": f"{problem}; {cure}"})


def _bucket_name(name: str) -> str:
    """Apply S3's rules for general purpose buckets.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    if not 3 <= len(name) <= 63:
        raise _mistake(
            f"a bucket name has 3 to 63 characters, this one has {len(name)}",
            "choose another name",
        )
    if not _BUCKET_NAME.fullmatch(name):
        raise _mistake(
            "a bucket name has only a-z, 0-9, '.' and '-', and starts and ends with a letter or "
            "digit",
            "choose another name",
        )
    if ".." in name:
        raise _mistake("a bucket name has no two dots in a row", "remove one dot")
    if _IP_ADDRESS.fullmatch(name):
        raise _mistake("a bucket name must not look like an IP address", "choose another name")
    if name.startswith(_RESERVED_PREFIXES):
        raise _mistake(
            f"S3 reserves names that start with {', '.join(_RESERVED_PREFIXES)}",
            "choose another start",
        )
    if name.endswith(_RESERVED_SUFFIXES):
        raise _mistake(
            f"S3 reserves names that end with {', '.join(_RESERVED_SUFFIXES)}",
            "choose another end",
        )
    return name


def _key_filter(value: str) -> str:
    if not value:
        raise _mistake("an empty filter matches everything", "leave the filter out instead")
    if "*" in value or "?" in value:
        raise _mistake(
            "a filter is plain text, not a pattern",
            "write the text that keys start or end with, such as '.pdf'",
        )
    # S3 compares filters with the URL-encoded key, so any other character would silently match
    # nothing, and what is not matched is not backed up.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    if not _FILTER_CHARACTERS.fullmatch(value):
        raise _mistake(
            "a filter has only letters, digits and / ! - _ . ' ( )",
            "end the prefix (or start the suffix) next to the other one, "
            "which lets more keys match",
        )
    if len(value) > 1024:
        raise _mistake("a key has at most 1,024 bytes", "shorten the filter")
    return value


def _whole_number(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    raise _mistake("not a whole number", "write digits only")


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _log_retention(days: int) -> int:
    if days not in LOG_RETENTION_DAYS:
        raise _mistake(
            "CloudWatch Logs does not offer this retention",
            f"choose one of {', '.join(map(str, LOG_RETENTION_DAYS))}",
        )
    return days


def _reserved_concurrency(value: int) -> int:
    if value == 0:
        raise _mistake(
            "0 would stop every backup",
            "use -1 to reserve nothing, or a number of 1 or more",
        )
    return value


def _queue_concurrency(value: int) -> int:
    if value != -1 and not MIN_QUEUE_CONCURRENCY <= value <= MAX_QUEUE_CONCURRENCY:
        raise _mistake(
            f"Lambda takes {MIN_QUEUE_CONCURRENCY} to {MAX_QUEUE_CONCURRENCY:,}",
            "use such a number, or -1 for as many as there can be",
        )
    return value


def _encryption(value: str) -> str:
    if value not in {"kms", "s3"} and not _KMS_KEY_ARN.fullmatch(value):
        raise _mistake(
            "neither 'kms', 's3' nor the ARN of a KMS key",
            "use one of these, as in arn:aws:kms:eu-central-1:111122223333:key/1234abcd-... "
            "(the ARN of the key, not of an alias)",
        )
    return value


def _storage_class(value: str) -> str:
    if value not in STORAGE_CLASSES:
        raise _mistake(
            "not a storage class for backups, which must survive the loss of a zone",
            f"choose one of {', '.join(STORAGE_CLASSES)}",
        )
    return value


def _form(pattern: str, problem: str, cure: str) -> Callable[[str], str]:
    """A validator of texts that have one form."""
    form = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not form.fullmatch(value):
            raise _mistake(problem, cure)
        return value

    return check


def _json(value: object) -> object:
    """Decode what the engine hands over as text: lists and objects arrive as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that names a key twice: one of the two values would be lost."""
    decoded = dict(pairs)
    if len(decoded) != len(pairs):
        raise ValueError("duplicate key")
    return decoded


def _entries(value: object) -> object:
    """Decode the list of buckets, with the short form of an entry, a bare name, made long."""
    entries = _json(value)
    if not isinstance(entries, list):
        return entries
    return [{"name": entry} if isinstance(entry, str) else entry for entry in entries]


def _event_bus(bus: str) -> str:
    if not (_BUS_NAME.fullmatch(bus) or _BUS_ARN.fullmatch(bus)):
        raise _mistake(
            "neither the name nor the ARN of an event bus",
            "write it as in default or arn:aws:events:eu-central-1:111122223333:event-bus/security",
        )
    return bus


def _failure_target(arn: str) -> str:
    if not (_TOPIC_ARN.fullmatch(arn) or _ENDPOINTS["lambda"][0].fullmatch(arn)):
        raise _mistake(
            "neither the ARN of an SNS topic nor that of a Lambda function",
            "write it as in arn:aws:sns:eu-central-1:111122223333:on-call",
        )
    return arn


def _email(address: str) -> str:
    if not _EMAIL.fullmatch(address):
        raise _mistake("not an email address", "write one like team@example.com")
    return address


WholeNumber = Annotated[int, BeforeValidator(_whole_number)]
StandardAlarm = Literal[
    "errors",
    "events-lost",
    "failures-waiting",
    "out-of-time",
    "recursion-stopped",
    "throttles",
]
BucketName = Annotated[str, AfterValidator(_bucket_name)]
RoleArn = Annotated[
    str,
    AfterValidator(
        _form(
            _ROLE_ARN.pattern,
            "not the ARN of an IAM role",
            "write it as in arn:aws:iam::111122223333:role/security",
        )
    ),
]
PolicyArn = Annotated[
    str,
    AfterValidator(
        _form(
            r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\x21-\x7e]{1,512}",
            "not the ARN of an IAM policy",
            "write it as in arn:aws:iam::111122223333:policy/boundary",
        )
    ),
]
SubnetId = Annotated[
    str,
    AfterValidator(
        _form(r"subnet-[0-9a-f]{8,17}", "not the id of a subnet", "write it as in subnet-0a1b2c3d")
    ),
]
SecurityGroupId = Annotated[
    str,
    AfterValidator(
        _form(r"sg-[0-9a-f]{8,17}", "not the id of a security group", "write it as in sg-0a1b2c3d")
    ),
]
KeyFilters = Annotated[
    tuple[Annotated[str, AfterValidator(_key_filter)], ...],
    BeforeValidator(_one_or_many),
]


# The defaults in Pulumi.yaml of what is not there by default.
_EMPTY: Mapping[str, object] = {
    "events": {},
    "breakGlassRoleArn": "",
    "drill": {},
    "objectLock": {},
    "permissionsBoundaryArn": "",
    "vpc": {},
}


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_alias=True
    )


@dataclass(frozen=True)
class KeyFilter:
    """One notification filter: a key matches when it has both the prefix and the suffix."""

    prefix: str | None
    suffix: str | None


class SourceBucket(_Model):
    """One entry of `buckets`."""

    name: BucketName
    backup: bool = True
    prefixes: KeyFilters = Field(default=(), alias="prefix")
    suffixes: KeyFilters = Field(default=(), alias="suffix")
    quiet_hours: Annotated[WholeNumber, Field(ge=0, le=168)] = 0

    @property
    def filters(self) -> tuple[KeyFilter, ...]:
        """Every prefix with every suffix; a single unrestricted filter when there are none."""
        return tuple(
            KeyFilter(prefix, suffix)
            for prefix, suffix in itertools.product(
                self.prefixes or (None,), self.suffixes or (None,)
            )
        )


class ObjectLock(_Model):
    """Default retention of the backup bucket's object versions."""

    mode: Literal["GOVERNANCE", "COMPLIANCE"]
    days: Annotated[WholeNumber, Field(ge=1, le=36_500)]


class Vpc(_Model):
    """The network that the functions run in."""

    subnet_ids: Annotated[tuple[SubnetId, ...], Field(min_length=2)]
    security_group_ids: Annotated[tuple[SecurityGroupId, ...], Field(min_length=1)]


class Drill(_Model):
    """How often how many restores of each bucket are tried."""

    days: Annotated[WholeNumber, Field(ge=1, le=30)] = 7
    sample: Annotated[WholeNumber, Field(ge=1, le=1000)] = 20


class Subscription(_Model):
    """Somebody who hears of every alarm."""

    protocol: Literal["email", "email-json", "https", "lambda", "sms", "sqs"]
    endpoint: str

    @model_validator(mode="after")
    def _check(self) -> "Subscription":
        form, example = _ENDPOINTS[self.protocol]
        if not form.fullmatch(self.endpoint):
            raise _mistake(f"no endpoint of protocol {self.protocol}", f"write one like {example}")
        return self


class Alarms(_Model):
    """Which alarms there are and who hears of them."""

    emails: Annotated[
        tuple[Annotated[str, AfterValidator(_email)], ...], BeforeValidator(_one_or_many)
    ] = ()
    subscriptions: tuple[Subscription, ...] = ()
    only: Annotated[tuple[StandardAlarm, ...], BeforeValidator(_one_or_many)] | None = None
    lag_seconds: Annotated[WholeNumber, Field(ge=0, le=21_600)] = 3600
    # CloudWatch looks back a week at most.
    verify_days: Annotated[WholeNumber, Field(ge=0, le=7)] = 0
    drill_days: Annotated[WholeNumber, Field(ge=0, le=7)] = 0

    @property
    def recipients(self) -> tuple[Subscription, ...]:
        """Everybody who hears of alarms."""
        return (
            *(Subscription(protocol="email", endpoint=address) for address in self.emails),
            *self.subscriptions,
        )


class Events(_Model):
    """Who is told of what happens."""

    bus: Annotated[str, AfterValidator(_event_bus)]
    success: bool = False
    failure_targets: Annotated[
        tuple[Annotated[str, AfterValidator(_failure_target)], ...], BeforeValidator(_one_or_many)
    ] = ()

    @model_validator(mode="after")
    def _check(self) -> "Events":
        if self.failure_targets and ":" in self.bus:
            raise _mistake(
                "failureTargets need a bus of this account, whose name is known",
                "write the name of the bus instead of its ARN",
            )
        if len(set(self.failure_targets)) < len(self.failure_targets):
            raise _mistake("a target is there twice", "list each once")
        return self


class Encryption(StrEnum):
    """Who holds the key that encrypts buckets and queues."""

    STACK_KEY = "kms"
    S3_MANAGED = "s3"
    OWN_KEY = "own"


class Delivery(StrEnum):
    """How events reach the function."""

    DIRECT = "direct"
    QUEUE = "queue"
    DRAINING = "draining"
    """Directly, while a queue from before is still emptied."""


class Settings(_Model):
    """A stack's whole config, validated. Every field is declared in Pulumi.yaml."""

    backup_bucket: BucketName
    buckets: Annotated[tuple[SourceBucket, ...], BeforeValidator(_entries), Field(min_length=1)]
    encryption_choice: Annotated[str, AfterValidator(_encryption)] = Field(
        default="kms", alias="encryption"
    )
    retention_days: Annotated[WholeNumber, Field(ge=1, le=36_500)] = 365
    storage_class: Annotated[str, AfterValidator(_storage_class)] = "STANDARD"
    object_lock: Annotated[ObjectLock | None, BeforeValidator(_json)] = None
    track_deletes: bool = False
    break_glass_role_arn: RoleArn | None = None
    deployer_role_arns: Annotated[tuple[RoleArn, ...], BeforeValidator(_json)] = ()
    access_logs: bool = True
    access_log_retention_days: Annotated[WholeNumber, Field(ge=1, le=36_500)] = 365
    audit: bool = False
    permissions_boundary_arn: PolicyArn | None = None
    vpc: Annotated[Vpc | None, BeforeValidator(_json)] = None
    code_signing: bool = False
    tracing: bool = False
    log_retention_days: Annotated[WholeNumber, AfterValidator(_log_retention)] = 365
    memory: Annotated[WholeNumber, Field(ge=128, le=10_240)] = 512
    timeout: Annotated[WholeNumber, Field(ge=1, le=900)] = 900
    reserved_concurrency: Annotated[
        WholeNumber, Field(ge=-1, le=100_000), AfterValidator(_reserved_concurrency)
    ] = -1
    bucket_metrics: bool = True
    batch_operations: bool = False

    delivery: Delivery = Delivery.DIRECT
    queue_batch_size: Annotated[WholeNumber, Field(ge=1, le=10_000)] = 100
    queue_batch_window: Annotated[WholeNumber, Field(ge=0, le=300)] = 1
    queue_max_concurrency: Annotated[WholeNumber, AfterValidator(_queue_concurrency)] = -1
    alarms: Annotated[Alarms, BeforeValidator(_json)] = Alarms()
    dashboard: bool = False
    events: Annotated[Events | None, BeforeValidator(_json)] = None
    drill: Annotated[Drill | None, BeforeValidator(_json)] = None

    @model_validator(mode="before")
    @classmethod
    def _decode(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        # Pulumi.yaml must give every optional key a default; an empty one means "none".
        absent = {
            key for key, empty in _EMPTY.items() if key in values and _json(values[key]) == empty
        }
        return {key: value for key, value in values.items() if key not in absent}

    @property
    def has_alarms(self) -> bool:
        """Whether there is any alarm."""
        quiet = any(bucket.quiet_hours for bucket in self.buckets)
        alarms = self.alarms
        days = alarms.verify_days + alarms.drill_days
        return alarms.only != () or alarms.lag_seconds + days > 0 or quiet

    @property
    def encryption(self) -> Encryption:
        """Which kind of key is used."""
        if self.encryption_choice in {Encryption.STACK_KEY, Encryption.S3_MANAGED}:
            return Encryption(self.encryption_choice)
        return Encryption.OWN_KEY

    @property
    def own_key_arn(self) -> str | None:
        """ARN of the operator's own KMS key, if config names one."""
        return self.encryption_choice if self.encryption is Encryption.OWN_KEY else None

    def lockout(self, caller_arn: str) -> str | None:
        """Why the caller must not deploy this: the backup bucket's policy would shut it out.

        :param caller_arn: what STS calls the caller, such as
            ``arn:aws:sts::111122223333:assumed-role/deployer/session``.
        """
        allowed = [role for role in (self.break_glass_role_arn, *self.deployer_role_arns) if role]
        # The account's root can always change a bucket's policy.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
        if caller_arn.endswith(":root") or any(_is(caller_arn, role) for role in allowed):
            return None
        return (
            f"{NAMESPACE}:breakGlassRoleArn: {caller_arn} is neither the break-glass role nor one "
            "of deployerRoleArns, so it could not change the backup bucket's settings any more; "
            "deploy as one of these roles, or add the role in use to deployerRoleArns"
        )

    @property
    def queue_concurrency(self) -> int | None:
        """Invocations that a queue may cause at the same time, None for no limit.

        Not more than are reserved: what Lambda refuses comes again, and counts as received.
        """
        if self.queue_max_concurrency != -1:
            return self.queue_max_concurrency
        if self.reserved_concurrency != -1:
            return min(self.reserved_concurrency, MAX_QUEUE_CONCURRENCY)
        return None

    @property
    def backup_groups(self) -> tuple[tuple[SourceBucket, ...], ...]:
        """The buckets to back up, in config order, as many per group as one function can serve."""
        wanted = [bucket for bucket in self.buckets if bucket.backup]
        return tuple(
            tuple(wanted[start : start + BUCKETS_PER_FUNCTION])
            for start in range(0, len(wanted), BUCKETS_PER_FUNCTION)
        )

    @property
    def description_parts(self) -> int:
        """How many SSM parameters it takes to say what the stack consists of."""
        per_function = BYTES_PER_FUNCTION + self.batch_operations * BYTES_PER_BATCH_FUNCTION
        size = (
            len(json.dumps(self.backed_up)) + len(self.backup_groups) * per_function
        ) + BYTES_OF_THE_REST
        return math.ceil(size / BYTES_PER_PARAMETER)

    @property
    def backed_up(self) -> dict[str, dict[str, list[str]]]:
        """The buckets to back up, by name, each with its filters."""
        return {
            bucket.name: {
                **({"prefix": list(bucket.prefixes)} if bucket.prefixes else {}),
                **({"suffix": list(bucket.suffixes)} if bucket.suffixes else {}),
            }
            for group in self.backup_groups
            for bucket in group
        }


def _is(caller_arn: str, role_arn: str) -> bool:
    """Whether a session belongs to a role, whose path is not part of the session's ARN."""
    role = _ROLE_ARN.fullmatch(role_arn)
    session = re.fullmatch(r"arn:[\w-]+:sts::(\d{12}):assumed-role/([^/]+)/.+", caller_arn)
    return bool(role and session and session.groups() == (role["account"], role["name"]))


def parse(values: Mapping[str, Any], *, file: str) -> Settings:
    """Validate one stack's config.

    :param values: the stack's config without namespace, e.g. ``{"backupBucket": "..."}``; numbers
        and structures may be text, as the engine hands them over.
    :param file: the name of the stack's file, for messages.
    :raises ConfigError: with one line for every mistake: file, path, value, problem, cure.
    """
    settings: Settings | None = None
    mistakes: list[str] = []
    try:
        settings = Settings.model_validate(dict(values))
    except ValidationError as error:
        mistakes += [_describe(detail, values) for detail in error.errors()]
    mistakes += [*_conflicts(values), *_queue_conflicts(values)]
    if settings is not None:
        mistakes += _too_many(settings)
        mistakes += _alarm_conflicts(settings)
        mistakes += _drill_conflicts(settings)
    if mistakes or settings is None:
        raise ConfigError("\n".join(f"{file}: {NAMESPACE}:{mistake}" for mistake in mistakes))
    return settings


def load() -> Settings:
    """Read the config of the running stack.

    :raises pulumi.RunError: as `parse` raises ConfigError.
    """
    prefix = f"{NAMESPACE}:"
    keys = {
        *pulumi.runtime.config.get_config_env(),
        *pulumi.runtime.config.CONFIG.get(),
    }
    config = pulumi.Config(NAMESPACE)
    names = sorted(key.removeprefix(prefix) for key in keys if key.startswith(prefix))
    try:
        return parse(
            {name: config.get(name) for name in names},
            file=f"Pulumi.{pulumi.get_stack()}.yaml",
        )
    except ConfigError as error:
        raise pulumi.RunError(f"the stack's config has mistakes:\n{error}") from None


# What pydantic's own error types mean here, and what to do about them.
_WORDS: dict[str, tuple[str, str]] = {
    "missing": ("required, but missing", "add it"),
    "extra_forbidden": (
        "unknown key",
        "remove it or correct its spelling; known here: {known}",
    ),
    "too_short": ("too few", "use {min_length} or more"),
    "greater_than_equal": ("too small", "use {ge} or more"),
    "less_than_equal": ("too large", "use {le} or less"),
    "literal_error": ("not one of the choices", "use {expected}"),
    "enum": ("not one of the choices", "use {expected}"),
    "string_type": ("not text", "write a name"),
    "bool_type": ("neither true nor false", "write true or false"),
    "bool_parsing": ("neither true nor false", "write true or false"),
    "tuple_type": ("not a list", "write a list, one '- ' line per entry"),
    "model_type": ("not an object", "write one 'key: value' line per field"),
}


def _describe(detail: ErrorDetails, values: Mapping[str, Any]) -> str:
    location = list(detail["loc"])
    if len(location) == 3 and location[0] == "buckets" and location[2] == "name":
        entries = _json(values["buckets"])
        if isinstance(entries, list) and isinstance(entries[int(location[1])], str):
            location.pop()
    if detail["type"] == "too_short" and detail["input"] == [] and location == ["buckets"]:
        text = "the list is empty; add at least one bucket"
    elif detail["type"] == "config":
        text = detail["msg"]
    else:
        known = _FIELDS.get(".".join(part for part in location[:-1] if isinstance(part, str)))
        context = {
            **detail.get("ctx", {}),
            "known": ", ".join(sorted(known or _ALIASES)),
        }
        problem, cure = _WORDS.get(detail["type"], (detail["msg"], "correct it"))
        text = f"{problem}; {cure.format_map(context)}"
    if detail["type"] == "missing":
        return f"{_path(location)}: {text}"
    return f"{_path(location)}: {_shown(detail['input'])}: {text}"


def _path(location: Sequence[int | str]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{_one_line(part)}" for part in location]
    return "".join(parts).removeprefix(".")


def _one_line(key: str) -> str:
    return key if key.isprintable() else _shown(key)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


_ALIASES = _aliases(Settings)
_FIELDS = {
    "alarms": _aliases(Alarms),
    "alarms.subscriptions": _aliases(Subscription),
    "buckets": _aliases(SourceBucket),
    "events": _aliases(Events),
    "drill": _aliases(Drill),
    "objectLock": _aliases(ObjectLock),
    "vpc": _aliases(Vpc),
}


def _conflicts(values: Mapping[str, Any]) -> Iterator[str]:
    """Find what no field can know alone; works on raw values, so that nothing hides it."""
    if _json(values.get("deployerRoleArns")) and not values.get("breakGlassRoleArn"):
        yield (
            "deployerRoleArns: they are exceptions from what breakGlassRoleArn forbids, which is "
            "missing; add it, or remove them"
        )
    entries = _entries(values.get("buckets"))
    if not isinstance(entries, list):
        return
    first_seen: dict[str, int] = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            continue
        path = f"buckets[{index}]"
        name = entry.get("name")
        if isinstance(name, str):
            if name == values.get("backupBucket"):
                yield (
                    f"{path}: {_shown(name)}: the backup bucket cannot be a source, its copies "
                    "would be copied for ever; list another bucket or rename backupBucket"
                )
            if name in first_seen:
                yield (
                    f"{path}: {_shown(name)}: listed already as buckets[{first_seen[name]}]; "
                    "remove one of the two"
                )
            first_seen.setdefault(name, index)
        yield from _filter_conflicts(entry, path)
    if entries and all(isinstance(entry, Mapping) and not _backed_up(entry) for entry in entries):
        yield (
            "buckets: every entry has backup: false, so nothing would be backed up; "
            "set backup to true for at least one"
        )


def _too_many(settings: Settings) -> Iterator[str]:
    functions = len(settings.backup_groups)
    if settings.batch_operations and functions > MAX_BATCH_FUNCTIONS:
        yield (
            f"batchOperations: {functions} functions, and the role of jobs may invoke "
            f"{MAX_BATCH_FUNCTIONS}; use two stacks"
        )
    audited = 1 + len(settings.buckets) + functions * (1 + settings.batch_operations)
    if settings.audit and audited > MAX_AUDITED:
        yield (
            f"audit: {audited:,} buckets and functions, and CloudTrail takes {MAX_AUDITED} per "
            "trail; leave it off and make a trail of your own for all buckets of the account, or "
            "use two stacks"
        )


def _queue_conflicts(values: Mapping[str, Any]) -> Iterator[str]:
    """Find what the settings of the queue and others cannot mean together."""
    if values.get("delivery") not in (Delivery.QUEUE, Delivery.DRAINING):
        return
    size, window = _number(values, "queueBatchSize"), _number(values, "queueBatchWindow")
    if size > BATCH_WITHOUT_WINDOW and window == 0:
        yield (
            f"queueBatchSize: {size}: more than {BATCH_WITHOUT_WINDOW} events are not collected in "
            "a queueBatchWindow of 0; use a window of 1 or more, or a smaller size"
        )
    reserved, most = _number(values, "reservedConcurrency"), _number(values, "queueMaxConcurrency")
    if reserved == 1:
        yield (
            "reservedConcurrency: 1: a queue causes at least 2 invocations at the same time; "
            "reserve 2 or more, or nothing with -1"
        )
    elif reserved > 1 and most > reserved:
        yield (
            f"queueMaxConcurrency: {most}: more than the {reserved} that reservedConcurrency "
            "allows; lower it, or use -1 for as many as are reserved"
        )


def _number(values: Mapping[str, Any], key: str) -> int:
    """The number there, or the default where there is none, or none that makes sense."""
    field = next(field for field in Settings.model_fields.values() if field.alias == key)
    value = values.get(key, field.default)
    try:
        number = _whole_number(value)
    except PydanticCustomError:
        return field.default
    return number if isinstance(number, int) else field.default


def _alarm_conflicts(settings: Settings) -> Iterator[str]:
    """Find alarms that could never be right and messages that could never be sent."""
    for index, bucket in enumerate(settings.buckets):
        path = f"buckets[{index}].quietHours"
        if bucket.quiet_hours and not bucket.backup:
            yield (
                f"{path}: {bucket.quiet_hours}: waits for backups, but backup is false; "
                "remove quietHours or set backup to true"
            )
        if bucket.quiet_hours and not settings.bucket_metrics:
            yield (
                f"{path}: {bucket.quiet_hours}: needs the metrics of the bucket, but bucketMetrics "
                "is false; remove quietHours or set bucketMetrics to true"
            )
    recipients = settings.alarms.recipients
    for index, one in enumerate(recipients):
        if one in recipients[:index]:
            yield (
                f"alarms: {_shown(one.endpoint)}: would hear of every alarm twice; "
                "list it once, in emails or in subscriptions"
            )
    if recipients and not settings.has_alarms:
        yield (
            "alarms: nobody would ever hear anything, as only is empty, lagSeconds, verifyDays and "
            "drillDays are 0 and no bucket has quietHours; remove emails and subscriptions or ask "
            "for an alarm"
        )


def _drill_conflicts(settings: Settings) -> Iterator[str]:
    """Find drills that an alarm would always miss, or that no schedule could start."""
    if settings.drill is None:
        return
    days, alarm = settings.drill.days, settings.alarms.drill_days
    if 0 < alarm <= days:
        cure = f"drill every {alarm - 1} or fewer" if alarm > 1 else "use a drillDays of 2 or more"
        yield (
            f"drill.days: {days}: alarms.drillDays of {alarm} would be raised before each drill; "
            f"{cure}, or remove drillDays"
        )
    if settings.storage_class in ARCHIVES:
        yield (
            f"drill: backups of storageClass {settings.storage_class} cannot be read before S3 "
            "restores them, so each would count as lost; remove drill, or use another storageClass"
        )
    for name, filters in settings.backed_up.items():
        size = len(json.dumps({"sources": {name: filters}, "sample": settings.drill.sample}))
        if size > SCHEDULE_INPUT_CHARACTERS:
            yield (
                f"drill: the filters of {name} take {size:,} characters, of which a schedule has "
                f"room for {SCHEDULE_INPUT_CHARACTERS:,}; use fewer or shorter ones, or no drill"
            )


def _backed_up(entry: Mapping[str, Any]) -> bool:
    """What the model makes of `backup`, which may be text: YAML's `no` reaches us as "no"."""
    try:
        return _BOOLEAN.validate_python(entry.get("backup", True))
    except ValidationError:
        return True  # A mistake of its own.


def _filter_conflicts(entry: Mapping[str, Any], path: str) -> Iterator[str]:
    """S3 refuses two filters of one bucket that one key could match both of."""
    counts: list[int] = []
    for field, overlap in (("prefix", str.startswith), ("suffix", str.endswith)):
        filters = _one_or_many(entry.get(field, ()))
        if not isinstance(filters, list | tuple):
            continue
        texts = [text for text in filters if isinstance(text, str) and text]
        counts.append(max(len(texts), 1))
        for one, other in itertools.combinations(texts, 2):
            if overlap(one, other) or overlap(other, one):
                yield (
                    f"{path}.{field}: {_shown(one)} and {_shown(other)} overlap, which S3 refuses; "
                    f"keep only {_shown(min(one, other, key=len))}"
                )
    if len(counts) == 2 and counts[0] * counts[1] > MAX_FILTERS_PER_BUCKET:
        yield (
            f"{path}: {counts[0]} prefixes with {counts[1]} suffixes make {counts[0] * counts[1]} "
            f"filters, S3 allows {MAX_FILTERS_PER_BUCKET} per bucket; use fewer"
        )
    if not _backed_up(entry) and (entry.get("prefix") or entry.get("suffix")):
        yield (
            f"{path}: filters choose what is backed up, but backup is false; "
            "remove the filters or set backup to true"
        )
