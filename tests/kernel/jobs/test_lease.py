import asyncio
import subprocess
import sys
from dataclasses import asdict

import psutil
import pytest
from sqlalchemy import select, update

from ossature.kernel.db.engine import Database
from ossature.kernel.db.lease import Holder, LeaseLost, LeaseRow, LeaseTaken, holding, take, this_process


async def test_one_holds_a_lease_and_the_next_one_gets_a_higher_fence(database: Database) -> None:
    first = await take(database, "plan")
    assert first is not None
    assert await take(database, "plan") is None
    await first.release()
    second = await take(database, "plan")
    assert second is not None
    assert second.fence > first.fence


async def test_of_many_that_ask_at_once_one_gets_it(database: Database) -> None:
    got = await asyncio.gather(*(take(database, "rush") for _ in range(8)))
    assert sum(one is not None for one in got) == 1


async def test_a_lease_that_is_not_renewed_expires_and_its_old_holder_can_write_nothing(database: Database) -> None:
    old = await take(database, "plan", lasts_s=0.1)
    assert old is not None
    await asyncio.sleep(0.15)
    new = await take(database, "plan")
    assert new is not None
    with pytest.raises(LeaseLost):
        await old.renew()
    async with database.begin() as db:
        with pytest.raises(LeaseLost):
            await old.guard(db)
    await old.release()
    assert await take(database, "plan") is None


async def test_a_holder_that_has_certainly_ended_is_not_waited_for(database: Database) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)  # noqa: ASYNC220 - returns at once
    me = this_process()
    started_at_s = psutil.Process(child.pid).create_time()
    held = await take(database, "plan", lasts_s=60)
    assert held is not None
    gone = Holder(me.host, me.boot_id, me.namespace, child.pid, started_at_s)
    async with database.begin() as db:
        await db.execute(update(LeaseRow).values(holder=asdict(gone)))
    assert await take(database, "plan") is None
    child.kill()
    child.wait()
    assert await take(database, "plan") is not None


def test_a_process_elsewhere_is_never_taken_for_dead() -> None:
    me = this_process()
    assert not Holder("elsewhere", me.boot_id, me.namespace, 999_999, 0.0).is_gone
    assert Holder(me.host, me.boot_id, me.namespace, me.pid, me.started_at_s - 100).is_gone
    assert not me.is_gone


async def test_a_block_holds_its_lease_for_longer_than_it_lasts(database: Database) -> None:
    async def expires_at_s() -> float:
        async with database.begin() as db:
            return float(await db.scalar(select(LeaseRow.expires_at_s)))

    async with holding(database, "plan", lasts_s=3.0):
        first = await expires_at_s()
        async with asyncio.timeout(60):
            while await expires_at_s() <= first:  # noqa: ASYNC110 - the row is what is watched
                await asyncio.sleep(0.05)
        with pytest.raises(LeaseTaken):
            async with holding(database, "plan"):
                pass
    async with holding(database, "plan"):
        pass


async def test_a_block_whose_lease_is_lost_is_stopped(database: Database) -> None:
    async def hold() -> None:
        async with holding(database, "plan", lasts_s=0.3):
            async with database.begin() as db:
                await db.execute(update(LeaseRow).values(fence=LeaseRow.fence + 1))
            await asyncio.sleep(60)

    with pytest.raises(LeaseLost):
        await hold()
    assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]


async def test_a_block_whose_lease_can_no_longer_be_renewed_is_stopped(database: Database) -> None:
    async def hold() -> None:
        async with holding(database, "plan", lasts_s=0.6):
            async with database.begin() as db:
                await db.write_text("DROP TABLE db_lease")  # no fault of the kind that a heartbeat expects
            await asyncio.sleep(60)

    with pytest.raises(LeaseLost):
        await hold()
