"""Every policy grants exactly what its name says, and as many as promised fit into AWS's quotas."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from components import policies
from settings import BUCKETS_PER_FUNCTION
from tests.recorder import ACCOUNT, KEY_ARN

BUCKET_ARN = "arn:aws:s3:::photos"
QUEUE_ARN = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:failures"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/backup"
FUNCTION_ARN = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:batch"
BREAK_GLASS = f"arn:aws:iam::{ACCOUNT}:role/break-glass"
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/deployer"
TOPIC_ARN = f"arn:aws:sns:eu-central-1:{ACCOUNT}:alarms"
BUS_ARN = f"arn:aws:events:eu-central-1:{ACCOUNT}:event-bus/security"
LOG_GROUP_ARN = f"arn:aws:logs:eu-central-1:{ACCOUNT}:log-group:backup"

# The longest names that AWS, or Pulumi where it makes them, allows, in the region of the longest.
REGION = "ap-southeast-1"
LONGEST_ROLE_ARN = f"arn:aws-us-gov:iam::{ACCOUNT}:role/{'r' * 64}"
LONGEST_BUCKET_ARN = f"arn:aws-us-gov:s3:::{'b' * 63}"
LONGEST_QUEUE_ARN = f"arn:aws-us-gov:sqs:{REGION}:{ACCOUNT}:{'q' * 80}"
LONGEST_LOG_GROUP_ARN = f"arn:aws-us-gov:logs:{REGION}:{ACCOUNT}:log-group:{'l' * 69}"
LONGEST_KEY_ARN = f"arn:aws-us-gov:kms:{REGION}:{ACCOUNT}:key/mrk-11111111111111111111111111111111"
LONGEST_FUNCTION_ARN = f"arn:aws-us-gov:lambda:{REGION}:{ACCOUNT}:function:{'f' * 64}"

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
IAM_CHARACTERS = 10_240
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LAMBDA_BYTES = 20_480
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html
SQS_BYTES = 8_192


def test_a_document_holds_its_statements_in_order() -> None:
    first, second = {"Effect": "Allow"}, {"Effect": "Deny"}
    assert policies.document(first, second) == {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow"}, {"Effect": "Deny"}],
    }
    assert policies.document() == {"Version": "2012-10-17", "Statement": []}


def test_only_lambda_may_assume_the_role_and_only_for_this_account() -> None:
    assert policies.lambda_trust(ACCOUNT) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
            }
        ],
    }


TLS_ONLY = {
    "Sid": "DenyInsecureTransport",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def test_everything_without_tls_is_refused_to_everybody() -> None:
    assert policies.tls_only_statements(BUCKET_ARN) == [TLS_ONLY]


DESTRUCTION = {
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
    "Resource": "arn:aws:s3:::photos/*",
}


def settings_denied(*but: str) -> dict[str, Any]:
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
        "Resource": "arn:aws:s3:::photos",
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": [*but]}},
    }


def test_without_a_break_glass_role_nobody_may_destroy_and_iam_decides_about_settings() -> None:
    assert policies.protection_statements(BUCKET_ARN, None) == [DESTRUCTION]
    assert policies.protection_statements(BUCKET_ARN, None, [DEPLOYER]) == [DESTRUCTION]


@pytest.mark.parametrize("deployers", [[], [DEPLOYER]])
def test_only_the_break_glass_role_may_destroy_and_with_the_deployers_change_settings(
    deployers: list[str],
) -> None:
    assert policies.protection_statements(BUCKET_ARN, BREAK_GLASS, deployers) == [
        {**DESTRUCTION, "Condition": {"ArnNotEquals": {"aws:PrincipalArn": BREAK_GLASS}}},
        settings_denied(BREAK_GLASS, *deployers),
    ]


def test_more_names_than_a_bucket_policy_holds_are_any_of_the_account() -> None:
    def sources(number: int) -> tuple[list[str], int]:
        names = [f"{'b' * 58}{index:05}" for index in range(number)]
        statements = policies.log_delivery_statements("arn:aws:s3:::logs", ACCOUNT, names)
        condition = statements[0]["Condition"]
        assert condition["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
        return condition["ArnLike"]["aws:SourceArn"], len(json.dumps(statements))

    assert len(sources(202)[0]) == 202
    assert sources(203)[0] == ["arn:aws:s3:::*"]
    assert max(sources(number)[1] for number in (202, 1000)) < 17_000


def test_only_s3_may_deliver_logs_and_only_those_of_the_named_buckets() -> None:
    arn = "arn:aws-us-gov:s3:::logs"
    assert policies.log_delivery_statements(arn, ACCOUNT, ["photos", "videos"]) == [
        {
            "Sid": "AllowLogDelivery",
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": "arn:aws-us-gov:s3:::logs/*",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
                "ArnLike": {
                    "aws:SourceArn": ["arn:aws-us-gov:s3:::photos", "arn:aws-us-gov:s3:::videos"]
                },
            },
        }
    ]


def test_only_the_named_trail_may_write_its_records() -> None:
    trail = f"arn:aws:cloudtrail:eu-central-1:{ACCOUNT}:trail/audit"
    caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/session"
    assert policies.trail_statements(BUCKET_ARN, caller, "eu-central-1", "audit") == [
        {
            "Sid": "AllowTrailToLook",
            "Effect": "Allow",
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Action": "s3:GetBucketAcl",
            "Resource": "arn:aws:s3:::photos",
            "Condition": {"StringEquals": {"aws:SourceArn": trail}},
        },
        {
            "Sid": "AllowTrailToWrite",
            "Effect": "Allow",
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::photos/AWSLogs/{ACCOUNT}/*",
            "Condition": {
                "StringEquals": {
                    "aws:SourceArn": trail,
                    "s3:x-amz-acl": "bucket-owner-full-control",
                }
            },
        },
    ]


REMOVAL = {
    "Sid": "DenyRemovalOfEvidence",
    "Effect": "Deny",
    "Principal": "*",
    "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
    "Resource": "arn:aws:s3:::photos/*",
}
FORGERY = {
    "Sid": "DenyForgeryOfEvidence",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:PutObject",
    "Resource": "arn:aws:s3:::photos/*",
    "Condition": {"Bool": {"aws:PrincipalIsAWSService": "false"}},
}


def test_evidence_comes_from_services_and_without_a_break_glass_role_nobody_removes_it() -> None:
    assert policies.evidence_statements(BUCKET_ARN, None) == [REMOVAL, FORGERY]
    assert policies.evidence_statements(BUCKET_ARN, None, [DEPLOYER]) == [REMOVAL, FORGERY]


@pytest.mark.parametrize("deployers", [[], [DEPLOYER]])
def test_the_break_glass_role_removes_evidence_and_deployers_change_its_bucket(
    deployers: list[str],
) -> None:
    assert policies.evidence_statements(BUCKET_ARN, BREAK_GLASS, deployers) == [
        {**REMOVAL, "Condition": {"ArnNotEquals": {"aws:PrincipalArn": BREAK_GLASS}}},
        FORGERY,
        settings_denied(BREAK_GLASS, *deployers),
    ]


CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/session"
IAM_DECIDES = {
    "Sid": "LetIamDecide",
    "Effect": "Allow",
    "Principal": {"AWS": ACCOUNT},
    "Action": "kms:*",
    "Resource": "*",
}


def test_a_key_is_used_by_whom_iam_lets() -> None:
    assert policies.key_policy(CALLER, "eu-central-1")["Statement"] == [IAM_DECIDES]


@pytest.mark.parametrize("deployers", [[], [DEPLOYER]])
def test_only_the_break_glass_role_may_end_a_key_and_with_the_deployers_change_its_policy(
    deployers: list[str],
) -> None:
    protected = policies.key_policy(
        CALLER,
        "eu-central-1",
        break_glass_role_arn=BREAK_GLASS,
        deployer_role_arns=deployers,
    )
    deny = {"Effect": "Deny", "Principal": "*", "Resource": "*"}
    assert protected["Statement"] == [
        IAM_DECIDES,
        {
            "Sid": "DenyLossOfKey",
            **deny,
            "Action": ["kms:DisableKey", "kms:ScheduleKeyDeletion"],
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": BREAK_GLASS}},
        },
        {
            "Sid": "DenyKeySettings",
            **deny,
            "Action": ["kms:DisableKeyRotation", "kms:PutKeyPolicy"],
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": [BREAK_GLASS, *deployers]}},
        },
    ]


def test_a_key_is_used_by_services_for_this_account_only() -> None:
    assert policies.key_policy(CALLER, "eu-central-1", services=["cloudwatch.amazonaws.com"])[
        "Statement"
    ] == [
        IAM_DECIDES,
        {
            "Sid": "LetServicesUseIt",
            "Effect": "Allow",
            "Principal": {"Service": ["cloudwatch.amazonaws.com"]},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        },
    ]


@pytest.mark.parametrize(
    ("caller", "region", "service"),
    [
        (CALLER, "eu-central-1", "logs.eu-central-1.amazonaws.com"),
        (
            CALLER.replace("arn:aws:", "arn:aws-cn:"),
            "cn-north-1",
            "logs.cn-north-1.amazonaws.com.cn",
        ),
    ],
)
def test_a_key_encrypts_the_named_log_groups_and_no_other(
    caller: str, region: str, service: str
) -> None:
    partition = caller.split(":")[1]
    assert policies.key_policy(caller, region, log_groups=["backup-logs-*"])["Statement"] == [
        IAM_DECIDES,
        {
            "Sid": "LetLogsUseIt",
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            "Resource": "*",
            "Condition": {
                "StringLike": {
                    "kms:EncryptionContext:aws:logs:arn": [
                        f"arn:{partition}:logs:{region}:{ACCOUNT}:log-group:backup-logs-*"
                    ]
                }
            },
        },
    ]


def test_a_key_encrypts_the_named_trail_and_no_other() -> None:
    trail = f"arn:aws:cloudtrail:eu-central-1:{ACCOUNT}:trail/audit"
    assert policies.key_policy(CALLER, "eu-central-1", trails=["audit"])["Statement"] == [
        IAM_DECIDES,
        {
            "Sid": "LetCloudTrailUseIt",
            "Effect": "Allow",
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Action": "kms:GenerateDataKey*",
            "Resource": "*",
            "Condition": {
                "StringEquals": {
                    "aws:SourceArn": [trail],
                    "kms:EncryptionContext:aws:cloudtrail:arn": [trail],
                }
            },
        },
        {
            "Sid": "LetCloudTrailSeeIt",
            "Effect": "Allow",
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Action": "kms:DescribeKey",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceArn": [trail]}},
        },
    ]


@pytest.mark.parametrize(
    ("actions", "services", "action", "through"),
    [
        (["kms:Decrypt"], ["s3"], "kms:Decrypt", "s3.eu-central-1.*"),
        (
            ["kms:Decrypt", "kms:GenerateDataKey"],
            ["s3", "sqs"],
            ["kms:Decrypt", "kms:GenerateDataKey"],
            ["s3.eu-central-1.*", "sqs.eu-central-1.*"],
        ),
    ],
)
def test_a_key_is_used_through_the_named_services_only(
    actions: list[str], services: list[str], action: object, through: object
) -> None:
    assert policies.use_key_statements(KEY_ARN, actions, services) == [
        {
            "Effect": "Allow",
            "Action": action,
            "Resource": KEY_ARN,
            "Condition": {"StringLike": {"kms:ViaService": through}},
        }
    ]


def test_a_queue_takes_messages_from_the_named_roles_only_and_over_tls_only() -> None:
    assert policies.queue_policy(QUEUE_ARN, "backup*-role-*")["Statement"] == [
        {
            "Sid": "DenyInsecureTransport",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": QUEUE_ARN,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Sid": "DenyOtherSenders",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:SendMessage",
            "Resource": QUEUE_ARN,
            "Condition": {
                "ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/backup*-role-*"}
            },
        },
    ]


def test_events_are_put_on_one_bus_in_one_name() -> None:
    assert policies.announce_statements(BUS_ARN, "s3-backup") == [
        {
            "Effect": "Allow",
            "Action": "events:PutEvents",
            "Resource": BUS_ARN,
            "Condition": {"StringEquals": {"events:source": "s3-backup"}},
        }
    ]


def test_a_topic_of_another_partition_hears_alarms_of_that_partition() -> None:
    arn = f"arn:aws-us-gov:sns:us-gov-west-1:{ACCOUNT}:alarms"
    [allowed, *_] = policies.alarms_only(arn)["Statement"]
    assert allowed["Condition"]["ArnLike"] == {
        "aws:SourceArn": f"arn:aws-us-gov:cloudwatch:us-gov-west-1:{ACCOUNT}:alarm:*"
    }


READ = [
    {
        "Effect": "Allow",
        "Action": [
            "s3:GetObject",
            "s3:GetObjectTagging",
            "s3:GetObjectVersion",
            "s3:GetObjectVersionTagging",
        ],
        "Resource": "arn:aws:s3:::photos/*",
    },
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::photos"},
]


def test_reading_is_limited_to_one_bucket() -> None:
    assert policies.read_statements(BUCKET_ARN) == READ


def test_reading_with_a_key_adds_decryption_with_that_key_through_s3() -> None:
    assert policies.read_statements(BUCKET_ARN, KEY_ARN) == [
        *READ,
        *policies.use_key_statements(KEY_ARN, ["kms:Decrypt"], ["s3"]),
    ]


WRITE = [
    {
        "Effect": "Allow",
        "Action": [
            "s3:AbortMultipartUpload",
            "s3:GetObject",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
            "s3:PutObjectTagging",
        ],
        "Resource": "arn:aws:s3:::photos/*",
    }
]


def test_writing_adds_objects_to_one_bucket_and_deletes_nothing() -> None:
    assert policies.write_statements(BUCKET_ARN) == WRITE


def test_markers_can_be_put_in_one_bucket_and_no_version_removed() -> None:
    assert policies.marker_statements(BUCKET_ARN) == [
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::photos/*"}
    ]


def test_logging_is_limited_to_one_group() -> None:
    assert policies.log_statements(LOG_GROUP_ARN) == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{LOG_GROUP_ARN}:*",
        }
    ]


def test_sending_is_limited_to_one_queue() -> None:
    assert policies.send_statements(QUEUE_ARN) == [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": QUEUE_ARN}
    ]


def test_traces_go_to_x_ray_which_has_no_resources() -> None:
    assert policies.tracing_statements() == [
        {
            "Effect": "Allow",
            "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
            "Resource": "*",
        }
    ]


def test_lambda_may_connect_the_function_to_a_vpc_and_the_function_itself_may_not() -> None:
    changes = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:UnassignPrivateIpAddresses",
    ]
    looks = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    assert policies.network_statements(ROLE_ARN, "eu-central-1") == [
        {
            "Effect": "Allow",
            "Action": changes,
            "Resource": f"arn:aws:ec2:eu-central-1:{ACCOUNT}:*/*",
        },
        {"Effect": "Allow", "Action": looks, "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": "ec2:*",
            "Resource": "*",
            "Condition": {"Null": {"lambda:SourceFunctionArn": "false"}},
        },
    ]


def test_receiving_is_limited_to_one_queue() -> None:
    assert policies.receive_statements(QUEUE_ARN) == [
        {
            "Effect": "Allow",
            "Action": ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
            "Resource": QUEUE_ARN,
        }
    ]


def test_events_come_from_s3_for_these_buckets_over_tls_and_from_nobody_else() -> None:
    queue_arn = f"arn:aws-cn:sqs:cn-north-1:{ACCOUNT}:events"
    buckets = ["arn:aws-cn:s3:::photos", "arn:aws-cn:s3:::my.videos"]
    assert policies.events_only(queue_arn, ["photos", "my.videos"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AllowBuckets",
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {
                    "ArnEquals": {"aws:SourceArn": buckets},
                    "StringEquals": {"aws:SourceAccount": ACCOUNT},
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
        ],
    }


def test_the_longest_policy_of_a_queue_fits_into_sqs() -> None:
    names = [f"{number:063}" for number in range(BUCKETS_PER_FUNCTION)]
    document = policies.events_only(LONGEST_QUEUE_ARN, names)
    assert len(json.dumps(document).encode()) <= SQS_BYTES


CALLS: dict[str, list[tuple[Any, ...]]] = {
    "events_only": [(QUEUE_ARN, ["photos"])],
    "evidence_statements": [(BUCKET_ARN, None), (BUCKET_ARN, BREAK_GLASS, [DEPLOYER])],
    "log_delivery_statements": [(BUCKET_ARN, ACCOUNT, ["photos"])],
    "key_policy": [
        (
            *(CALLER, "eu-central-1", ["cloudwatch.amazonaws.com"], ["backup-logs-*"], ["audit"]),
            *(BREAK_GLASS, [DEPLOYER]),
        )
    ],
    "alarms_only": [(TOPIC_ARN,)],
    "batch_job_statements": [(BUCKET_ARN, [FUNCTION_ARN])],
    "batch_trust": [(BUCKET_ARN, "eu-central-1", ACCOUNT)],
    "announce_statements": [(BUS_ARN, "s3-backup")],
    "lambda_trust": [(ACCOUNT,)],
    "log_statements": [(LOG_GROUP_ARN,)],
    "marker_statements": [(BUCKET_ARN,)],
    "queue_policy": [(QUEUE_ARN, "backup*-role-*")],
    "drill_statements": [(BUCKET_ARN, "arn:aws:s3:::attic", ["arn:aws:s3:::photos"])],
    "read_statements": [(BUCKET_ARN,), (BUCKET_ARN, KEY_ARN)],
    "receive_statements": [(QUEUE_ARN,)],
    "send_statements": [(QUEUE_ARN,)],
    "network_statements": [(ROLE_ARN, "eu-central-1")],
    "protection_statements": [
        (BUCKET_ARN, None),
        (BUCKET_ARN, BREAK_GLASS, [DEPLOYER]),
    ],
    "tracing_statements": [()],
    "trail_statements": [(BUCKET_ARN, CALLER, "eu-central-1", "audit")],
    "tls_only_statements": [(BUCKET_ARN,)],
    "use_key_statements": [(KEY_ARN, ["kms:Decrypt"], ["s3"])],
    "write_statements": [(BUCKET_ARN,)],
}


def statements() -> Iterator[dict[str, Any]]:
    for name, calls in CALLS.items():
        for arguments in calls:
            made = getattr(policies, name)(*arguments)
            yield from made["Statement"] if isinstance(made, dict) else made


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_the_calls_here_are_all_functions_there_are() -> None:
    functions = {
        name
        for name, member in vars(policies).items()
        if getattr(member, "__module__", "") == "components.policies"
        and callable(member)
        and not name.startswith("_")
    }
    assert functions == {*CALLS, "document"}


def test_nothing_but_refusals_and_a_keys_own_policy_is_about_everybody_or_all_actions() -> None:
    wild = [
        statement
        for statement in statements()
        if any("*" in action for action in listed(statement["Action"]))
        or statement.get("Principal") == "*"
    ]
    assert {statement.get("Sid") for statement in wild if statement["Effect"] == "Deny"} == {
        None,  # of the function's network
        "DenyDestruction",
        "DenyEverybodyElse",
        "DenyForgeryOfEvidence",
        "DenyInsecureTransport",
        "DenyKeySettings",
        "DenyLossOfKey",
        "DenyOtherSenders",
        "DenyRemovalOfEvidence",
        "DenySettings",
    }
    assert [statement["Sid"] for statement in wild if statement["Effect"] != "Deny"] == [
        "LetIamDecide",
        "LetServicesUseIt",
        "LetLogsUseIt",
        "LetCloudTrailUseIt",
    ]
    assert [s["Sid"] for s in wild if "kms:*" in listed(s["Action"])] == ["LetIamDecide"]


def test_no_statement_but_a_keys_own_and_two_optional_ones_is_about_every_resource() -> None:
    # In a key's policy `*` is the key.
    keys_own = {s["Sid"] for s in policies.key_policy(*CALLS["key_policy"][0])["Statement"]}
    unlimited = [
        action
        for s in statements()
        if s.get("Sid") not in keys_own
        and "*" in listed(s.get("Resource", []))
        and s["Effect"] == "Allow"
        for action in listed(s["Action"])
    ]
    # These have no resources in AWS, and only config keys that are off by default bring them.
    assert unlimited == [
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    ]
    resources = [r for s in statements() for r in listed(s.get("Resource", [])) if r != "*"]
    assert len(resources) > len(CALLS)
    network = f"arn:aws:ec2:eu-central-1:{ACCOUNT}:*/*"
    given = (
        BUCKET_ARN,
        BUS_ARN,
        FUNCTION_ARN,
        KEY_ARN,
        LOG_GROUP_ARN,
        QUEUE_ARN,
        TOPIC_ARN,
        network,
        # Where drills restore to.
        "arn:aws:s3:::attic",
    )
    assert [r for r in resources if not r.startswith(given)] == []


def test_no_statement_says_what_it_excludes() -> None:
    assert {key for statement in statements() for key in statement} == {
        "Sid",
        "Effect",
        "Principal",
        "Action",
        "Resource",
        "Condition",
    }


def counted(document: dict[str, Any]) -> int:
    """What IAM counts: everything but white space."""
    return len(json.dumps(document, separators=(",", ":")))


def use_key(key_arn: str) -> list[dict[str, Any]]:
    return policies.use_key_statements(
        key_arn, ["kms:Decrypt", "kms:GenerateDataKey"], ["s3", "sqs"]
    )


def role_policies(buckets: int, key_arn: str | None) -> int:
    own = policies.document(
        *policies.log_statements(LONGEST_LOG_GROUP_ARN),
        *policies.send_statements(LONGEST_QUEUE_ARN),
        *policies.write_statements(LONGEST_BUCKET_ARN),
        *(use_key(key_arn) if key_arn else []),
    )
    # The key of all buckets is granted once, with the function's own permissions.
    read = policies.document(*policies.read_statements(LONGEST_BUCKET_ARN))
    markers = policies.document(*policies.marker_statements(LONGEST_BUCKET_ARN))
    tracing = policies.document(*policies.tracing_statements())
    network = policies.document(*policies.network_statements(LONGEST_ROLE_ARN, REGION))
    receive = policies.document(*policies.receive_statements(LONGEST_QUEUE_ARN))
    further = sum(map(counted, (markers, tracing, network, receive)))
    return counted(own) + buckets * counted(read) + further


@pytest.mark.parametrize("key_arn", [None, LONGEST_KEY_ARN])
def test_the_policies_of_a_functions_role_fit_into_iam_with_the_longest_names(
    key_arn: str | None,
) -> None:
    # Twice: an update adds the new policies before it removes the old ones.
    assert role_policies(2 * BUCKETS_PER_FUNCTION, key_arn) <= IAM_CHARACTERS


def test_permissions_to_invoke_a_function_fit_into_lambda_with_the_longest_names() -> None:
    statement = {
        "Sid": f"s3-{'b' * 63}",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": LONGEST_FUNCTION_ARN,
        "Condition": {
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
            "ArnLike": {"AWS:SourceArn": LONGEST_BUCKET_ARN},
        },
    }
    stored = {
        "Version": "2012-10-17",
        "Id": "default",
        "Statement": [statement] * (2 * BUCKETS_PER_FUNCTION),
    }
    assert len(json.dumps(stored).encode()) <= LAMBDA_BYTES


def test_policies_are_the_same_every_time_and_share_nothing() -> None:
    once = policies.read_statements(BUCKET_ARN)
    once[0]["Action"].append("s3:DeleteObject")
    assert policies.read_statements(BUCKET_ARN) == READ
