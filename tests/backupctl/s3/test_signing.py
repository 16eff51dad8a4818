"""Signatures, compared with botocore's."""

import time
from urllib.parse import quote

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import example, given
from hypothesis import strategies as st

from backupctl.s3.signing import Signer

NOW = 1_772_600_767.0
REGION = "eu-central-1"
# What HTTP allows in a header, and what signing has to normalise.
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E) | st.just("\t"), max_size=20)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)


def by_botocore(
    credentials: ReadOnlyCredentials, method: str, url: str, headers: dict[str, str], body: bytes
) -> str:
    request = AWSRequest(method, url, dict(headers), body)
    signer = auth.S3SigV4Auth(credentials, "s3", REGION)
    with pytest.MonkeyPatch.context() as patch:
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(NOW))

        class Clock:
            def strftime(self, form: str) -> str:
                return time.strftime(form, time.gmtime(NOW))

        patch.setattr(auth, "get_current_datetime", Clock)
        signer.add_auth(request)
    assert request.context["timestamp"] == now
    return request.headers["Authorization"].split("Signature=")[1]


@example(
    key="k",
    query={"a": "1", "a0": ""},
    metadata={"0": "", "00": ""},
    body=b"",
    token=None,
    method="GET",
)
@given(
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    query=st.dictionaries(NAMES, VALUES, max_size=3),
    metadata=st.dictionaries(NAMES, VALUES, max_size=4),
    body=st.binary(max_size=10),
    token=st.none() | st.just("to+ken/="),
    method=st.sampled_from(["HEAD", "GET", "PUT", "POST"]),
)
def test_every_signature_is_the_one_that_botocore_makes(
    key: str,
    query: dict[str, str],
    metadata: dict[str, str],
    body: bytes,
    token: str | None,
    method: str,
) -> None:
    credentials = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token)
    headers = {"host": "127.0.0.1:9000"}
    headers |= {f"x-amz-meta-{name}": value for name, value in metadata.items()}
    path = "/bucket/" + quote(key, safe="-._~/")
    # By name: "a0=" comes after "a=1", though "0" comes before "=".
    encoded = "&".join(
        f"{quote(name, safe='-._~')}={quote(query[name], safe='-._~')}" for name in sorted(query)
    )
    head = Signer(REGION, lambda: NOW).head(credentials, method, path, encoded, headers, body)
    url = f"http://127.0.0.1:9000{path}" + (f"?{encoded}" if encoded else "")
    expected = by_botocore(credentials, method, url, headers, body)
    assert head.split("Signature=")[1] == f"{expected}\r\n"
    lines = head.split("\r\n")
    assert lines[0] == f"{method} {path}{'?' if encoded else ''}{encoded} HTTP/1.1"
    assert [line for line in lines if line.startswith("x-amz-meta-")] == [
        f"{name}:{headers[name]}" for name in sorted(headers) if name != "host"
    ]


def test_time_and_credentials_may_change_between_requests() -> None:
    clock = iter([NOW, NOW + 90_000, NOW + 90_000])
    signer = Signer(REGION, lambda: next(clock))
    first = ReadOnlyCredentials("A", "secret", None)
    second = ReadOnlyCredentials("B", "other", "token")
    heads = [
        signer.head(credentials, "HEAD", "/b/k", "", {"host": "h"}, b"")
        for credentials in (first, first, second)
    ]
    assert ["20260304" in heads[0], "20260305" in heads[1], "20260305" in heads[2]] == [True] * 3
    assert "Credential=B/20260305/" in heads[2]
    assert "x-amz-security-token:token\r\n" in heads[2]
    assert "x-amz-security-token" not in heads[1]
    signatures = [head.split("Signature=")[1] for head in heads]
    assert len(set(signatures)) == 3


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\r\nb"])
def test_a_value_cannot_end_its_line(value: str) -> None:
    credentials = ReadOnlyCredentials("A", "secret", None)
    with pytest.raises(ValueError, match="line break"):
        Signer(REGION).head(credentials, "PUT", "/b/k", "", {"host": "h", "x": value}, b"")
