"""`ossature sync`: plan, look, approve, apply.

What a verb ends with: 0 done or nothing to do, 1 an error, 2 changes are waiting, 3 a guard forbids it, 4 not everything was
applied, 5 another run has the target.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import typer

from ossature.kernel import clock
from ossature.kernel.cli.session import Session
from ossature.kernel.errors import InvalidInput
from ossature.services.sync.commands import declared
from ossature.services.sync.commands.calling import Group, OfTenant, at, ended, interruptible, pairs, run_id_of

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx
    from ossature.services.sync.domain.plan import Plan
    from ossature.services.sync.domain.values import PlanView, RunView
    from ossature.services.sync.usecases.asking import Status

# What a verb does is imported inside it: see `calling`.

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Keep records of one system equal in another: plan, look, approve, apply."
)
app.add_typer(declared.pipelines, name="pipelines")
app.add_typer(declared.connections, name="connections")

_WAITING = {"empty": 0, "ready": 2, "approved": 2, "blocked": 3}
_SIGNS = {"create": "+", "update": "~", "delete": "-", "deactivate": "-", "adopt": "="}

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[PIPELINE]...", help="All that are enabled without a name.")
]
Only = Annotated[str, typer.Option(help="Kinds of operations: create,update,delete,deactivate.")]


@app.command()
def plan(
    ctx: typer.Context,
    names: Names = None,
    *,
    only: Only = "",
    key: Annotated[list[str] | None, typer.Option(help="Only these keys.")] = None,
    profile: Annotated[str | None, typer.Option(help="An overlay of the file, such as dev.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the plan's bytes here.")] = None,
    tenant: OfTenant = "",
) -> None:
    """Read both sides and say what would be written; nothing is. Exit code 2: changes wait; 3: a guard forbids them.

    Example: ossature sync plan people
    """
    from ossature.services.sync.usecases import plan as planning  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> "tuple[PlanView, Plan, bytes]":
        async with at(session, tenant) as house:
            view = await planning.make_plan(house, names or (), only=_kinds(only), keys=key or (), profile=profile)
        async with at(session, tenant) as house:
            return view, await planning.opened(house, view), await planning.content(house, view)

    view, made, body = ended(session, work())
    if out is not None:
        out.write_bytes(body)
    _show(session, view, made)
    raise typer.Exit(_WAITING.get(view.state, 0))


@app.command()
def show(ctx: typer.Context, sha256: Annotated[str, typer.Argument(metavar="PLAN")], *, tenant: OfTenant = "") -> None:
    """A plan, field by field.

    Example: ossature sync show 3f9a2c41d0be
    """
    from ossature.services.sync.usecases import plan as planning  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> "tuple[PlanView, Plan]":
        async with at(session, tenant) as house:
            view = await planning.found(house, sha256)
            return view, await planning.opened(house, view)

    view, made = ended(session, work())
    _show(session, view, made)
    raise typer.Exit(_WAITING.get(view.state, 0))


@app.command()
def approve(
    ctx: typer.Context,
    sha256: Annotated[str, typer.Argument(metavar="PLAN")],
    *,
    allow: Annotated[list[str] | None, typer.Option(help="An exact number, such as creates=37.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it stands in the audit trail.")] = "",
    tenant: OfTenant = "",
) -> None:
    """Let a plan be applied that a guard forbids, by repeating its numbers.

    Example: ossature sync approve 3f9a2c41d0be --allow creates=37 --reason "first run"
    """
    from ossature.services.sync.usecases import plan as planning  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> "PlanView":
        async with at(session, tenant) as house:
            return await planning.approve(house, sha256, allow=_numbers(allow or ()), reason=reason)

    view = ended(session, work())
    session.out.value({"plan": view.sha256, "state": view.state}, f"Plan {view.sha256[:12]} is {view.state}.")


@app.command()
def apply(
    ctx: typer.Context,
    sha256: Annotated[str, typer.Argument(metavar="PLAN", help="Its hash, or the first 12 digits.")] = "",
    *,
    allow: Annotated[list[str] | None, typer.Option(help="Approve at once, by the exact number: creates=37.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it stands in the audit trail.")] = "",
    resume: Annotated[str, typer.Option(metavar="RUN", help="Go on with a run that was interrupted.")] = "",
    tenant: OfTenant = "",
) -> None:
    """Write exactly what stands in a plan. Exit code 4: some of it was not applied.

    Example: ossature sync apply 3f9a2c41d0be
    """
    from ossature.services.sync.usecases import apply as applying  # noqa: PLC0415 - see above
    from ossature.services.sync.usecases import plan as planning  # noqa: PLC0415 - see above

    session = Session.of(ctx)
    if bool(sha256) == bool(resume):
        raise InvalidInput("Name a plan, or a run to go on with.")

    async def work() -> "RunView":
        async with at(session, tenant) as house:
            if resume:
                return await interruptible(house, run_id_of(resume), _resumed(house, run_id_of(resume)))
            if allow:
                async with house.db.step():
                    await planning.approve(house, sha256, allow=_numbers(allow), reason=reason)
            run_id = (await applying.open_run(house, sha256)).id
            return await interruptible(house, run_id, applying.work_on(house, run_id))

    _tell_run(session, ended(session, work()))


@app.command()
def run(
    ctx: typer.Context, names: Names = None, *, only: Only = "", profile: str | None = None, tenant: OfTenant = ""
) -> None:
    """Plan, and apply at once unless a guard forbids it: for schedules.

    Example: ossature sync run all
    """
    from ossature.services.sync.usecases import apply as applying  # noqa: PLC0415 - see above
    from ossature.services.sync.usecases import plan as planning  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> "RunView | None":
        async with at(session, tenant) as house:
            view = await planning.make_plan(house, names or (), only=_kinds(only), profile=profile)
        if view.state == "empty":
            return None
        async with at(session, tenant) as house:
            run_id = (await applying.open_run(house, view.sha256)).id
            return await interruptible(house, run_id, applying.work_on(house, run_id))

    applied = ended(session, work())
    if applied is None:
        session.out.value({"state": "empty"}, "Nothing to do.")
        return
    _tell_run(session, applied)


@app.command()
def pause(ctx: typer.Context, run_id: Annotated[str, typer.Argument(metavar="RUN")], *, tenant: OfTenant = "") -> None:
    """Have a run stop before its next operation; `apply --resume` has it go on.

    Example: ossature sync pause 0197c2a0-5a57-7c1e-8a41-2f9d1a6f2f10
    """
    _steer(Session.of(ctx), run_id, "pause", tenant)


@app.command()
def cancel(ctx: typer.Context, run_id: Annotated[str, typer.Argument(metavar="RUN")], *, tenant: OfTenant = "") -> None:
    """Have a run end before its next operation; what was written stays.

    Example: ossature sync cancel 0197c2a0-5a57-7c1e-8a41-2f9d1a6f2f10
    """
    _steer(Session.of(ctx), run_id, "cancel", tenant)


@app.command()
def status(
    ctx: typer.Context,
    *,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 when a pipeline is stale.")] = False,
    stale_after: Annotated[float, typer.Option(metavar="HOURS", min=0, help="Hours without a good run.")] = 26.0,
    tenant: OfTenant = "",
) -> None:
    """How every pipeline and target stands.

    Example: ossature sync status --check --stale-after 26
    """
    from ossature.services.sync.usecases import asking  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> "Status":
        async with at(session, tenant) as house:
            return await asking.status(house)

    found = ended(session, work())
    limit = clock.now() - timedelta(hours=stale_after)
    stale = [one.name for one in found.pipelines if one.enabled and (one.last_good_at or limit) <= limit]
    if session.out.as_json:
        session.out.value({**asdict(found), "stale": stale})
    else:
        session.out.table(
            [{**asdict(one), "stale": one.name in stale} for one in found.pipelines], empty="No pipeline."
        )
        session.out.table([asdict(one) for one in found.targets], empty="No target.")
    raise typer.Exit(1 if check and stale else 0)


@app.command()
def runs(ctx: typer.Context, *, tenant: OfTenant = "") -> None:
    """The newest runs.

    Example: ossature sync runs
    """
    from ossature.kernel.db.listing import ListQuery  # noqa: PLC0415 - see above
    from ossature.services.sync.store import journal  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> "Sequence[RunView]":
        async with at(session, tenant) as house:
            return (await journal.list_runs(house.db, house.tenant.id, ListQuery(limit=20))).items

    rows = [
        {
            "run": str(one.id),
            "plan": one.plan_sha256[:12],
            "state": one.state,
            "operations": _numbers_of(one.counts),
            "started": one.started_at.isoformat(timespec="seconds"),
            "resumed": one.resumed_n,
            "problem": one.problem or "",
        }
        for one in ended(session, work())
    ]
    session.out.table(rows, empty="Nothing was applied yet.")


async def _resumed(house: "Ctx", run_id: UUID) -> "RunView":
    from ossature.services.sync.usecases import apply as applying  # noqa: PLC0415 - see above
    from ossature.services.sync.usecases import steering  # noqa: PLC0415 - see above

    async with house.db.step():
        await steering.unwish(house, run_id)
    return await applying.work_on(house, run_id)


def _steer(session: Session, run_id: str, wish: Literal["pause", "cancel"], tenant: str) -> None:
    from ossature.services.sync.usecases import steering  # noqa: PLC0415 - see above

    async def work() -> "RunView":
        async with at(session, tenant) as house:
            return await steering.steer(house, run_id_of(run_id), wish)

    run = ended(session, work())
    session.out.value({"run": str(run.id), "state": run.state, "wish": run.wish}, f"Asked run {run.id} to {wish}.")


def _tell_run(session: Session, applied: "RunView") -> None:
    counts = _numbers_of(applied.counts)
    document = {"run": str(applied.id), "state": applied.state, "counts": dict(applied.counts)}
    session.out.value(document, f"Run {applied.id}: {applied.state} ({counts}).")
    raise typer.Exit(0 if applied.state == "succeeded" else 4)


def _show(session: Session, view: "PlanView", made: "Plan") -> None:
    if session.out.as_json:
        document = {"plan": view.sha256, "state": view.state, "counts": dict(view.counts), "guards": list(view.guards)}
        session.out.value({**document, "budget": dict(view.budget)})
        return
    lines = [f"Plan {view.sha256[:12]}: {view.state}, {_numbers_of(view.counts) or 'nothing to do'}"]
    for one in made.operations:
        if one.op == "adopt":
            continue
        lines.append(f"{_SIGNS[one.op]} {one.pipeline} {one.key.replace(chr(31), ' / ')}  ({one.reason})")
        lines += [f"    {each.name}: {each.before!r} → {each.after!r}" for each in one.fields]
    for each in view.guards:
        lines.append(f"! {each['name']}: {each['quantity']}={each['measured']}, at most {each['limit']:g}")
    session.out.value(view.sha256, "\n".join(lines))


def _numbers_of(counts: Any) -> str:  # noqa: ANN401 - a mapping of the wire
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))


def _kinds(only: str) -> list[str]:
    return [kind.strip() for kind in only.split(",") if kind.strip()]


def _numbers(allow: Sequence[str]) -> dict[str, int]:
    try:
        return {name: int(value) for name, value in pairs(allow).items()}
    except ValueError:
        raise InvalidInput("An approval repeats numbers: --allow creates=37.") from None
