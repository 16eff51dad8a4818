"""`SignedPackage`: a deployment package, signed by AWS Signer, and the demand that it be signed."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import policies
from .handler_function import SignedCode
from .private_bucket import BucketSettings, PrivateBucket


class SignedPackageArgs(TypedDict):
    """What a `SignedPackage` must and can be told."""

    package: str
    """The deployment package: a zip file, in base64."""
    access_log_bucket: NotRequired[pulumi.Input[str]]
    """Bucket that receives the access logs of the package's bucket. Default: no logs."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of all resources that can have some."""


class SignedPackage(pulumi.ComponentResource):
    """Puts a package into a bucket of its own, has it signed, and lets Lambda enforce signatures.

    Whoever deploys needs the right to sign with the profile; whoever may only change the function
    can then give it no other code.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html
    """

    bucket_name: pulumi.Output[str]
    """Name of the bucket that holds the signed package."""
    key: pulumi.Output[str]
    """Key of the signed package."""
    config_arn: pulumi.Output[str]
    """ARN of the configuration that makes Lambda refuse code which the profile did not sign."""

    def __init__(
        self,
        name: str,
        args: SignedPackageArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare bucket, package, signature and demand.

        :param name: unique logical name; resources beside the bucket add a suffix to it.
        :param args: see `SignedPackageArgs`.
        :param opts: options of the component.
        """
        super().__init__("s3-backup:index:SignedPackage", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        tags = args.get("tags")
        own = PrivateBucket(
            self,
            name,
            BucketSettings(
                policy=lambda arn: arn.apply(
                    lambda arn: policies.document(*policies.tls_only_statements(arn))
                ),
                # Signer signs a version, so that what is signed is what was uploaded.
                versioning=True,
                access_log_bucket=args.get("access_log_bucket"),
                # Packages are made again from the code; nothing is lost with the bucket.
                force_destroy=True,
                tags=tags,
            ),
            opts,
        )
        bucket = own.bucket.bucket
        upload = aws.s3.BucketObjectv2(
            f"{name}-unsigned",
            bucket=bucket,
            key="unsigned/package.zip",
            content_base64=args["package"],
            content_type="application/zip",
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[own.settled]),
        )
        profile = aws.signer.SigningProfile(
            f"{name}-profile",
            # A name cannot be used again after the profile is gone.
            name_prefix="s3_backup_",
            platform_id="AWSLambda-SHA384-ECDSA",
            tags=tags,
            opts=child,
        )
        job = aws.signer.SigningJob(
            f"{name}-signature",
            profile_name=profile.name,
            source={"s3": {"bucket": bucket, "key": upload.key, "version": upload.version_id}},
            destination={"s3": {"bucket": bucket, "prefix": "signed/"}},
            opts=child,
        )
        config = aws.lambda_.CodeSigningConfig(
            f"{name}-enforcement",
            description="Only code that this stack's profile signed",
            allowed_publishers={"signing_profile_version_arns": [profile.version_arn]},
            policies={"untrusted_artifact_on_deployment": "Enforce"},
            tags=tags,
            opts=child,
        )
        signed = job.signed_objects[0].s3s[0]
        self.bucket_name = pulumi.Output.from_input(signed.bucket).apply(str)
        self.key = pulumi.Output.from_input(signed.key).apply(str)
        self.config_arn = config.arn
        self.register_outputs(
            {"bucket_name": self.bucket_name, "key": self.key, "config_arn": self.config_arn}
        )

    @property
    def code(self) -> SignedCode:
        """What a `BackupFunction` needs to run it."""
        return {"bucket": self.bucket_name, "key": self.key, "config_arn": self.config_arn}
