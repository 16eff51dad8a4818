"""Clients made fast ask the same places, signed in the same way, as those that botocore makes."""

import functools
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.utils import parse_timestamp

from handler import clients
from handler.boto import CLIENT_CONFIG


class Answer(AWSResponse):
    """An answer without a body, whatever was asked."""

    def __init__(self, url: str) -> None:
        super().__init__(url, 200, {}, None)

    @property
    def content(self) -> bytes:
        """Nothing."""
        return b"{}" if "sqs" in self.url else b""


Places = dict[tuple[str, str], tuple[str, str]]

SERVICES = {
    "s3": ("head_object", {"Bucket": "backups", "Key": "photos/a.jpg"}),
    "sqs": ("send_message", {"QueueUrl": "https://sqs.test/123456789012/q", "MessageBody": "x"}),
}


def places(session: botocore.session.Session, regions: list[str], config: Config) -> Places:
    """Where a request of each service goes in each region, and the scope that it is signed for."""
    session.set_credentials("AKIDEXAMPLE", "secret")
    found: Places = {}

    def note(name: tuple[str, str], request: Any, **_: object) -> Answer:
        scope = str(request.headers["Authorization"]).partition("Signature=")[0]
        # The day, and which headers there are, is no part of what is compared.
        found[name] = request.url, "/".join(scope.split(",")[0].split("/")[2:])
        return Answer(request.url)

    for service, (operation, parameters) in SERVICES.items():
        for region in regions:
            client: Any = session.create_client(service, region, config=config)
            client.meta.events.register("before-send", functools.partial(note, (service, region)))
            getattr(client, operation)(**parameters)
    return found


def regions() -> list[str]:
    """Two of each partition, and the one for which S3 has always had exceptions."""
    session = botocore.session.Session()
    each = (session.get_available_regions("s3", it) for it in session.get_available_partitions())
    return sorted({"us-east-1", *(region for some in each for region in some[:2])})


def test_requests_go_where_botocore_alone_would_send_them() -> None:
    known = regions()
    assert {"us-east-1", "cn-north-1", "us-gov-west-1"} < set(known)
    plain = places(botocore.session.Session(), known, CLIENT_CONFIG)
    assert places(clients._session(), known, CLIENT_CONFIG) == plain
    assert len(set(plain.values())) == 2 * len(known) == len(plain)


@pytest.mark.parametrize("variant", ["use_fips_endpoint", "use_dualstack_endpoint"])
def test_so_do_those_of_functions_with_other_endpoints(variant: str) -> None:
    # botocore writes into what it is given for S3.
    options: dict[str, Any] = {variant: True, "s3": {"us_east_1_regional_endpoint": "regional"}}
    config = CLIENT_CONFIG.merge(Config(**options))
    known = ["us-east-1", "us-gov-west-1"]
    plain = places(botocore.session.Session(), known, config)
    assert places(clients._session(), known, config) == plain
    assert plain != places(clients._session(), known, CLIENT_CONFIG)


def test_the_list_of_all_endpoints_is_not_read() -> None:
    session = clients._session()
    read: list[str] = []
    loader: Any = session.get_component("data_loader")
    real = loader.file_loader.load_file
    loader.file_loader.load_file = lambda path: (read.append(path), real(path))[1]
    session.set_credentials("x", "x")
    session.create_client("s3", "eu-central-1")
    assert any(path.endswith("service-2") for path in read)
    assert not [path for path in read if path.endswith("data/endpoints")]


@pytest.mark.parametrize(
    "text",
    [
        "Wed, 04 Mar 2026 05:06:07 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "2026-03-04T05:06:07.000Z",
        "2026-03-04T05:06:07.123456Z",
        "2026-03-04T05:06:07+02:00",
        "2026-03-04T05:06:07",
        "2026-03-04",
        "1772600767",
        1772600767,
        1772600767.5,
    ],
)
def test_times_are_read_as_botocore_reads_them(text: Any) -> None:
    expected = parse_timestamp(text)
    assert clients._time(text) == expected
    assert clients._time(text).utcoffset() == expected.utcoffset()


def test_what_is_no_time_is_an_error() -> None:
    with pytest.raises(ValueError, match="Invalid timestamp"):
        clients._time("never GMT")


def test_answers_are_read_so() -> None:
    session = clients._session()
    factory: Any = session.get_component("response_parser_factory")
    assert factory.create_parser("rest-xml")._timestamp_parser is clients._time
