"""Runs, plans and their stops: every statement about them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update

from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert
from ossature.services.dispatch.domain.loads import Load
from ossature.services.dispatch.domain.plans import (
    ACTIVE_RUNS,
    Plan,
    PlanState,
    PlanStop,
    Run,
    RunState,
    StopKind,
)
from ossature.services.dispatch.store.tables import PlanRow, PlanStopRow, RunRow

PLANS = Listable(
    key=PlanRow.id, filters={"day": PlanRow.day}, sorts={"created_at": PlanRow.created_at}, default="-created_at"
)
RUNS = Listable(
    key=RunRow.id, filters={"day": RunRow.day}, sorts={"created_at": RunRow.created_at}, default="-created_at"
)
_CURRENT = (PlanState.DRAFT.value, PlanState.PUBLISHED.value)


async def add_run(db: Db, tenant_id: UUID, run: Run) -> bool:
    """Add a run; False, and nothing, while another one plans its day or waits to."""
    new = upsert(db, RunRow).values(tenant_id=tenant_id, **{**asdict(run), "state": run.state.value})
    return bool(await db.execute(new.on_conflict_do_nothing()))


async def run(db: Db, tenant_id: UUID, run_id: UUID) -> Run | None:
    """A run."""
    found = await db.first(select(RunRow.__table__).where(RunRow.tenant_id == tenant_id, RunRow.id == run_id))
    return None if found is None else _run(found)


async def run_of_job(db: Db, tenant_id: UUID, job_id: UUID) -> Run | None:
    """The run that a job does."""
    found = await db.first(select(RunRow.__table__).where(RunRow.tenant_id == tenant_id, RunRow.job_id == job_id))
    return None if found is None else _run(found)


async def active_run(db: Db, tenant_id: UUID, day: date) -> UUID | None:
    """The run that is planning a day, or waits to."""
    states = sorted(state.value for state in ACTIVE_RUNS)
    of_day = (RunRow.tenant_id == tenant_id, RunRow.day == day, RunRow.state.in_(states))
    found: UUID | None = await db.scalar(select(RunRow.id).where(*of_day).limit(1))
    return found


async def move_run(db: Db, tenant_id: UUID, run_id: UUID, **values: Any) -> bool:
    """Set columns of a run that has not ended; whether there was one."""
    states = sorted(state.value for state in ACTIVE_RUNS)
    mine = (RunRow.tenant_id == tenant_id, RunRow.id == run_id, RunRow.state.in_(states))
    return bool(await db.execute(update(RunRow).where(*mine).values(**values)))


async def list_runs(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Run]:
    """One page of the runs."""
    return await RUNS.fetch(db, select(RunRow.__table__).where(RunRow.tenant_id == tenant_id), query, _run)


async def list_plans(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Plan]:
    """One page of the plans."""
    return await PLANS.fetch(db, select(PlanRow.__table__).where(PlanRow.tenant_id == tenant_id), query, _plan)


async def plan(db: Db, tenant_id: UUID, plan_id: UUID) -> Plan | None:
    """A plan."""
    found = await db.first(select(PlanRow.__table__).where(PlanRow.tenant_id == tenant_id, PlanRow.id == plan_id))
    return None if found is None else _plan(found)


async def current_plan(db: Db, tenant_id: UUID, day: date) -> Plan | None:
    """The latest plan of a day that holds: a draft or the published one."""
    of_day = (PlanRow.tenant_id == tenant_id, PlanRow.day == day, PlanRow.state.in_(_CURRENT))
    found = await db.first(select(PlanRow.__table__).where(*of_day).order_by(PlanRow.number.desc()).limit(1))
    return None if found is None else _plan(found)


async def pickup_of(db: Db, tenant_id: UUID, trip_id: UUID) -> datetime | None:
    """When a trip is fetched by the latest plan of its day that holds."""
    stop = PlanStopRow
    statement = (
        select(stop.planned_at)
        .join(PlanRow, PlanRow.id == stop.plan_id)
        .where(stop.tenant_id == tenant_id, stop.trip_id == trip_id, stop.kind == StopKind.PICKUP.value)
        .where(PlanRow.state.in_(_CURRENT))
    )
    found: datetime | None = await db.scalar(statement.order_by(PlanRow.number.desc()).limit(1))
    return found


async def last_number(db: Db, tenant_id: UUID, day: date) -> int:
    """The number of the latest plan of a day, 0 for none."""
    of_day = (PlanRow.tenant_id == tenant_id, PlanRow.day == day)
    return int(await db.scalar(select(func.max(PlanRow.number)).where(*of_day)) or 0)


async def add_plan(db: Db, tenant_id: UUID, made: Plan, stops: Sequence[PlanStop]) -> None:
    """Add a plan and its stops."""
    await db.execute(insert(PlanRow).values(tenant_id=tenant_id, **{**asdict(made), "state": made.state.value}))
    rows = [
        {"tenant_id": tenant_id, "plan_id": made.id, **asdict(stop), "kind": stop.kind.value, "load": list(stop.load)}
        for stop in stops
    ]
    if rows:
        await db.execute(insert(PlanStopRow), rows)


async def move_plan(db: Db, tenant_id: UUID, plan_id: UUID, *, from_: PlanState, to: PlanState, **values: Any) -> bool:
    """Move a plan from one state to another; whether it was in the first one."""
    mine = (PlanRow.tenant_id == tenant_id, PlanRow.id == plan_id, PlanRow.state == from_.value)
    moved = update(PlanRow).where(*mine).values(state=to.value, version=PlanRow.version + 1, **values)
    return bool(await db.execute(moved))


async def supersede(db: Db, tenant_id: UUID, day: date, *, but: UUID, states: Sequence[PlanState]) -> None:
    """Every other plan of a day that is in one of these states holds no longer."""
    others = (PlanRow.tenant_id == tenant_id, PlanRow.day == day, PlanRow.id != but, PlanRow.state.in_(states))
    await db.execute(
        update(PlanRow).where(*others).values(state=PlanState.SUPERSEDED.value, version=PlanRow.version + 1)
    )


async def stops(db: Db, tenant_id: UUID, plan_id: UUID) -> tuple[PlanStop, ...]:
    """The stops of a plan, by duty and in order."""
    row = PlanStopRow
    statement = select(row.__table__).where(row.tenant_id == tenant_id, row.plan_id == plan_id)
    return tuple(_stop(one) for one in await db.all(statement.order_by(row.duty_id, row.position)))


def _run(row: Row[Any]) -> Run:
    names = [name for name in Run.__dataclass_fields__ if name != "state"]
    return Run(**{name: getattr(row, name) for name in names}, state=RunState(row.state))


def _plan(row: Row[Any]) -> Plan:
    names = [name for name in Plan.__dataclass_fields__ if name != "state"]
    return Plan(**{name: getattr(row, name) for name in names}, state=PlanState(row.state))


def _stop(row: Row[Any]) -> PlanStop:
    names = ("duty_id", "position", "place_id", "trip_id", "planned_at", "leaves_at")
    return PlanStop(**{name: getattr(row, name) for name in names}, kind=StopKind(row.kind), load=Load(*row.load))
