"""AWS Signature Version 4 for S3, in headers.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hmac
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Protocol

_EMPTY_HASH = sha256(b"").hexdigest()


class Credentials(Protocol):
    """Who signs; botocore's frozen credentials are such."""

    @property
    def access_key(self) -> str:
        """The public part."""
        ...

    @property
    def secret_key(self) -> str:
        """The secret part."""
        ...

    @property
    def token(self) -> str | None:
        """What temporary credentials have besides."""
        ...


class Signer:
    """Signs requests to S3 in one region.

    :param now: seconds since 1970.
    """

    def __init__(self, region: str, now: Callable[[], float] = time.time) -> None:
        self._region = region
        self._now = now
        self._second = -1
        self._time = ""
        self._scope = ""
        self._key = b""
        self._key_of = ("", "")

    def head(
        self,
        credentials: Credentials,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> str:
        """The signed part of a request's head: its first line and its headers.

        :param path: percent-encoded.
        :param query: canonical: encoded, and sorted by name, then by value.
        :param headers: by lower-case name, `host` among them.
        :returns: lines with their ends; more headers, and an empty line, may follow.
        :raises ValueError: if a header's value would break its line.
        """
        self._tick(credentials)
        digest = sha256(body).hexdigest() if body else _EMPTY_HASH
        signed = dict(headers)
        signed["x-amz-content-sha256"] = digest
        signed["x-amz-date"] = self._time
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        lines = [f"{name}:{signed[name]}" for name in names]
        sent = "\r\n".join(lines)
        if sent.count("\n") != len(lines) - 1 or sent.count("\r") != len(lines) - 1:
            raise ValueError("a header has a line break in it")
        canonical = "\n".join(lines)
        if " " in canonical or "\t" in canonical:
            canonical = "\n".join(f"{name}:{_trimmed(signed[name])}" for name in names)
        signed_names = ";".join(names)
        request = f"{method}\n{path}\n{query}\n{canonical}\n\n{signed_names}\n{digest}"
        text = (
            f"AWS4-HMAC-SHA256\n{self._time}\n{self._scope}\n{sha256(request.encode()).hexdigest()}"
        )
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        target = f"{path}?{query}" if query else path
        return (
            f"{method} {target} HTTP/1.1\r\n{sent}\r\n"
            f"authorization:AWS4-HMAC-SHA256 Credential={credentials.access_key}/{self._scope},"
            f"SignedHeaders={signed_names},Signature={signature}\r\n"
        )

    def _tick(self, credentials: Credentials) -> None:
        second = int(self._now())
        if second != self._second:
            self._second = second
            self._time = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            self._scope = f"{self._time[:8]}/{self._region}/s3/aws4_request"
        key_of = (credentials.secret_key, self._scope)
        if key_of != self._key_of:
            key = f"AWS4{credentials.secret_key}".encode()
            for part in self._scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = key
            self._key_of = key_of


def _trimmed(value: str) -> str:
    return " ".join(value.split()) if " " in value or "\t" in value else value
