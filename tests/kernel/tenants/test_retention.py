"""How long rows are kept: as long as their tenant wants, else as long as the house keeps such rows."""

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import insert, select

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.events import store as events
from ossature.kernel.notify import store as notify
from ossature.kernel.tenants.store import TenantRow
from ossature.kernel.webhooks import store as webhooks

HOUSE, SHORT, LONG = UUID(int=21), UUID(int=22), UUID(int=23)
AGES = (5, 20, 60, 300)


async def furnish(database: Database) -> None:
    """Three tenants, of which two chose a retention; each with messages, facts and deliveries of four ages in days."""
    now = clock.now()
    async with database.begin() as db:
        for tenant_id, days in ((HOUSE, None), (SHORT, 10), (LONG, 100)):
            values = {"id": tenant_id, "slug": f"t{tenant_id.int}", "name": "x", "retention_days": days}
            await db.execute(insert(TenantRow).values(values))
            for age in AGES:
                about = {"tenant_id": tenant_id, "created_at": now - timedelta(days=age)}
                message = {"person_id": uuid4(), "notice": "n", "title": str(age), "body": "", "link": ""}
                await db.execute(insert(notify.InboxRow).values(message | about))
                fact = {"wire": str(age), "version": 1, "payload": {}, "request_id": "", "trace": ""}
                await db.execute(insert(events.OutboxRow).values(fact | about))
                sent = {
                    "endpoint_id": uuid4(),
                    "event": str(age),
                    "body": "{}",
                    "state": "delivered",
                    "attempts": 1,
                    "replayed_after": 0,
                }
                await db.execute(insert(webhooks.DeliveryRow).values(sent | about))


async def test_a_tenants_own_retention_holds_for_every_purge_and_the_houses_for_the_others(database: Database) -> None:
    await furnish(database)
    now = clock.now()
    async with database.begin() as db:
        await notify.purge(db, now, inbox_keep_days=30, mail_keep_days=30)
        await events.purge(db, now, keep_days=30)
        await webhooks.purge(db, now, keep_days=30, limit=100)
        for table, age in (
            (notify.InboxRow, notify.InboxRow.title),
            (events.OutboxRow, events.OutboxRow.wire),
            (webhooks.DeliveryRow, webhooks.DeliveryRow.event),
        ):
            left = {(row.tenant_id, int(row[1])) for row in await db.all(select(table.tenant_id, age))}
            assert left == {(HOUSE, 5), (HOUSE, 20), (SHORT, 5), (LONG, 5), (LONG, 20), (LONG, 60)}
