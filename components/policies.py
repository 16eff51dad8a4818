"""Policies as plain dictionaries: ARN in, statements out. Declares no resources.

Each function is named for what it grants or denies, and grants exactly that. Statements carry no
`Sid` where many of them share one role, because IAM counts every character.
"""

from typing import Any

Statement = dict[str, Any]
Document = dict[str, Any]


def document(*statements: Statement) -> Document:
    """A policy document of the given statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def lambda_trust() -> Document:
    """Let the Lambda service, and nobody else, assume a role."""
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )


def tls_only(bucket_arn: str) -> Document:
    """Refuse every request to a bucket that does not come over TLS (FSBP S3.5)."""
    return document(
        {
            "Sid": "DenyInsecureTransport",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket_arn, f"{bucket_arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
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
        statements.append({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": kms_key_arn})
    return statements


def write_statements(bucket_arn: str, kms_key_arn: str | None = None) -> list[Statement]:
    """Add tagged objects to the backup bucket, give up unfinished uploads, see what is there.

    `GetObject` is there for one reason: where S3 says that a backup exists already, HeadObject
    tells which version it is a copy of, so that no newer one is buried and none is added twice.
    No deletion, no retention, no bucket setting. Multipart uploads of encrypted objects need
    `kms:Decrypt` beside `kms:GenerateDataKey`.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
    """
    statements: list[Statement] = [
        {
            "Effect": "Allow",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:GetObject",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
            "Resource": f"{bucket_arn}/*",
        }
    ]
    if kms_key_arn is not None:
        statements.append(
            {
                "Effect": "Allow",
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": kms_key_arn,
            }
        )
    return statements


def log_statements(log_group_arn: str) -> list[Statement]:
    """Write to one log group."""
    return [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{log_group_arn}:*",
        }
    ]


def send_statements(queue_arn: str) -> list[Statement]:
    """Send to one queue."""
    return [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue_arn}]
