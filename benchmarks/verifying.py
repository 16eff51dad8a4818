"""`backupctl verify` against `rclone check --fast-list`: both compare two listings."""

import json
import statistics
from collections.abc import Callable

from .listings import BACKUPS, SOURCE
from .measure import Finding, Say, ratio
from .peers import Ran, Side, backupctl, by_turns, peer, seconds, variables
from .stub import Stub

GOAL = 2.0
MEMORY_GOAL = 60.0
KEYS = 100_000
MANY_KEYS = 1_000_000
ROUNDS = 5


def run(
    say: Say, *, rounds: int = ROUNDS, keys: int = KEYS, many_keys: int = MANY_KEYS
) -> list[Finding]:
    """Verify sources that are the same as their backups, which is what they mostly are."""
    say(f"{rounds} rounds of {keys:,} keys, by turns with rclone check --fast-list")
    with Stub(objects=keys, copies=keys) as stub:
        there = variables(stub.url)
        ours = Side(lambda _: _VERIFY, there, _checked(keys))
        command = [peer("rclone"), "check", "--fast-list", f":s3:{SOURCE}"]
        theirs = Side(lambda _: [*command, f":s3:{BACKUPS}/{SOURCE}"], there)
        mine, others = by_turns(rounds, ours, theirs)
    say(f"{many_keys:,} keys once, for the memory that takes")
    with Stub(objects=many_keys, copies=many_keys) as stub:
        large = Side(lambda _: _VERIFY, variables(stub.url), _checked(many_keys)).run(0)
    own, other = statistics.median(seconds(mine)), statistics.median(seconds(others))
    return [
        Finding(
            what=f"speed of comparing {keys:,} keys, of rclone check --fast-list",
            value=ratio(seconds(others), seconds(mine)),
            at_least=GOAL,
            how=f"{keys / own:,.0f} keys/s against {keys / other:,.0f}; medians of {rounds}",
        ),
        *(
            Finding(what=f"memory for {count:,} keys", value=mib, unit="MiB", at_most=MEMORY_GOAL)
            for count, mib in ((keys, max(ran.mib for ran in mine)), (many_keys, large.mib))
        ),
    ]


_VERIFY = backupctl("verify", SOURCE, "--json")


def _checked(keys: int) -> Callable[[Ran], str]:
    def check(ran: Ran) -> str:
        summary = json.loads(ran.out)["summary"][SOURCE]
        well = (summary["objects"], summary["sameEtag"], summary["faults"]) == (keys, keys, 0)
        return "" if well else f"not all {keys} keys were compared: {summary}"

    return check
