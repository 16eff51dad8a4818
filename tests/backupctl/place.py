"""Buckets on the local AWS, copies made by the engine, and the command line run as an operator."""

import io
import itertools
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from backupctl import cli
from handler.boto import BotoDriver
from handler.copy import Engine
from handler.records import Backup, ObjectVersion
from sandbox.aliases import Client
from sandbox.ministack import Credentials, MiniStack

_PASSED_ON = ("PATH", "HOME", "LANG")


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines on stdout, a summary excepted."""
        return [line for line in map(json.loads, self.out.splitlines()) if "summary" not in line]

    @property
    def summary(self) -> dict[str, Any]:
        """The JSON summary."""
        (summary,) = (
            line["summary"] for line in map(json.loads, self.out.splitlines()) if "summary" in line
        )
        return summary


class Place:
    """Buckets that belong together."""

    def __init__(self, ministack: MiniStack) -> None:
        self.ministack = ministack
        self.s3: Client = ministack.client("s3")
        self.name = f"place-{secrets.token_hex(4)}"
        self.backup = self.bucket("backup")
        self.source = self.bucket("source")
        self._driver = BotoDriver(lambda _config: self.s3)
        self.sequencers = (f"{number:020X}" for number in itertools.count(1))
        self.engine = Engine(self.backup, ministack.account_id)

    def bucket(self, role: str, *, versioned: bool = True) -> str:
        """Make a bucket; returns its name."""
        name = f"{self.name}-{role}"
        location = {"LocationConstraint": self.ministack.region}
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration=location)
        if versioned:
            self.s3.put_bucket_versioning(
                Bucket=name, VersioningConfiguration={"Status": "Enabled"}
            )
        return name

    def put(self, key: str, body: bytes = b"content", **more: Any) -> ObjectVersion:
        """Write to the source, without a copy."""
        answer = self.s3.put_object(Bucket=self.source, Key=key, Body=body, **more)
        return ObjectVersion(
            self.source,
            key,
            answer.get("VersionId"),
            answer["ETag"].strip('"'),
            len(body),
            next(self.sequencers),
            datetime.now(UTC),
        )

    def copy(self, version: ObjectVersion) -> Backup:
        """What the function would do about it."""
        return self._driver.run(self.engine.copy(version))

    def state(self) -> dict[str, Any]:
        """All versions, with their metadata and tags, of all buckets of this place."""
        return {
            bucket["Name"]: [
                {
                    **version,
                    **self._details(bucket["Name"], version),
                }
                for page in self.s3.get_paginator("list_object_versions").paginate(
                    Bucket=bucket["Name"]
                )
                for version in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
            ]
            for bucket in self.s3.list_buckets()["Buckets"]
            if bucket["Name"].startswith(self.name)
        }

    def contents(self, bucket: str) -> dict[str, bytes]:
        """What is there now, by key."""
        return {
            entry["Key"]: self.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            for entry in page.get("Contents", [])
        }

    def _details(self, bucket: str, version: Mapping[str, Any]) -> dict[str, Any]:
        if "ETag" not in version:
            return {}
        name = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
        head = self.s3.head_object(**name)
        # MiniStack does not find the tags of what lies under a delete marker.
        tags = self.s3.get_object_tagging(**name)["TagSet"] if version["IsLatest"] else []
        return {"metadata": head["Metadata"], "type": head.get("ContentType"), "tags": tags}

    def operator(self, statements: Sequence[Mapping[str, Any]]) -> Credentials:
        """Credentials of a role that may do exactly this."""
        iam, name = self.ministack.client("iam"), f"{self.name}-{secrets.token_hex(4)}"
        principal = {"AWS": f"arn:aws:iam::{self.ministack.account_id}:root"}
        trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document([trust]))["Role"]
        iam.put_role_policy(
            RoleName=name, PolicyName="operator", PolicyDocument=_document(statements)
        )
        session = self.ministack.client("sts").assume_role(
            RoleArn=role["Arn"], RoleSessionName="operator"
        )
        return Credentials.of(session["Credentials"])

    def environment(self, credentials: Credentials | None = None) -> dict[str, str]:
        """The environment of a command run as somebody; as the root without credentials."""
        own = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment = own | self.ministack.environment() | {"S3_BACKUP_BUCKET": self.backup}
        if credentials is not None:
            environment |= {
                "AWS_ACCESS_KEY_ID": credentials.access_key_id,
                "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
                "AWS_SESSION_TOKEN": credentials.session_token or "",
            }
        return environment

    def run(
        self,
        *arguments: str,
        credentials: Credentials | None = None,
        answers: str | None = None,
    ) -> Ran:
        """Run the command line in this process.

        :param answers: what a person types; None if there is no person.
        """
        return run(self.environment(credentials), *arguments, answers=answers)


def run(environment: Mapping[str, str], *arguments: str, answers: str | None = None) -> Ran:
    """Run the command line in this process.

    :param environment: all of it.
    :param answers: what a person types; None if there is no person.
    """
    out, err = io.StringIO(), io.StringIO()
    typed = io.StringIO(answers or "")
    typed.isatty = lambda: answers is not None
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "stdin", typed),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = cli.main(arguments)
    return Ran(code, out.getvalue(), err.getvalue())


def _document(statements: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
