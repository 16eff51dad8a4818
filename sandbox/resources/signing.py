"""Signed code: what is uploaded, signed, and demanded of a function."""

import base64
import secrets
import time
from collections.abc import Mapping

from sandbox.engine import Created
from sandbox.model_validation import ModelError, check

from .base import Aws, Creator, Inputs, Spec, nested, translate, with_tags

_SIGNING_SECONDS = 60


def _object(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "bucket": "Bucket",
            "key": "Key",
            "contentBase64": None,
            "contentType": "ContentType",
            "tags": None,
        },
    )
    body = base64.b64decode(inputs["contentBase64"], validate=True)
    answer = aws.client("s3").put_object(**request, Body=body)
    return Created(
        f"{inputs['bucket']}/{inputs['key']}",
        {"versionId": answer.get("VersionId", ""), "etag": answer["ETag"], **with_tags(inputs)},
    )


def _profile(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "name": "profileName",
            "platformId": "platformId",
            "tags": "tags",
            "signatureValidityPeriod": nested(
                "signatureValidityPeriod", {"type": "type", "value": "value"}
            ),
        },
    )
    answer = aws.client("signer").put_signing_profile(**request)
    return Created(
        inputs["name"],
        {
            "arn": answer["arn"],
            "version": answer["profileVersion"],
            "versionArn": answer["profileVersionArn"],
            **with_tags(inputs),
        },
    )


_SOURCE: Spec = {"bucket": "bucketName", "key": "key", "version": "version"}
_DESTINATION: Spec = {"bucket": "bucketName", "prefix": "prefix"}


def _job(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "profileName": "profileName",
            "source": nested("source", {"s3": nested("s3", _SOURCE)}),
            "destination": nested("destination", {"s3": nested("s3", _DESTINATION)}),
            "ignoreSigningJobFailure": None,
        },
    )
    signer = aws.client("signer")
    job = signer.start_signing_job(**request, clientRequestToken=secrets.token_hex(16))["jobId"]
    deadline = time.monotonic() + _SIGNING_SECONDS
    while (state := signer.describe_signing_job(jobId=job))["status"] == "InProgress":
        if time.monotonic() > deadline:
            raise ModelError(f"signing job {job} did not end in {_SIGNING_SECONDS} seconds")
        time.sleep(0.05)
    if state["status"] != "Succeeded":
        raise ModelError(f"signing job {job}: {state.get('statusReason', state['status'])}")
    place = state["signedObject"]["s3"]
    # MiniStack writes a note there, AWS the package with its signature: Lambda needs the package.
    source = request["source"]["s3"]
    aws.client("s3").copy_object(
        Bucket=place["bucketName"],
        Key=place["key"],
        CopySource={
            "Bucket": source["bucketName"],
            "Key": source["key"],
            "VersionId": source["version"],
        },
    )
    signed = {"bucket": place["bucketName"], "key": place["key"]}
    return Created(job, {"jobId": job, "signedObjects": [{"s3s": [signed]}]})


def _config(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "description": "Description",
            "tags": "Tags",
            "allowedPublishers": nested(
                "AllowedPublishers",
                {"signingProfileVersionArns": "SigningProfileVersionArns"},
            ),
            "policies": nested(
                "CodeSigningPolicies",
                {"untrustedArtifactOnDeployment": "UntrustedArtifactOnDeployment"},
            ),
        },
    )
    # MiniStack has no such thing; that AWS would take the request is all that can be known here.
    client = aws.client("lambda")
    check(client.meta.service_model.operation_model("CreateCodeSigningConfig"), request)
    id_ = f"csc-0{secrets.token_hex(8)}"
    arn = f"arn:aws:lambda:{aws.region}:{aws.account_id}:code-signing-config:{id_}"
    return Created(arn, {"arn": arn, "configId": id_, **with_tags(inputs)})


CREATORS: Mapping[str, Creator] = {
    "aws:s3/bucketObjectv2:BucketObjectv2": _object,
    "aws:signer/signingProfile:SigningProfile": _profile,
    "aws:signer/signingJob:SigningJob": _job,
    "aws:lambda/codeSigningConfig:CodeSigningConfig": _config,
}
