"""Switching providers on and off, for every process."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

from ossature.kernel.context import Ctx
from ossature.kernel.db.engine import Database
from ossature.kernel.errors import Unavailable
from ossature.kernel.events.signals import Signals
from ossature.kernel.outbound.provider import Provider
from ossature.services.hub import store
from ossature.services.hub.store import Switch

log = structlog.get_logger()

TOPIC = "hub.switch"
_NO_REASON = "It is switched off."


class Switchboard:
    """What is switched off in this process: `off`, by provider, with the reason. It follows the others within a second."""

    def __init__(self, database: Database, signals: Signals) -> None:
        self._database = database
        self._signals = signals
        self._reloads: set[asyncio.Task[None]] = set()
        self._heard = 0
        self.off: dict[str, str] = {}

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """A block in which it follows."""
        stop = self._signals.subscribe(TOPIC, self._hear, lost=self._missed)
        try:
            await self.reload()
            yield
        finally:
            stop()
            for task in self._reloads:
                task.cancel()

    async def reload(self) -> None:
        """Read all switches. While the database is away, what was known stays in force."""
        while True:
            heard = self._heard
            try:
                async with self._database.begin() as db:
                    found = await store.switches(db)
            except Unavailable as error:
                log.warning("hub.switches_not_read", error=repr(error))
                return
            if heard == self._heard:  # else the news that came meanwhile may be newer than what was read
                break
        self.off.clear()
        self.off.update({switch.provider: switch.reason or _NO_REASON for switch in found if not switch.enabled})

    async def switch(self, ctx: Ctx, provider: Provider, *, enabled: bool, reason: str = "") -> Switch:
        """Have a provider asked again, or no longer, once the transaction of `ctx` is committed."""
        switch = Switch(provider=provider.id, enabled=enabled, reason=reason, changed_at=ctx.now)
        await store.save_switch(ctx.db, switch)
        verb = "enable" if enabled else "disable"
        await ctx.audit(f"hub.provider.{verb}", f"provider/{provider.id}", after={"enabled": enabled, "reason": reason})
        news = {"provider": provider.id, "enabled": enabled, "reason": reason}
        self._signals.publish_after(ctx.db, TOPIC, news)
        return switch

    def _hear(self, news: Mapping[str, Any]) -> None:
        self._heard += 1
        if news["enabled"]:
            self.off.pop(news["provider"], None)
        else:
            self.off[news["provider"]] = news["reason"] or _NO_REASON

    def _missed(self) -> None:
        task = asyncio.create_task(self.reload(), name="hub.switches")
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
