"""Plans: what a tenant may use follows its plan at once, in every process, and what was counted stays counted."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from ossature.kernel import clock
from ossature.kernel.context import Actor, Ctx, Tenant
from ossature.kernel.outbound.kinds import ConsumerQuotaExhausted
from ossature.kernel.outbound.ledger.commit import GroupedLedger
from ossature.kernel.outbound.ledger.values import Ledger, WindowSpec
from ossature.kernel.quotas.allowance import UNCAPPED, windows_of
from ossature.kernel.quotas.consumers import BudgetConsumers
from ossature.kernel.quotas.domain import Budget
from ossature.kernel.quotas.plan import Cap, Plan, parse_plan
from ossature.kernel.quotas.plans.book import Plans
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.quotas.units import Units
from ossature.kernel.testing.clocks import FakeClock
from ossature.kernel.testing.houses import Home, open_house

ID = UUID(int=9)
SMALL = {"caps": [{"subject": "tenant", "unit": "trip", "limit": "60", "period": "day"}]}
LARGE = {"caps": [{"subject": "tenant", "unit": "trip", "limit": "150", "period": "day"}]}


def a_plan(text: str, name: str = "small") -> Plan:
    return parse_plan(name, text)


def limits(*plans: Plan, plan: str, budgets: tuple[Budget, ...] = ()) -> dict[str, int]:
    found = windows_of(
        {one.name: one for one in plans}, plan, budgets, holders={"tenant": ID, "project": None, "key": ID}, zone="UTC"
    )
    return {one.name: one.limit for one in found}


def test_a_plan_is_written_in_one_line() -> None:
    plan = a_plan("rate.default=600/60,9000/3600 request=1000/day key.money=5.5/month distinct.match=3/day")

    assert plan.rates["default"].windows == ((600, 60), (9000, 3600))
    assert plan.caps == (
        Cap("tenant", "request", Decimal(1000), "day"),
        Cap("key", "money", Decimal("5.5"), "month"),
        Cap("tenant", "match", Decimal(3), "day", distinct=True),
    )


@pytest.mark.parametrize(
    "text",
    [
        "request=1000",
        "request=x/day",
        "request=-1/day",
        "request=1/year",
        "rate.default=600",
        "king.request=1/day",
        "key.project.request=1/day",
        "distinct.match=3/month",
        "request=1/day request=2/day",
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_at_boot(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        a_plan(text)
    assert [finding.setting for finding in QuotaSettings(plans={"x": text}).findings(None)] == [  # type: ignore[arg-type] # it looks at itself only
        "OSSATURE_QUOTAS_PLAN_X"
    ]


def test_what_another_plan_caps_is_counted_for_everybody_so_that_a_change_finds_the_counts() -> None:
    small, large = a_plan("trip=60/day"), a_plan("trip=150/day solver_s=10/month", "large")

    on_small, on_large = limits(small, large, plan="small"), limits(small, large, plan="large")

    assert set(on_small) == set(on_large)
    assert sorted(on_small.values()) == [60, UNCAPPED]
    assert sorted(on_large.values()) == [10, 150]


def test_the_tightest_of_plan_and_budget_holds_and_is_counted_once() -> None:
    now = clock.now()
    budget = Budget(
        ID, ID, "key", ID, "request", Decimal(5), "day", 0.8, hard=True, created_at=now, updated_at=now, told_at=None,
        told=None,
    )  # fmt: skip

    assert list(limits(a_plan("key.request=10/day"), plan="small", budgets=(budget,)).values()) == [5]
    assert list(limits(a_plan("key.request=3/day"), plan="small", budgets=(budget,)).values()) == [3]


@dataclass
class Office:
    """A house, the platform's administrator, and a tenant that is on a plan."""

    home: Home
    admin: httpx.AsyncClient
    tenant_id: UUID
    secret: str

    async def put_on(self, plan: str) -> None:
        answer = await self.admin.patch(f"/v1/tenants/{self.tenant_id}", json={"plan": plan})
        assert answer.is_success, answer.text

    @asynccontextmanager
    async def acting(self, **about: Any) -> AsyncIterator[Ctx]:
        tenant = Tenant(id=self.tenant_id, slug="acme", name="Acme")
        actor = Actor(kind="key", name="k", **{"id": ID, "key_id": ID, **about})
        async with self.home.house.occasion(tenant, actor) as ctx:
            yield ctx

    async def take(self, times: int, unit: str = "trip") -> int:
        """How many of these were given."""
        given = 0
        async with self.acting() as ctx:
            for _ in range(times):
                try:
                    await self.home.house.port(Units).take(ctx, unit, what="shop.order")
                except ConsumerQuotaExhausted:
                    continue
                given += 1
        return given


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> AsyncIterator[Office]:
    settings = QuotaSettings(plans={"fixed": "trip=2/day"})
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(
            open_house(var_dir=tmp_path, database_url=database_url, settings=[settings])
        )
        admin = await stack.enter_async_context(home.client())
        for name, plan in (("small", SMALL), ("large", LARGE)):
            assert (await admin.put(f"/v1/quotas/plans/{name}", json=plan)).is_success
        made = (await admin.post("/v1/tenants", json={"slug": "acme", "name": "Acme", "plan": "small"})).json()
        yield Office(home, admin, UUID(made["id"]), made["owner"]["key"])


async def test_plans_are_listed_assigned_and_show_what_is_left(office: Office) -> None:
    listed = {one["name"]: one["declared"] for one in (await office.admin.get("/v1/quotas/plans")).json()["items"]}
    assert listed == {"free": "house", "fixed": "settings", "small": "database", "large": "database"}
    assert await office.take(7) == 7

    async with office.home.client(secret=office.secret) as owner:
        found = (await owner.get("/v1/quotas/limits")).json()
        refused = await owner.put("/v1/quotas/plans/mine", json={})

    assert found["plan"] == "small"
    assert [(one["used"], one["left"]) for one in found["caps"]] == [(7, 53)]
    assert refused.status_code == 403


async def test_a_plan_that_is_declared_or_in_use_is_not_taken_away(office: Office) -> None:
    async def refusal(method: str, plan: str) -> str:
        answer = await office.admin.request(method, f"/v1/quotas/plans/{plan}", json={} if method == "PUT" else None)
        return str(answer.json().get("type", "")).rpartition("/")[2] if answer.content else ""

    assert await refusal("PUT", "fixed") == await refusal("DELETE", "fixed") != ""
    assert (await office.admin.delete("/v1/quotas/plans/small")).status_code == 409
    await office.put_on("large")
    assert (await office.admin.delete("/v1/quotas/plans/small")).status_code == 204
    assert (await office.admin.patch(f"/v1/tenants/{office.tenant_id}", json={"plan": "small"})).status_code == 422
    assert (await office.admin.get("/v1/quotas/plans/small")).status_code == 404


async def test_another_plan_holds_within_a_second_and_finds_what_was_counted(office: Office) -> None:
    assert await office.take(70) == 60
    await office.put_on("large")
    await asyncio.sleep(1.1)
    assert await office.take(100) == 90
    await office.put_on("small")
    await asyncio.sleep(1.1)
    assert await office.take(1) == 0


async def test_a_thing_counts_once_a_day_however_often_it_is_used(office: Office) -> None:
    plan = {"caps": [{"subject": "tenant", "unit": "match", "limit": "3", "period": "day", "distinct": True}]}
    assert (await office.admin.put("/v1/quotas/plans/views", json=plan)).is_success
    await office.put_on("views")
    await asyncio.sleep(1.1)
    units = office.home.house.port(Units)

    async with office.acting() as ctx:
        seen = [await units.take_once(ctx, "match", name, what="predict.view") for name in "abacab"]
        with pytest.raises(ConsumerQuotaExhausted):
            await units.take_once(ctx, "match", "d", what="predict.view")
        again = await units.take_once(ctx, "match", "c", what="predict.view")
    async with office.acting(id=uuid4(), key_id=uuid4()) as other:
        of_another_key = await units.take_once(other, "match", "a", what="predict.view")

    assert seen == [True, True, False, True, False, False]
    assert (again, of_another_key) == (False, False)


async def test_work_is_charged_what_it_used_and_nothing_when_it_failed(office: Office) -> None:
    units, ledger = office.home.house.port(Units), office.home.house.ledger
    async with office.acting() as ctx:
        async with units.hold(ctx, {"trip": 50}, what="shop.plan") as used:
            used["trip"] = 7
        with pytest.raises(RuntimeError):
            async with units.hold(ctx, {"trip": 50}, what="shop.plan"):
                raise RuntimeError
        spec = next(one for one in await office.home.house.port(BudgetConsumers).windows(ctx) if one.unit == "trip")
    (state,) = await ledger.states([spec])
    assert (state.used, state.reserved) == (7, 0)


async def test_work_that_is_done_stays_done_when_the_ledger_cannot_be_told(office: Office) -> None:
    units, ledger = office.home.house.port(Units), office.home.house.ledger
    async with office.acting() as ctx, units.hold(ctx, {"trip": 5}, what="shop.plan"):
        await _end(ledger)


async def test_work_that_failed_says_why_when_the_ledger_cannot_be_told(office: Office) -> None:
    units, ledger = office.home.house.port(Units), office.home.house.ledger

    async def fail(ctx: Ctx) -> None:
        async with units.hold(ctx, {"trip": 5}, what="shop.plan"):
            await _end(ledger)
            raise KeyError("its own")

    async with office.acting() as ctx:
        with pytest.raises(KeyError, match="its own"):
            await fail(ctx)


async def _end(ledger: Ledger) -> None:
    """From here on it takes nothing in."""
    assert isinstance(ledger, GroupedLedger)
    await ledger._group.close()


@pytest.mark.parametrize("limit", ["nan", "inf", "-1", "sNaN"])
def test_a_cap_is_a_number(limit: str) -> None:
    with pytest.raises(ValueError, match="is no cap"):
        parse_plan("free", f"request={limit}/day")


async def test_a_clock_that_is_set_back_does_not_make_old_plans_hold(office: Office) -> None:
    plans = office.home.house.port(Plans)
    with clock.using(FakeClock(clock.now())) as stands:
        assert isinstance(stands, FakeClock)
        await plans.current()
        assert (await office.admin.put("/v1/quotas/plans/new", json={"rates": {}})).is_success
        plans._known = {}
        stands.advance(-3600)
        assert "new" in await plans.current()


async def test_the_rate_limits_of_a_plan_hold_at_the_edge_at_once(office: Office) -> None:
    async def allowed(times: int) -> int:
        async with office.home.client(secret=office.secret) as owner:
            return [(await owner.get("/v1/quotas/usage")).status_code for _ in range(times)].count(200)

    assert await allowed(5) == 5
    tight = {"rates": {"default": [{"count": 8, "seconds": 3600}]}}
    assert (await office.admin.put("/v1/quotas/plans/tight", json=tight)).is_success
    await office.put_on("tight")
    await asyncio.sleep(1.0)
    assert await allowed(8) == 3  # five were counted before
    assert (await office.admin.put("/v1/quotas/plans/tight", json={"rates": {}})).is_success
    await asyncio.sleep(1.0)
    assert await allowed(5) == 5


_WORKER = """
import asyncio, os, sys
from pathlib import Path
from uuid import UUID
from pydantic import SecretStr
from ossature.kernel.config import Config, MainSettings
from ossature.kernel import clock
from ossature.kernel.context import Actor, Tenant
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.errors import Problem
from ossature.kernel.house import House
from ossature.kernel.outbound.kinds import ConsumerQuotaExhausted
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.quotas.units import Units

url, tenant_id, var, reached = sys.argv[1:]

async def main():
    main = MainSettings(profile="testing", var_dir=Path(var), secret_key=SecretStr("x" * 40), workers=1)
    file = os.open(reached, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with House.open((), Config([main, DatabaseSettings(url=url), QuotaSettings(plans={"fixed": "trip=2/day"})])) as house:
        units, tenant = house.port(Units), Tenant(id=UUID(tenant_id), slug="acme", name="Acme")
        async def loop():
            while True:
                async with house.occasion(tenant, Actor(kind="system", id=None, name="w")) as ctx:
                    try:
                        async with units.hold(ctx, {"trip": 1}, what="shop.order"):
                            os.write(file, b".")
                    except ConsumerQuotaExhausted:
                        await asyncio.sleep(0.02)
                    except Problem:
                        await asyncio.sleep(0.05)
        print("ready", flush=True)
        await asyncio.gather(*(loop() for _ in range(4)))

asyncio.run(main())
"""


async def test_two_processes_under_load_never_overshoot_while_the_plan_changes_and_one_is_killed(
    office: Office, database_url: str, tmp_path: Path
) -> None:
    reached = tmp_path / "reached"
    command = (sys.executable, "-c", _WORKER, database_url, str(office.tenant_id), str(tmp_path / "w"), str(reached))
    workers = [await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(2)]

    def given() -> int:
        return reached.stat().st_size if reached.exists() else 0

    async def settles_at(most: int) -> None:
        for _ in range(600):
            assert given() <= most
            if given() >= most - 4:  # a killed process is charged for what it had reserved
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.5)
        assert most - 4 <= given() <= most

    try:
        for worker in workers:
            assert worker.stdout is not None
            await asyncio.wait_for(worker.stdout.readline(), 60)
        await settles_at(60)
        os.kill(workers[0].pid, signal.SIGKILL)
        await office.put_on("large")
        await settles_at(150)
        await office.put_on("small")
        await asyncio.sleep(1.5)
        assert given() <= 150
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
    spec = WindowSpec(subject=f"consumer:tenant:{office.tenant_id}", unit="trip", kind="fixed", limit=150, period="day")
    (state,) = await office.home.house.ledger.states([spec])
    assert given() <= state.used + state.reserved <= 150
