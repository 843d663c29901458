"""The flags of a running house: those of the file over those of the database, in every process within a second."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import structlog
from prometheus_client import Gauge
from sqlalchemy.exc import DBAPIError

from ossature.kernel import background
from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import Unavailable
from ossature.kernel.tenants.flags import store
from ossature.kernel.tenants.flags.domain import Flag
from ossature.kernel.tenants.flags.file import read_flags
from ossature.kernel.tenants.flags.settings import FlagSettings
from ossature.kernel.tenants.registry import Registry

log = structlog.get_logger()

CHANGED = "tenants.flags"
"""The signal that a flag of `{owner: id}` was changed."""

FILE_BAD = Gauge(
    "tenants_flags_file_bad", "1 while the file of flags cannot be read; what it said before holds.",
    multiprocess_mode="livemax",
)  # fmt: skip

_RETRY_S = 0.5
_LOOK_S = 0.5
_AGAIN_S = 30.0
"""Everything is read again this often, for news that no signal brought."""


class FlagBook:
    """Every flag. One per process; what is asked of it is answered from memory."""

    def __init__(self, registry: Registry, settings: FlagSettings) -> None:
        self.registry = registry
        self._path = Path(settings.file) if settings.file else None
        self._declared: Mapping[str, Flag] = {}
        self._stamp: tuple[int, int] | None = None
        self._kept: dict[UUID, Mapping[str, Flag]] = {}
        self._owners: set[UUID | None] = set()
        self._news = asyncio.Event()
        registry.signals.subscribe(CHANGED, self._hear, lost=lambda: self._hear({}))

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """While open, a change that any process tells of is in force here at once.

        A database that is away, or not migrated yet, does not keep a process from starting: the file's flags hold, and
        where there is none callers get their defaults.
        """
        await self._look()
        if not await self._learned():
            self._news.set()
        tasks = [background.start(self._follow, "tenants.flags")]
        if self._path is not None:
            tasks.append(background.start(self._watch, "tenants.flags_file"))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def find(self, tenant_id: UUID | None, name: str) -> tuple[UUID, Flag] | None:
        """A flag as it holds for a tenant, and whose it is: the house's before the tenant's own."""
        for owner_id in (SYSTEM_TENANT_ID, tenant_id):
            found = self.of(owner_id).get(name) if owner_id is not None else None
            if owner_id is not None and found is not None:
                return owner_id, found
        return None

    def of(self, owner_id: UUID) -> Mapping[str, Flag]:
        """The flags of a tenant, or of the house, by name."""
        return self._kept.get(owner_id, self._declared if owner_id == SYSTEM_TENANT_ID else {})

    def seen_by(self, tenant_id: UUID) -> Iterator[tuple[UUID, Flag]]:
        """Every flag that holds for a tenant, and whose it is, by name."""
        for name in sorted({*self.of(SYSTEM_TENANT_ID), *self.of(tenant_id)}):
            found = self.find(tenant_id, name)
            if found is not None:
                yield found

    def is_declared(self, owner_id: UUID, name: str) -> bool:
        """Whether a flag stands in the file, which wins over the database."""
        return owner_id == SYSTEM_TENANT_ID and name in self._declared

    def changed_after(self, db: Db, owner_id: UUID) -> None:
        """Have every process read the flags of an owner, once the transaction of `db` is committed."""
        self.registry.signals.publish_after(db, CHANGED, {"owner": str(owner_id)})

    async def read(self, owner_id: UUID | None = None) -> None:
        """Read all flags, or those of one owner."""
        async with self.registry.database.begin() as db:
            found = await store.every(db, owner_id)
        kept = dict(found) if owner_id is None else {**self._kept, owner_id: found.get(owner_id, {})}
        kept[SYSTEM_TENANT_ID] = self.with_file(kept.get(SYSTEM_TENANT_ID, {}))
        self._kept = kept

    def with_file(self, kept: Mapping[str, Flag]) -> Mapping[str, Flag]:
        """Flags of the house out of the database, under those of the file. One of these is killed by its row there."""
        declared = {
            name: replace(flag, killed_at=kept[name].killed_at, killed_why=kept[name].killed_why)
            if name in kept
            else flag
            for name, flag in self._declared.items()
        }
        return {**{name: flag for name, flag in kept.items() if not flag.declared}, **declared}

    def _hear(self, about: Mapping[str, object]) -> None:
        owner = about.get("owner")
        self._owners.add(UUID(owner) if isinstance(owner, str) else None)
        self._news.set()

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_AGAIN_S):
                    await self._news.wait()
            except TimeoutError:
                self._owners.add(None)
            self._news.clear()
            if not await self._learned():
                await asyncio.sleep(_RETRY_S)
                self._news.set()

    async def _learned(self) -> bool:
        owners = {None} if None in self._owners or not self._owners else set(self._owners)
        self._owners.clear()
        try:
            for owner_id in owners:
                await self.read(owner_id)
        except (Unavailable, DBAPIError, OSError) as error:
            log.warning("tenants.flags_not_read", error=repr(error)[:300])
            self._owners.update(owners)
            return False
        return True

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            if await self._look():
                self._hear({"owner": str(SYSTEM_TENANT_ID)})

    async def _look(self) -> bool:
        """Read the file if it is another than before; whether it was. A bad one changes nothing."""
        if self._path is None:
            return False
        try:
            about = await asyncio.to_thread(self._path.stat)
            stamp = (about.st_mtime_ns, about.st_size)
            if stamp == self._stamp:
                return False
            self._declared = await asyncio.to_thread(read_flags, self._path)
        except (OSError, ValueError) as error:
            log.warning("tenants.flags_file_bad", file=str(self._path), error=str(error)[:300])
            FILE_BAD.set(1)
            return False
        self._stamp = stamp
        FILE_BAD.set(0)
        return True
