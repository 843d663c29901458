"""Budgets: what is used counts for its tenant, project or key, and who comes near to one is told once in a period."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from ossature.kernel import clock
from ossature.kernel.outbound.settings import OutboundSettings
from ossature.kernel.quotas import store, usecases
from ossature.kernel.quotas.domain import UsageEvent
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.testing.clocks import FakeClock
from ossature.kernel.testing.houses import Home, open_house

NOBODY = "127.0.0.1:9"
DAILY = {"subject": "tenant", "unit": "request", "limit": "10", "period": "day"}


@dataclass
class Till:
    """A house, the key of a tenant's administrator, and what was used there."""

    home: Home
    http: httpx.AsyncClient

    async def budget(self, **about: Any) -> str:
        made = await self.http.post("/v1/quotas/budgets", json=DAILY | about)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def use(self, amount: int, **about: Any) -> None:
        event = UsageEvent(
            clock.new_id(), self.home.tenant.id, clock.now(), "shop.order", amount=Decimal(amount), **about
        )
        async with self.home.house.occasion(self.home.tenant) as ctx:
            await store.add_usage(ctx.db, [event])

    async def tell(self) -> int:
        async with self.home.house.occasion() as ctx:
            return await usecases.tell_of_budgets(ctx)

    async def told(self) -> list[str]:
        """The facts that went out, oldest first."""
        worker = self.home.house.worker()
        while await worker.run_due():
            pass
        (hook,) = (await self.http.get("/v1/webhooks")).json()["items"]
        sent = (await self.http.get(f"/v1/webhooks/{hook['id']}/deliveries")).json()["items"]
        return [one["event"] for one in reversed(sent)]


@pytest.fixture
async def till(tmp_path: Path, database_url: str) -> AsyncIterator[Till]:
    settings = [OutboundSettings(private_hosts=[NOBODY])]
    async with (
        open_house(var_dir=tmp_path, database_url=database_url, settings=settings) as home,
        home.client() as http,
    ):
        yield Till(home, http)


async def test_a_budget_is_made_changed_and_removed_and_the_trail_knows(till: Till) -> None:
    budget_id = await till.budget(warn_at=0.5)
    one = f"/v1/quotas/budgets/{budget_id}"

    changed = await till.http.patch(one, json={"limit": "20", "hard": False})
    assert (changed.json()["limit"], changed.json()["warn_at"], changed.json()["hard"]) == ("20", 0.5, False)
    assert [budget["id"] for budget in (await till.http.get("/v1/quotas/budgets")).json()["items"]] == [budget_id]
    assert (await till.http.delete(one)).status_code == 204
    assert [(await call(one)).status_code for call in (till.http.get, till.http.delete)] == [404, 404]
    assert (await till.http.patch(one, json={"limit": "30"})).status_code == 404

    trail = (await till.http.get("/v1/audit", params={"what": f"budget:{budget_id}"})).json()["items"]
    assert [entry["action"] for entry in trail] == ["budget.deleted", "budget.changed", "budget.created"]


async def test_a_budget_that_makes_no_sense_is_refused(till: Till) -> None:
    await till.budget()
    somebody = str(uuid4())

    for wrong, status in (
        (DAILY, 409),
        (DAILY | {"subject": "project"}, 422),
        (DAILY | {"subject_id": somebody}, 422),
        (DAILY | {"subject": "project", "subject_id": somebody}, 404),
    ):
        assert (await till.http.post("/v1/quotas/budgets", json=wrong)).status_code == status


async def test_what_is_used_counts_for_its_tenant_its_key_and_in_money(till: Till) -> None:
    key_id = UUID((await till.http.get("/v1/auth/me")).json()["id"])
    whole, own = await till.budget(), await till.budget(subject="key", subject_id=str(key_id))
    money = await till.budget(unit="money", limit="5")
    await till.use(3, key_id=key_id, cost=Decimal("1.25"))
    await till.use(9, cost=Decimal("0.5"))

    limits = (await till.http.get("/v1/quotas/limits")).json()["budgets"]

    left = {one["budget"]["id"]: (Decimal(one["used"]), Decimal(one["left"])) for one in limits}
    assert left == {whole: (12, 0), own: (3, 7), money: (Decimal("1.75"), Decimal("3.25"))}
    assert (await till.http.get(f"/v1/quotas/budgets/{own}")).json()["left"] == "7"


async def test_who_comes_near_to_a_budget_is_told_once_in_a_period(till: Till) -> None:
    hook = {"url": f"http://{NOBODY}/hook", "events": ["quota.low", "quota.exhausted", "budget.exceeded"]}
    assert (await till.http.post("/v1/webhooks", json=hook)).status_code == 201
    await till.budget()
    await till.budget(unit="money", limit="1")

    told = []
    for amount, cost in ((7, 0), (1, 0), (1, 0), (1, 1), (1, 0)):
        await till.use(amount, cost=Decimal(cost))
        told.append(await till.tell())

    assert told == [0, 1, 0, 2, 0]
    assert sorted(await till.told()) == ["budget.exceeded", "quota.exhausted", "quota.low"]


async def test_another_period_and_another_limit_are_told_anew(till: Till) -> None:
    budget_id = await till.budget()
    await till.use(10)
    assert await till.tell() == 1

    assert (await till.http.patch(f"/v1/quotas/budgets/{budget_id}", json={"limit": "12"})).status_code == 200
    assert [await till.tell(), await till.tell()] == [1, 0]
    with clock.using(FakeClock(clock.now() + timedelta(days=1))):
        assert await till.tell() == 0
        await till.use(9)
        assert await till.tell() == 0
        await till.use(1)
        assert await till.tell() == 1


async def test_usage_is_summed_by_what_the_reader_asks_for(till: Till) -> None:
    key_id = uuid4()
    await till.use(2, key_id=key_id)
    await till.use(5)

    by_key = {"by": ["key", "what"], "bucket": "day"}
    items = (await till.http.get("/v1/quotas/usage", params=by_key)).json()["items"]
    own = (await till.http.get("/v1/quotas/usage", params={"key_id": str(key_id)})).json()["items"]
    events = (await till.http.get("/v1/quotas/usage/events")).json()["items"]
    now = clock.now().isoformat()
    backwards = await till.http.get("/v1/quotas/usage", params={"since": now, "until": now})

    assert {one["group"]["key"]: Decimal(one["amount"]) for one in items} == {str(key_id): 2, "": 5}
    assert [(one["group"], Decimal(one["amount"])) for one in own] == [({"unit": "request"}, 2)]
    assert [Decimal(event["amount"]) for event in events] == [5, 2]
    assert backwards.status_code == 422


async def test_a_plan_of_unknown_rates_or_with_a_cap_twice_is_refused(till: Till) -> None:
    cap = {"subject": "tenant", "unit": "trip", "limit": "1", "period": "day"}

    for plan in ({"rates": {"nonsense": "1/60"}}, {"caps": [cap, cap | {"limit": "2"}]}):
        answer = await till.http.put("/v1/quotas/plans/odd", json=plan)
        assert answer.status_code == 422, answer.text
    assert (await till.http.delete("/v1/quotas/plans/odd")).status_code == 404


def test_a_window_that_makes_no_sense_is_refused_at_boot() -> None:
    settings = QuotaSettings(rates={"default": "5/60", "login": "often"})

    found = list(settings.findings(None))  # type: ignore[arg-type] # it looks at itself only

    assert [finding.setting for finding in found] == ["OSSATURE_QUOTAS_RATE_LOGIN"]
