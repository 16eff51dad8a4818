"""What an operator's role must be allowed, as IAM statements: names in, statements out."""

import re
from collections.abc import Sequence
from typing import Any

from handler.backup_keys import RESERVED
from handler.event_bus import SOURCE
from handler.metrics import NAMESPACE

from .batch_places import MANIFESTS, RECORDS, REPORTS
from .drilling import SCRATCH
from .results import DRILL, VERIFICATION

Statement = dict[str, Any]

_READ_SOURCE = (
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionTagging",
)
_READ_BACKUP = ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectVersionTagging")


def backfill(
    backup_bucket: str,
    sources: Sequence[str],
    kms_key_arns: Sequence[str] = (),
    *,
    track_deletes: bool = False,
) -> list[Statement]:
    """For `backupctl backfill`: read the sources, add to the backup.

    :param backup_bucket: name.
    :param sources: names of the source buckets.
    :param kms_key_arns: of what either side is encrypted with.
    :param track_deletes: whether deletions are tracked; recording one puts a delete marker.
    """
    backup, there = _bucket(backup_bucket), [_bucket(source) for source in sources]
    return [
        # ListBucket also tells what is not there from what may not be seen.
        _allow(["s3:ListBucket", "s3:ListBucketVersions"], there),
        _allow(
            _READ_SOURCE,
            [f"{bucket}/*" for bucket in there],
        ),
        _allow(["s3:GetBucketVersioning", "s3:ListBucket"], [backup]),
        _allow(
            _add_to_backup(track_deletes=track_deletes),
            [f"{backup}/*"],
        ),
        *_keys(["kms:Decrypt", "kms:GenerateDataKey"], kms_key_arns),
    ]


def batch_backfill(backup_bucket: str, caller_arn: str, job_role_arn: str) -> list[Statement]:
    """For `backupctl backfill --engine batch`, beside what `backfill` allows: have jobs do it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-iam-role-policies.html

    :param backup_bucket: name.
    :param caller_arn: of anything of the stack's account and region, such as a function.
    :param job_role_arn: of the role that jobs run as.
    """
    _, partition, _, region, account, *_ = caller_arn.split(":")
    passed = {"StringEquals": {"iam:PassedToService": "batchoperations.s3.amazonaws.com"}}
    return [
        # Before it is created a job has no ARN.
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
        _allow(["s3:CreateJob"], ["*"]),
        # What a run that was killed asked for is found in the list of all.
        _allow(["s3:ListJobs"], ["*"]),
        _allow(["s3:DescribeJob"], [f"arn:{partition}:s3:{region}:{account}:job/*"]),
        {**_allow(["iam:PassRole"], [job_role_arn]), "Condition": passed},
        _allow(
            ["s3:AbortMultipartUpload", "s3:PutObject"], [f"{_bucket(backup_bucket)}/{MANIFESTS}*"]
        ),
        _allow(["s3:GetObject", "s3:PutObject"], [f"{_bucket(backup_bucket)}/{RECORDS}*"]),
        _allow(["s3:GetObject"], [f"{_bucket(backup_bucket)}/{REPORTS}/*"]),
    ]


def verify(
    backup_bucket: str,
    sources: Sequence[str],
    kms_key_arns: Sequence[str] = (),
    *,
    track_deletes: bool = False,
) -> list[Statement]:
    """For `backupctl verify`: read both sides, leave the result, publish it.

    :param backup_bucket: name.
    :param sources: names of the source buckets.
    :param kms_key_arns: of what either side is encrypted with.
    :param track_deletes: whether deletions are tracked; versions tell when each was.
    """
    there = [_bucket(source) for source in sources]
    buckets = [_bucket(backup_bucket), *there]
    results = f"{_bucket(backup_bucket)}/{RESERVED}results/{VERIFICATION}/*"
    return [
        _allow(["s3:GetEncryptionConfiguration", "s3:ListBucket"], buckets),
        *([_allow(["s3:ListBucketVersions"], there)] if track_deletes else []),
        _allow(["s3:GetObject"], [f"{bucket}/*" for bucket in buckets]),
        _allow(["s3:PutObject"], [results]),
        _metrics(),
        *_keys(["kms:Decrypt", "kms:GenerateDataKey"], kms_key_arns),
    ]


def redrive(
    backup_bucket: str,
    sources: Sequence[str],
    queue_arn: str,
    kms_key_arns: Sequence[str] = (),
    *,
    track_deletes: bool = False,
) -> list[Statement]:
    """For `backupctl redrive`: empty the failure queue, read the sources, add to the backup.

    :param backup_bucket: name.
    :param sources: names of the source buckets.
    :param queue_arn: of the failure queue.
    :param kms_key_arns: of what buckets and queue are encrypted with.
    :param track_deletes: whether deletions are tracked; recording one puts a delete marker.
    """
    backup, there = _bucket(backup_bucket), [_bucket(source) for source in sources]
    receiving = [
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
    ]
    return [
        _allow(receiving, [queue_arn]),
        # ListBucket tells what is not there from what may not be seen.
        _allow(["s3:ListBucket"], [backup, *there]),
        _allow(_READ_SOURCE, [f"{bucket}/*" for bucket in there]),
        _allow(_add_to_backup(track_deletes=track_deletes), [f"{backup}/*"]),
        *_keys(["kms:Decrypt", "kms:GenerateDataKey"], kms_key_arns, ["s3", "sqs"]),
    ]


def restore(
    backup_bucket: str, destination: str, kms_key_arns: Sequence[str] = (), *, exact: bool = False
) -> list[Statement]:
    """For `backupctl restore`: read the backup, write to one bucket.

    :param backup_bucket: name.
    :param destination: name of the bucket to restore to; the source's for in place.
    :param kms_key_arns: of what either side is encrypted with.
    :param exact: whether --exact may be used, which deletes.
    """
    backup, there = _bucket(backup_bucket), _bucket(destination)
    writing = [
        "s3:AbortMultipartUpload",
        *(["s3:DeleteObject"] if exact else []),
        "s3:GetObject",
        "s3:GetObjectTagging",
        "s3:PutObject",
        "s3:PutObjectTagging",
    ]
    return [
        # ListBucket tells what is not there from what may not be seen.
        _allow(["s3:ListBucket", "s3:ListBucketVersions"], [backup]),
        _allow(_READ_BACKUP, [f"{backup}/*"]),
        _allow(["s3:GetBucketVersioning", "s3:ListBucket"], [there]),
        _allow(writing, [f"{there}/*"]),
        *_keys(["kms:Decrypt", "kms:GenerateDataKey"], kms_key_arns),
    ]


def drill(
    backup_bucket: str,
    sources: Sequence[str],
    destination: str,
    prefix: str = "",
    kms_key_arns: Sequence[str] = (),
) -> list[Statement]:
    """For `backupctl drill`: read both sides, write and delete in the scratch place only.

    :param backup_bucket: name.
    :param sources: names of the source buckets.
    :param destination: name of the bucket that the drill writes to.
    :param prefix: what --to names besides.
    :param kms_key_arns: of what any of them is encrypted with.
    """
    backup, there = _bucket(backup_bucket), _bucket(destination)
    buckets = list(map(_bucket, sources))
    scratch = [
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:GetObject",
        "s3:GetObjectTagging",
        "s3:PutObject",
        "s3:PutObjectTagging",
    ]
    return [
        _allow(["s3:ListBucket", "s3:ListBucketVersions"], [backup, there]),
        _allow(_READ_BACKUP, [f"{backup}/*"]),
        _allow(["s3:PutObject"], [f"{backup}/{RESERVED}results/{DRILL}/*"]),
        _allow(["s3:ListBucket"], buckets),
        _allow(["s3:GetObject", "s3:GetObjectTagging"], [f"{bucket}/*" for bucket in buckets]),
        _allow(scratch, [f"{there}/{_literal(prefix)}{SCRATCH}*"]),
        _metrics(),
        *_keys(["kms:Decrypt", "kms:GenerateDataKey"], kms_key_arns),
    ]


def status(
    backup_bucket: str,
    sources: Sequence[str],
    queue_arns: Sequence[str],
    kms_key_arns: Sequence[str] = (),
) -> list[Statement]:
    """For `backupctl status`: look at notifications, queues, metrics and results; list, to count.

    :param backup_bucket: name.
    :param sources: names of the source buckets.
    :param queue_arns: of the failure queue and of those between buckets and functions.
    :param kms_key_arns: of what the backup bucket is encrypted with.
    """
    backup, there = _bucket(backup_bucket), [_bucket(source) for source in sources]
    return [
        _allow(["s3:GetBucketNotification"], there),
        # Of the backup bucket it also tells what is not there from what may not be seen.
        _allow(["s3:ListBucket"], [backup, *there]),
        _allow(["s3:GetObject"], [f"{backup}/{RESERVED}results/*"]),
        _allow(["sqs:GetQueueAttributes"], list(queue_arns)),
        # Metrics are no resources.
        _allow(["cloudwatch:GetMetricData", "cloudwatch:ListMetrics"], ["*"]),
        *_keys(["kms:Decrypt"], kms_key_arns),
    ]


def doctor(
    backup_bucket: str,
    sources: Sequence[str],
    function_arns: Sequence[str],
    role_arns: Sequence[str],
    kms_key_arns: Sequence[str] = (),
) -> list[Statement]:
    """For `backupctl doctor`: look at settings, and simulate what the functions' roles may do.

    :param backup_bucket: name.
    :param sources: names of the source buckets.
    :param function_arns: of the stack's functions.
    :param role_arns: of their roles.
    :param kms_key_arns: of what the buckets are encrypted with.
    """
    backup = _bucket(backup_bucket)
    settings = ["s3:GetBucketNotification", "s3:GetEncryptionConfiguration"]
    return [
        _allow(settings, [backup, *map(_bucket, sources)]),
        _allow(["s3:GetBucketVersioning"], [backup]),
        _allow(
            [
                "lambda:GetFunctionConcurrency",
                "lambda:GetFunctionConfiguration",
                "lambda:GetFunctionEventInvokeConfig",
                "lambda:GetPolicy",
            ],
            list(function_arns),
        ),
        _allow(
            ["iam:GetRolePolicy", "iam:ListRolePolicies", "iam:SimulatePrincipalPolicy"],
            list(role_arns),
        ),
        # These are about no resource.
        _allow(
            [
                "cloudwatch:GetMetricData",
                "lambda:GetAccountSettings",
                "lambda:ListEventSourceMappings",
            ],
            ["*"],
        ),
        *([_allow(["kms:DescribeKey"], list(kms_key_arns))] if kms_key_arns else []),
    ]


def description(parameter_arn: str) -> list[Statement]:
    """For `--stack`: read what the stack says of itself.

    :param parameter_arn: of its SSM parameter. A stack of hundreds of buckets has more, below it.
    """
    return [_allow(["ssm:GetParameter"], [parameter_arn, f"{parameter_arn}/*"])]


def document(statements: Sequence[Statement]) -> dict[str, Any]:
    """A policy of these statements, each once."""
    unique = [one for index, one in enumerate(statements) if one not in statements[:index]]
    return {"Version": "2012-10-17", "Statement": unique}


def announce(bus_arn: str) -> list[Statement]:
    """For --event: tell one event bus, in the name of this program.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
    """
    condition = {"StringEquals": {"events:source": SOURCE}}
    return [{**_allow(["events:PutEvents"], [bus_arn]), "Condition": condition}]


def _add_to_backup(*, track_deletes: bool) -> list[str]:
    return [
        "s3:AbortMultipartUpload",
        *(["s3:DeleteObject"] if track_deletes else []),
        "s3:GetObject",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
        "s3:PutObjectTagging",
    ]


def _metrics() -> Statement:
    # Metrics are no resources.
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
    return {
        **_allow(["cloudwatch:PutMetricData"], ["*"]),
        "Condition": {"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
    }


def _allow(actions: Sequence[str], resources: list[str]) -> Statement:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}


def _keys(
    actions: list[str], arns: Sequence[str], services: Sequence[str] = ("s3",)
) -> list[Statement]:
    """Through these only: whoever may ask KMS itself could decrypt what somebody else got hold of.

    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
    """
    if not arns:
        return []
    regions = sorted({arn.split(":")[3] for arn in arns})
    through = [f"{service}.{region}.*" for region in regions for service in services]
    condition = {"StringLike": {"kms:ViaService": through}}
    return [{**_allow(actions, list(arns)), "Condition": condition}]


def _bucket(name: str) -> str:
    return f"arn:aws:s3:::{_literal(name)}"


def _literal(name: str) -> str:
    """In a resource, as IAM takes it for nothing but itself.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    return re.sub(r"[*?$]", r"${\g<0>}", name)
