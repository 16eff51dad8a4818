"""What the documents say of security is what the program does."""

import json
import re

from components import policies
from tests.recorder import ROOT


def test_the_policy_for_ones_own_key_is_what_the_stacks_key_has() -> None:
    text = (ROOT / "docs" / "encryption.md").read_text()
    [example] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert json.loads(example) == policies.key_policy(
        "arn:aws:iam::111122223333:root",
        "eu-central-1",
        ["cloudwatch.amazonaws.com", "s3.amazonaws.com"],
        ["backup-logs-*"],
        ["s3-backup-prod"],
        "arn:aws:iam::111122223333:role/break-glass",
        ["arn:aws:iam::111122223333:role/deployer"],
    )
