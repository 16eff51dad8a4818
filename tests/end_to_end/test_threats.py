"""Every principal of the threat model tries everything; docs/access.yaml says who may.

The local AWS lets an account's root pass every policy, so everybody here is a role or a user.
"""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from backupctl import permissions
from sandbox.aliases import Client
from sandbox.ministack import Credentials, MiniStack
from sandbox.observation import wait_for
from tests.recorder import ROOT

from .local_stack import LocalStack

ACCESS = yaml.safe_load((ROOT / "docs" / "access.yaml").read_text())
SOURCE, BACKUP = "threatened-source", "threatened-backups"
STRANGER = "999999999999"
EVERYTHING: list[dict[str, Any]] = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]

REFUSALS = {"403", "AccessDenied", "AccessDeniedException", "KmsAccessDenied"}
# To a stranger the local AWS shows nothing, where AWS says that it may not be seen.
UNSEEN = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchBucket",
    "NoSuchEntity",
    "NotFoundException",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
}
# Whoever hears this was let in.
ONLY_NOT_EMPTY = "BucketNotEmpty"


@dataclass(frozen=True)
class Stack:
    """A stack under attack, and what attacks need to know of it."""

    local: LocalStack

    @functools.cached_property
    def policy(self) -> str:
        return self.local.s3.get_bucket_policy(Bucket=BACKUP)["Policy"]

    @functools.cached_property
    def log_policy(self) -> str:
        return self.local.s3.get_bucket_policy(Bucket=self.logs)["Policy"]

    @property
    def logs(self) -> str:
        return self.local.deployment.outputs["accessLogBucketName"]

    @property
    def key(self) -> str:
        return self.local.deployment.find("aws:kms/key:Key", "backup-key").outputs["arn"]

    @property
    def function(self) -> str:
        return self.local.deployment.outputs["functionName"]

    @property
    def function_arn(self) -> str:
        return self.local.deployment.outputs["functionArn"]

    @property
    def role_arn(self) -> str:
        return self.local.deployment.find("aws:iam/role:Role", "backup-role").outputs["arn"]

    @property
    def queue(self) -> str:
        return self.local.deployment.outputs["failureQueueUrl"]

    @functools.cached_property
    def ciphertext(self) -> bytes:
        return self.root("kms").encrypt(KeyId=self.key, Plaintext=b"1")["CiphertextBlob"]

    def root(self, service: str) -> Client:
        return self.local.ministack.client(service)

    def settings(self, bucket: str, operation: str) -> Any:
        """What a bucket's setting is, so that whoever may change it changes nothing."""
        answer = getattr(self.local.s3, f"get_{operation}")(Bucket=bucket)
        del answer["ResponseMetadata"]
        return answer

    def victim(self, bucket: str, key: str) -> dict[str, str]:
        """A new version to be attacked."""
        version = self.local.put(bucket, key)["VersionId"]
        return {"Bucket": bucket, "Key": key, "VersionId": version}


@dataclass
class Attacker:
    """Somebody with credentials."""

    ministack: MiniStack
    credentials: Credentials
    clients: dict[str, Client] = field(default_factory=dict[str, Client])

    def __call__(self, service: str) -> Client:
        """A client of theirs."""
        if service not in self.clients:
            self.clients[service] = self.ministack.client(service, self.credentials)
        return self.clients[service]


Attempt = Callable[[Attacker, Stack], object]
ATTEMPTS: dict[str, Attempt] = {}


def attempt(name: str) -> Callable[[Attempt], Attempt]:
    def register(function: Attempt) -> Attempt:
        ATTEMPTS[name] = function
        return function

    return register


def on_bucket(name: str, change: Callable[[Client, Stack], object]) -> None:
    ATTEMPTS[name] = lambda who, stack: change(who("s3"), stack)


def on_version(name: str, change: Callable[[Client, dict[str, str]], object]) -> None:
    ATTEMPTS[name] = lambda who, stack: change(who("s3"), stack.victim(BACKUP, f"{SOURCE}/{name}"))


def without_version(at: Mapping[str, str]) -> dict[str, str]:
    return {"Bucket": at["Bucket"], "Key": at["Key"]}


on_bucket("write to a source", lambda s3, _: s3.put_object(Bucket=SOURCE, Key="k", Body=b"1"))
on_version("read a backup", lambda s3, at: s3.get_object(**without_version(at)))
on_version("read an overwritten backup", lambda s3, at: s3.get_object(**at))
on_bucket("list the backups", lambda s3, _: s3.list_objects_v2(Bucket=BACKUP))
on_bucket("add to the backups", lambda s3, _: s3.put_object(Bucket=BACKUP, Key="k", Body=b"1"))
on_version(
    "hide a backup with a delete marker", lambda s3, at: s3.delete_object(**without_version(at))
)
on_version("delete a locked version", lambda s3, at: s3.delete_object(**at))
on_version(
    "delete a version in spite of its lock",
    lambda s3, at: s3.delete_object(**at, BypassGovernanceRetention=True),
)
on_version(
    "shorten a retention",
    lambda s3, at: s3.put_object_retention(
        **at,
        Retention={
            "Mode": "GOVERNANCE",
            "RetainUntilDate": datetime.now(UTC) + timedelta(minutes=1),
        },
        BypassGovernanceRetention=True,
    ),
)
on_version(
    "lift a legal hold", lambda s3, at: s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
)


@attempt("schedule the key's deletion")
def _(who: Attacker, stack: Stack) -> None:
    who("kms").schedule_key_deletion(KeyId=stack.key, PendingWindowInDays=30)
    stack.root("kms").cancel_key_deletion(KeyId=stack.key)
    stack.root("kms").enable_key(KeyId=stack.key)


@attempt("disable the key")
def _(who: Attacker, stack: Stack) -> None:
    who("kms").disable_key(KeyId=stack.key)
    stack.root("kms").enable_key(KeyId=stack.key)


on_bucket(
    "change the backup bucket's policy",
    lambda s3, stack: s3.put_bucket_policy(Bucket=BACKUP, Policy=stack.policy),
)
on_bucket(
    "stop versioning",
    lambda s3, _: s3.put_bucket_versioning(
        Bucket=BACKUP, VersioningConfiguration={"Status": "Enabled"}
    ),
)
on_bucket(
    "change the lifecycle",
    lambda s3, stack: s3.put_bucket_lifecycle_configuration(
        Bucket=BACKUP,
        LifecycleConfiguration={
            "Rules": stack.settings(BACKUP, "bucket_lifecycle_configuration")["Rules"]
        },
    ),
)
on_bucket(
    "change the object lock",
    lambda s3, stack: s3.put_object_lock_configuration(
        Bucket=BACKUP, **stack.settings(BACKUP, "object_lock_configuration")
    ),
)
on_bucket(
    "change the encryption",
    lambda s3, stack: s3.put_bucket_encryption(
        Bucket=BACKUP, **stack.settings(BACKUP, "bucket_encryption")
    ),
)
on_bucket(
    "let the public in",
    lambda s3, stack: s3.put_public_access_block(
        Bucket=BACKUP, **stack.settings(BACKUP, "public_access_block")
    ),
)
on_bucket(
    "stop the access log",
    lambda s3, stack: s3.put_bucket_logging(
        Bucket=BACKUP, BucketLoggingStatus=stack.settings(BACKUP, "bucket_logging")
    ),
)
on_bucket(
    "have the backup bucket notify somebody",
    lambda s3, _: s3.put_bucket_notification_configuration(
        Bucket=BACKUP, NotificationConfiguration={}
    ),
)
on_bucket("delete the backup bucket", lambda s3, _: s3.delete_bucket(Bucket=BACKUP))


@attempt("change the key's policy")
def _(who: Attacker, stack: Stack) -> None:
    policy = stack.root("kms").get_key_policy(KeyId=stack.key)["Policy"]
    who("kms").put_key_policy(KeyId=stack.key, Policy=policy)


@attempt("delete an access log")
def _(who: Attacker, stack: Stack) -> None:
    who("s3").delete_object(**stack.victim(stack.logs, "log"))


@attempt("hide an access log")
def _(who: Attacker, stack: Stack) -> None:
    who("s3").delete_object(**without_version(stack.victim(stack.logs, "log")))


on_bucket(
    "forge or overwrite an access log",
    lambda s3, stack: s3.put_object(Bucket=stack.logs, Key="log", Body=b""),
)
on_bucket(
    "change the policy of the access logs",
    lambda s3, stack: s3.put_bucket_policy(Bucket=stack.logs, Policy=stack.log_policy),
)
on_bucket(
    "change how long access logs are kept",
    lambda s3, stack: s3.put_bucket_lifecycle_configuration(
        Bucket=stack.logs,
        LifecycleConfiguration={
            "Rules": stack.settings(stack.logs, "bucket_lifecycle_configuration")["Rules"]
        },
    ),
)
on_bucket(
    "stop a source's notification",
    lambda s3, stack: s3.put_bucket_notification_configuration(
        Bucket=SOURCE,
        NotificationConfiguration=stack.settings(SOURCE, "bucket_notification_configuration"),
    ),
)


@attempt("invoke the function")
def _(who: Attacker, stack: Stack) -> None:
    who("lambda").invoke(FunctionName=stack.function_arn, InvocationType="DryRun")


@attempt("change the function")
def _(who: Attacker, stack: Stack) -> None:
    who("lambda").update_function_configuration(
        FunctionName=stack.function_arn, Description="changed"
    )


@attempt("let somebody invoke the function")
def _(who: Attacker, stack: Stack) -> None:
    who("lambda").add_permission(
        FunctionName=stack.function_arn,
        StatementId="accomplice",
        Action="lambda:InvokeFunction",
        Principal=STRANGER,
    )
    stack.root("lambda").remove_permission(
        FunctionName=stack.function_arn, StatementId="accomplice"
    )


@attempt("assume the function's role")
def _(who: Attacker, stack: Stack) -> None:
    who("sts").assume_role(RoleArn=stack.role_arn, RoleSessionName="attacker")


@attempt("widen the function's role")
def _(who: Attacker, stack: Stack) -> None:
    # A denial that nobody here minds, so that the others meet the role as it is.
    statement = {"Effect": "Deny", "Action": "s3:PutAccountPublicAccessBlock", "Resource": "*"}
    changed = {"RoleName": stack.role_arn.rpartition("/")[2], "PolicyName": "attack"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    who("iam").put_role_policy(**changed, PolicyDocument=document)
    stack.root("iam").delete_role_policy(**changed)


@attempt("send to the failure queue")
def _(who: Attacker, stack: Stack) -> None:
    who("sqs").send_message(QueueUrl=stack.queue, MessageBody="{}")


@attempt("take from the failure queue")
def _(who: Attacker, stack: Stack) -> None:
    who("sqs").receive_message(QueueUrl=stack.queue, VisibilityTimeout=0)


@attempt("decrypt with the key")
def _(who: Attacker, stack: Stack) -> None:
    who("kms").decrypt(CiphertextBlob=stack.ciphertext, KeyId=stack.key)


@attempt("read the logs")
def _(who: Attacker, stack: Stack) -> None:
    group = stack.local.deployment.find("aws:cloudwatch/logGroup:LogGroup", "backup-logs")
    who("logs").filter_log_events(logGroupName=group.outputs["name"])


def role_arn(ministack: MiniStack, name: str) -> str:
    return f"arn:aws:iam::{ministack.account_id}:role/{BACKUP}-{name}"


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> Stack:
    local = LocalStack.deploy(
        ministack,
        {
            "backupBucket": BACKUP,
            "buckets": [SOURCE],
            "objectLock": {"mode": "GOVERNANCE", "days": 1},
            "breakGlassRoleArn": role_arn(ministack, "break-glass"),
            "deployerRoleArns": [role_arn(ministack, "deployer")],
        },
    )
    local.put(SOURCE, "kept")
    wait_for(lambda: local.backup_versions(f"{SOURCE}/kept"), "a backup")
    return Stack(local)


def user(ministack: MiniStack, name: str, statements: list[dict[str, Any]], *, of: str) -> Attacker:
    """Make a user of an account."""
    iam = ministack.client("iam", Credentials(of, "test"))
    iam.create_user(UserName=name)
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Attacker(ministack, Credentials.of(key))


def through_s3(key: str) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": key,
        "Condition": {"StringLike": {"kms:ViaService": "s3.*"}},
    }


def attacker(name: str, stack: Stack) -> Attacker:
    """Whoever is called so in access.yaml."""
    ministack = stack.local.ministack
    objects = {"Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject*"]}
    writing = {"Effect": "Allow", **objects, "Resource": f"arn:aws:s3:::{SOURCE}/*"}
    match name:
        case "stranger":
            return user(ministack, "stranger", EVERYTHING, of=STRANGER)
        case "bystander":
            return user(ministack, "bystander", [], of=ministack.account_id)
        case "function":
            return Attacker(ministack, function_credentials(stack))
        case "writer":
            statements = [writing, through_s3(stack.key)]
        case "backfiller":
            statements = permissions.backfill(BACKUP, [SOURCE], [stack.key])
        case "verifier":
            statements = permissions.verify(BACKUP, [SOURCE], [stack.key])
        case "driller":
            statements = permissions.drill(BACKUP, [SOURCE], SOURCE, "drills/", [stack.key])
        case "restorer":
            statements = permissions.restore(BACKUP, SOURCE, [stack.key])
        case "deployer" | "break-glass" | "administrator":
            statements = EVERYTHING
        case _:
            raise ValueError(f"access.yaml: nobody is called {name}")
    role = stack.local.role_of_ours(name, {"all": statements})
    return Attacker(ministack, stack.local.assume(role))


def function_credentials(stack: Stack) -> Credentials:
    """Those that Lambda hands to the function, which nobody else gets."""
    iam, role = stack.root("iam"), stack.role_arn.rpartition("/")[2]
    trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    anybody = {**trust["Statement"][0], "Principal": {"AWS": "*"}}
    del anybody["Condition"]
    opened = {**trust, "Statement": [anybody]}
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(opened))
    try:
        return stack.local.assume(stack.role_arn)
    finally:
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))


def succeeds(name: str, who: Attacker, stack: Stack, refusals: set[str]) -> bool:
    try:
        ATTEMPTS[name](who, stack)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == ONLY_NOT_EMPTY:
            return True
        if code not in refusals:
            raise AssertionError(f"{name}: neither done nor refused") from error
        return False
    return True


def test_what_is_tried_is_what_is_written_down() -> None:
    assert set(ATTEMPTS) == set(ACCESS["attempts"])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("principal", ACCESS["principals"])
def test_everybody_may_do_what_is_written_down_and_nothing_else(
    stack: Stack, principal: str
) -> None:
    who = attacker(principal, stack)
    refusals = REFUSALS | UNSEEN if principal == "stranger" else REFUSALS
    done = {name for name in ATTEMPTS if succeeds(name, who, stack, refusals)}
    assert done == {name for name, may in ACCESS["attempts"].items() if principal in may}


def test_no_other_bucket_invokes_the_function(stack: Stack) -> None:
    local, bucket = stack.local, "threatening-bucket"
    location = {"LocationConstraint": local.ministack.region}
    local.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
    notification = {"LambdaFunctionArn": stack.function_arn, "Events": ["s3:ObjectCreated:*"]}
    local.s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [notification]}
    )
    local.put(bucket, "forged")
    refusal = f"the policy of {stack.function_arn} does not let {bucket} invoke it"
    wait_for(lambda: refusal in local.ministack.log_path.read_text(), "the refusal")
    assert local.outcomes("forged") == []
