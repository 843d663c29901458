"""A day with many bookings is read, planned and told in as many statements as one with a few."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any
from uuid import UUID

import httpx

from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.testing.houses import Home
from ossature.services.dispatch.domain.places import Point
from ossature.services.dispatch.domain.reach import Reach
from ossature.services.dispatch.domain.windows import TimeRule
from ossature.services.dispatch.store import bookings as store
from ossature.services.dispatch.usecases.board import read_board
from ossature.services.dispatch.usecases.bookings import BookingWish, TripWish, book_all
from ossature.services.dispatch.usecases.clients import ClientWish, add_clients
from ossature.services.dispatch.usecases.demo import fill_demo
from ossature.services.dispatch.usecases.placing import Address
from ossature.services.dispatch.usecases.planning import publish_plan, snapshot
from tests.services.dispatch.days import DAY, SIX, a_shift, found

A_DAY = date.fromisoformat(DAY)
FEW, MANY = 3, 40


async def _book(ctx: Ctx, first: int, last: int) -> None:
    """Bookings of clients of their own, each from a home of their own."""
    numbers = range(first, last)
    clients = await add_clients(ctx, [ClientWish(reference=f"C{n}", last_name="Example") for n in numbers])
    clinic = Address(label="Clinic", point=Point(46.22, 6.16))
    wishes = []
    for number, client in zip(numbers, clients, strict=True):
        home = Address(label=f"Home {number}", point=Point(46.2 + number / 10_000, 6.14))
        at = SIX.replace(hour=8 + number % 6, minute=number % 60)
        trip = TripWish(origin=home, destination=clinic, time_rule=TimeRule.ARRIVE_BY, at=at)
        wishes.append(BookingWish(client_id=client.id, trips=[trip]))
    await book_all(ctx, wishes)


async def _counted(home: Home, work: Callable[[Ctx], Awaitable[Any]]) -> int:
    """How many statements something takes."""
    async with home.house.occasion(tenant=home.tenant) as ctx:
        await work(ctx)
        return ctx.db.statistics.count


async def _planned(http: httpx.AsyncClient, worker: Worker) -> UUID:
    run = found(await http.post("/v1/dispatch/plans", json={"day": DAY, "time_limit_s": 0.2}))
    await worker.run_due()  # which fails for a job that sends alike statements over and over
    ended = found(await http.get(f"/v1/dispatch/runs/{run['id']}"))
    assert ended["state"] == "succeeded", ended["reason"]
    return UUID(ended["plan_id"])


async def test_what_a_day_takes_does_not_grow_with_its_bookings(
    home: Home, http: httpx.AsyncClient, worker: Worker
) -> None:
    await a_shift(http)
    everything, query = Reach(everything=True), ListQuery(limit=200)
    counts = []
    for first, last in ((0, FEW), (FEW, MANY)):
        booking = await _counted(home, lambda ctx, first=first, last=last: _book(ctx, first, last))
        plan_id = await _planned(http, worker)
        seen = {
            "book": booking,
            "snapshot": await _counted(home, lambda ctx: snapshot(ctx, A_DAY)),
            "board": await _counted(home, lambda ctx: read_board(ctx, A_DAY)),
            "list": await _counted(home, lambda ctx: store.list_bookings(ctx.db, ctx.tenant.id, query, everything)),
        }
        counts.append(seen)

    assert counts[0] == counts[1]
    assert await _counted(home, lambda ctx: publish_plan(ctx, plan_id)) < FEW * 10


async def test_the_demo_sends_no_statement_over_and_over(home: Home) -> None:
    async with home.house.occasion(tenant=home.tenant) as ctx:
        await fill_demo(ctx)
        ctx.db.statistics.check_repeats(limit=20, mode="raise")
