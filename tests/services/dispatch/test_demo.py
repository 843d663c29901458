"""The demo: a day that is planned, without a network."""

import httpx

from ossature.kernel.jobs.worker import Worker
from ossature.kernel.testing.houses import Home
from tests.services.dispatch.days import found


async def test_the_demo_shows_a_planned_day(home: Home, http: httpx.AsyncClient, worker: Worker) -> None:
    async with home.house.database.begin() as db:
        job = home.house.jobs.registry["dispatch.demo"]
        await home.house.jobs.enqueue(db, job, tenant_id=home.tenant.id)

    for _ in range(3):
        await worker.run_due()

    (plan,) = found(await http.get("/v1/dispatch/plans"))["items"]
    board = found(await http.get("/v1/dispatch/board", params={"day": plan["day"]}))
    assert plan["metrics"]["trips"] == len(board["trips"]) == 48
    assert plan["metrics"]["unserved"] <= 4
    assert len(board["duties"]) == 5
