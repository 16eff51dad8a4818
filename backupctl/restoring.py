"""A whole restoration: every key of a source, planned and carried out as the listings come."""

from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from handler.failures import Failed
from handler.requests import S3Error, Steps

from .driver import AsyncDriver
from .histories import Known, digest_of, history, key_of, known_keys, spool_digests
from .parallel import Patience, for_each
from .protocols import S3
from .restoration import Action, Restorer, Result, Verb
from .spool import Kind, Spool
from .stack import Source


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one key."""

    action: Action
    result: Result | None = None
    """None if nothing was carried out."""
    problem: str = ""
    """What a person has to know or do; empty if all is well."""


@dataclass
class Summary:
    """What became of all keys."""

    verbs: Counter[Verb] = field(default_factory=Counter[Verb])
    results: Counter[Result] = field(default_factory=Counter[Result])
    size: int = 0
    """Bytes to be written, or written."""
    undated: int = 0
    """Keys whose copies do not say when the source got them."""
    uncertain: int = 0
    """Keys of which more was deleted than is on record."""
    problems: int = 0
    deletions_on_record: bool = False
    """Whether any deletion in the source is; if not, what was deleted by then comes back too."""

    def count(self, done: Done) -> None:
        """One more."""
        self.verbs[done.action.verb] += 1
        if done.result is not None:
            self.results[done.result] += 1
        if done.result is None or done.result is Result.RESTORED:
            self.size += done.action.size
        held = done.action.held
        self.undated += held is not None and held.provenance is None
        self.uncertain += not done.action.certain
        self.problems += bool(done.problem)


class Restoration:
    """Brings a source back.

    :param s3: whom to ask.
    :param restorer: what is wanted of each key.
    :param source: which keys the stack backs up.
    :param prefix: only keys that begin so.
    :param whole_key: whether the prefix is the one key wanted.
    :param width: how many keys to work on at a time.
    """

    def __init__(
        self,
        s3: S3,
        restorer: Restorer,
        source: Source,
        prefix: str = "",
        *,
        whole_key: bool = False,
        width: int = 64,
    ) -> None:
        self._s3 = s3
        self._driver = AsyncDriver(s3)
        self._restorer = restorer
        self._source = source
        self._prefix = prefix
        self._whole_key = whole_key
        self._width = width
        self._patience = Patience()

    async def run(self, tell: Callable[[Done], None], *, dry_run: bool) -> Summary:
        """Plan every key and, unless it is a dry run, carry that out.

        :param tell: told of every key, in no order.
        :returns: all together.
        :raises BackupctlError: if S3 refuses what everything needs.
        """
        summary = Summary()

        async def work(known: Known) -> None:
            done = await self._work(known, dry_run=dry_run)
            if done is not None:
                summary.count(done)
                tell(done)

        restorer = self._restorer
        bucket, source = restorer.asking.backup_bucket, restorer.source
        there = restorer.destination.bucket, restorer.destination.prefix
        with Spool() as spool:
            digest = digest_of(self._prefix) if self._whole_key else ""
            spooled = await spool_digests(self._s3, bucket, source, spool, digest)
            summary.deletions_on_record = spooled[Kind.DELETED] > 0
            stream = known_keys(self._s3, bucket, source, self._prefix, there, spool)
            async with aclosing(stream) as keys:
                await for_each(keys, work, self._width)
        return summary

    async def _work(self, known: Known, *, dry_run: bool) -> Done | None:
        key = known.key
        asking, source = self._restorer.asking, self._source.name
        action = Action(Verb.STUCK, key or known.digest, key or known.digest)
        try:
            if key is None and known.has_copies:
                key = await self._driver.run(self._key_of(known.digest))
                if key is None and not self._prefix:
                    return Done(action, None, "nothing tells which key this digest is of")
            if key is None or not self._wanted(key, known):
                return None
            action = replace(action, key=key)
            lore = await self._driver.run(history(asking, source, key, known))
            action = await self._driver.run(self._restorer.plan(lore, known.present))
            result = None
            if not dry_run:
                result = await self._driver.run(self._restorer.carry_out(action))
        except (S3Error, Failed) as error:
            self._patience.failed(error)
            return Done(action, None, str(error))
        self._patience.succeeded()
        problem = action.reason
        if result is Result.CONFLICT:
            problem = "somebody wrote there meanwhile; it was left alone; run this again"
        return Done(action, result, problem)

    def _key_of(self, digest: str) -> Steps[str | None]:
        if self._whole_key:
            # No other digests were spooled.
            return self._prefix
        return (yield from key_of(self._restorer.asking, self._source.name, digest))

    def _wanted(self, key: str, known: Known) -> bool:
        if self._whole_key:
            return key == self._prefix
        # What is in the backup came under filters that may have been changed since.
        return key.startswith(self._prefix) and (known.has_copies or self._source.includes(key))
