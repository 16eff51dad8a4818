"""The AWS provider of the sandbox: names what the program leaves unnamed, creates it by boto3."""

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import model_validation
from .aliases import Client
from .engine import Created, Registered
from .ministack import MiniStack
from .resources import audit, events, iam, lambda_, monitoring, others, s3, signing, sqs
from .resources.base import Creator, Deleter, Updater

_CREATORS: Mapping[str, Creator] = {
    **s3.CREATORS,
    **audit.CREATORS,
    **events.CREATORS,
    **iam.CREATORS,
    **lambda_.CREATORS,
    **monitoring.CREATORS,
    **others.CREATORS,
    **signing.CREATORS,
    **sqs.CREATORS,
}


_UPDATERS: Mapping[str, Updater] = {
    **s3.UPDATERS,
    **iam.UPDATERS,
    **monitoring.UPDATERS,
    **others.UPDATERS,
    **sqs.UPDATERS,
}
_DELETERS: Mapping[str, Deleter] = {
    **iam.DELETERS,
    **lambda_.DELETERS,
    **monitoring.DELETERS,
    **sqs.DELETERS,
}


class UnsupportedTypeError(NotImplementedError):
    """The program declares a type, or calls a function, that the sandbox does not know."""


class UnsupportedChangeError(NotImplementedError):
    """The program changes a resource in a way that the sandbox does not know."""


@dataclass(frozen=True)
class _AutoName:
    """How Pulumi's AWS provider names a resource: prefix, logical name, 7 random hex digits."""

    property: str = "name"
    max_length: int = 255
    prefix: str = ""
    transform: Callable[[str], str] = str

    def make(self, name: str) -> str:
        length = len(name) + 8
        if length > self.max_length:
            raise ValueError(
                f"the name {name!r} plus 8 random characters is longer than "
                f"{self.max_length}, the maximum of {self.property!r}"
            )
        return f"{self.prefix}{self.transform(name)}-{secrets.token_hex(4)[:7]}"


_AUTO_NAMES: Mapping[str, _AutoName] = {
    "aws:s3/bucket:Bucket": _AutoName("bucket", 63, transform=str.lower),
    "aws:iam/role:Role": _AutoName(max_length=64),
    "aws:iam/rolePolicy:RolePolicy": _AutoName(max_length=128),
    "aws:iam/policy:Policy": _AutoName(max_length=128),
    "aws:lambda/function:Function": _AutoName(max_length=64),
    "aws:lambda/permission:Permission": _AutoName("statementId", 100),
    "aws:signer/signingProfile:SigningProfile": _AutoName(max_length=64),
    "aws:sqs/queue:Queue": _AutoName(max_length=80),
    "aws:kms/alias:Alias": _AutoName(max_length=250, prefix="alias/"),
    "aws:cloudwatch/logGroup:LogGroup": _AutoName(max_length=512),
    "aws:cloudwatch/eventRule:EventRule": _AutoName(max_length=64),
    "aws:sns/topic:Topic": _AutoName(max_length=256),
    "aws:cloudwatch/metricAlarm:MetricAlarm": _AutoName(),
    "aws:ssm/parameter:Parameter": _AutoName(),
}


class AwsProvider:
    """Creates resources in a MiniStack. Safe to use from several threads."""

    def __init__(self, ministack: MiniStack) -> None:
        self.account_id = ministack.account_id
        self.region = ministack.region
        self._ministack = ministack
        self._clients: dict[str, Client] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Client:
        """A boto3 client as the account's root, whose requests are checked beforehand."""
        with self._lock:
            if service not in self._clients:
                client = self._ministack.client(service)
                model_validation.install(client)
                self._clients[service] = client
            return self._clients[service]

    def create(self, type_: str, name: str, inputs: Mapping[str, Any]) -> Created:
        """Create one resource.

        :raises UnsupportedTypeError: for a type that no creator is written for.
        """
        if type_ not in _CREATORS:
            raise UnsupportedTypeError(f"the sandbox cannot create resources of type {type_}")
        named = {key: value for key, value in inputs.items() if value is not None}
        auto = _AUTO_NAMES.get(type_)
        if auto is not None and auto.property not in named:
            prefix = named.pop(f"{auto.property}Prefix", None)
            named[auto.property] = (
                auto.make(name) if prefix is None else f"{prefix}{secrets.token_hex(8)}"
            )
        created = _CREATORS[type_](self, named)
        return Created(created.id, {**named, **created.outputs})

    def update(self, before: Registered, inputs: Mapping[str, Any]) -> Created:
        """Give a resource other inputs, in place; a name that it was given stays.

        :raises UnsupportedChangeError: if no updater is written for what changes.
        """
        old, new = (
            {key: value for key, value in some.items() if value is not None}
            for some in (before.inputs, inputs)
        )
        auto = _AUTO_NAMES.get(before.type)
        if auto is not None:
            for some in (old, new):
                some.setdefault(auto.property, before.outputs[auto.property])
        changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
        updater = _UPDATERS.get(before.type)
        unknown = changed if updater is None else changed - updater.properties
        if updater is None or unknown:
            raise UnsupportedChangeError(
                f"the sandbox cannot change {', '.join(sorted(unknown))} of {before.type}"
            )
        created = updater.update(self, before, new)
        return Created(created.id, {**before.outputs, **new, **created.outputs})

    def delete(self, resource: Registered) -> None:
        """Delete one resource.

        :raises UnsupportedChangeError: for a type that no deleter is written for.
        """
        if resource.type not in _DELETERS:
            raise UnsupportedChangeError(
                f"the sandbox cannot delete resources of type {resource.type}"
            )
        _DELETERS[resource.type](self, resource)

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a function of the AWS package.

        :raises UnsupportedTypeError: for a function other than those below.
        """
        if token == "aws:ec2/getSubnet:getSubnet" and list(arguments) == ["id"]:
            answer = self.client("ec2").describe_subnets(SubnetIds=[arguments["id"]])
            [subnet] = answer["Subnets"]
            return {
                "id": subnet["SubnetId"],
                "vpcId": subnet["VpcId"],
                "availabilityZone": subnet["AvailabilityZone"],
                "availabilityZoneId": subnet["AvailabilityZoneId"],
            }
        if token == "aws:cloudwatch/getEventBus:getEventBus" and list(arguments) == ["name"]:
            bus = self.client("events").describe_event_bus(Name=arguments["name"])
            return {"id": bus["Name"], "name": bus["Name"], "arn": bus["Arn"]}
        if arguments:
            raise UnsupportedTypeError(f"the sandbox calls {token} without arguments only")
        match token:
            case "aws:index/getCallerIdentity:getCallerIdentity":
                identity = self.client("sts").get_caller_identity()
                return {
                    "accountId": identity["Account"],
                    "arn": identity["Arn"],
                    "userId": identity["UserId"],
                    "id": identity["Account"],
                }
            case "aws:index/getRegion:getRegion":
                return {
                    "id": self.region,
                    "name": self.region,
                    "region": self.region,
                    "endpoint": f"ec2.{self.region}.amazonaws.com",
                    "description": self.region,
                }
            case "aws:index/getPartition:getPartition":
                return {
                    "id": "aws",
                    "partition": "aws",
                    "dnsSuffix": "amazonaws.com",
                    "reverseDnsPrefix": "com.amazonaws",
                }
            case _:
                raise UnsupportedTypeError(f"the sandbox cannot answer the function {token}")
