"""Applying a plan: exactly its operations, each written down before it is sent and after it was answered.

A process may die at any point. Whoever goes on finds at most one operation of a target in doubt, waits until it can have no
effect any more, reads the target, and then knows. Nothing is ever sent twice.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal
from uuid import UUID

from ossature.contracts.sync import RunFinished
from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.db.lease import LeaseLost
from ossature.kernel.errors import Problem
from ossature.services.sync.domain.decision import State, content_hash
from ossature.services.sync.domain.layout import Layout, Record
from ossature.services.sync.domain.plan import Operation, Plan
from ossature.services.sync.domain.problems import (
    PlanApplied,
    PlanExpired,
    PlanStale,
    RunUnknown,
    SyncBlocked,
    TargetCredentialRefused,
    TargetFailed,
    TargetLocked,
    TargetRefused,
    TargetUncertain,
)
from ossature.services.sync.domain.values import PlanView, RunView
from ossature.services.sync.store import journal, state
from ossature.services.sync.store.journal import Journal
from ossature.services.sync.store.state import Known
from ossature.services.sync.usecases.pipelines import Wired, chosen
from ossature.services.sync.usecases.plan import found, locked, opened
from ossature.services.sync.usecases.telling import tell_employees

_SENDS_MOST = 3


async def open_run(ctx: Ctx, sha256: str) -> RunView:
    """A run of a plan, ready to be worked on; the same one for the same plan.

    Raises: PlanUnknown, SyncBlocked when it waits for an approval, PlanExpired, PlanStale, PlanApplied, PlanTampered.
    """
    view = await found(ctx, sha256)
    before = await journal.run_of_plan(ctx.db, ctx.tenant.id, view.id)
    if before is not None:
        if before.state in journal.OVER:
            raise PlanApplied("This plan was applied.", run=str(before.id))
        return before
    plan = await _may_be_applied(ctx, view)
    targets = {one.spec.name: one.spec.target.connection for one in await chosen(ctx, view.pipelines)}
    made = await ctx.port(Journal).open(ctx.tenant.id, view, plan.operations, targets=targets, author=ctx.actor.name)
    async with ctx.db.step():
        await ctx.audit("sync.run_opened", str(made.id), plan=view.sha256)
    return made


async def work_on(ctx: Ctx, run_id: UUID) -> RunView:
    """Bring a run to its end, from wherever it stands. Work on one that is over gives it as it is.

    The targets are held for the whole of it, so a run that says `running` while nobody holds them was left by its process.
    Raises: RunUnknown, TargetLocked; whatever else stops it, such as TargetFailed, pauses it, and it can go on later.
    """
    before = await found_run(ctx, run_id)
    if before.state in journal.OVER:
        return before
    kept, view = ctx.port(Journal), await found(ctx, before.plan_sha256)
    try:
        plan, wired = await opened(ctx, view), await chosen(ctx, view.pipelines)
        await ctx.db.commit()  # nothing is held open for as long as a run takes
        async with AsyncExitStack() as locks:
            fences = {
                name: (await locks.enter_async_context(locked(ctx, name))).fence
                for name in sorted({one.spec.target.connection for one in wired})
            }
            now = await kept.begin(ctx.tenant.id, run_id, targets=list(fences))
            if now.state in journal.OVER:
                return now
            return await _Apply(ctx, kept, now, view, plan, wired, fences).done()
    except (TargetLocked, LeaseLost):
        raise  # the run is, or will be, another process's
    except Problem as failure:
        await kept.close(ctx.tenant.id, run_id, view.id, state="paused", problem=str(failure)[:500])
        raise


async def found_run(ctx: Ctx, run_id: UUID) -> RunView:
    """A run. Raises: RunUnknown."""
    run = await journal.run(ctx.db, ctx.tenant.id, run_id)
    if run is None:
        raise RunUnknown(f"There is no run {run_id}.")
    return run


async def _may_be_applied(ctx: Ctx, view: PlanView) -> Plan:
    plan = await opened(ctx, view)
    if view.state == "blocked":
        names = ", ".join(sorted({str(one["name"]) for one in view.guards}))
        raise SyncBlocked(f"This plan waits for an approval: {names}.", guards=list(view.guards))
    if view.state not in {"ready", "approved", "empty"}:
        raise PlanApplied(f"This plan is {view.state}.", state=view.state)
    if view.expires_at < clock.now():
        raise PlanExpired(f"This plan expired at {view.expires_at:%Y-%m-%d %H:%M} UTC.")
    versions = {one.spec.name: one.version for one in await chosen(ctx, view.pipelines)}
    for one in plan.pipelines:
        if versions[one.name] != one.version_sha256:
            raise PlanStale(f"The pipeline {one.name} has changed since.")
    return plan


@dataclass(frozen=True, slots=True)
class _Apply:
    """One run, while its targets are held. fences: by connection."""

    ctx: Ctx
    journal: Journal
    run: RunView
    view: PlanView
    plan: Plan
    wired: Sequence[Wired]
    fences: Mapping[str, int]

    async def done(self) -> RunView:
        """The run as it ended: its operations in the order of the plan, those of one pipeline in a row at a time."""
        tenant_id, run_id = self.ctx.tenant.id, self.run.id
        by_name = {one.spec.name: one for one in self.wired}
        good = True
        try:
            await self._heed_wish()
            for name, operations in groupby(self.plan.operations, key=lambda one: one.pipeline):
                one = by_name[name]
                fence = self.fences[one.spec.target.connection]
                work = _Work(tenant_id, run_id, one, list(operations), self.journal, fence)
                good = await work.done() and good
        except journal.RunHalted as halted:
            state: Literal["paused", "cancelled"] = "paused" if halted.wish == "pause" else "cancelled"
            if state == "cancelled":
                states = await self.journal.states(tenant_id, run_id)
                async with self.ctx.db.step():
                    await self._tell([one for one in self.plan.operations if states[one.n] == "done"])
            return await self.journal.close(tenant_id, run_id, self.view.id, state=state)
        return await self._ended(good=good)

    async def _heed_wish(self) -> None:
        """Stop at once where that was asked for and nothing is in doubt: no target has to answer for it."""
        if self.run.wish is not None:
            states = await self.journal.states(self.ctx.tenant.id, self.run.id)
            if "intent" not in states.values():
                raise journal.RunHalted(self.run.wish)

    async def _tell(self, done: Sequence[Operation]) -> None:
        for one in self.wired:
            await tell_employees(self.ctx, one.spec, [each for each in done if each.pipeline == one.spec.name])

    async def _ended(self, *, good: bool) -> RunView:
        """Tell what was done, remember how much there is, close. A step of its own: the journal would wait for it."""
        ctx, run_id = self.ctx, self.run.id
        states = await self.journal.states(ctx.tenant.id, run_id)
        done = [one for one in self.plan.operations if states[one.n] == "done"]
        state_now: Literal["succeeded", "partial"] = "succeeded" if good else "partial"
        async with ctx.db.step():
            await ctx.audit("sync.run_ended", str(run_id), plan=self.view.sha256, good=good)
            await self._tell(done)
            counts = dict(Counter(states.values()))
            await ctx.publish(RunFinished(run_id=run_id, plan_sha256=self.view.sha256, state=state_now, counts=counts))
            for planned in self.plan.pipelines if good else ():
                kinds = Counter(one.op for one in done if one.pipeline == planned.name)
                rows = planned.target_rows + kinds["create"] - kinds["delete"]
                await state.save_baseline(
                    ctx.db, ctx.tenant.id, planned.name, source_rows=planned.source_rows, target_rows=rows
                )
        return await self.journal.close(ctx.tenant.id, run_id, self.view.id, state=state_now)


@dataclass(slots=True)
class _Work:
    """One pipeline of one run, under the lock of its target."""

    tenant_id: UUID
    run_id: UUID
    wired: Wired
    operations: Sequence[Operation]
    journal: Journal
    fence: int
    layout: Layout = field(init=False)
    there: dict[str, Record] = field(default_factory=dict)
    refused_n: int = 0

    def __post_init__(self) -> None:
        self.layout = Layout.of(self.wired.spec)

    async def done(self) -> bool:
        """Whether every operation was applied and proved."""
        states = await self.journal.states(self.tenant_id, self.run_id)
        open_ = [one for one in self.operations if states[one.n] in journal.OPEN]
        if open_:
            doubtful = any(states[one.n] == "intent" for one in open_)
            if doubtful:
                await asyncio.sleep(self.wired.target.can.settles_after_s)
            await self._look()
            if doubtful:
                open_ = await self._resolved(open_, states)
            open_ = await self._adopted_and_stale(open_)
            await self._written(open_)
            if self.wired.spec.target.verify:
                await self._verified()
        states = await self.journal.states(self.tenant_id, self.run_id)
        return all(states[one.n] == "done" for one in self.operations)

    async def _look(self) -> None:
        """Read what the target has now of the records of this plan."""
        keys = {one.key for one in self.operations}
        self.there = {}
        async for page in self.wired.target.read_all(self.wired.spec.key):
            for values in page:
                record = self.layout.record(values)
                key = self.layout.key_of(record)
                if key in keys and key is not None:
                    self.there[key] = record

    async def _resolved(self, open_: Sequence[Operation], states: Mapping[int, str]) -> list[Operation]:
        """Settle what was in doubt, by what the target has; the rest is still to do."""
        ends: dict[int, dict[str, Any]] = {}
        for one in open_:
            # A write of several records was announced by its first one alone.
            if self._is_as_planned(one):
                ends[one.n] = {"state": "done", "evidence": "readback"}
            elif states[one.n] == "intent":
                ends[one.n] = self._undone(one)
        await self._settle(open_, ends)
        return [one for one in open_ if ends.get(one.n, {"state": "planned"})["state"] == "planned"]

    def _undone(self, one: Operation) -> dict[str, Any]:
        if self._is_as_before(one):
            return {"state": "planned"}
        return {"state": "stale", "problem": "The record was changed by somebody else meanwhile."}

    async def _adopted_and_stale(self, open_: Sequence[Operation]) -> list[Operation]:
        """Settle what takes no call, and what is not any more as it was planned on; the rest is to be written."""
        ends: dict[int, dict[str, Any]] = {}
        for one in open_:
            if one.op == "adopt":
                there = one.key in self.there
                ends[one.n] = {"state": "done" if there else "stale", "evidence": "readback" if there else None}
            elif not self._is_as_before(one):
                ends[one.n] = {"state": "stale", "problem": "The record is not as it was when this was planned."}
        await self._settle(open_, ends)
        return [one for one in open_ if one.n not in ends]

    async def _written(self, open_: Sequence[Operation]) -> None:
        size = self.wired.target.can.at_once or max(1, len(open_))
        for start in range(0, len(open_), size):
            chunk = open_[start : start + size]
            if self.refused_n >= self.wired.spec.limits.max_failures:
                raise TargetFailed(f"{self.refused_n} records were refused; the rest is left for later.")
            await self._sent(chunk)

    async def _sent(self, chunk: Sequence[Operation]) -> None:
        """Send until it is known how it ended. A write that was proved to have had no effect may go out once more."""
        rest = chunk
        for _ in range(_SENDS_MOST):
            rest = await self._send(rest)
            if not rest:
                return
        raise TargetFailed("A write had no answer and no effect, again and again; the run can go on later.")

    async def _send(self, chunk: Sequence[Operation]) -> Sequence[Operation]:
        """Announce and send; what had no answer and, as a read proved, no effect."""
        first = chunk[0]
        await self.wired.target.ready()
        await self.journal.intend(self.tenant_id, self.run_id, first.n, fence=self.fence)
        before = {one.key: self.layout.values(self.there[one.key]) for one in chunk if one.key in self.there}
        try:
            await self.wired.target.write(chunk, before)
        except TargetRefused as refused:
            self.refused_n += 1
            await self._settle(chunk, {first.n: {"state": "failed", "problem": str(refused)[:500]}})
        except TargetUncertain:
            return await self._ask(chunk)
        except (TargetFailed, TargetCredentialRefused):
            await self._settle(chunk, {first.n: {"state": "planned"}})
            raise
        else:
            await self._settle(chunk, {one.n: {"state": "done", "evidence": "response"} for one in chunk})
        return ()

    async def _ask(self, chunk: Sequence[Operation]) -> Sequence[Operation]:
        """Find out whether a write without an answer was carried out; what was not."""
        await asyncio.sleep(self.wired.target.can.settles_after_s)
        await self._look()
        return await self._resolved(
            chunk, {one.n: "intent" for one in chunk[:1]} | {one.n: "planned" for one in chunk[1:]}
        )

    async def _verified(self) -> None:
        """Prove by one more read that every operation landed."""
        states = await self.journal.states(self.tenant_id, self.run_id)
        await self._look()
        done = [one for one in self.operations if states[one.n] == "done" and one.op != "adopt"]
        wrong = [one.n for one in done if not self._is_as_planned(one)]
        await self.journal.doubt(self.tenant_id, self.run_id, wrong, good=[one.n for one in done if one.n not in wrong])

    async def _settle(self, operations: Sequence[Operation], ends: Mapping[int, Mapping[str, Any]]) -> None:
        known = [self._known(one) for one in operations if ends.get(one.n, {}).get("state") == "done"]
        if ends:
            await self.journal.settle(self.tenant_id, self.run_id, ends, known, fence=self.fence)

    def _known(self, one: Operation) -> Known:
        if one.op == "delete":
            return Known(pipeline=one.pipeline, key=one.key, state=None)
        record = self.there.get(one.key) if one.after is None else self.layout.record(one.after)
        target = self.there.get(one.key) if one.op == "adopt" else record
        if record is None or target is None:
            msg = "a record that was adopted is there"
            raise LookupError(msg)
        hashes = content_hash(self.layout, record), content_hash(self.layout, target)
        return Known(
            pipeline=one.pipeline, key=one.key, state=State("created" if one.op == "create" else "adopted", *hashes)
        )

    def _is_as_planned(self, one: Operation) -> bool:
        record = self.there.get(one.key)
        if one.op == "delete":
            return record is None
        if record is None or one.after is None:
            return False
        return not self.layout.differing(self.layout.record(one.after), record)

    def _is_as_before(self, one: Operation) -> bool:
        record = self.there.get(one.key)
        if record is None:
            return not one.precondition
        return one.precondition == content_hash(self.layout, record)
