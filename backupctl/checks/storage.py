"""Whether the backup bucket keeps what it gets, readable."""

from collections.abc import Iterator

from backupctl.condition import Finding

from .patient import Patient

_CURES = {
    "Disabled": "enable it: aws kms enable-key --key-id {arn}",
    "PendingDeletion": "at once: aws kms cancel-key-deletion --key-id {arn}, then enable-key",
}


def backup_bucket(patient: Patient) -> Iterator[Finding]:
    """Versions are kept, and encrypted as the stack says."""
    bucket = patient.stack.backup_bucket
    if bucket not in patient.entries:
        yield Finding(bucket, "there is no such bucket", "run pulumi up")
        return
    versioning = patient.aws.client("s3").get_bucket_versioning(
        Bucket=bucket, ExpectedBucketOwner=patient.stack.account_id
    )
    if versioning.get("Status") != "Enabled":
        yield Finding(
            bucket,
            f"versioning is {versioning.get('Status', 'not enabled')}: what is overwritten is lost",
            f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration "
            "Status=Enabled, then find out who turned it off",
        )
    rule = patient.encryption.get(bucket)
    if rule is None:
        yield Finding(bucket, "there is no default encryption", "run pulumi up --refresh")
        return
    wanted = patient.stack.kms_key_arn
    found = rule.get("KMSMasterKeyID")
    if wanted is not None and wanted != found:
        yield Finding(
            bucket,
            f"copies are encrypted with {found or rule['SSEAlgorithm']}, not with the stack's key "
            f"{wanted}",
            "run pulumi up --refresh",
        )


def keys(patient: Patient) -> Iterator[Finding]:
    """The buckets' KMS keys can be used."""
    for arn in patient.key_arns:
        key = patient.aws.client("kms").describe_key(KeyId=arn)["KeyMetadata"]
        state = key["KeyState"]
        if state != "Enabled":
            until = f" until {key['DeletionDate']:%Y-%m-%d}" if "DeletionDate" in key else ""
            yield Finding(
                arn,
                f"the key is {state}{until}: nothing can be encrypted or read with it",
                _CURES.get(state, "see its state in KMS").format(arn=arn),
            )
