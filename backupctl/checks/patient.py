"""The stack that is looked at, asked no question twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from backupctl import notifications
from backupctl.aws import Aws
from backupctl.notifications import Entry
from backupctl.stack import Function, Source, Stack


@dataclass
class Patient:
    """A stack, and whoever can be asked about it.

    :param sources: the buckets to look at.
    :param now: the time on this machine (UTC).
    """

    aws: Aws
    stack: Stack
    sources: Sequence[Source]
    now: datetime

    @cached_property
    def configurations(self) -> dict[str, Mapping[str, Any]]:
        """Of the functions, by ARN; nothing of those that are not there."""
        found: dict[str, Mapping[str, Any]] = {}
        client = self.aws.client("lambda")
        for function in self.stack.functions:
            try:
                found[function.arn] = client.get_function_configuration(FunctionName=function.name)
            except client.exceptions.ResourceNotFoundException:
                continue
        return found

    @property
    def roles(self) -> list[tuple[Function, str]]:
        """The functions that are there, each with the ARN of its role."""
        return [
            (function, self.configurations[function.arn]["Role"])
            for function in self.stack.functions
            if function.arn in self.configurations
        ]

    @cached_property
    def mappings(self) -> dict[str, list[Mapping[str, Any]]]:
        """What Lambda does with each queue, by the queue's ARN."""
        pages = self.aws.client("lambda").get_paginator("list_event_source_mappings")
        return {
            arn: [
                mapping
                for page in pages.paginate(EventSourceArn=arn)
                for mapping in page["EventSourceMappings"]
            ]
            for arn in self.stack.queue_arns
        }

    @cached_property
    def entries(self) -> dict[str, list[Entry]]:
        """Notification entries of the sources and the backup bucket; nothing of missing buckets."""
        found: dict[str, list[Entry]] = {}
        for bucket in (*(source.name for source in self.sources), self.stack.backup_bucket):
            try:
                answer = self.aws.client("s3").get_bucket_notification_configuration(
                    Bucket=bucket, ExpectedBucketOwner=self.stack.account_id
                )
            except ClientError as error:
                if error.response["Error"]["Code"] not in {"404", "NoSuchBucket"}:
                    raise
                continue
            found[bucket] = notifications.entries(answer)
        return found

    @property
    def targets(self) -> set[str]:
        """ARNs that the stack lets buckets tell."""
        return {*(function.arn for function in self.stack.functions), *self.stack.queue_arns}

    def functions_of(self, bucket: str) -> set[str]:
        """ARNs of the functions that a source's events come to."""
        arns: set[str] = set()
        for entry in self.entries.get(bucket, []):
            if entry.target in self.stack.queue_arns:
                arns |= {mapping["FunctionArn"] for mapping in self.mappings[entry.target]}
            elif entry.target in self.targets:
                arns.add(entry.target)
        return arns

    @cached_property
    def encryption(self) -> dict[str, Mapping[str, Any]]:
        """Default encryption of the sources and the backup bucket; nothing where there is none."""
        found: dict[str, Mapping[str, Any]] = {}
        for bucket in self.entries:
            try:
                answer = self.aws.client("s3").get_bucket_encryption(
                    Bucket=bucket, ExpectedBucketOwner=self.stack.account_id
                )
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code != "ServerSideEncryptionConfigurationNotFoundError":
                    raise
                continue
            rule = answer["ServerSideEncryptionConfiguration"]["Rules"][0]
            found[bucket] = rule["ApplyServerSideEncryptionByDefault"]
        return found

    @property
    def key_arns(self) -> list[str]:
        """The KMS keys that the buckets are encrypted with, each once."""
        found = (rule.get("KMSMasterKeyID") for rule in self.encryption.values())
        return list(dict.fromkeys(arn for arn in found if arn))
