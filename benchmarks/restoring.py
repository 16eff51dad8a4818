"""`backupctl restore` to a point in time, against s3-pit-restore.

Both list all versions, choose the older one of each key and have S3 copy that to an empty bucket.
"""

import json
import statistics
from collections.abc import Mapping

from .listings import BACKUPS, SOURCE
from .measure import Finding, Say, ratio
from .peers import Ran, Side, backupctl, by_turns, peer, seconds, variables
from .stub import Stub

GOAL = 2.5
OBJECTS = 5000
ROUNDS = 3
MOMENT = "2026-04-01T00:00:00Z"
"""Between the two versions of each key."""
CONNECTIONS = 64
"""What either side may have at a time; more does not make s3-pit-restore faster."""


def run(say: Say, *, rounds: int = ROUNDS, objects: int = OBJECTS) -> list[Finding]:
    """Restore from a stub of S3."""
    say(f"{rounds} rounds of {objects:,} objects, by turns with s3-pit-restore")
    with Stub(objects=objects, copies=objects) as stub:
        ours, theirs = sides(stub, objects)
        ours.run(0)
        asked = stub.counts()
        mine, others = by_turns(rounds, ours, theirs)
    own, other = statistics.median(seconds(mine)), statistics.median(seconds(others))
    requests = sum(asked.values()) / objects
    return [
        Finding(
            what=f"speed of restoring {objects:,} objects, of s3-pit-restore",
            value=ratio(seconds(others), seconds(mine)),
            at_least=GOAL,
            how=f"{objects / own:,.0f} objects/s with {requests:.1f} requests each against "
            f"{objects / other:,.0f}; medians of {rounds}",
        )
    ]


def sides(stub: Stub, objects: int) -> tuple[Side, Side]:
    """What is compared.

    :param stub: with so many objects and copies.
    """

    def copies(counts: Mapping[str, int]) -> str:
        made = counts.get("CopyObject", 0)
        return "" if made == objects else f"{made} of {objects} objects were restored"

    def ours(ran: Ran) -> str:
        made = json.loads(ran.out.splitlines()[-1])["summary"]["results"]
        return copies({"CopyObject": made.get("restored", 0)})

    def theirs(ran: Ran) -> str:
        return copies({"CopyObject": len(ran.out.splitlines())})

    there = variables(stub.url)
    command = backupctl("restore", SOURCE, "--to", "attic", "--at", MOMENT, "--json")
    other = [peer("s3-pit-restore"), "--bucket", BACKUPS]
    other += ["--dest-bucket", "attic", "--timestamp", MOMENT, "--prefix", f"{SOURCE}/"]
    return (
        Side(lambda _: [*command, "--concurrency", str(CONNECTIONS)], there, ours),
        Side(lambda _: [*other, "--max-workers", str(CONNECTIONS)], there, theirs),
    )
