"""Runs Pulumi programs without any cloud and records what they register."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox import stack_config
from sandbox.engine import Created, Deployment, Registered, deploy, run_program

ROOT = Path(__file__).parent.parent
ACCOUNT = "123456789012"
REGION = "eu-central-1"
KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"


class PaperCloud:
    """Creates nothing, but gives every resource the computed properties that programs use."""

    def create(self, type_: str, name: str, inputs: Mapping[str, Any]) -> Created:
        physical = inputs.get("bucket") or inputs.get("name") or f"{name}-0000000"
        where = f"{REGION}:{ACCOUNT}"
        match type_:
            case "aws:s3/bucket:Bucket":
                outputs = {"bucket": physical, "arn": f"arn:aws:s3:::{physical}"}
            case "aws:lambda/function:Function":
                outputs = {"name": physical, "arn": f"arn:aws:lambda:{where}:function:{physical}"}
            case "aws:iam/role:Role":
                outputs = {"name": physical, "arn": f"arn:aws:iam::{ACCOUNT}:role/{physical}"}
            case "aws:sqs/queue:Queue":
                url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{physical}"
                outputs = {"arn": f"arn:aws:sqs:{where}:{physical}", "url": url}
            case "aws:kms/key:Key":
                outputs = {"keyId": KEY_ARN.rpartition("/")[2], "arn": KEY_ARN}
            case "aws:sns/topic:Topic":
                outputs = {"arn": f"arn:aws:sns:{where}:{physical}"}
            case "aws:cloudwatch/metricAlarm:MetricAlarm":
                outputs = {"arn": f"arn:aws:cloudwatch:{where}:alarm:{physical}"}
            case "aws:cloudwatch/dashboard:Dashboard":
                physical = inputs["dashboardName"]
                outputs = {"dashboardArn": f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{physical}"}
            case "aws:cloudwatch/eventRule:EventRule":
                # That of the default bus is not named.
                bus = f"{inputs['eventBusName']}/" if "eventBusName" in inputs else ""
                arn = f"arn:aws:events:{where}:rule/{bus}{physical}"
                outputs = {"name": physical, "arn": arn}
            case "aws:cloudwatch/logGroup:LogGroup":
                outputs = {"name": physical, "arn": f"arn:aws:logs:{where}:log-group:{physical}"}
            case "aws:cloudtrail/trail:Trail":
                outputs = {"arn": f"arn:aws:cloudtrail:{where}:trail/{physical}"}
            case "aws:s3/bucketObjectv2:BucketObjectv2":
                outputs = {"versionId": "version-1"}
            case "aws:signer/signingProfile:SigningProfile":
                physical = f"{inputs['namePrefix']}0000000"
                arn = f"arn:aws:signer:{where}:/signing-profiles/{physical}"
                outputs = {"name": physical, "arn": arn, "versionArn": f"{arn}/0000000000"}
            case "aws:signer/signingJob:SigningJob":
                place = {"bucket": inputs["source"]["s3"]["bucket"], "key": "signed/job.zip"}
                outputs = {"signedObjects": [{"s3s": [place]}]}
            case "aws:lambda/codeSigningConfig:CodeSigningConfig":
                outputs = {"arn": f"arn:aws:lambda:{where}:code-signing-config:csc-0000000"}
            case _:
                outputs = {}
        return Created(physical, outputs)

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        match token:
            case "aws:index/getCallerIdentity:getCallerIdentity":
                deployer = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/session"
                return {"accountId": ACCOUNT, "arn": deployer}
            case "aws:index/getRegion:getRegion":
                return {"region": REGION}
            case "aws:cloudwatch/getEventBus:getEventBus":
                where = f"{REGION}:{ACCOUNT}"
                return {"arn": f"arn:aws:events:{where}:event-bus/{arguments['name']}"}
            case "aws:ec2/getSubnet:getSubnet":
                # The zone is the last digit of the subnet.
                return {"availabilityZoneId": f"euc1-az{arguments['id'][-1]}"}
            case _:
                raise AssertionError(f"called {token}")


@dataclass(frozen=True)
class Recording:
    """Questions that tests ask about a deployment."""

    deployment: Deployment

    @property
    def outputs(self) -> dict[str, Any]:
        """What the program exported."""
        return self.deployment.outputs

    def all(self, type_suffix: str) -> list[Registered]:
        """Every resource whose type ends so, e.g. 'lambda/function:Function'."""
        return [r for r in self.deployment.resources if r.type.endswith(type_suffix)]

    def one(self, type_suffix: str, name: str | None = None) -> Registered:
        """The only resource of that type, or of that type and name."""
        found = [r for r in self.all(type_suffix) if name is None or r.name == name]
        assert len(found) == 1, f"{type_suffix} {name or ''}: {[r.name for r in found]}"
        return found[0]

    def children(self, component: Registered) -> list[tuple[str, str]]:
        """Sorted type and name of each resource directly below a component."""
        return sorted(
            (r.type, r.name) for r in self.deployment.resources if r.parent == component.urn
        )

    def waits_for(self, resource: Registered) -> set[str]:
        """Names of everything that must exist first, however indirectly."""
        by_urn = {r.urn: r for r in self.deployment.resources}
        seen: set[str] = set()
        waiting = list(resource.dependencies)
        while waiting:
            urn = waiting.pop()
            if urn in by_urn and urn not in seen:
                seen.add(urn)
                waiting += by_urn[urn].dependencies
        return {by_urn[urn].name for urn in seen}


def policy(resource: Registered, field: str = "policy") -> Any:
    """The policy of a resource, which travels as text."""
    return json.loads(resource.inputs[field])


def record(program: Callable[[], object]) -> Recording:
    """Run a function that declares resources; it may return an Output to be awaited."""
    return Recording(run_program(program, "s3-backup", "test", {}, PaperCloud()))


def record_stack(config: Mapping[str, object], stack: str = "test") -> Recording:
    """Run the project's own program with this config, given without namespace."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    full = stack_config.render(project, config, stack)
    return Recording(deploy(ROOT, stack, full, PaperCloud()))
