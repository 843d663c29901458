"""The journal of runs: what is about to happen is on the disk before it happens, what happened before the next thing.

The one place that commits by itself, in durable transactions. Every change names the state and the fence that it expects,
so a process that lost its target changes nothing any more.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, insert, select, update

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.lease import LeaseLost
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.services.sync.domain.plan import Operation
from ossature.services.sync.domain.problems import OperationInDoubt, PlanApplied, RunUnknown
from ossature.services.sync.domain.values import OpView, PlanView, RunView
from ossature.services.sync.store import plans, state
from ossature.services.sync.store.state import Known
from ossature.services.sync.store.tables import OpRow, RunRow

RUNS = Listable(
    key=RunRow.id,
    filters={"state": RunRow.state},
    sorts={"created_at": RunRow.created_at},
    default="-created_at",
)
_RUN = (
    RunRow.id,
    RunRow.plan_sha256,
    RunRow.author,
    RunRow.state,
    RunRow.wish,
    RunRow.counts,
    RunRow.started_at,
    RunRow.finished_at,
    RunRow.resumed_n,
    RunRow.problem,
)
_OP: tuple[Any, ...] = (
    OpRow.n,
    OpRow.pipeline,
    OpRow.kind,
    OpRow.key,
    OpRow.state,
    OpRow.attempt,
    OpRow.evidence,
    OpRow.problem,
)
_KEY_MOST = 500
OPEN = ("planned", "intent")
OVER = frozenset({"succeeded", "partial", "failed", "cancelled"})
OPS = Listable(
    key=OpRow.n,
    filters={"pipeline": OpRow.pipeline, "kind": OpRow.kind, "state": OpRow.state},
    sorts={"n": OpRow.n},
    default="n",
)
_INSERTED_AT_ONCE = 500


class RunHalted(Exception):  # noqa: N818 - it is said of a run
    """Somebody asked to pause or to cancel the run, so its next operation is not begun. wish: which of them."""

    def __init__(self, wish: str) -> None:
        super().__init__(wish)
        self.wish = wish


async def list_runs(db: Db, tenant_id: UUID, query: ListQuery) -> Found[RunView]:
    """A page of a tenant's runs."""
    return await RUNS.fetch(db, select(*_RUN).where(RunRow.tenant_id == tenant_id), query, _run)


async def run(db: Db, tenant_id: UUID, run_id: UUID) -> RunView | None:
    """One run."""
    row = await db.first(select(*_RUN).where(RunRow.tenant_id == tenant_id, RunRow.id == run_id))
    return None if row is None else _run(row)


async def run_of_plan(db: Db, tenant_id: UUID, plan_id: UUID) -> RunView | None:
    """The run of a plan, if it was ever begun."""
    row = await db.first(select(*_RUN).where(RunRow.tenant_id == tenant_id, RunRow.plan_id == plan_id))
    return None if row is None else _run(row)


async def ops(db: Db, tenant_id: UUID, run_id: UUID, *, limit: int | None = None) -> Sequence[OpView]:
    """The operations of a run, in their order."""
    mine = (OpRow.tenant_id == tenant_id, OpRow.run_id == run_id)
    return [_op(row) for row in await db.all(select(*_OP).where(*mine).order_by(OpRow.n).limit(limit))]


async def list_ops(db: Db, tenant_id: UUID, run_id: UUID, query: ListQuery) -> Found[OpView]:
    """A page of the operations of a run."""
    mine = (OpRow.tenant_id == tenant_id, OpRow.run_id == run_id)
    return await OPS.fetch(db, select(*_OP).where(*mine), query, _op)


async def ops_of_key(db: Db, tenant_id: UUID, pipeline: str, key: str, *, limit: int) -> Sequence[tuple[UUID, OpView]]:
    """The newest operations on one record, each with its run."""
    mine = (OpRow.tenant_id == tenant_id, OpRow.pipeline == pipeline, OpRow.key == key[:_KEY_MOST])
    newest = select(OpRow.run_id, *_OP).where(*mine).order_by(OpRow.run_id.desc(), OpRow.n.desc()).limit(limit)
    return [(row.run_id, _op(row)) for row in await db.all(newest)]


async def in_doubt(db: Db, tenant_id: UUID, target: str) -> tuple[UUID, int] | None:
    """The run and number of the operation of a target that was sent and has no answer yet."""
    mine = (OpRow.tenant_id == tenant_id, OpRow.target == target, OpRow.state == "intent")
    row = await db.first(select(OpRow.run_id, OpRow.n).where(*mine))
    return None if row is None else (row.run_id, row.n)


async def targets_of(db: Db, tenant_id: UUID, run_id: UUID) -> frozenset[str]:
    """The connections that a run writes to."""
    mine = (OpRow.tenant_id == tenant_id, OpRow.run_id == run_id)
    return frozenset(row.target for row in await db.all(select(OpRow.target).where(*mine).distinct()))


async def unended(db: Db) -> Sequence[tuple[UUID, RunView]]:
    """The runs of all tenants that are queued or running, each with its tenant. For a system's view."""
    rows = await db.all(select(RunRow.tenant_id, *_RUN).where(RunRow.state.in_(("queued", "running"))))
    return [(row.tenant_id, _run(row)) for row in rows]


async def wish(db: Db, tenant_id: UUID, run_id: UUID, wished: str | None) -> bool:
    """Ask that a run be paused or cancelled, or (None) go on; False when it is over."""
    mine = (RunRow.tenant_id == tenant_id, RunRow.id == run_id, RunRow.state.not_in(OVER))
    return bool(await db.execute(update(RunRow).where(*mine).values(wish=wished)))


class Journal:
    """Keeps the runs of all tenants. One per process."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self,
        tenant_id: UUID,
        plan: PlanView,
        operations: Sequence[Operation],
        *,
        targets: Mapping[str, str],
        author: str,
    ) -> RunView:
        """A new run of a plan with all its operations planned, or the one that the plan has already.

        Raises: PlanApplied when the plan was rejected meanwhile.
        """
        now = clock.now()
        async with self._database.begin(tenant_id, durable=True) as db:
            # First of all, so that of two processes one waits here for the other, and then finds its run.
            mine = await plans.move(db, tenant_id, plan.id, of=("empty", "ready", "approved"), to="applying")
            known = await run_of_plan(db, tenant_id, plan.id)
            if known is not None:
                return known
            if not mine:
                raise PlanApplied("This plan may not be applied any more.")
            run_id = clock.new_id()
            first = {"id": run_id, "plan_id": plan.id, "plan_sha256": plan.sha256, "author": author, "state": "queued"}
            await db.execute(
                insert(RunRow).values(tenant_id=tenant_id, **first, counts={}, started_at=now, resumed_n=0)
            )
            rows = [
                {
                    "tenant_id": tenant_id,
                    "run_id": run_id,
                    "n": one.n,
                    "pipeline": one.pipeline,
                    "target": targets[one.pipeline],
                    "kind": one.op,
                    "key": one.key[:_KEY_MOST],
                    "state": "planned",
                    "attempt": 0,
                    "fence": 0,
                }
                for one in operations
            ]
            for start in range(0, len(rows), _INSERTED_AT_ONCE):
                await db.execute(insert(OpRow), rows[start : start + _INSERTED_AT_ONCE])
        async with self._database.begin(tenant_id) as db:
            made = await run(db, tenant_id, run_id)
        if made is None:
            msg = "a run that was just opened is there"
            raise LookupError(msg)
        return made

    async def begin(self, tenant_id: UUID, run_id: UUID, *, targets: Sequence[str]) -> RunView:
        """Have a run be at work, unless it is over; how it stood before. targets: held by who asks.

        Raises: OperationInDoubt when another run has left an operation of one of the targets without an answer.
        """
        async with self._database.begin(tenant_id, durable=True) as db:
            before = await run(db, tenant_id, run_id)
            if before is None:
                raise RunUnknown(f"There is no run {run_id}.")
            if before.state in OVER:
                return before
            for target in targets:
                doubtful = await in_doubt(db, tenant_id, target)
                if doubtful is not None and doubtful[0] != run_id:
                    message = f"The run {doubtful[0]} left an operation of {target!r} in doubt; let it go on first."
                    raise OperationInDoubt(message, run=str(doubtful[0]))
            more = {} if before.state == "queued" else {"resumed_n": RunRow.resumed_n + 1}
            mine = (RunRow.tenant_id == tenant_id, RunRow.id == run_id)
            await db.execute(update(RunRow).where(*mine).values(state="running", problem=None, **more))
            return before

    async def states(self, tenant_id: UUID, run_id: UUID) -> dict[int, str]:
        """The state of each operation of a run, by number."""
        async with self._database.begin(tenant_id) as db:
            mine = (OpRow.tenant_id == tenant_id, OpRow.run_id == run_id)
            return {
                row.n: row.state for row in await db.all(select(OpRow.n, OpRow.state).where(*mine).order_by(OpRow.n))
            }

    async def intend(self, tenant_id: UUID, run_id: UUID, n: int, *, fence: int) -> None:
        """Say that an operation is about to be sent.

        Raises: LeaseLost when it is not ours to send any more; RunHalted when somebody asked that the run stop.
        """
        values = {"state": "intent", "fence": fence, "attempt": OpRow.attempt + 1, "sent_at": clock.now()}
        async with self._database.begin(tenant_id, durable=True) as db:
            wished = await db.scalar(select(RunRow.wish).where(RunRow.tenant_id == tenant_id, RunRow.id == run_id))
            if wished is not None:
                raise RunHalted(wished)
            await self._change(db, tenant_id, run_id, n, of=("planned",), fence=fence, values=values)

    async def settle(
        self,
        tenant_id: UUID,
        run_id: UUID,
        ends: Mapping[int, Mapping[str, Any]],
        known: Sequence[Known],
        *,
        fence: int,
    ) -> None:
        """Say how operations ended, and what is known of their records since. Raises: LeaseLost.

        ends: number -> `state` with `evidence` or `problem`.
        """
        async with self._database.begin(tenant_id, durable=True) as db:
            for n, values in ends.items():
                at = None if values["state"] == "planned" else clock.now()
                await self._change(db, tenant_id, run_id, n, of=OPEN, fence=fence, values={"finished_at": at, **values})
            await state.remember(db, tenant_id, known)

    async def doubt(self, tenant_id: UUID, run_id: UUID, wrong: Sequence[int], *, good: Sequence[int]) -> None:
        """Say which operations were proved by a later read, and which were answered well and are not to be seen."""
        async with self._database.begin(tenant_id, durable=True) as db:
            for n in wrong:
                said = {"state": "unverified", "problem": "The target said yes, and has something else."}
                await db.execute(update(OpRow).where(*_one(tenant_id, run_id, n)).values(**said))
            for n in good:
                await db.execute(update(OpRow).where(*_one(tenant_id, run_id, n)).values(evidence="verified"))

    async def halt(self, tenant_id: UUID, run_id: UUID) -> None:
        """Ask a run that is at work here to pause before its next operation."""
        async with self._database.begin(tenant_id, durable=True) as db:
            await wish(db, tenant_id, run_id, "pause")

    async def pause(self, tenant_id: UUID, run_id: UUID, *, problem: str) -> None:
        """Stop a run that nobody works on, and say why."""
        async with self._database.begin(tenant_id, durable=True) as db:
            mine = (RunRow.tenant_id == tenant_id, RunRow.id == run_id, RunRow.state.in_(("queued", "running")))
            await db.execute(update(RunRow).where(*mine).values(state="paused", problem=problem))

    async def close(
        self, tenant_id: UUID, run_id: UUID, plan_id: UUID, *, state: str, problem: str | None = None
    ) -> RunView:
        """End a run, or pause it, with its counts; one that is over stays as it is."""
        async with self._database.begin(tenant_id, durable=True) as db:
            its = (OpRow.tenant_id == tenant_id, OpRow.run_id == run_id)
            rows = await db.all(select(OpRow.state, func.count().label("n")).where(*its).group_by(OpRow.state))
            over = state in OVER
            ended: dict[str, Any] = {"counts": {row.state: row.n for row in rows}, "problem": problem, "state": state}
            ended["finished_at"] = clock.now() if over else None
            mine = (RunRow.tenant_id == tenant_id, RunRow.id == run_id, RunRow.state.not_in(OVER))
            if await db.execute(update(RunRow).where(*mine).values(**ended)) and over:
                left = "rejected" if state == "cancelled" and "done" not in ended["counts"] else "partially_applied"
                to = "applied" if state == "succeeded" else left
                await plans.move(db, tenant_id, plan_id, of=("applying",), to=to)
            found = await run(db, tenant_id, run_id)
        if found is None:
            msg = "a run that is being closed is there"
            raise LookupError(msg)
        return found

    async def _change(
        self,
        db: Db,
        tenant_id: UUID,
        run_id: UUID,
        n: int,
        *,
        of: Sequence[str],
        fence: int,
        values: Mapping[str, Any],
    ) -> None:
        changed = (
            update(OpRow).where(*_one(tenant_id, run_id, n), OpRow.state.in_(of), OpRow.fence <= fence).values(**values)
        )
        if not await db.execute(changed):
            raise LeaseLost("This operation is another process's now.", run_id=str(run_id), n=n)


def _one(tenant_id: UUID, run_id: UUID, n: int) -> tuple[ColumnElement[bool], ...]:
    return OpRow.tenant_id == tenant_id, OpRow.run_id == run_id, OpRow.n == n


def _run(row: Row[Any]) -> RunView:
    return RunView(**{column.key: getattr(row, column.key) for column in _RUN})


def _op(row: Row[Any]) -> OpView:
    return OpView(**{column.key: getattr(row, column.key) for column in _OP})
