"""Facts: published with the commit, delivered to everybody, in order, at least once, and again on request."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from ossature.kernel import clock
from ossature.kernel.context import SYSTEM_TENANT_ID, Ctx
from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import Misconfigured
from ossature.kernel.events import store
from ossature.kernel.events.catalogue import Catalogue, FactUnreadable
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.events.service import PURGE
from ossature.kernel.events.store import StoredFact
from ossature.kernel.jobs.claims import Claim
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.service import Backoff, Fact, Job, Service
from ossature.kernel.testing.context import SmallHouse


@dataclass(frozen=True, slots=True)
class TripMoved:
    trip: str
    step: int
    at: datetime = datetime(2026, 3, 1, 8, tzinfo=UTC)
    price: Decimal = Decimal("12.30")
    tags: tuple[str, ...] = ()
    rider: UUID = SYSTEM_TENANT_ID


@dataclass(frozen=True, slots=True)
class TripEnded:
    trip: str


FACTS = (
    Fact(type=TripMoved, wire="trip.moved", key="trip"),
    Fact(type=TripEnded, wire="trip.ended", key="trip"),
)


@dataclass
class Town:
    """A house with one publisher and its listeners, and what they heard."""

    database: Database
    heard: list[Any] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        note = Job(name="town.note", run=self.note, backoff=Backoff(first_s=0.001, most_s=0.001))
        count = Job(name="town.count", run=self.count)
        service = Service(
            name="town",
            facts=FACTS,
            listens={TripMoved: (note, count), TripEnded: (note,)},
        )
        self.catalogue = Catalogue.of([service])
        jobs = (*self.catalogue.deliveries, PURGE)
        self.jobs = Jobs(self.database, {job.name: job for job in jobs})
        self.outbox = Outbox(self.jobs, self.catalogue)
        self.house = SmallHouse(jobs=self.jobs, outbox=self.outbox, ports={Outbox: self.outbox})
        self.counted = 0

    async def note(self, ctx: Ctx, fact: object) -> None:
        del ctx
        if self.failures:
            raise self.failures.pop()
        self.heard.append(fact)

    async def count(self, ctx: Ctx, fact: TripMoved) -> None:
        del ctx, fact
        self.counted += 1

    async def publish(self, *facts: object) -> None:
        async with self.database.begin() as db:
            for fact in facts:
                await self.house.ctx(db, request_id="req-1").publish(fact)

    async def make_ctx(self, claim: Claim, db: Db) -> Ctx:
        return self.house.ctx(db, request_id=claim.request_id or "")

    async def work(self) -> None:
        worker = Worker(self.jobs, self.make_ctx)
        while await worker.run_due():
            pass

    async def facts(self) -> Sequence[StoredFact]:
        async with self.database.begin() as db:
            return await store.facts_after(db, None, 0, wires=["trip.moved", "trip.ended"], limit=100)


@pytest.fixture
def town(database: Database) -> Town:
    return Town(database)


async def test_a_fact_reaches_every_listener_as_the_value_it_was(town: Town) -> None:
    fact = TripMoved("a", 1, tags=("x", "y"))
    await town.publish(fact)
    await town.work()
    assert town.heard == [fact]
    assert town.counted == 1


async def test_a_fact_of_a_transaction_that_is_undone_never_was(town: Town) -> None:
    db = town.database.system()
    await town.house.ctx(db).publish(TripMoved("a", 1))
    await db.rollback()
    await db.close()
    await town.work()
    assert town.heard == []
    assert await town.facts() == []


async def test_many_facts_at_once_take_as_many_statements_as_one_and_keep_their_order(town: Town) -> None:
    facts = [TripMoved("a", step) for step in range(30)]
    counts = []
    for some in (facts[:1], facts[1:]):
        async with town.database.begin() as db:
            town.outbox.catalogue = Catalogue.of([Service(name="town", facts=FACTS)])  # nobody listens
            await town.outbox.publish_all(town.house.ctx(db), some)
            counts.append(db.statistics.count)

    assert counts == [1, 1]
    assert [fact.payload["step"] for fact in await town.facts()] == list(range(30))


async def test_many_facts_at_once_reach_every_listener(town: Town) -> None:
    async with town.database.begin() as db:
        await town.outbox.publish_all(town.house.ctx(db), [TripMoved("a", 1), TripEnded("b"), TripMoved("a", 2)])
        await town.outbox.publish_all(town.house.ctx(db), [])
    await town.work()

    assert [getattr(fact, "step", "end") for fact in town.heard if fact.trip == "a"] == [1, 2]
    assert TripEnded("b") in town.heard
    assert town.counted == 2


async def test_facts_of_one_key_are_heard_in_order(town: Town) -> None:
    for step in range(10):
        await town.publish(TripMoved("a", step), TripMoved("b", step))
    await town.work()
    for trip in "ab":
        assert [fact.step for fact in town.heard if fact.trip == trip] == list(range(10))


async def test_a_listener_that_fails_once_still_hears_the_fact_and_the_order_holds(town: Town) -> None:
    town.failures.append(RuntimeError("not now"))
    await town.publish(TripMoved("a", 1), TripMoved("a", 2), TripEnded("a"))
    for _ in range(50):
        await town.work()
        if len(town.heard) == 3:
            break
        await clock.sleep(0.02)
    assert [getattr(fact, "step", "end") for fact in town.heard] == [1, 2, "end"]


async def test_a_fact_keeps_request_tenant_and_version(town: Town) -> None:
    await town.publish(TripMoved("a", 1))
    (stored,) = await town.facts()
    assert (stored.tenant_id, stored.request_id, stored.wire, stored.version, stored.key) == (
        SYSTEM_TENANT_ID, "req-1", "trip.moved", 1, "a",
    )  # fmt: skip


async def test_replay_gives_a_listener_what_it_has_not_handled(town: Town) -> None:
    await town.publish(TripMoved("a", 1), TripMoved("a", 2))
    await town.work()
    async with town.database.begin() as db:
        many, position = await town.outbox.replay(db, "town.note")
    assert (many, position) == (0, 2)
    async with town.database.begin() as db:
        assert await town.outbox.replay(db, "town.note", after=1, again=True) == (1, 2)
    await town.work()
    assert [fact.step for fact in town.heard] == [1, 2, 2]


async def test_a_listener_that_came_later_catches_up(town: Town, database: Database) -> None:
    await town.publish(TripMoved("a", 1), TripEnded("a"))
    await town.work()
    later: list[object] = []

    async def learn(_ctx: Ctx, fact: object) -> None:
        later.append(fact)

    job = Job(name="town.learn", run=learn)
    catalogue = Catalogue([Fact(type=TripEnded, wire="trip.ended")], [{TripEnded: (job,)}])
    town.jobs = Jobs(database, {one.name: one for one in catalogue.deliveries})
    outbox = Outbox(town.jobs, catalogue)
    async with database.begin() as db:
        assert (await outbox.replay(db, "town.learn"))[0] == 1
    await town.work()
    assert later == [TripEnded("a")]


async def test_a_delivery_that_runs_twice_is_handled_once(town: Town) -> None:
    await town.publish(TripEnded("a"))
    async with town.database.begin() as db:
        await town.outbox.replay(db, "town.note")  # while the first delivery still waits
    await town.work()
    assert town.heard == [TripEnded("a")]


async def test_the_lag_names_who_is_behind_and_since_when(town: Town) -> None:
    await town.publish(TripMoved("a", 1), TripMoved("b", 1))
    async with town.database.begin() as db:
        lags = {lag.listener: lag for lag in await town.outbox.lag(db)}
    assert {name: lag.waiting for name, lag in lags.items()} == {"town.note": 2, "town.count": 2}
    oldest = lags["town.note"].oldest_at
    assert oldest is not None
    assert clock.now() - oldest < timedelta(seconds=30)
    await town.work()
    async with town.database.begin() as db:
        assert await town.outbox.lag(db) == []


async def test_old_facts_go_once_everybody_has_heard_them(town: Town) -> None:
    class Later:
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(days=91)

        async def sleep(self, seconds: float) -> None:
            del seconds

    await town.publish(TripMoved("a", 1))
    with clock.using(Later()):
        async with town.database.begin() as db:
            assert await town.outbox.purge(db, keep_days=90) == 0
    await town.work()
    async with town.database.begin() as db:
        assert await town.outbox.purge(db, keep_days=90) == 0
    with clock.using(Later()):
        async with town.database.begin() as db:
            assert await town.outbox.purge(db, keep_days=90) == 1
    assert await town.facts() == []


async def test_the_daily_job_purges_in_steps(town: Town) -> None:
    await town.publish(TripMoved("a", 1))
    await town.work()
    async with town.database.begin() as db:
        assert await PURGE.run(town.house.ctx(db)) == 0
    assert len(await town.facts()) == 1


def test_a_fact_that_nobody_declares_cannot_be_listened_to() -> None:
    async def hear(*_: object) -> None:
        raise AssertionError

    with pytest.raises(Misconfigured, match="TripEnded, which no service declares"):
        Catalogue([], [{TripEnded: (Job(name="x.y", run=hear),)}])


def test_two_facts_may_not_share_a_name() -> None:
    with pytest.raises(Misconfigured, match="both called"):
        Catalogue([Fact(type=TripMoved, wire="trip.x"), Fact(type=TripEnded, wire="trip.x")])


def test_a_fact_of_a_newer_version_waits_for_a_newer_process() -> None:
    catalogue = Catalogue([Fact(type=TripEnded, wire="trip.ended", version=1)])
    with pytest.raises(FactUnreadable, match="newer than this process"):
        catalogue.decode("trip.ended", 2, {"trip": "a"})
    with pytest.raises(FactUnreadable):
        catalogue.decode("trip.ended", 1, {"other": "a"})


def test_fields_that_a_class_gained_take_their_defaults() -> None:
    catalogue = Catalogue([Fact(type=TripMoved, wire="trip.moved", version=2)])
    assert catalogue.decode("trip.moved", 1, {"trip": "a", "step": 3, "gone": 1}) == TripMoved("a", 3)
