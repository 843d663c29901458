import asyncio
import contextlib
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.listing import Filter, ListQuery
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.transaction import OutOfRange
from ossature.kernel.quotas import store
from ossature.kernel.quotas.domain import MeterFull, UsageEvent, parse_windows, period_start
from ossature.kernel.quotas.meter import Meter
from ossature.kernel.quotas.settings import QuotaSettings

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def an_event(tenant_id: UUID, *, at: datetime = NOON, **about: Any) -> UsageEvent:
    return UsageEvent(id=clock.new_id(), tenant_id=tenant_id, at=at, what=about.pop("what", "hub.weather"), **about)


async def count(database: Database, tenant_id: UUID) -> int:
    async with database.begin() as db:
        sums = await store.sum_usage(
            db, tenant_id, since=NOON - timedelta(days=9000), until=NOON + timedelta(days=9000)
        )
    return sum(one.events for one in sums)


async def test_an_event_that_was_acknowledged_is_in_the_log(database: Database) -> None:
    meter, tenant = Meter(database, QuotaSettings(usage_flush_s=0.02)), uuid4()
    async with meter.writing():
        await asyncio.gather(*(meter.write(an_event(tenant)) for _ in range(50)))
        assert await count(database, tenant) == 50


async def test_noted_events_are_written_soon_and_all_of_them_at_an_orderly_end(database: Database) -> None:
    meter, tenant = Meter(database, QuotaSettings(usage_flush_s=0.05)), uuid4()
    async with meter.writing():
        meter.note(an_event(tenant))
        for _ in range(100):
            await asyncio.sleep(0.02)
            if await count(database, tenant):
                break
        assert await count(database, tenant) == 1
        for _ in range(1200):
            meter.note(an_event(tenant))
    assert await count(database, tenant) == 1201


async def test_an_event_that_no_database_keeps_costs_nobody_else_anything(database: Database) -> None:
    meter, tenant = Meter(database, QuotaSettings(usage_flush_s=0.02)), uuid4()
    async with meter.writing():
        meter.note(an_event(tenant))
        beyond = asyncio.create_task(meter.write(an_event(tenant, amount=Decimal(10**30))))
        await meter.write(an_event(tenant))
        with pytest.raises((OverflowError, OutOfRange)):
            await beyond
        await meter.write(an_event(tenant))
    assert await count(database, tenant) == 3


async def test_what_could_not_be_written_at_the_end_is_told_to_the_last_event() -> None:
    away = Database(DatabaseSettings(url="postgresql+asyncpg://nobody@127.0.0.1:1/none"))
    meter = Meter(away, QuotaSettings(usage_flush_s=0.01))
    with structlog.testing.capture_logs() as told:
        async with meter.writing():
            meter.note(an_event(uuid4()))
            await asyncio.sleep(0.1)  # it is being written, without success
    await away.close()
    assert [line["events"] for line in told if line["event"] == "quotas.usage_lost"] == [1]


async def test_more_than_may_wait_is_refused_and_not_dropped_silently(database: Database) -> None:
    meter, tenant = Meter(database, QuotaSettings(usage_waiting_most=100)), uuid4()
    for _ in range(100):
        meter.note(an_event(tenant))
    with pytest.raises(MeterFull):
        meter.note(an_event(tenant))
    async with meter.writing():
        pass
    assert await count(database, tenant) == 100


async def test_a_batch_that_is_repeated_after_a_lost_answer_is_written_once(database: Database) -> None:
    meter, tenant = Meter(database, QuotaSettings()), uuid4()
    events = [an_event(tenant) for _ in range(5)]
    await meter._commit(events[:3], is_repeat=False)
    await meter._commit(events, is_repeat=True)
    assert await count(database, tenant) == 5


_WRITER = """
import asyncio, sys
from uuid import UUID
from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.quotas.domain import UsageEvent
from ossature.kernel.quotas.meter import Meter
from ossature.kernel.quotas.settings import QuotaSettings
async def main():
    database = Database(DatabaseSettings(url=sys.argv[1]))
    meter = Meter(database, QuotaSettings(usage_flush_s=0.01))
    async def one():
        while True:
            await meter.write(UsageEvent(id=clock.new_id(), tenant_id=UUID(sys.argv[2]), at=clock.now(), what="x"))
            sys.stdout.write("+"); sys.stdout.flush()
    async with meter.writing():
        await asyncio.gather(*(one() for _ in range(20)))
asyncio.run(main())
"""


async def test_no_acknowledged_event_is_lost_by_kill_9(database_url: str) -> None:
    tenant = uuid4()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WRITER, database_url, str(tenant), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged = len(await process.stdout.readexactly(200))
    os.kill(process.pid, signal.SIGKILL)
    with contextlib.suppress(asyncio.IncompleteReadError):
        acknowledged += len(await process.stdout.read())
    await process.wait()
    database = Database(DatabaseSettings(url=database_url))
    written = await count(database, tenant)
    await database.close()
    assert acknowledged <= written <= acknowledged + 20


async def test_usage_is_summed_by_group_and_by_span(database: Database) -> None:
    tenant, project, other = uuid4(), uuid4(), uuid4()
    events = [
        an_event(tenant, unit="token", amount=Decimal(1500), cost=Decimal("0.0000003"), project_id=project),
        an_event(tenant, unit="token", amount=Decimal("0.000001"), at=NOON + timedelta(hours=13)),
        an_event(tenant, unit="request", what="hub.geo", project_id=project),
        an_event(other, unit="token", amount=Decimal(9)),
    ]
    async with database.begin() as db:
        await store.add_usage(db, events)
    async with database.begin() as db:
        span = {"since": NOON, "until": NOON + timedelta(days=2)}
        by_unit = {
            s.group: (s.events, s.amount, s.cost) for s in await store.sum_usage(db, tenant, **span, group_by=["unit"])
        }
        by_day = [
            (s.group, s.events) for s in await store.sum_usage(db, tenant, **span, bucket="day", group_by=["what"])
        ]
        of_project = await store.sum_usage(db, tenant, **span, where={"project": project})
        by_project = {s.group[0] for s in await store.sum_usage(db, tenant, **span, group_by=["project"])}
        nothing = await store.sum_usage(db, tenant, since=NOON + timedelta(days=3), until=NOON + timedelta(days=4))
    assert by_unit == {
        ("token",): (2, Decimal("1500.000001"), Decimal("0.0000003")),
        ("request",): (1, Decimal(1), Decimal(0)),
    }
    assert by_day == [
        (("2026-03-10", "hub.geo"), 1),
        (("2026-03-10", "hub.weather"), 1),
        (("2026-03-11", "hub.weather"), 1),
    ]
    assert [s.events for s in of_project] == [2]
    assert by_project == {"", str(project)}
    assert nothing == []


async def test_usage_is_listed_event_by_event_for_its_own_tenant_only(database: Database) -> None:
    tenant, other = uuid4(), uuid4()
    async with database.begin() as db:
        await store.add_usage(db, [an_event(tenant, facts={"model": "m"}), an_event(other)])
    async with database.begin() as db:
        found = await store.usage_events(db, tenant, ListQuery(filters=(Filter("unit", "eq", "request"),)))
    assert [(e.tenant_id, e.facts) for e in found.items] == [(tenant, {"model": "m"})]


def test_a_period_begins_when_the_tenants_own_day_does() -> None:
    assert period_start(NOON, "hour", "Europe/Zurich") == NOON
    assert period_start(NOON, "day", "Europe/Zurich") == datetime(2026, 3, 9, 23, tzinfo=UTC)
    assert period_start(NOON, "week", "UTC") == datetime(2026, 3, 9, tzinfo=UTC)
    assert period_start(NOON, "month", "America/New_York") == datetime(2026, 3, 1, 5, tzinfo=UTC)
    after_the_switch = datetime(2026, 3, 29, 12, tzinfo=UTC)
    assert period_start(after_the_switch, "day", "Europe/Zurich") == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert period_start(after_the_switch, "month", "Europe/Zurich") == datetime(2026, 2, 28, 23, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "5", "5/", "/60", "0/60", "5/0", "a/b", "-1/60", "5/99999999999"])
def test_windows_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="window"):
        parse_windows(text)
