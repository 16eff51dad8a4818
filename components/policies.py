"""Policies as plain dictionaries: ARN in, statements out. Declares no resources.

Each function is named for what it grants or denies, and grants exactly that. Statements carry no
`Sid` where many of them share one role, because IAM counts every character.
"""

from collections.abc import Sequence
from typing import Any

Statement = dict[str, Any]
Document = dict[str, Any]

CLOUDWATCH = "cloudwatch.amazonaws.com"

# Of the 20 KB that a bucket's policy may have; the rest is what else it says.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/add-bucket-policy.html
MAX_SOURCE_BYTES = 16_000


def document(*statements: Statement) -> Document:
    """A policy document of the given statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def lambda_trust(account: str) -> Document:
    """Let Lambda assume a role for functions of one account, and nobody else.

    IAM recommends the condition for every service's role; that Lambda says for which account it
    asks is not in its guide, but AWS publishes the same policy for functions.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    https://github.com/aws/agent-toolkit-for-aws/blob/main/skills/specialized-skills/serverless-skills/deploying-custom-domain-rest-api/scripts/lambda-trust-policy.json
    """
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        }
    )


def batch_trust(bucket_arn: str, region: str, account: str) -> Document:
    """Let S3 Batch Operations assume a role for jobs of one account and region, and nobody else.

    AWS does not say whether S3 names account and job when it assumes the role, so they must be
    right only where they are named. Who creates a job must be allowed to pass the role to it, which
    nobody in another account can be.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-iam-role-policies.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html

    :param bucket_arn: ARN of any bucket, for the partition.
    """
    partition = bucket_arn.split(":")[1]
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "batchoperations.s3.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEqualsIfExists": {"aws:SourceAccount": account},
                "ArnLikeIfExists": {
                    "aws:SourceArn": f"arn:{partition}:s3:{region}:{account}:job/*"
                },
            },
        }
    )


def tls_only_statements(bucket_arn: str) -> list[Statement]:
    """Refuse every request to a bucket that does not come over TLS (FSBP S3.5)."""
    return [
        {
            "Sid": "DenyInsecureTransport",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket_arn, f"{bucket_arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]


def protection_statements(
    bucket_arn: str, break_glass_role_arn: str | None, deployer_role_arns: Sequence[str] = ()
) -> list[Statement]:
    """Refuse what destroys backups to everybody but a few roles, whatever IAM allows them.

    Deleting versions, and lifting or changing retentions and legal holds: to all but the
    break-glass role, to all if there is none. Changing the bucket's policy and settings: to all but
    that role and the deployers, and to nobody if there is none, because then nobody could change
    the bucket any more. S3's own lifecycle is not subject to bucket policies.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html
    """
    statements: list[Statement] = [
        {
            "Sid": "DenyDestruction",
            "Effect": "Deny",
            "Principal": "*",
            "Action": [
                "s3:BypassGovernanceRetention",
                "s3:DeleteObjectVersion",
                "s3:DeleteObjectVersionTagging",
                "s3:PutObjectLegalHold",
                "s3:PutObjectRetention",
            ],
            "Resource": f"{bucket_arn}/*",
        }
    ]
    if break_glass_role_arn is None:
        return statements
    statements[0]["Condition"] = {"ArnNotEquals": {"aws:PrincipalArn": break_glass_role_arn}}
    return [*statements, _settings_statement(bucket_arn, break_glass_role_arn, deployer_role_arns)]


def _settings_statement(
    bucket_arn: str, break_glass_role_arn: str, deployer_role_arns: Sequence[str]
) -> Statement:
    return {
        "Sid": "DenySettings",
        "Effect": "Deny",
        "Principal": "*",
        "Action": [
            "s3:DeleteBucket",
            "s3:DeleteBucketPolicy",
            "s3:PutBucketAcl",
            "s3:PutBucketLogging",
            "s3:PutBucketNotification",
            "s3:PutBucketObjectLockConfiguration",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPolicy",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketVersioning",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
            "s3:PutReplicationConfiguration",
        ],
        "Resource": bucket_arn,
        "Condition": {
            "ArnNotEquals": {"aws:PrincipalArn": [break_glass_role_arn, *deployer_role_arns]}
        },
    }


def log_delivery_statements(
    bucket_arn: str, account: str, source_names: Sequence[str]
) -> list[Statement]:
    """Let S3 deliver the access logs of the named buckets of one account, and nobody else's.

    A name may end in `*`, for a bucket that Pulumi gives the rest of its name. Where a policy has
    no room for all names, any bucket of the account may.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    partition = bucket_arn.split(":")[1]
    sources = [f"arn:{partition}:s3:::{name}" for name in source_names]
    if sum(len(source) + 3 for source in sources) > MAX_SOURCE_BYTES:
        sources = [f"arn:{partition}:s3:::*"]
    return [
        {
            "Sid": "AllowLogDelivery",
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"{bucket_arn}/*",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": account},
                "ArnLike": {"aws:SourceArn": sources},
            },
        }
    ]


def trail_statements(
    bucket_arn: str, caller_arn: str, region: str, trail_name: str
) -> list[Statement]:
    """Let CloudTrail write the records of one trail of this account, and nobody else's.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html

    :param caller_arn: ARN of anybody in the account, which tells account and partition.
    """
    _, partition, _, _, account, *_ = caller_arn.split(":")
    trail = f"arn:{partition}:cloudtrail:{region}:{account}:trail/{trail_name}"
    return [
        {
            "Sid": "AllowTrailToLook",
            "Effect": "Allow",
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Action": "s3:GetBucketAcl",
            "Resource": bucket_arn,
            "Condition": {"StringEquals": {"aws:SourceArn": trail}},
        },
        {
            "Sid": "AllowTrailToWrite",
            "Effect": "Allow",
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"{bucket_arn}/AWSLogs/{account}/*",
            "Condition": {
                "StringEquals": {
                    "aws:SourceArn": trail,
                    "s3:x-amz-acl": "bucket-owner-full-control",
                }
            },
        },
    ]


def evidence_statements(
    bucket_arn: str, break_glass_role_arn: str | None, deployer_role_arns: Sequence[str] = ()
) -> list[Statement]:
    """Let nobody but AWS services write what is kept as evidence, and nobody remove it.

    It ends by the lifecycle alone. What was overwritten would end at once, and what somebody wrote
    would prove nothing. With a break-glass role, that one may remove it, and it and the deployers
    alone may change the bucket's policy and settings.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalisawsservice
    """
    removal: Statement = {
        "Sid": "DenyRemovalOfEvidence",
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
        "Resource": f"{bucket_arn}/*",
    }
    forgery: Statement = {
        "Sid": "DenyForgeryOfEvidence",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"{bucket_arn}/*",
        "Condition": {"Bool": {"aws:PrincipalIsAWSService": "false"}},
    }
    if break_glass_role_arn is None:
        return [removal, forgery]
    removal["Condition"] = {"ArnNotEquals": {"aws:PrincipalArn": break_glass_role_arn}}
    settings = _settings_statement(bucket_arn, break_glass_role_arn, deployer_role_arns)
    return [removal, forgery, settings]


def alarms_only(topic_arn: str) -> Document:
    """Let CloudWatch alarms of the topic's own account and region publish to it, and nobody else.

    Whoever is no AWS service is refused even with a permission of its own: a message on this topic
    is an alarm. https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
    """
    _, partition, _, region, account, _ = topic_arn.split(":")
    return document(
        {
            "Sid": "AllowAlarms",
            "Effect": "Allow",
            "Principal": {"Service": CLOUDWATCH},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {
                "StringEquals": {"aws:SourceAccount": account},
                "ArnLike": {
                    "aws:SourceArn": f"arn:{partition}:cloudwatch:{region}:{account}:alarm:*"
                },
            },
        },
        {
            "Sid": "DenyEverybodyElse",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"Bool": {"aws:PrincipalIsAWSService": "false"}},
        },
        {
            "Sid": "DenyInsecureTransport",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["sns:Publish", "sns:Subscribe"],
            "Resource": topic_arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    )


def key_policy(
    caller_arn: str,
    region: str,
    services: Sequence[str] = (),
    log_groups: Sequence[str] = (),
    trails: Sequence[str] = (),
    break_glass_role_arn: str | None = None,
    deployer_role_arns: Sequence[str] = (),
) -> Document:
    """KMS's default key policy, and services that may use the key for this account.

    A service that encrypts for others, as CloudWatch does for a topic, has no role that IAM could
    permit it: the key's own policy must. `*` is the key that the policy belongs to.
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html

    :param caller_arn: ARN of anybody in the account, which tells account and partition.
    :param services: names such as cloudwatch.amazonaws.com, that say for whom they ask.
    :param log_groups: names, or patterns of names, of log groups to be encrypted.
    :param trails: names of CloudTrail trails to be encrypted.
    :param break_glass_role_arn: who alone may take the key out of use: whoever does so destroys
        what is encrypted with it, locked or not. With None, IAM decides.
    :param deployer_role_arns: who beside that role may change this policy.
    """
    _, partition, _, _, account, *_ = caller_arn.split(":")
    here = f"{region}:{account}"
    statements: list[Statement] = [
        {
            "Sid": "LetIamDecide",
            "Effect": "Allow",
            "Principal": {"AWS": account},
            "Action": "kms:*",
            "Resource": "*",
        }
    ]
    if services:
        # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
        statements.append(
            {
                "Sid": "LetServicesUseIt",
                "Effect": "Allow",
                "Principal": {"Service": list(services)},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            }
        )
    if log_groups:
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        statements.append(
            {
                "Sid": "LetLogsUseIt",
                "Effect": "Allow",
                "Principal": {"Service": f"logs.{region}.{suffix}"},
                "Action": ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
                "Resource": "*",
                "Condition": {
                    "StringLike": {
                        "kms:EncryptionContext:aws:logs:arn": [
                            f"arn:{partition}:logs:{here}:log-group:{name}" for name in log_groups
                        ]
                    }
                },
            }
        )
    if trails:
        # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html
        arns = [f"arn:{partition}:cloudtrail:{here}:trail/{name}" for name in trails]
        statements += [
            {
                "Sid": "LetCloudTrailUseIt",
                "Effect": "Allow",
                "Principal": {"Service": "cloudtrail.amazonaws.com"},
                "Action": "kms:GenerateDataKey*",
                "Resource": "*",
                "Condition": {
                    "StringEquals": {
                        "aws:SourceArn": arns,
                        "kms:EncryptionContext:aws:cloudtrail:arn": arns,
                    }
                },
            },
            {
                "Sid": "LetCloudTrailSeeIt",
                "Effect": "Allow",
                "Principal": {"Service": "cloudtrail.amazonaws.com"},
                "Action": "kms:DescribeKey",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:SourceArn": arns}},
            },
        ]
    if break_glass_role_arn is not None:
        statements += _key_protection_statements(break_glass_role_arn, deployer_role_arns)
    return document(*statements)


def _key_protection_statements(
    break_glass_role_arn: str, deployer_role_arns: Sequence[str]
) -> list[Statement]:
    changers = [break_glass_role_arn, *deployer_role_arns]
    return [
        {
            "Sid": "DenyLossOfKey",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["kms:DisableKey", "kms:ScheduleKeyDeletion"],
            "Resource": "*",
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": break_glass_role_arn}},
        },
        {
            "Sid": "DenyKeySettings",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["kms:DisableKeyRotation", "kms:PutKeyPolicy"],
            "Resource": "*",
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": changers}},
        },
    ]


def use_key_statements(
    kms_key_arn: str, actions: Sequence[str], services: Sequence[str]
) -> list[Statement]:
    """Use a key, but only through the named services: never by a request to KMS itself.

    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service

    :param services: such as `s3`.
    """
    region = kms_key_arn.split(":")[3]
    through = [f"{service}.{region}.*" for service in services]
    return [
        {
            "Effect": "Allow",
            "Action": list(actions) if len(actions) > 1 else actions[0],
            "Resource": kms_key_arn,
            "Condition": {
                "StringLike": {"kms:ViaService": through if len(through) > 1 else through[0]}
            },
        }
    ]


def queue_policy(queue_arn: str, sender_role: str) -> Document:
    """Refuse a queue's messages to all but some roles, and everything without TLS.

    :param sender_role: name, or pattern of names, of the roles of the queue's account that may
        send; IAM must allow it to them too.
    """
    _, partition, _, _, account, _ = queue_arn.split(":")
    return document(
        {
            "Sid": "DenyInsecureTransport",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": queue_arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Sid": "DenyOtherSenders",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {
                "ArnNotLike": {
                    "aws:PrincipalArn": f"arn:{partition}:iam::{account}:role/{sender_role}"
                }
            },
        },
    )


def read_statements(bucket_arn: str, kms_key_arn: str | None = None) -> list[Statement]:
    """Read objects, their versions and their tags from one source bucket.

    `ListBucket` is there for one reason: without it S3 answers 403 instead of 404 for an object
    that was deleted meanwhile.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    """
    statements: list[Statement] = [
        {
            "Effect": "Allow",
            "Action": [
                "s3:GetObject",
                "s3:GetObjectTagging",
                "s3:GetObjectVersion",
                "s3:GetObjectVersionTagging",
            ],
            "Resource": f"{bucket_arn}/*",
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket_arn},
    ]
    if kms_key_arn is not None:
        statements += use_key_statements(kms_key_arn, ["kms:Decrypt"], ["s3"])
    return statements


def write_statements(bucket_arn: str) -> list[Statement]:
    """Add tagged objects to the backup bucket, end unfinished uploads, see what is there.

    `GetObject` is there for one reason: where S3 says that a backup exists already, HeadObject
    tells which version it is a copy of, so that no newer one is buried and none is added twice;
    and the record of a key's deletions, where they are tracked.
    `ListMultipartUploadParts` is there so that a large copy goes on where an earlier one ended.
    No deletion, no retention, no bucket setting.
    """
    return [
        {
            "Effect": "Allow",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
            "Resource": f"{bucket_arn}/*",
        }
    ]


def marker_statements(bucket_arn: str) -> list[Statement]:
    """Put delete markers in a bucket that keeps versions.

    No version can be removed: that is `s3:DeleteObjectVersion`.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
    """
    return [{"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"{bucket_arn}/*"}]


def log_statements(log_group_arn: str) -> list[Statement]:
    """Write to one log group."""
    return [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{log_group_arn}:*",
        }
    ]


def tracing_statements() -> list[Statement]:
    """Send traces to X-Ray, whose actions are about no resource.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
    """
    return [
        {
            "Effect": "Allow",
            "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
            "Resource": "*",
        }
    ]


def network_statements(function_role_arn: str, region: str) -> list[Statement]:
    """Let Lambda connect a function to a VPC, and refuse the same to the function's own code.

    Lambda makes and removes network interfaces as the function's role, and wants the right for all
    resources of the account. Requests that come from the code carry `lambda:SourceFunctionArn`.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
    https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
    """
    _, partition, _, _, account, _ = function_role_arn.split(":")
    changes = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:UnassignPrivateIpAddresses",
    ]
    looks = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    return [
        {
            "Effect": "Allow",
            "Action": changes,
            "Resource": f"arn:{partition}:ec2:{region}:{account}:*/*",
        },
        {"Effect": "Allow", "Action": looks, "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": "ec2:*",
            "Resource": "*",
            "Condition": {"Null": {"lambda:SourceFunctionArn": "false"}},
        },
    ]


def batch_job_statements(bucket_arn: str, function_arns: Sequence[str]) -> list[Statement]:
    """Invoke certain functions, read manifests in the backup bucket, write reports there."""
    place = f"{bucket_arn}/.s3-backup/batch"
    return [
        {
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": list(function_arns),
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": f"{place}/manifests/*",
        },
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{place}/reports/*"},
    ]


def announce_statements(bus_arn: str, source: str) -> list[Statement]:
    """Put events on one bus, in the name of one source.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
    """
    return [
        {
            "Effect": "Allow",
            "Action": "events:PutEvents",
            "Resource": bus_arn,
            "Condition": {"StringEquals": {"events:source": source}},
        }
    ]


def drill_statements(
    bucket_arn: str, scratch_bucket_arn: str, source_arns: Sequence[str]
) -> list[Statement]:
    """Read backups and certain sources, keep results, and write and delete in a scratch bucket.

    In the backup bucket nothing but the results of drills can be written, and nothing deleted.
    """
    return [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
            "Resource": [bucket_arn, scratch_bucket_arn],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectVersionTagging"],
            "Resource": f"{bucket_arn}/*",
        },
        {
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": f"{bucket_arn}/.s3-backup/results/drill/*",
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": list(source_arns)},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectTagging"],
            "Resource": [f"{arn}/*" for arn in source_arns],
        },
        {
            "Effect": "Allow",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:GetObject",
                "s3:GetObjectTagging",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
            "Resource": f"{scratch_bucket_arn}/s3-backup-drill/*",
        },
    ]


def send_statements(queue_arn: str) -> list[Statement]:
    """Send to one queue."""
    return [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue_arn}]


def receive_statements(queue_arn: str) -> list[Statement]:
    """Have Lambda take messages from one queue for the role's function, and nothing else.

    If the queue is encrypted with KMS, that takes `kms:Decrypt` too, which `write_statements` has:
    queue and backup bucket share a key. IAM's quota has no room for saying it twice.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    return [
        {
            "Effect": "Allow",
            "Action": ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
            "Resource": queue_arn,
        }
    ]


def events_only(queue_arn: str, bucket_names: Sequence[str]) -> Document:
    """Let S3 put events of these buckets, of the queue's own account, into a queue (FSBP SQS.3).

    Everybody else is refused, also with a permission of their own: who makes up events decides
    which version counts as the newest. A sender that is no service has no `aws:SourceArn`, and so
    not the right one.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
    """
    _, partition, _, _, account, _ = queue_arn.split(":")
    buckets = [f"arn:{partition}:s3:::{name}" for name in bucket_names]
    return document(
        {
            "Sid": "AllowBuckets",
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {
                "ArnEquals": {"aws:SourceArn": buckets},
                "StringEquals": {"aws:SourceAccount": account},
            },
        },
        {
            "Sid": "DenyOtherSenders",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnNotEquals": {"aws:SourceArn": buckets}},
        },
        {
            "Sid": "DenyInsecureTransport",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": queue_arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    )
