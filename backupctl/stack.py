"""What a deployed stack says of itself, in the SSM parameter that the Pulumi program writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from .aws import Aws
from .errors import PROBLEM, WRONG_USE, BackupctlError
from .explanations import whole_answers
from .json_text import loads

PROJECT = "s3-backup"


@dataclass(frozen=True)
class Source:
    """A bucket that is backed up, wholly or in part."""

    name: str
    prefixes: tuple[str, ...] = ("",)
    """A key is backed up if it starts with one of them,"""
    suffixes: tuple[str, ...] = ("",)
    """and ends with one of them."""

    def includes(self, key: str) -> bool:
        """Whether the key is one that is backed up."""
        return key.startswith(self.prefixes) and key.endswith(self.suffixes)


@dataclass(frozen=True)
class Function:
    """One of the stack's functions."""

    name: str
    arn: str


@dataclass(frozen=True)
class BatchOperations:
    """What the stack has for jobs of S3 Batch Operations."""

    role_arn: str
    """Of the role that jobs run as."""
    functions: Mapping[str, str]
    """By source, the ARN of the function that may read it."""


@dataclass(frozen=True)
class Stack:
    """A deployed stack."""

    backup_bucket: str
    functions: tuple[Function, ...]
    failure_queue_url: str
    sources: Mapping[str, Source]
    storage_class: str
    """Of the backups that the functions make."""
    exports: Mapping[str, Any]
    """All of the parameter, as it is."""
    track_deletes: bool = False
    """Whether the backup shows what was deleted in a source as deleted."""
    kms_key_arn: str | None = None
    """Of the key that encrypts the stack's buckets; None for S3's own keys."""
    queue_urls: tuple[str, ...] = ()
    """Of the queues between buckets and functions, if events go through queues."""
    batch: BatchOperations | None = None
    """None if the stack is not set up for such jobs."""

    @staticmethod
    def parameter(name: str) -> str:
        """The name of a stack's SSM parameter."""
        return f"/{PROJECT}/{name}"

    def parameter_arn(self, name: str) -> str:
        """ARN of that SSM parameter.

        :param name: of this stack.
        """
        return self.arn("ssm", f"parameter{self.parameter(name)}")

    @property
    def partition(self) -> str:
        """AWS's partition that it is in, such as `aws`."""
        return self._arn[1]

    @property
    def region(self) -> str:
        """The region that it is in."""
        return self._arn[3]

    @property
    def account_id(self) -> str:
        """The 12 digits of the account that it is in."""
        return self._arn[4]

    @property
    def queue_arns(self) -> list[str]:
        """ARNs of `queue_urls`."""
        return list(map(self._queue_arn, self.queue_urls))

    @property
    def failure_queue_arn(self) -> str:
        """ARN of the failure queue."""
        return self._queue_arn(self.failure_queue_url)

    @property
    def _arn(self) -> list[str]:
        """The parts of the first function's ARN, which tell where the stack is."""
        if not self.functions:
            raise BackupctlError("the stack's SSM parameter names no function; run pulumi up")
        return self.functions[0].arn.split(":")

    def _queue_arn(self, url: str) -> str:
        name = url.rpartition("/")[2]
        return self.arn("sqs", name)

    def arn(self, service: str, resource: str) -> str:
        """ARN of something where the stack is.

        :param service: such as `sqs`.
        """
        return f"arn:{self.partition}:{service}:{self.region}:{self.account_id}:{resource}"

    @classmethod
    def read(cls, aws: Aws, name: str) -> "Stack":
        """Ask AWS.

        :param name: of the stack, as Pulumi knows it.
        :raises BackupctlError: if there is none of that name here, or none that can be understood.
        """
        parameter = cls.parameter(name)
        try:
            with whole_answers():
                text = _text_of(aws, parameter)
            return cls.parse(text)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ParameterNotFound":
                raise
            raise BackupctlError(
                f"there is no stack {name!r} here: no SSM parameter {parameter} in {aws.region}; "
                "check --stack, --region and --profile, or run pulumi up",
                WRONG_USE,
            ) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise BackupctlError(
                f"the SSM parameter {parameter} is not what a stack writes "
                f"({type(error).__name__}: {error}); run pulumi up",
                PROBLEM,
            ) from error

    @classmethod
    def parse(cls, text: str) -> "Stack":
        """Understand the parameter's value.

        :raises AttributeError, LookupError, TypeError, ValueError: if it cannot be.
        """
        exports = loads(text)
        return cls(
            backup_bucket=_text(exports["backupBucketName"]),
            functions=tuple(
                Function(_text(function["name"]), _text(function["arn"]))
                for function in exports["functions"]
            ),
            failure_queue_url=_text(exports["failureQueueUrl"]),
            sources={
                _text(name): Source(
                    name,
                    tuple(map(_text, filters.get("prefix", ("",)))),
                    tuple(map(_text, filters.get("suffix", ("",)))),
                )
                for name, filters in exports["sources"].items()
            },
            # A stack that was deployed before there was a choice does not say.
            storage_class=_text(exports.get("storageClass", "STANDARD")),
            exports=exports,
            track_deletes=exports.get("trackDeletes") is True,
            kms_key_arn=_text(exports["encryptionKeyArn"])
            if exports.get("encryptionKeyArn")
            else None,
            queue_urls=tuple(map(_text, exports.get("queueUrls", ()))),
            batch=_batch(exports["batchOperations"], list(exports["sources"]))
            if exports.get("batchOperations")
            else None,
        )


def _batch(described: Mapping[str, Any], sources: list[str]) -> BatchOperations:
    arns, each = described["functionArns"], described["sourcesPerFunction"]
    return BatchOperations(
        _text(described["roleArn"]),
        {name: _text(arns[number // each]) for number, name in enumerate(sources)},
    )


def _text_of(aws: Aws, parameter: str) -> str:
    """What a stack says, which for hundreds of buckets takes several parameters."""

    def value(name: str) -> str:
        return _text(aws.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])

    text = value(parameter)
    parts = loads(text).get("parts", 0)
    return "".join(value(f"{parameter}/{part}") for part in range(1, parts + 1)) or text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
