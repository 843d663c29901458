"""What is switched while a process reads the switches."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import Db
from ossature.kernel.events.signals import Signals
from ossature.kernel.testing import schema
from ossature.services.hub import store
from ossature.services.hub.store import Switch
from ossature.services.hub.usecases.switching import TOPIC, Switchboard


class Meanwhile(Database):
    """A database whose first reader is overtaken: a provider is switched off when he has read and not yet understood."""

    def overtaken_by(self, signals: Signals) -> None:
        self.signals: Signals | None = signals

    @asynccontextmanager
    async def begin(self, tenant_id: UUID | None = None, *, durable: bool = False) -> AsyncIterator[Db]:
        async with super().begin(tenant_id, durable=durable) as db:
            yield db
        signals, self.signals = self.signals, None
        if signals is not None:
            switch = Switch(provider="open_meteo", enabled=False, reason="too slow", changed_at=clock.now())
            async with super().begin() as db:
                await store.save_switch(db, switch)
            signals.publish(TOPIC, {"provider": "open_meteo", "enabled": False, "reason": "too slow"})


async def test_what_is_switched_while_a_process_starts_stays_switched(database: Database) -> None:
    await schema.create(database)
    signals = Signals()
    overtaken = Meanwhile(database.settings)
    overtaken.overtaken_by(signals)

    board = Switchboard(overtaken, signals)
    async with board.following():
        assert board.off == {"open_meteo": "too slow"}
    await overtaken.close()
