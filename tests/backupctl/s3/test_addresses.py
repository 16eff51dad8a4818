"""Addresses of buckets: botocore's, whatever it is configured to."""

import pytest
from botocore.config import Config
from botocore.exceptions import ParamValidationError
from botocore.session import Session

from backupctl.errors import BackupctlError
from backupctl.s3.addresses import Address, address
from backupctl.s3.connections import Origin

REGION = "eu-central-1"


def found(bucket: str = "photos", endpoint: str | None = None, **settings: object) -> Address:
    session = Session()
    session.set_credentials("AKIDEXAMPLE", "secret")
    region = str(settings.pop("region", REGION))
    config = Config(**settings)
    client = session.create_client("s3", region_name=region, endpoint_url=endpoint, config=config)
    return address(client, bucket)


def https(host: str, path: str = "", region: str = REGION) -> Address:
    return Address(Origin(True, host, 443), host, path, region)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, https(f"photos.s3.{REGION}.amazonaws.com")),
        ({"bucket": "my.photos"}, https(f"s3.{REGION}.amazonaws.com", "/my.photos")),
        (
            {"s3": {"addressing_style": "path"}},
            https(f"s3.{REGION}.amazonaws.com", "/photos"),
        ),
        (
            {"use_dualstack_endpoint": True},
            https(f"photos.s3.dualstack.{REGION}.amazonaws.com"),
        ),
        (
            {"use_fips_endpoint": True, "region": "us-east-2"},
            https("photos.s3-fips.us-east-2.amazonaws.com", region="us-east-2"),
        ),
        (
            {"region": "cn-north-1"},
            https("photos.s3.cn-north-1.amazonaws.com.cn", region="cn-north-1"),
        ),
        (
            {"endpoint": "http://127.0.0.1:9000"},
            Address(Origin(False, "127.0.0.1", 9000), "127.0.0.1:9000", "/photos", REGION),
        ),
        (
            {"endpoint": "https://minio.example/s3/"},
            https("minio.example", "/s3/photos"),
        ),
        (
            {"endpoint": "http://s3.example:80", "s3": {"addressing_style": "virtual"}},
            Address(Origin(False, "photos.s3.example", 80), "photos.s3.example", "", REGION),
        ),
    ],
    ids=str,
)
def test_a_bucket_is_reached_as_botocore_would(
    settings: dict[str, object], expected: Address
) -> None:
    assert found(**settings) == expected  # pyright: ignore[reportArgumentType]


def test_a_name_that_cannot_be_is_refused() -> None:
    with pytest.raises(ParamValidationError, match="no/bucket"):
        found("no/bucket")


def test_what_is_signed_otherwise_is_refused() -> None:
    with pytest.raises(BackupctlError, match="is a directory bucket"):
        found("photos--euc1-az1--x-s3")
    with pytest.raises(BackupctlError, match="not signed with SigV4 for S3 in one region"):
        found(signature_version="s3")
