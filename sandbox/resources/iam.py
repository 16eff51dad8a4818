"""IAM: roles and policies."""

import json
from collections.abc import Mapping

from sandbox.engine import Created, Registered
from sandbox.model_validation import check_inline_policies, check_json_policy

from .base import (
    Aws,
    Creator,
    Deleter,
    Inputs,
    To,
    Updater,
    again,
    tag_list,
    translate,
    with_tags,
)


def _role(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "name": "RoleName",
            "assumeRolePolicy": "AssumeRolePolicyDocument",
            "description": "Description",
            "maxSessionDuration": "MaxSessionDuration",
            "path": "Path",
            "permissionsBoundary": "PermissionsBoundary",
            "tags": To("Tags", tag_list),
            "forceDetachPolicies": None,
            "managedPolicyArns": None,
        },
    )
    iam = aws.client("iam")
    check_json_policy("the role's trust policy", inputs["assumeRolePolicy"])
    role = iam.create_role(**request)["Role"]
    for arn in inputs.get("managedPolicyArns", []):
        iam.attach_role_policy(RoleName=inputs["name"], PolicyArn=arn)
    return Created(
        inputs["name"],
        {
            "arn": role["Arn"],
            "uniqueId": role["RoleId"],
            "createDate": role["CreateDate"].isoformat(),
            **with_tags(inputs),
        },
    )


def _role_policy(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs, {"name": "PolicyName", "role": "RoleName", "policy": "PolicyDocument"}
    )
    check_json_policy("the role policy", inputs["policy"])
    role, iam = inputs["role"], aws.client("iam")
    iam.put_role_policy(**request)
    # AWS refuses the policy that goes over the quota; here it is known only afterwards.
    names = [
        policy
        for page in iam.get_paginator("list_role_policies").paginate(RoleName=role)
        for policy in page["PolicyNames"]
    ]
    if len(names) > 1 or len(inputs["policy"]) > 1000:
        check_inline_policies(role, {policy: _inline(aws, role, policy) for policy in names})
    return Created(f"{role}:{inputs['name']}", {})


def _inline(aws: Aws, role: str, policy: str) -> str:
    document = aws.client("iam").get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    return document if isinstance(document, str) else json.dumps(document)


def _policy(aws: Aws, inputs: Inputs) -> Created:
    request = translate(
        inputs,
        {
            "name": "PolicyName",
            "policy": "PolicyDocument",
            "description": "Description",
            "path": "Path",
            "tags": To("Tags", tag_list),
        },
    )
    check_json_policy("the managed policy", inputs["policy"])
    policy = aws.client("iam").create_policy(**request)["Policy"]
    return Created(
        policy["Arn"],
        {"arn": policy["Arn"], "policyId": policy["PolicyId"], **with_tags(inputs)},
    )


def _attachment(aws: Aws, inputs: Inputs) -> Created:
    request = translate(inputs, {"role": "RoleName", "policyArn": "PolicyArn"})
    aws.client("iam").attach_role_policy(**request)
    return Created(f"{inputs['role']}/{inputs['policyArn']}", {})


CREATORS: Mapping[str, Creator] = {
    "aws:iam/role:Role": _role,
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:iam/policy:Policy": _policy,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _attachment,
}


def _no_role_policy(aws: Aws, resource: Registered) -> None:
    role, name = resource.id.split(":")
    aws.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


UPDATERS: Mapping[str, Updater] = {
    "aws:iam/rolePolicy:RolePolicy": again(_role_policy, "policy"),
}
DELETERS: Mapping[str, Deleter] = {"aws:iam/rolePolicy:RolePolicy": _no_role_policy}
