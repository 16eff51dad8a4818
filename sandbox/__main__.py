"""`python -m sandbox demo` and `python -m sandbox up`; see `make help`."""

import argparse
import json
import shlex
import signal
import sys
from pathlib import Path

from . import demo
from .engine import RegistrationError, tree
from .ministack import MiniStack, MiniStackError

PROJECT = Path(__file__).resolve().parent.parent

# The services that the stack uses, as the provider's `endpoints` names them.
_SERVICES = ("iam", "kms", "lambda", "logs", "s3", "sqs", "sts")

_MARK = "# Written by `make sandbox`, removed when it ends."


def main() -> int:
    """Parse the command line and run; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A local AWS with the stack in it."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="deploy, back up real files, compare, end")
    commands.add_parser("up", help="deploy and keep running until Ctrl-C")
    command = parser.parse_args().command
    # A terminated process leaves nothing behind either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return demo.run(PROJECT) if command == "demo" else up()
    except (MiniStackError, RegistrationError, FileExistsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def up() -> int:
    """Keep a deployed stack running and say how to use it."""
    with MiniStack() as ministack:
        deployment = demo.deploy_demo(PROJECT, ministack)
        stack_file = write_local_stack(ministack)
        (PROJECT / ".sandbox").mkdir(exist_ok=True)
        print("\n".join(tree(deployment)))
        print("\nThe local AWS runs until Ctrl-C. In another terminal, from this folder:\n")
        for name, value in ministack.environment().items():
            print(f"  export {name}={shlex.quote(value)}")
        print(f"""
  aws s3 cp README.md s3://{demo.DOCUMENTS}/
  aws s3 ls --recursive s3://{demo.BACKUP_BUCKET}/
  aws logs tail {deployment.find("aws:cloudwatch/logGroup:LogGroup", "backup-logs").outputs["name"]}

The real Pulumi, with a second stack of its own (written to {stack_file.name}):

  export PULUMI_CONFIG_PASSPHRASE=local
  pulumi login "file://$PWD/.sandbox"
  pulumi stack select --create local
  pulumi up --stack local
""")
        try:
            signal.pause()
        finally:
            # Its address leads nowhere from now on.
            stack_file.unlink(missing_ok=True)
    return 0


def write_local_stack(ministack: MiniStack) -> Path:
    """Write the stack's file, unless somebody else's is there.

    :raises FileExistsError: naming the file and the cure.
    """
    file = PROJECT / "Pulumi.local.yaml"
    if file.exists() and _MARK not in file.read_text(encoding="utf-8"):
        raise FileExistsError(f"{file} exists and is not from `make sandbox`; rename that stack")
    file.write_text(local_stack(ministack.endpoint, ministack.region), encoding="utf-8")
    return file


def local_stack(endpoint: str, region: str) -> str:
    """The file of a stack `local`, whose provider talks to the local AWS only."""
    config = {
        "aws:region": region,
        "aws:endpoints": [dict.fromkeys(_SERVICES, endpoint)],
        "aws:s3UsePathStyle": True,
        "aws:skipMetadataApiCheck": True,
        "s3-backup:backupBucket": "local-backups",
        "s3-backup:buckets": ["local-documents", {"name": "local-scratch", "backup": False}],
    }
    return f"{_MARK}\n{json.dumps({'config': config}, indent=2)}\n"


if __name__ == "__main__":
    sys.exit(main())
