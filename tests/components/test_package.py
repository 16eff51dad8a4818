"""The components are a Pulumi package that programs in other languages can use."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from pulumi.provider.experimental.analyzer import Analyzer, AnalyzeResult, PropertyDefinition
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from components import (
    AccessLogBucket,
    AuditTrail,
    BackupAlarms,
    BackupDashboard,
    BackupFunction,
    BackupQueue,
    BatchFunction,
    BatchJobRole,
    EncryptionKey,
    FailureRedrive,
    FailureTargets,
    LogQueries,
    NotificationTopic,
    ScheduledDrill,
    SignedPackage,
    StandardBucket,
)
from tests.recorder import ROOT

COMPONENTS = ROOT / "components"
VERSION = "0.1.0"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A copy of the package, in a folder named as Pulumi names what it downloads."""
    folder = tmp_path / "github.com_example_s3-backup.git-a1b2c3"
    shutil.copytree(COMPONENTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def analysis() -> AnalyzeResult:
    return Analyzer("s3-backup").analyze(
        [
            AccessLogBucket,
            AuditTrail,
            BackupAlarms,
            BackupDashboard,
            BackupFunction,
            BackupQueue,
            BatchFunction,
            BatchJobRole,
            EncryptionKey,
            FailureRedrive,
            FailureTargets,
            LogQueries,
            NotificationTopic,
            ScheduledDrill,
            SignedPackage,
            StandardBucket,
        ]
    )


def shapes(properties: dict[str, PropertyDefinition], *, optional: bool) -> dict[str, str]:
    """Name to type, of either the optional or the required properties."""
    return {
        name: str(definition.ref or (definition.type and definition.type.value))
        for name, definition in properties.items()
        if definition.optional is optional
    }


@pytest.mark.parametrize(
    ("component", "required", "optional", "outputs"),
    [
        (
            "AccessLogBucket",
            {"sourceNames": "array"},
            {
                "retentionDays": "integer",
                "breakGlassRoleArn": "string",
                "deployerRoleArns": "array",
                "tags": "object",
            },
            {"bucketName": "string"},
        ),
        (
            "AuditTrail",
            {"trailName": "string", "bucketArns": "array", "functionArns": "array"},
            {
                "kmsKeyArn": "string",
                "retentionDays": "integer",
                "accessLogBucket": "string",
                "breakGlassRoleArn": "string",
                "deployerRoleArns": "array",
                "tags": "object",
            },
            {"trailArn": "string", "bucketName": "string"},
        ),
        (
            "BackupFunction",
            {
                "backupBucketName": "string",
                "backupBucketArn": "string",
            },
            {
                "code": "pulumi.json#/Archive",
                "signedCode": "#/types/s3-backup:index:SignedCode",
                "network": "#/types/s3-backup:index:FunctionNetwork",
                "tracing": "boolean",
                "permissionsBoundaryArn": "string",
                "kmsKeyArn": "string",
                "failureQueue": "#/types/s3-backup:index:FailureQueue",
                "memorySize": "integer",
                "timeout": "integer",
                "reservedConcurrency": "integer",
                "logRetentionDays": "integer",
                "bucketMetrics": "boolean",
                "trackDeletes": "boolean",
                "eventBus": "#/types/s3-backup:index:EventBus",
                "storageClass": "string",
                "tags": "object",
            },
            {
                "functionName": "string",
                "functionArn": "string",
                "roleId": "string",
                "logGroupName": "string",
                "failureQueueArn": "string",
                "failureQueueUrl": "string",
            },
        ),
        (
            "BackupAlarms",
            {
                "topicArn": "string",
                "backupBucketName": "string",
                "functionNames": "array",
                "failureQueueArn": "string",
            },
            {
                "direct": "boolean",
                "eventQueueArns": "array",
                "only": "array",
                "lagSeconds": "integer",
                "announced": "boolean",
                "sources": "array",
                "verifyDays": "integer",
                "drillDays": "integer",
                "quiet": "array",
                "tags": "object",
            },
            {"alarmArns": "array"},
        ),
        (
            "BackupDashboard",
            {
                "dashboardName": "string",
                "backupBucketName": "string",
                "functions": "array",
                "failureQueueArn": "string",
            },
            {"eventQueueArns": "array", "alarmArns": "array", "bucketMetrics": "boolean"},
            {"dashboardArn": "string"},
        ),
        (
            "FailureTargets",
            {"busName": "string", "backupBucketName": "string", "targetArns": "array"},
            {},
            {},
        ),
        ("LogQueries", {"folder": "string", "logGroups": "array"}, {}, {}),
        (
            "BackupQueue",
            {
                "bucketNames": "array",
                "functionName": "string",
                "functionTimeout": "integer",
                "roleId": "string",
            },
            {
                "kmsKeyArn": "string",
                "batchSize": "integer",
                "batchWindow": "integer",
                "maxConcurrency": "integer",
                "protectMessages": "boolean",
                "tags": "object",
            },
            {"queueArn": "string", "queueUrl": "string"},
        ),
        (
            "BatchFunction",
            {
                "sourceBucketArns": "array",
                "backupBucketName": "string",
                "backupBucketArn": "string",
            },
            {
                "code": "pulumi.json#/Archive",
                "signedCode": "#/types/s3-backup:index:SignedCode",
                "network": "#/types/s3-backup:index:FunctionNetwork",
                "tracing": "boolean",
                "permissionsBoundaryArn": "string",
                "kmsKeyArn": "string",
                "memorySize": "integer",
                "timeout": "integer",
                "reservedConcurrency": "integer",
                "logRetentionDays": "integer",
                "bucketMetrics": "boolean",
                "trackDeletes": "boolean",
                "eventBus": "#/types/s3-backup:index:EventBus",
                "storageClass": "string",
                "tags": "object",
            },
            {"functionName": "string", "functionArn": "string"},
        ),
        (
            "BatchJobRole",
            {"functionArns": "array", "backupBucketArn": "string"},
            {"permissionsBoundaryArn": "string", "tags": "object"},
            {"roleArn": "string"},
        ),
        (
            "ScheduledDrill",
            {
                "backupBucketName": "string",
                "backupBucketArn": "string",
                "sources": "array",
                "days": "integer",
                "sample": "integer",
            },
            {
                "code": "pulumi.json#/Archive",
                "signedCode": "#/types/s3-backup:index:SignedCode",
                "network": "#/types/s3-backup:index:FunctionNetwork",
                "tracing": "boolean",
                "permissionsBoundaryArn": "string",
                "kmsKeyArn": "string",
                "accessLogBucket": "string",
                "memorySize": "integer",
                "timeout": "integer",
                "logRetentionDays": "integer",
                "tags": "object",
            },
            {"bucketName": "string", "bucketArn": "string", "functionArns": "array"},
        ),
        (
            "FailureRedrive",
            {"failureQueue": "#/types/s3-backup:index:FailureQueue", "queues": "array"},
            {},
            {},
        ),
        (
            "EncryptionKey",
            {"description": "string"},
            {
                "services": "array",
                "logGroups": "array",
                "trails": "array",
                "breakGlassRoleArn": "string",
                "deployerRoleArns": "array",
                "tags": "object",
            },
            {"keyArn": "string"},
        ),
        (
            "NotificationTopic",
            {"kmsKeyArn": "string"},
            {"subscriptions": "array", "tags": "object"},
            {"topicArn": "string"},
        ),
        (
            "SignedPackage",
            {"package": "string"},
            {"accessLogBucket": "string", "tags": "object"},
            {"bucketName": "string", "key": "string", "configArn": "string"},
        ),
        (
            "StandardBucket",
            {},
            {
                "bucketName": "string",
                "versioning": "boolean",
                "kmsKeyArn": "string",
                "lifecycle": "#/types/s3-backup:index:Lifecycle",
                "objectLock": "#/types/s3-backup:index:ObjectLock",
                "protection": "#/types/s3-backup:index:BucketProtection",
                "accessLogBucket": "string",
                "tags": "object",
                "forceDestroy": "boolean",
                "backup": "#/types/s3-backup:index:BackupTarget",
                "backupFilters": "array",
                "trackDeletes": "boolean",
            },
            {"bucketName": "string", "bucketArn": "string"},
        ),
    ],
)
def test_other_languages_see_these_inputs_and_outputs(
    analysis: AnalyzeResult,
    component: str,
    required: dict[str, str],
    optional: dict[str, str],
    outputs: dict[str, str],
) -> None:
    definition = analysis["component_definitions"][component]
    assert shapes(definition.inputs, optional=False) == required
    assert shapes(definition.inputs, optional=True) == optional
    assert shapes(definition.outputs, optional=False) == outputs
    assert shapes(definition.outputs, optional=True) == {}


def test_nested_types_have_their_fields(analysis: AnalyzeResult) -> None:
    types = analysis["type_definitions"]
    assert {name: sorted(types[name].properties) for name in types} == {
        "BackupTarget": ["functionArn", "functionName", "kmsKeyArn", "queueArn", "roleId"],
        "BucketProtection": ["breakGlassRoleArn", "deployerRoleArns"],
        "DashboardFunction": ["logGroup", "name", "sources"],
        "EventBus": ["arn", "success"],
        "Expiration": ["days", "prefix"],
        "DrilledSource": ["bucketArn", "bucketName", "prefixes", "suffixes"],
        "FailureQueue": ["arn", "url"],
        "FeedingQueue": ["arn", "url"],
        "FunctionNetwork": ["securityGroupIds", "subnetIds"],
        "KeyFilter": ["prefix", "suffix"],
        "Lifecycle": ["abortUploadDays", "expirations", "noncurrentDays"],
        "ObjectLock": ["days", "mode"],
        "QuietBucket": ["bucket", "functionName", "hours"],
        "SignedCode": ["bucket", "configArn", "key"],
        "Subscription": ["endpoint", "protocol"],
    }
    optional = {
        f"{name}.{field}"
        for name, definition in types.items()
        for field in shapes(definition.properties, optional=True)
    }
    assert optional == {
        "BackupTarget.queueArn",
        "BackupTarget.kmsKeyArn",
        "BucketProtection.breakGlassRoleArn",
        "BucketProtection.deployerRoleArns",
        "EventBus.success",
        "DrilledSource.prefixes",
        "DrilledSource.suffixes",
        "KeyFilter.prefix",
        "KeyFilter.suffix",
        "Lifecycle.abortUploadDays",
        "Lifecycle.expirations",
    }


def test_everything_that_other_languages_see_is_described(analysis: AnalyzeResult) -> None:
    undescribed = [
        f"{owner.name}.{name}"
        for owner in analysis["component_definitions"].values()
        for name, definition in {**owner.inputs, **owner.outputs}.items()
        if not definition.description
    ] + [
        f"{owner.name}.{name}"
        for owner in analysis["type_definitions"].values()
        for name, definition in owner.properties.items()
        if not definition.description
    ]
    assert undescribed == []
    assert all(owner.description for owner in analysis["component_definitions"].values())


def test_the_package_is_loaded_from_a_folder_of_any_name(elsewhere: Path) -> None:
    program = (
        "import runpy, sys\n"
        "package = runpy.run_path(sys.argv[1])['load_package']()\n"
        "print(package.__name__, package.__file__, package.StandardBucket.__module__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(elsewhere / "__main__.py")],
        cwd=elsewhere.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout == f"components {elsewhere}/__init__.py components.standard_bucket\n"


def test_the_running_package_hands_out_its_schema(elsewhere: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", str(elsewhere), "127.0.0.1:1"],
        cwd=elsewhere.parent,
        stdout=subprocess.PIPE,
        text=True,
    ) as host:
        try:
            assert host.stdout is not None
            port = host.stdout.readline().strip()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                answer: Any = provider_pb2_grpc.ResourceProviderStub(channel).GetSchema(
                    provider_pb2.GetSchemaRequest(), timeout=30
                )
        finally:
            host.kill()
    schema = json.loads(answer.schema)
    assert (schema["name"], schema["version"]) == ("s3-backup", VERSION)
    assert {name: r["isComponent"] for name, r in schema["resources"].items()} == {
        "s3-backup:index:AccessLogBucket": True,
        "s3-backup:index:AuditTrail": True,
        "s3-backup:index:BackupAlarms": True,
        "s3-backup:index:BackupDashboard": True,
        "s3-backup:index:BackupFunction": True,
        "s3-backup:index:BackupQueue": True,
        "s3-backup:index:BatchFunction": True,
        "s3-backup:index:BatchJobRole": True,
        "s3-backup:index:EncryptionKey": True,
        "s3-backup:index:FailureRedrive": True,
        "s3-backup:index:FailureTargets": True,
        "s3-backup:index:LogQueries": True,
        "s3-backup:index:NotificationTopic": True,
        "s3-backup:index:ScheduledDrill": True,
        "s3-backup:index:SignedPackage": True,
        "s3-backup:index:StandardBucket": True,
    }
    function = schema["resources"]["s3-backup:index:BackupFunction"]
    assert function["requiredInputs"] == ["backupBucketArn", "backupBucketName"]


def test_the_plugin_file_names_the_runtime_as_the_project_does() -> None:
    plugin = yaml.safe_load((COMPONENTS / "PulumiPlugin.yaml").read_text())
    assert plugin == {
        "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}}
    }


def test_annotations_stay_objects_because_pulumi_reads_them() -> None:
    sources = {file.name: ast.parse(file.read_text()) for file in COMPONENTS.glob("*.py")}
    assert len(sources) > 5
    future = [
        name
        for name, tree in sources.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    assert future == []


def test_the_package_names_all_it_gives() -> None:
    import components

    assert sorted(components.__all__) == components.__all__
    assert all(hasattr(components, name) for name in components.__all__)
