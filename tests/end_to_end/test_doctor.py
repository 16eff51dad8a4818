"""`backupctl doctor` finds nothing in a healthy stack, and exactly what is wrong in others."""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest

from backupctl.stack import Stack
from sandbox.ministack import MiniStack
from tests.backupctl.local import aws
from tests.backupctl.place import Ran, run

from .local_stack import LocalStack
from .test_watching import as_somebody, statements_for, without

SOURCE = "doctor-source"


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> LocalStack:
    return LocalStack.deploy(
        ministack,
        {
            "backupBucket": "doctor-backups",
            "buckets": [SOURCE],
            "delivery": "queue",
            "trackDeletes": True,
        },
    )


@pytest.fixture(scope="module")
def described(stack: LocalStack) -> Stack:
    return Stack.read(aws(stack.ministack), stack.name)


@pytest.fixture(scope="module")
def environment(stack: LocalStack) -> dict[str, str]:
    return as_somebody(stack, "doctor", statements_for(stack, "doctor"))


def doctor(stack: LocalStack, environment: Mapping[str, str], *arguments: str) -> Ran:
    return run(environment, "--stack", stack.name, "doctor", *arguments)


def found(stack: LocalStack, environment: Mapping[str, str]) -> dict[str, str]:
    """By check and subject, the problems; all have a cure."""
    ran = doctor(stack, environment, "--json")
    [seen] = ran.lines
    assert ran.code == bool(seen["findings"]), ran
    assert all(finding["cure"] for finding in seen["findings"])
    return {
        f"{finding['check']}: {finding['about']}": finding["problem"]
        for finding in seen["findings"]
    }


def test_a_healthy_stack_has_nothing(stack: LocalStack, environment: dict[str, str]) -> None:
    assert found(stack, environment) == {}
    ran = doctor(stack, environment)
    assert ran.code == 0, ran
    assert ran.out.splitlines()[0] == "functions: ok"
    assert all(line.endswith(": ok") for line in ran.out.splitlines())


@contextmanager
def foreign_topic(stack: LocalStack) -> Generator[str]:
    """Somebody has the source tell a topic too, of what the stack wants to know as well."""
    s3, [source] = stack.s3, stack.deployment.outputs["buckets"]
    sns = stack.ministack.client("sns")
    topic = sns.create_topic(Name=f"{source}-theirs")["TopicArn"]
    before = s3.get_bucket_notification_configuration(Bucket=source)
    del before["ResponseMetadata"]
    more = {"TopicArn": topic, "Events": ["s3:ObjectCreated:Put"]}
    s3.put_bucket_notification_configuration(
        Bucket=source, NotificationConfiguration={**before, "TopicConfigurations": [more]}
    )
    yield f"notifications: {source}"
    s3.put_bucket_notification_configuration(Bucket=source, NotificationConfiguration=before)


@contextmanager
def suspended_versioning(stack: LocalStack) -> Generator[str]:
    def turn(status: str) -> None:
        stack.s3.put_bucket_versioning(
            Bucket=stack.backup_bucket, VersioningConfiguration={"Status": status}
        )

    turn("Suspended")
    yield f"backup bucket: {stack.backup_bucket}"
    turn("Enabled")


@contextmanager
def disabled_key(stack: LocalStack) -> Generator[str]:
    arn = stack.deployment.find("aws:kms/key:Key", "backup-key").outputs["arn"]
    kms = stack.ministack.client("kms")
    kms.disable_key(KeyId=arn)
    yield f"keys: {arn}"
    kms.enable_key(KeyId=arn)


@contextmanager
def missing_permission(stack: LocalStack) -> Generator[str]:
    with stack.without("s3:PutObjectTagging"):
        yield f"permissions: {stack.role}"


@contextmanager
def missing_key_permission(stack: LocalStack) -> Generator[str]:
    with stack.without("kms:GenerateDataKey"):
        yield f"permissions: {stack.role}"


@contextmanager
def full_role(stack: LocalStack) -> Generator[str]:
    iam = stack.ministack.client("iam")
    actions = [f"s3:GetObject{number:06}" for number in range(450)]
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": actions, "Resource": "*"}],
    }
    iam.put_role_policy(RoleName=stack.role, PolicyName="much", PolicyDocument=json.dumps(document))
    yield f"role policies: {stack.role}"
    iam.delete_role_policy(RoleName=stack.role, PolicyName="much")


@contextmanager
def switched_off(stack: LocalStack) -> Generator[str]:
    client, name = stack.ministack.client("lambda"), stack.deployment.outputs["functionName"]
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    yield f"concurrency: {name}"
    client.delete_function_concurrency(FunctionName=name)


@contextmanager
def lost_failures(stack: LocalStack) -> Generator[str]:
    client, name = stack.ministack.client("lambda"), stack.deployment.outputs["functionName"]
    before = client.get_function_event_invoke_config(FunctionName=name)
    client.delete_function_event_invoke_config(FunctionName=name)
    yield f"functions: {name}"
    client.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=before["MaximumRetryAttempts"],
        DestinationConfig={"OnFailure": before["DestinationConfig"]["OnFailure"]},
    )


@pytest.mark.parametrize(
    ("trouble", "problem"),
    [
        (foreign_topic, "is told of events too: the next deployment"),
        (suspended_versioning, "versioning is Suspended: what is overwritten is lost"),
        (disabled_key, "the key is Disabled: nothing can be encrypted or read with it"),
        (missing_permission, "the role may not s3:PutObjectTagging on arn:aws:s3:::doctor-backups"),
        (missing_key_permission, "the role may not kms:GenerateDataKey on arn:aws:kms:"),
        (full_role, "of 10,240 characters of inline policies are used"),
        (switched_off, "its reserved concurrency is 0: it is switched off"),
        (lost_failures, "events that Lambda gives up go to nowhere, not to the failure queue"),
    ],
)
def test_trouble_is_found_and_nothing_else(
    stack: LocalStack,
    environment: dict[str, str],
    trouble: Callable[[LocalStack], AbstractContextManager[str]],
    problem: str,
) -> None:
    with trouble(stack) as subject:
        seen = found(stack, environment)
    assert seen.keys() == {subject}
    assert problem in seen[subject]
    if trouble is foreign_topic:
        assert "because they overlap" in seen[subject]


def test_a_queue_that_feeds_nobody_is_found(
    stack: LocalStack, described: Stack, environment: dict[str, str]
) -> None:
    client = stack.ministack.client("lambda")
    mapping = stack.deployment.find(
        "aws:lambda/eventSourceMapping:EventSourceMapping", "backup-queue-mapping"
    ).id
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    seen = found(stack, environment)
    client.update_event_source_mapping(UUID=mapping, Enabled=True)
    [name] = described.queue_arns
    assert seen == {
        f"queues: {name.rpartition(':')[2]}": f"its event source mapping {mapping} is Disabled"
    }


def test_a_check_that_may_not_be_made_hides_no_other(stack: LocalStack) -> None:
    statements = without(statements_for(stack, "doctor"), "iam:SimulatePrincipalPolicy")
    environment = as_somebody(stack, "doctor-blind", statements)
    with suspended_versioning(stack) as subject:
        seen = found(stack, environment)
    assert seen.keys() == {subject, "permissions: permissions"}
    assert (
        "this cannot be checked: SimulatePrincipalPolicy: AccessDenied"
        in (seen["permissions: permissions"])
    )
