"""What is done with the key ring of the house: look at it, turn it, and bring what was sealed before under the active key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from ossature.kernel.context import Ctx
from ossature.kernel.crypto.ring import Key
from ossature.kernel.crypto.settings import CryptoSettings
from ossature.kernel.db.engine import Database
from ossature.kernel.db.sealed import Sealed
from ossature.kernel.errors import Problem

log = structlog.get_logger()

Told = Callable[[str, int], None]
"""Is told after each batch: the column, and how many of its values were sealed anew so far."""


class NotAllSealed(Problem):
    """Values could not be opened, so they were left as they are: `broken` counts them by table and column."""

    title = "Not all sealed"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A key of the ring. values: how many values of the database it sealed."""

    id: str
    created_at: datetime
    active: bool
    values: int


@dataclass(frozen=True, slots=True)
class ColumnDone:
    """What re-encryption did in a column. broken: rows whose value could not be opened; the first hundred."""

    column: str
    done: int
    broken: Sequence[UUID]


class SealedColumns:
    """All sealed columns of the house, and the way to the rows of all tenants.

    secret: of the installation, which sealed some values before there was a key ring. batch: rows in one transaction.
    """

    def __init__(self, database: Database, columns: Sequence[Sealed[Any]], *, secret: bytes, batch: int = 200) -> None:
        self._database = database
        self._columns = columns
        self._secret = secret
        self._batch = batch

    async def keys(self) -> tuple[list[KeyUse], int]:
        """The keys of the ring with their use, the active one first, and how many values none of them sealed."""
        ring = self._database.ring
        async with self._database.begin() as db:
            total = sum([await column.count(db) for column in self._columns])
            uses = [
                KeyUse(
                    key.id, key.created_at, number == 0, sum([await one.count(db, key=key) for one in self._columns])
                )
                for number, key in enumerate(ring.keys)
            ]
        return uses, total - sum(use.values for use in uses)

    async def reseal(self, told: Told | None = None) -> list[ColumnDone]:
        """Bring every value under the active key, in short transactions. Whoever is stopped goes on where it was.

        It goes through a column again until it finds nothing to do, since others seal meanwhile with what they knew.
        """
        return [await self._reseal_column(column, told or _silent) for column in self._columns]

    async def _reseal_column(self, column: Sealed[Any], told: Told) -> ColumnDone:
        done, broken = 0, dict[UUID, None]()
        after, found = None, 0
        while True:
            async with self._database.begin() as db:
                batch = await column.reseal(db, after=after, limit=self._batch, secret=self._secret)
            after, found, done = batch.last, found + batch.done, done + batch.done
            broken |= dict.fromkeys(batch.broken)
            if batch.done:
                told(column.name, done)
            if after is None:
                if not found:
                    return ColumnDone(column.name, done, list(broken)[:100])
                found = 0


async def rotate(ctx: Ctx) -> Key:
    """Seal with a new key from now on, and have a worker bring the values from before under it; the new key.

    Raises: Misconfigured where only an operator can put a key on the ring.
    """
    before = ctx.db.ring.active
    made = ctx.db.ring.rotate()
    await ctx.audit("key_ring.turned", f"key_ring:{made.id}", before=before.id)
    return made


async def turn_old(ctx: Ctx) -> str | None:
    """The id of the new active key, if the present one was old enough to be replaced; else None."""
    ring, settings = ctx.db.ring, ctx.settings[CryptoSettings]
    age = ctx.now - ring.active.created_at
    if age < timedelta(days=settings.rotation_days):
        return None
    if not ring.turns:
        log.warning("secrets.key_is_old", key=ring.active.id, days=age.days)
        return None
    return (await rotate(ctx)).id


async def reencrypt(ctx: Ctx) -> int:
    """Bring every sealed value under the active key; how many were sealed anew.

    Raises: NotAllSealed, once all others are done, where values cannot be opened.
    """
    found = await ctx.port(SealedColumns).reseal()
    broken = {one.column: len(one.broken) for one in found if one.broken}
    if broken:
        raise NotAllSealed(f"Values that cannot be opened: {broken}", broken=broken)
    return sum(one.done for one in found)


def _silent(_column: str, _done: int) -> None:
    """Nobody wants to know."""
