"""`backupctl doctor`."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from botocore.exceptions import ClientError

from backupctl.checks import CHECKS, Check, Patient
from backupctl.condition import Finding
from backupctl.errors import DONE, PROBLEM, BackupctlError, WrongUse, one_line
from backupctl.explanations import explain, whole_answers
from backupctl.options import Command, Settings
from backupctl.progress import Progress

_EXAMPLE = "backupctl --stack prod doctor"


@click.command(cls=Command, example=_EXAMPLE)
@click.argument("buckets", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def doctor(settings: Settings, buckets: tuple[str, ...], **options: Any) -> int:  # noqa: ANN401 - click's
    """Look for trouble before it comes, in BUCKETS or in all of a stack's.

    Permissions of the functions' roles, notifications that a deployment would remove, the backup
    bucket and its key, quotas, the clock. Changes nothing. The exit code is 1 if anything is found.
    """
    if settings.stack is None:
        raise WrongUse("which stack? set --stack; its SSM parameter tells what belongs together")
    sources = settings.sources(buckets)
    patient = Patient(settings.aws, settings.stack, sources, datetime.now(UTC))
    found: dict[str, list[Finding]] = {}
    with Progress("doctor", len(CHECKS), unit="checks") as progress:
        for name, check in CHECKS.items():
            found[name] = _made(name, check, patient)
            progress.advance()
    findings = [finding for some in found.values() for finding in some]
    if options["as_json"]:
        described = [
            {"check": name, **finding.to_json()} for name, some in found.items() for finding in some
        ]
        print(json.dumps({"checks": list(CHECKS), "findings": described}))
    else:
        for name, some in found.items():
            _show(name, some)
    return PROBLEM if findings else DONE


def _made(name: str, check: Check, patient: Patient) -> list[Finding]:
    """One check; that it cannot be made is a finding too, and hides no other."""
    again = "run the command again; if it stays, report it"
    try:
        with whole_answers():
            return list(check(patient))
    except ClientError as error:
        problem, _, cure = str(explain(error)).partition("; these ")
        cure = f"these {cure}" if cure else again
    except BackupctlError as error:
        problem, cure = str(error).partition("; ")[0], again
    return [Finding(name, f"this cannot be checked: {problem}", cure)]


def _show(name: str, findings: Sequence[Finding]) -> None:
    print(f"{name}: {'ok' if not findings else ''}".rstrip())
    for finding in findings:
        print(one_line(f"! {finding.about}: {finding.problem}; {finding.cure}"))
