"""Planning a day: ask for it, do it in a job, publish what came of it."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ossature.contracts.dispatch import PlanPublished, PlanReady, RunFailed
from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.db.engine import Database
from ossature.kernel.db.lease import LeaseLost, LeaseTaken, holding
from ossature.kernel.errors import Problem, Unavailable
from ossature.kernel.jobs import run as job
from ossature.kernel.jobs.domain import OPEN, JobNotCancellable, JobNotFound
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.service import Job
from ossature.services.dispatch.domain.bookings import StaleVersion
from ossature.services.dispatch.domain.clocks import check_year
from ossature.services.dispatch.domain.days import (
    PLANNED_ANEW,
    UNDER_WAY,
    Day,
    Solved,
    Weights,
    problem_of,
    stops_of,
    stranded,
)
from ossature.services.dispatch.domain.plans import (
    ACTIVE_RUNS,
    DayIsLive,
    Plan,
    PlanBreaksRules,
    PlanNotFound,
    PlanOutdated,
    PlanState,
    PlanStop,
    Run,
    RunAlreadyActive,
    RunEnded,
    RunNotFound,
    RunState,
    StopKind,
    day_bounds,
)
from ossature.services.dispatch.domain.states import Command, Party, Situation, TripState, decide
from ossature.services.dispatch.domain.windows import promise
from ossature.services.dispatch.ports import TravelTimes
from ossature.services.dispatch.settings import DispatchSettings
from ossature.services.dispatch.store import bookings, fleet, people
from ossature.services.dispatch.store import plans as store
from ossature.services.dispatch.usecases.moves import Move, moves_of, require_kept, unassigned
from ossature.services.dispatch.usecases.solving import Solvers, beating
from ossature.services.dispatch.usecases.trips import after, write

if TYPE_CHECKING:
    from ossature.services.dispatch.domain.roads import Matrix

_LOST = "lost"
_LEASE_S = 30.0
_WAIT_S = 60.0


async def request_plan(ctx: Ctx, day: date, *, time_limit_s: float | None = None, seed: int = 1) -> Run:
    """A run that plans a day once it is its turn. Raises: DayIsLive, RunAlreadyActive, InvalidInput."""
    check_year(day, "/day")
    limit_s = ctx.settings[DispatchSettings].plan_time_limit_s if time_limit_s is None else time_limit_s
    async with ctx.db.step():
        if await bookings.trips_of_day(ctx.db, ctx.tenant.id, day, UNDER_WAY):
            raise DayIsLive
        await _require_free(ctx, day)
        made = _new_run(ctx, day, limit_s, seed)
        job_id = await ctx.enqueue(PLAN_DAY, {"run_id": str(made.id)})
        made = replace(made, job_id=job_id)
        if not await store.add_run(ctx.db, ctx.tenant.id, made):  # somebody else asked in this moment
            raise RunAlreadyActive(run_id=str(await store.active_run(ctx.db, ctx.tenant.id, day)))
        await ctx.audit("plan.requested", f"run:{made.id}", day=day)
    return made


async def cancel_run(ctx: Ctx, run_id: UUID) -> Run:
    """A run that was stopped. Raises: RunNotFound, RunEnded."""
    async with ctx.db.step():
        found = await read_run(ctx, run_id)
        cancelled = {"state": RunState.CANCELLED.value, "ended_at": ctx.now}
        if not await store.move_run(ctx.db, ctx.tenant.id, run_id, **cancelled):
            raise RunEnded(f"It has {found.state} already.", state=found.state.value)
        if found.job_id is not None:
            # It ends by itself in this moment, and finds its run cancelled; or it is forgotten.
            with suppress(JobNotCancellable, JobNotFound):
                await ctx.port(Jobs).cancel(ctx.db, ctx.tenant.id, found.job_id)
        await ctx.audit("plan.cancelled", f"run:{run_id}", day=found.day)
    return await read_run(ctx, run_id)


async def read_run(ctx: Ctx, run_id: UUID) -> Run:
    """A run. Raises: RunNotFound."""
    found = await store.run(ctx.db, ctx.tenant.id, run_id)
    if found is None:
        raise RunNotFound
    return found


async def read_plan(ctx: Ctx, plan_id: UUID) -> Plan:
    """A plan. Raises: PlanNotFound."""
    found = await store.plan(ctx.db, ctx.tenant.id, plan_id)
    if found is None:
        raise PlanNotFound
    return found


async def plan_day(ctx: Ctx, run_id: str) -> str | None:
    """Plan the day of a run; the id of the plan, or None when the run had ended before.

    Nothing is stored that the independent checker does not find clean, or that was made for a day that changed since.
    """
    found = await store.run(ctx.db, ctx.tenant.id, UUID(run_id))
    if found is None or found.state not in ACTIVE_RUNS:
        return None
    database = ctx.port(Database)
    name = f"dispatch.plan:{ctx.tenant.id}:{found.day}"
    try:
        async with (
            holding(database, name, lasts_s=_LEASE_S, wait_s=_WAIT_S),
            beating(database, ctx.tenant.id, found.id),
        ):
            try:
                made = await _plan_once(ctx, found)
            except PlanOutdated:
                made = await _plan_once(ctx, found)
    except Problem as error:
        # Another attempt of it may still be at work somewhere: that is no reason to give up either.
        passing = isinstance(error, (Unavailable, LeaseTaken, LeaseLost))
        if passing and job.current().attempt < PLAN_DAY.attempts:
            raise
        await _fail(ctx, found, f"{error.slug}: {error.detail or error.title}")
        return None
    return str(made.id) if made is not None else None


PLAN_DAY: Final = Job(name="dispatch.plan_day", run=plan_day, attempts=3, time_limit_s=300)


async def lose_run(ctx: Ctx, job_id: UUID) -> None:
    """The run whose job was given up has failed."""
    lost = await store.run_of_job(ctx.db, ctx.tenant.id, job_id)
    if lost is not None:
        await _fail(ctx, lost, _LOST)


async def publish_plan(ctx: Ctx, plan_id: UUID) -> Plan:
    """A plan after its drivers were told: trips are dispatched, promises fixed, the plan before is superseded.

    Raises: PlanNotFound, PlanOutdated.
    """
    async with ctx.db.step():
        found = await read_plan(ctx, plan_id)
        published = {"from_": PlanState.DRAFT, "to": PlanState.PUBLISHED}
        if not await store.move_plan(ctx.db, ctx.tenant.id, plan_id, **published, published_at=ctx.now):
            raise PlanOutdated(f"It is {found.state}.", state=found.state.value)
        states = (PlanState.DRAFT, PlanState.PUBLISHED)
        await store.supersede(ctx.db, ctx.tenant.id, found.day, but=plan_id, states=states)
        moves = await _dispatched(ctx, found)
        await write(ctx, moves, Party.DISPATCHER)
        await ctx.publish(PlanPublished(plan_id=plan_id, day=found.day.isoformat(), trips=len(moves)))
        await ctx.audit("plan.published", f"plan:{plan_id}", day=found.day, number=found.number)
    return await read_plan(ctx, plan_id)


async def discard_plan(ctx: Ctx, plan_id: UUID) -> Plan:
    """A draft that was thrown away; its trips wait to be planned. Raises: PlanNotFound, PlanOutdated."""
    async with ctx.db.step():
        found = await read_plan(ctx, plan_id)
        discarded = {"from_": PlanState.DRAFT, "to": PlanState.DISCARDED}
        if not await store.move_plan(ctx.db, ctx.tenant.id, plan_id, **discarded):
            raise PlanOutdated(f"It is {found.state}.", state=found.state.value)
        trips = await bookings.trips_of_day(ctx.db, ctx.tenant.id, found.day, {TripState.PLANNED})
        await write(ctx, [unassigned(trip) for trip in trips], Party.DISPATCHER)
        await ctx.audit("plan.discarded", f"plan:{plan_id}", day=found.day, number=found.number)
    return await read_plan(ctx, plan_id)


async def _require_free(ctx: Ctx, day: date) -> None:
    """Nobody plans the day now. A run whose job was given up counts as ended."""
    active = await store.active_run(ctx.db, ctx.tenant.id, day)
    if active is None:
        return
    found = await read_run(ctx, active)
    try:
        alive = (
            found.job_id is not None and (await ctx.port(Jobs).get(ctx.db, ctx.tenant.id, found.job_id)).state in OPEN
        )
    except JobNotFound:
        alive = False
    if alive:
        raise RunAlreadyActive(run_id=str(active))
    lost = {"state": RunState.FAILED.value, "reason": _LOST, "ended_at": ctx.now}
    await store.move_run(ctx.db, ctx.tenant.id, active, **lost)


def _new_run(ctx: Ctx, day: date, time_limit_s: float, seed: int) -> Run:
    return Run(
        id=clock.new_id(),
        day=day,
        kind="day",
        state=RunState.QUEUED,
        job_id=None,
        plan_id=None,
        time_limit_s=time_limit_s,
        seed=seed,
        iterations=None,
        solver_version="",
        problem_hash="",
        sources={},
        matrix_ms=None,
        solve_ms=None,
        unserved=None,
        reason="",
        heartbeat_at=None,
        created_at=ctx.now,
        ended_at=None,
    )


async def _plan_once(ctx: Ctx, run: Run) -> Plan | None:
    progress = job.current().progress
    async with ctx.db.step():
        running = {"state": RunState.RUNNING.value, "heartbeat_at": clock.now()}
        if not await store.move_run(ctx.db, ctx.tenant.id, run.id, **running):
            return None
        day = await snapshot(ctx, run.day)
    require_kept(stranded(day))
    progress(10, "matrix")
    begun = time.perf_counter()
    matrix = await ctx.port(TravelTimes).matrix(day.points)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    matrix_ms = (time.perf_counter() - begun) * 1000
    problem = problem_of(day, matrix, Weights(reserve_cost_s=ctx.settings[DispatchSettings].reserve_cost_s))
    progress(20, "solving")
    begun = time.perf_counter()
    solved = await ctx.port(Solvers).solve(problem, time_limit_s=run.time_limit_s, seed=run.seed)
    solve_ms = (time.perf_counter() - begun) * 1000
    if solved.broken:
        raise PlanBreaksRules("; ".join(solved.broken[:5]))
    progress(90, "storing")
    stops = stops_of(day, solved)
    done = {"matrix_ms": matrix_ms, "solve_ms": solve_ms, "sources": {matrix.source: 1.0}}
    return await _store(ctx, run, day, solved, stops=stops, distance_m=_driven_m(day, matrix, stops), done=done)


def _driven_m(day: Day, matrix: "Matrix", stops: Sequence[PlanStop]) -> float:
    rows = {place: row for row, place in enumerate(day.places)}
    legs = ((a, b) for a, b in pairwise(stops) if a.duty_id == b.duty_id)
    return sum(float(matrix.distance_m[rows[a.place_id], rows[b.place_id]]) for a, b in legs)


async def snapshot(ctx: Ctx, day: date) -> Day:
    """A day as it is now. Raises: DayIsLive."""
    if await bookings.trips_of_day(ctx.db, ctx.tenant.id, day, UNDER_WAY):
        raise DayIsLive
    trips = await bookings.trips_of_day(ctx.db, ctx.tenant.id, day, PLANNED_ANEW)
    duties = await fleet.duties(ctx.db, ctx.tenant.id, day)
    current = await store.current_plan(ctx.db, ctx.tenant.id, day)
    ends = {place for trip in trips for place in (trip.from_place_id, trip.to_place_id)}
    found = await people.places(ctx.db, ctx.tenant.id, ends | {duty.place_id for duty in duties})
    return Day(
        begins_at=day_bounds(day, ctx.tenant.zone)[0],
        trips=trips,
        duties=duties,
        places={place_id: place.point for place_id, place in found.items()},
        parent_id=current.id if current is not None else None,
    )


async def _store(
    ctx: Ctx,
    run: Run,
    day: Day,
    solved: Solved,
    *,
    stops: tuple[PlanStop, ...],
    distance_m: float,
    done: dict[str, object],
) -> Plan | None:
    """The plan, if the run and the day are still what they were. Raises: PlanOutdated."""
    async with ctx.db.step():
        if not day.still_holds(await snapshot(ctx, run.day)):
            raise PlanOutdated
        moves = moves_of(day, stops)
        without = len(day.trips) - len({stop.trip_id for stop in stops if stop.trip_id is not None})
        made = Plan(
            id=clock.new_id(),
            day=run.day,
            number=await store.last_number(ctx.db, ctx.tenant.id, run.day) + 1,
            parent_id=day.parent_id,
            run_id=run.id,
            state=PlanState.DRAFT,
            metrics={
                "trips": len(day.trips),
                "unserved": without,
                "duties_used": len({stop.duty_id for stop in stops}),
                "cost_s": solved.cost_s,
                "distance_m": round(distance_m),
            },
            created_at=ctx.now,
            published_at=None,
        )
        ended = {"state": RunState.SUCCEEDED.value, "ended_at": clock.now(), "plan_id": made.id, "unserved": without}
        told = {"iterations": solved.iterations, "solver_version": solved.kernel, "problem_hash": solved.problem_hash}
        if not await store.move_run(ctx.db, ctx.tenant.id, run.id, **ended, **told, **done):
            return None
        await store.add_plan(ctx.db, ctx.tenant.id, made, stops)
        await store.supersede(ctx.db, ctx.tenant.id, run.day, but=made.id, states=(PlanState.DRAFT,))
        try:
            await write(ctx, moves, Party.RUN)
        except StaleVersion as error:
            raise PlanOutdated from error
        ready = PlanReady(plan_id=made.id, run_id=run.id, day=run.day.isoformat(), unserved=without)
        await ctx.publish(ready)
    return made


async def _dispatched(ctx: Ctx, plan: Plan) -> list[Move]:
    """The trips of a plan as they are told to their drivers. Raises: PlanOutdated when one is no longer in its duty."""
    stops = await store.stops(ctx.db, ctx.tenant.id, plan.id)
    begins = {stop.trip_id: stop for stop in stops if stop.kind is StopKind.PICKUP}
    found = await bookings.trips_of_day(ctx.db, ctx.tenant.id, plan.day, {TripState.PLANNED, TripState.DISPATCHED})
    trips = {trip.id: trip for trip in found}
    driven = {duty.id for duty in await fleet.duties(ctx.db, ctx.tenant.id, plan.day)}
    width_s = ctx.settings[DispatchSettings].promise_width_s
    moves = []
    for trip_id, stop in begins.items():
        trip = trips.get(trip_id) if trip_id is not None else None
        if trip is None or trip.duty_id != stop.duty_id or trip.pickup is None:
            raise PlanOutdated("A trip of it was changed since; plan the day again.")
        if trip.state is TripState.DISPATCHED:
            continue
        seen = Situation(state=trip.state, duty_has_driver=stop.duty_id in driven)
        rule = decide(Command.PUBLISH, Party.DISPATCHER, seen)
        promised = promise(stop.planned_at, trip.pickup, width_s=width_s)
        moves.append((trip, replace(after(trip, rule), promised=promised, version=trip.version + 1), [rule]))
    return moves


async def _fail(ctx: Ctx, run: Run, reason: str) -> None:
    """The run has failed; what was published before stands."""
    async with ctx.db.step():
        failed = {"state": RunState.FAILED.value, "reason": reason[:500], "ended_at": clock.now()}
        if await store.move_run(ctx.db, ctx.tenant.id, run.id, **failed):
            await ctx.publish(RunFailed(run_id=run.id, day=run.day.isoformat(), reason=reason[:500]))
