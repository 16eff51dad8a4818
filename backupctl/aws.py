"""Clients for AWS, with whatever credentials, region and endpoints the environment provides."""

import ssl
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.httpsession import get_cert_path
from botocore.session import Session

from handler.sessions import lean

Client = Any
"""A client of botocore's, which has no static type."""
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


def _address(params: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
    """S3 Control puts the account into the host's name, which only AWS's own hosts have."""
    account = params["headers"].get("x-amz-account-id")
    scheme, separator, rest = params["url"].partition("://")
    host = rest.removeprefix(f"{account}.")
    if not host.partition("/")[0].partition(":")[0].endswith(_AWS_HOSTS):
        params["url"] = f"{scheme}{separator}{host}"


class Aws:
    """One account in one region.

    :param session: whose credentials, region and configuration to use.
    :param endpoint_url: of every service; None for AWS's own, or what the environment says.
    """

    def __init__(self, session: Session, endpoint_url: str | None = None) -> None:
        self.session = session
        self.endpoint_url = endpoint_url
        self._clients: dict[str, Client] = {}

    @classmethod
    def of_environment(
        cls,
        profile: str | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
    ) -> "Aws":
        """What the AWS CLI would take, unless named here."""
        session = Session(profile=profile)
        if region is not None:
            session.set_config_variable("region", region)
        # Of services that have only one region, its name is "aws-global" or the like.
        if not (session.get_config_variable("region") or "-global").endswith("-global"):
            lean(session)
        return cls(session, endpoint_url)

    def client(self, service: str) -> Client:
        """A client that tries again by itself, for everything that is not done per object."""
        if service not in self._clients:
            client = self.session.create_client(
                service,
                endpoint_url=self.endpoint_url,
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": 8},
                    # Otherwise S3's oldest region is asked where all others are, too.
                    s3={"us_east_1_regional_endpoint": "regional"},
                ),
            )
            client.meta.events.register("before-call.s3-control", _address)
            self._clients[service] = client
        return self._clients[service]

    @cached_property
    def account_id(self) -> str:
        """The 12 digits of the credentials' account."""
        credentials = self.session.get_credentials()
        # Some ways to log in tell it.
        known = getattr(credentials, "account_id", None)
        account: str = known or self.client("sts").get_caller_identity()["Account"]
        return account

    @property
    def region(self) -> str | None:
        """The region in use."""
        region: str | None = self.session.get_config_variable("region")
        return region

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """Whose certificates to accept: the configured bundle's authorities, or botocore's own."""
        bundle = self.session.get_config_variable("ca_bundle") or get_cert_path(verify=True)
        path = Path(bundle)
        if path.is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
