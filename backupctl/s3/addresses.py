"""Where a bucket is reached: whatever botocore makes of region, endpoint and configuration.

botocore prepares a request for the bucket, which is caught before it leaves: host, path and signing
region then are what botocore would use, for path style, virtual hosts, dual stack, FIPS, access
points and endpoints of one's own alike.
"""

import io
import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from urllib3 import HTTPResponse

from backupctl.errors import BackupctlError

from .connections import Origin

_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^,]*/\d{8}/([^/,]+)/s3/aws4_request,")


class Address(NamedTuple):
    """Where a bucket is reached."""

    origin: Origin
    host: str
    """The `host` header."""
    path: str
    """What comes before a key's slash: empty, or `/BUCKET`."""
    region: str
    """The region that requests are signed for."""


def address(client: Any, bucket: str) -> Address:  # noqa: ANN401 - boto clients have no static type
    """Find a bucket's address; asks nobody.

    :param client: a boto S3 client with credentials.
    :raises BackupctlError: if botocore would not sign a plain SigV4 request for it.
    :raises botocore.exceptions.BotoCoreError: as botocore does, e.g. for a name that cannot be.
    """
    # Directory buckets have sessions of their own, no versions, and no order in their listings.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-express-differences.html
    if bucket.endswith("--x-s3"):
        raise BackupctlError(
            f"{bucket} is a directory bucket; only general purpose buckets will do"
        )
    caught: list[AWSPreparedRequest] = []

    def catch(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        caught.append(request)
        return AWSResponse(request.url, 200, {}, HTTPResponse(io.BytesIO(), preload_content=False))

    event = "before-send.s3.HeadBucket"
    client.meta.events.register(event, catch)
    try:
        client.head_bucket(Bucket=bucket)
    finally:
        client.meta.events.unregister(event, catch)
    [request] = caught
    signed: Any = request.headers.get("Authorization", "")
    text = signed.decode() if isinstance(signed, bytes) else str(signed)
    scope = _SCOPE.match(text)
    if scope is None:
        raise BackupctlError(
            f"requests to the bucket {bucket} are not signed with SigV4 for S3 in one region; "
            "check the S3 settings of the AWS profile"
        )
    parts = urlsplit(request.url)
    tls = parts.scheme == "https"
    host, usual = parts.hostname or "", 443 if tls else 80
    port = parts.port or usual
    return Address(
        Origin(tls, host, port),
        host if port == usual else f"{host}:{port}",
        parts.path.rstrip("/"),
        scope[1],
    )
