"""A stack on the local AWS, with the few things that tests do to it."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import yaml

from backupctl import permissions
from handler.boto import BotoDriver
from handler.copy import Engine
from handler.records import Backup, ObjectVersion, Removal
from handler.requests import Request
from sandbox import stack_config
from sandbox.aliases import Client
from sandbox.engine import Deployment, deploy
from sandbox.ministack import Credentials, MiniStack
from sandbox.observation import failures, outcomes
from sandbox.provider import AwsProvider
from sandbox.redeployment import redeploy
from tests.handler.fake_s3 import Stepper
from tests.recorder import ROOT


@dataclass
class Answered:
    """Notes what is asked."""

    driver: BotoDriver
    operations: list[str] = field(default_factory=list[str])

    def answer(self, request: Request) -> Mapping[str, Any]:
        """Ask S3."""
        self.operations.append(request.operation)
        return self.driver.answer(request)


@dataclass(frozen=True)
class LocalStack:
    """A deployed stack."""

    name: str
    """As Pulumi knows it."""
    ministack: MiniStack
    deployment: Deployment
    s3: Client
    """As the account's root."""
    function: str = "backup"
    """Logical name of the function that questions are about."""

    @classmethod
    def deploy(cls, ministack: MiniStack, config: Mapping[str, object]) -> "LocalStack":
        """Run the project's own program."""
        # Several stacks share a MiniStack, and a stack's name is in the names of what it makes.
        name = str(config["backupBucket"])
        deployment = deploy(ROOT, name, _rendered(config, name), AwsProvider(ministack))
        return cls(name, ministack, deployment, ministack.client("s3"))

    def redeploy(self, config: Mapping[str, object]) -> "LocalStack":
        """Run it again over this stack."""
        full, provider = _rendered(config, self.name), AwsProvider(self.ministack)
        deployment = redeploy(ROOT, self.name, full, provider, self.deployment)
        return replace(self, deployment=deployment)

    @property
    def backup_bucket(self) -> str:
        return self.deployment.outputs["backupBucketName"]

    @property
    def role(self) -> str:
        return self.deployment.find("aws:iam/role:Role", f"{self.function}-role").outputs["name"]

    def outcomes(self, key: str) -> list[dict[str, Any]]:
        """What the function logged about a key."""
        logs = f"{self.function}-logs"
        group = self.deployment.find("aws:cloudwatch/logGroup:LogGroup", logs)
        lines = outcomes(self.ministack.client("logs"), group.outputs["name"])
        return [line for line in lines if line.get("key") == key]

    def failures(self, key: str) -> list[dict[str, Any]]:
        """The failure queue's messages about a key, which stay there."""
        found = failures(self.ministack.client("sqs"), self.deployment.outputs["failureQueueUrl"])
        # What SQS moves there itself has nothing around it.
        return [
            message
            for message in found
            if key in json.dumps(message.get("requestPayload", message))
        ]

    def backup_versions(self, key: str) -> list[dict[str, Any]]:
        """Versions of a key in the backup bucket, the newest first."""
        answer = self.s3.list_object_versions(Bucket=self.backup_bucket, Prefix=key)
        return [version for version in answer.get("Versions", []) if version["Key"] == key]

    def shown(self, key: str) -> bytes | None:
        """What the backup bucket shows under a key; None if nothing, or a delete marker."""
        try:
            return self.s3.get_object(Bucket=self.backup_bucket, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None

    def put(self, bucket: str, key: str, body: bytes = b"content", **more: Any) -> Any:
        """Upload as the root; `tags` as a dictionary."""
        tags = more.pop("tags", None)
        if tags:
            more["Tagging"] = urlencode(tags)
        return self.s3.put_object(Bucket=bucket, Key=key, Body=body, **more)

    def policies(self) -> dict[str, Any]:
        """The inline policies of the function's role, by name."""
        iam = self.ministack.client("iam")
        names = iam.list_role_policies(RoleName=self.role)["PolicyNames"]
        return {
            name: iam.get_role_policy(RoleName=self.role, PolicyName=name)["PolicyDocument"]
            for name in names
        }

    @contextmanager
    def without(self, action: str) -> Generator[None]:
        """Take one permission away from the function's role for a while."""
        iam = self.ministack.client("iam")
        before = self.policies()
        changed = {name: _without(document, action) for name, document in before.items()}
        assert changed != before, f"the role has no {action}"
        for name, document in changed.items():
            iam.put_role_policy(
                RoleName=self.role, PolicyName=name, PolicyDocument=json.dumps(document)
            )
        try:
            yield
        finally:
            for name, document in before.items():
                iam.put_role_policy(
                    RoleName=self.role, PolicyName=name, PolicyDocument=json.dumps(document)
                )

    def as_the_function(self, without: str | None = None) -> Client:
        """An S3 client with exactly the function's permissions, or with one less."""
        return self.ministack.client("s3", self.function_credentials(without))

    def function_credentials(
        self, without: str | None = None, *, sends_to: str | None = None
    ) -> Credentials:
        """Credentials with exactly the function's permissions, or with one less.

        :param sends_to: name of a queue that stands in for the failure queue.

        Only Lambda may assume the function's role, so a role with the same policies is made.
        """
        policies = self.policies()
        if without is not None:
            policies = {name: _without(policy, without) for name, policy in policies.items()}
        name = f"{self.function}-without-{(without or 'nothing').replace(':', '-')}"
        statements = {name: policy["Statement"] for name, policy in policies.items()}
        if sends_to is not None:
            name += "-but-sends"
            arn = f"arn:aws:sqs:{self.ministack.region}:{self.ministack.account_id}:{sends_to}"
            statements["send"] = [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}]
        return self.assume(self.role_of_ours(name, statements))

    def copy(self, source: ObjectVersion, s3: Client, *, part_size: int | None = None) -> Backup:
        """Run the engine as somebody; in parts of that many bytes, if larger than one."""
        return BotoDriver(lambda _config: s3).run(self._engine(part_size).copy(source))

    def interrupt(
        self, source: ObjectVersion, s3: Client, *, part_size: int, requests: int
    ) -> list[str]:
        """Kill the engine after so many requests.

        :returns: what it asked for.
        """
        answered = Answered(BotoDriver(lambda _config: s3))
        stepper = Stepper(self._engine(part_size).copy(source), answered)
        while len(answered.operations) < requests and not stepper.advance():
            pass
        stepper.crash()
        return answered.operations

    def _engine(self, part_size: int | None) -> Engine:
        engine = Engine(self.backup_bucket, self.ministack.account_id)
        if part_size is None:
            return engine
        return replace(engine, multipart_above=part_size, part_size=part_size)

    def handle(self, event: ObjectVersion | Removal, s3: Client) -> Backup:
        """Run the engine as somebody, as the function does where deletions are tracked."""
        engine = Engine(self.backup_bucket, self.ministack.account_id, track_deletes=True)
        steps = engine.remove(event) if isinstance(event, Removal) else engine.copy(event)
        return BotoDriver(lambda _config: s3).run(steps)

    def role_of_ours(self, name: str, policies: Mapping[str, list[dict[str, Any]]]) -> str:
        """Make a role that anybody in the account may be allowed to assume; returns its ARN."""
        iam = self.ministack.client("iam")
        name = f"{self.backup_bucket}-{name}"[:64]
        principal = {"AWS": f"arn:aws:iam::{self.ministack.account_id}:root"}
        trust = [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]
        with suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))
        for policy, statements in policies.items():
            iam.put_role_policy(
                RoleName=name, PolicyName=policy, PolicyDocument=_document(statements)
            )
        return f"arn:aws:iam::{self.ministack.account_id}:role/{name}"

    def operator(self, name: str, statements: list[dict[str, Any]]) -> dict[str, str]:
        """Environment of somebody who may do that, and read what the stack says of itself."""
        where = f"{self.ministack.region}:{self.ministack.account_id}"
        parameter = f"arn:aws:ssm:{where}:parameter/s3-backup/{self.name}"
        policy = {name: [*statements, *permissions.description(parameter)]}
        credentials = self.assume(self.role_of_ours(name, policy))
        return self.ministack.environment() | {
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token or "",
        }

    def assume(self, role_arn: str) -> Credentials:
        """Credentials of a role, as the root gets them."""
        sts = self.ministack.client("sts")
        session = sts.assume_role(RoleArn=role_arn, RoleSessionName="test")
        return Credentials.of(session["Credentials"])


def _rendered(config: Mapping[str, object], stack: str) -> dict[str, str]:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    return stack_config.render(project, config, stack)


def _document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _without(document: Mapping[str, Any], action: str) -> dict[str, Any]:
    statements = []
    for statement in document["Statement"]:
        actions = statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        kept = [other for other in actions if other != action]
        if kept:
            statements.append({**statement, "Action": kept})
    if not statements:
        # IAM refuses an empty policy, and this one grants nothing that anybody wants.
        statements = [
            {"Effect": "Deny", "Action": "s3:PutAccountPublicAccessBlock", "Resource": "*"}
        ]
    return {**document, "Statement": statements}
