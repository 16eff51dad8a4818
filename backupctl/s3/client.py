"""An asynchronous client for what is done per object, and for listings."""

import http.client
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from botocore.exceptions import ParamValidationError
from botocore.utils import get_environ_proxies

from backupctl import __version__
from backupctl.aws import Aws
from backupctl.driver import AsyncDriver
from backupctl.explanations import explain
from handler.asking import ANSWER_SECONDS, Asking
from handler.requests import Request, S3Error

from .addresses import Address, address
from .connections import Answer, NoAnswer, Origin, Pool
from .identity import Identity
from .listing import Page
from .markup import BadMarkup
from .pages import read_page
from .paging import Paging
from .reading import AnswerReader, refusal
from .signing import Signer
from .writing import RequestWriter

CONNECTIONS = 64
_USER_AGENT = f"user-agent:backupctl/{__version__}\r\n"


class _Place(NamedTuple):
    address: Address
    signer: Signer
    pool: Pool


class S3Client(Paging):
    """Asks S3, many questions at a time. To be used as an asynchronous context manager.

    :param aws: whose credentials, region and endpoints to use.
    :param connections: how many requests to one host may be on their way at once.
    """

    def __init__(self, aws: Aws, connections: int = CONNECTIONS) -> None:
        self._aws = aws
        self._connections = connections
        self._identity = Identity(aws.session.get_credentials())
        self._operations: dict[str, tuple[RequestWriter, AnswerReader]] = {}
        self._places: dict[str, _Place] = {}
        self._pools: dict[Origin, Pool] = {}

    async def __aenter__(self) -> Self:
        await self._identity.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in self._pools.values():
            pool.close()
        await self._identity.end()

    async def ask(self, request: Request) -> Mapping[str, Any]:
        """One request, once.

        :returns: the answer in the form that botocore gives it, without `ResponseMetadata`; a body
            is bytes.
        :raises S3Error: if S3 refuses, or gives no answer, or half of one.
        :raises BackupctlError: if the credentials have expired and cannot be renewed.
        """
        writer, reader = self._operation(request.operation)
        return reader.read(await self._answer(request, writer))

    async def list_page(self, operation: str, bucket: str, wanted: Mapping[str, Any]) -> Page:
        """One page, asked for again where that may help.

        :param operation: ListObjectsV2 or ListObjectVersions.
        :param wanted: parameters of the operation.
        :raises BackupctlError: if S3 refuses, or keeps failing.
        """
        parameters = {"Bucket": bucket, "EncodingType": "url", **wanted}
        try:
            return await AsyncDriver(_Pages(self)).run(
                Asking("", "").ask(operation, seconds=3 * ANSWER_SECONDS, **parameters)
            )
        except S3Error as error:
            raise explain(error, f"the listing of {bucket}") from error

    async def page(self, request: Request) -> Page:
        """One page, asked for once; `list_page` is what you want.

        :raises S3Error: as `ask`.
        """
        writer, _ = self._operation(request.operation)
        answer = await self._answer(request, writer)
        if answer.status != http.client.OK:
            raise refusal(request.operation, answer)
        try:
            return read_page(answer.body)
        except BadMarkup as error:
            raise S3Error(request.operation, "ResponseParserError", 0, str(error)) from error

    def _operation(self, name: str) -> tuple[RequestWriter, AnswerReader]:
        operation = self._operations.get(name)
        if operation is None:
            model = self._aws.client("s3").meta.service_model.operation_model(name)
            operation = self._operations[name] = (RequestWriter(model), AnswerReader(model))
        return operation

    async def _answer(self, request: Request, writer: RequestWriter) -> Answer:
        try:
            bucket = request.parameters["Bucket"]
            place = self._places.get(bucket) or self._find(bucket)
            method, path, query, headers, body = writer.write(request.parameters)
            address = place.address
            headers["host"] = address.host
            head = place.signer.head(
                self._identity.credentials,
                method,
                f"{address.path}{path}" or "/",
                query,
                headers,
                body,
            )
        except (AttributeError, KeyError, TypeError, ValueError, ParamValidationError) as error:
            raise S3Error(request.operation, "InvalidParameter", 400, str(error)) from error
        pool = place.pool
        if pool.absolute_targets:
            head = head.replace(" ", f" {pool.origin}", 1)
        length = f"content-length:{len(body)}\r\n" if method in {"POST", "PUT"} else ""
        sent = f"{head}{length}{_USER_AGENT}\r\n".encode() + body
        try:
            return await pool.ask(sent, is_head=method == "HEAD", seconds=request.seconds)
        except NoAnswer as error:
            raise S3Error(request.operation, error.code, 0, str(error)) from error

    def _find(self, bucket: str) -> _Place:
        found = address(self._aws.client("s3"), bucket)
        pool = self._pools.get(found.origin)
        if pool is None:
            proxies = get_environ_proxies(str(found.origin))
            proxy = proxies.get("https" if found.origin.tls else "http")
            pool = Pool(
                found.origin,
                self._connections,
                self._aws.trust if found.origin.tls or proxy else None,
                proxy,
            )
            self._pools[found.origin] = pool
        place = self._places[bucket] = _Place(found, Signer(found.region), pool)
        return place


class _Pages:
    """Asks for pages where the driver asks for answers."""

    def __init__(self, client: S3Client) -> None:
        self.ask = client.page
