"""Prints what the smallest stack consists of: `python -m docs.resources`."""

from sandbox.engine import tree
from tests.recorder import record_stack

SMALLEST = {"backupBucket": "example-backups", "buckets": ["example-photos"]}


def listing() -> str:
    """The resources as `pulumi preview` shows them, without the column that says "create"."""
    _, *rows = tree(record_stack(SMALLEST, stack="prod").deployment)
    return "\n".join(row.removeprefix(" +   ").removesuffix("  created").rstrip() for row in rows)


if __name__ == "__main__":
    print(listing())
