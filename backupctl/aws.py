"""Clients for AWS, with whatever credentials, region and endpoints the environment provides."""

from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config

Client = Any
"""A boto3 client, which has no static type."""


class Aws:
    """One account in one region.

    :param session: whose credentials, region and configuration to use.
    :param endpoint_url: of every service; None for AWS's own, or what the environment says.
    """

    def __init__(self, session: boto3.Session, endpoint_url: str | None = None) -> None:
        self.session = session
        self.endpoint_url = endpoint_url
        self._clients: dict[str, Client] = {}

    def client(self, service: str) -> Client:
        """A client that tries again by itself, for everything that is not done per object."""
        if service not in self._clients:
            self._clients[service] = self.session.client(
                service,
                endpoint_url=self.endpoint_url,
                config=Config(retries={"mode": "standard", "total_max_attempts": 8}),
            )
        return self._clients[service]

    def engine_s3(self, config: Config) -> Client:
        """A client for S3 as the copy engine's driver wants it."""
        return self.session.client("s3", endpoint_url=self.endpoint_url, config=config)

    @cached_property
    def account_id(self) -> str:
        """The 12 digits of the credentials' account."""
        account: str = self.client("sts").get_caller_identity()["Account"]
        return account
