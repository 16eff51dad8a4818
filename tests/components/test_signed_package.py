"""A package that is signed before it runs, and the demand that nothing else does."""

from typing import Any

from components import SignedPackage, SignedPackageArgs, policies
from tests.recorder import ACCOUNT, REGION, Recording, policy, record

PROFILE = f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/s3_backup_0000000"
CONFIG = f"arn:aws:lambda:{REGION}:{ACCOUNT}:code-signing-config:csc-0000000"
BUCKET = "code-0000000"


def package(**more: Any) -> Recording:
    return record(lambda: SignedPackage("code", SignedPackageArgs(package="UEs=", **more)))


def test_it_is_a_private_bucket_a_package_a_signature_and_a_demand() -> None:
    recording = package(access_log_bucket="logs")
    children = recording.children(recording.one("index:SignedPackage"))
    assert {name for _, name in children} == {
        "code",
        "code-access-log",
        "code-encryption",
        "code-enforcement",
        "code-ownership",
        "code-policy",
        "code-profile",
        "code-public-access",
        "code-signature",
        "code-unsigned",
        "code-versioning",
    }
    assert policy(recording.one("BucketPolicy")) == policies.document(
        *policies.tls_only_statements(f"arn:aws:s3:::{BUCKET}")
    )


def test_the_version_that_was_uploaded_is_signed() -> None:
    recording = package(tags={"a": "b"})
    assert recording.one("BucketObjectv2").inputs == {
        "bucket": BUCKET,
        "key": "unsigned/package.zip",
        "contentBase64": "UEs=",
        "contentType": "application/zip",
        "tags": {"a": "b"},
    }
    assert recording.one("SigningProfile").inputs == {
        "namePrefix": "s3_backup_",
        "platformId": "AWSLambda-SHA384-ECDSA",
        "tags": {"a": "b"},
    }
    assert recording.one("SigningJob").inputs == {
        "profileName": "s3_backup_0000000",
        "source": {"s3": {"bucket": BUCKET, "key": "unsigned/package.zip", "version": "version-1"}},
        "destination": {"s3": {"bucket": BUCKET, "prefix": "signed/"}},
    }


def test_nothing_is_uploaded_before_the_bucket_keeps_versions() -> None:
    recording = package()
    assert "code-versioning" in recording.waits_for(recording.one("BucketObjectv2"))


def test_lambda_refuses_what_the_profile_did_not_sign() -> None:
    inputs = package().one("CodeSigningConfig").inputs
    assert inputs["allowedPublishers"] == {"signingProfileVersionArns": [f"{PROFILE}/0000000000"]}
    assert inputs["policies"] == {"untrustedArtifactOnDeployment": "Enforce"}


def test_the_outputs_are_the_signed_package_and_the_demand() -> None:
    assert package().one("index:SignedPackage").outputs == {
        "bucket_name": BUCKET,
        "key": "signed/job.zip",
        "config_arn": CONFIG,
    }
