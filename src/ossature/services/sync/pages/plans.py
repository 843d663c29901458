"""Plans: every field that would change, what forbids it, and the approval that repeats the numbers."""

from collections.abc import Mapping

from nicegui import ui

from ossature.kernel.console import say
from ossature.kernel.console.parts import Tone, button, drawn, empty, facts, field, lamp, panel, sheet, tag, toast
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.i18n.words import Words
from ossature.services.sync.domain.canonical import KEY_JOINT
from ossature.services.sync.domain.guards import Guard, demanded
from ossature.services.sync.domain.plan import Operation, Plan
from ossature.services.sync.domain.values import PlanView
from ossature.services.sync.store.plans import list_plans
from ossature.services.sync.usecases import apply as applying
from ossature.services.sync.usecases import plan as planning

WORDS = Words(
    "sync.plans",
    {
        "title": "Plans",
        "note": "What would be written. Nothing is, until it is applied.",
        "none": "Nothing was planned yet",
        "none_text": "A plan reads both sides and says, field by field, what differs.",
        "plan": "Plan",
        "pipelines": "Pipelines",
        "state": "State",
        "operations": "Operations",
        "made": "Made",
        "expires": "Good until",
        "author": "By",
        "guards": "What forbids it",
        "guard": "Guard",
        "measured": "Measured",
        "limit": "At most",
        "changes": "What would be written",
        "key": "Record",
        "operation": "Operation",
        "fields": "Before → after",
        "reason": "Why",
        "more": "and {n} more",
        "approve": "Approve",
        "approve_text": "Type the numbers of this plan, so that nobody is surprised.",
        "apply": "Apply",
        "cancel": "Cancel",
        "approved": "The plan may be applied.",
        "held": "Rows in quarantine",
    },
)
_TONES: Mapping[str, Tone] = {
    "blocked": "bad",
    "ready": "info",
    "approved": "warn",
    "applying": "busy",
    "applied": "good",
    "partially_applied": "bad",
}
_SHOWN = 200


async def plans(visit: Visit) -> None:
    """Draw the list."""
    heading(WORDS("title"), note=WORDS("note"))

    async def draw() -> None:
        async with visit.ctx("read:sync") as ctx:
            found = (await list_plans(ctx.db, ctx.tenant.id, ListQuery(limit=100))).items
            zone = ctx.tenant.zone
        with panel():
            if not found:
                empty(WORDS("none"), WORDS("none_text"))
                return
            table(found, _columns(zone))

    await drawn(10.0, draw)


async def plan(visit: Visit, *, sha256: str) -> None:
    """Draw one plan. Raises: PlanUnknown."""
    async with visit.ctx("read:sync") as ctx:
        view = await planning.found(ctx, sha256)
        made = await planning.opened(ctx, view)
        zone = ctx.tenant.zone

    async def approve() -> None:
        if await _approved(visit, view):
            toast(WORDS("approved"), tone="good")
            ui.navigate.to(f"/sync/plans/{view.sha256}")

    async def apply() -> None:
        async with visit.ctx("apply:sync") as ctx:
            run = await applying.open_run(ctx, view.sha256)
            job = visit.house.jobs.registry["sync.apply_run"]
            await ctx.enqueue(job, {"run_id": str(run.id)})
        ui.navigate.to(f"/sync/runs/{run.id}")

    def actions() -> None:
        if view.state == "blocked" and visit.may("approve:sync"):
            button(WORDS("approve"), approve, kind="danger")
        if view.state in {"ready", "approved"} and visit.may("apply:sync"):
            button(WORDS("apply"), apply, kind="main")

    heading(view.sha256[:12], trail=[(WORDS("title"), "/sync/plans")], actions=actions)
    with tag("div", cls="o-stack"):
        with tag("div", cls="o-grid"):
            with panel(WORDS("plan"), cls="o-w4"):
                facts(
                    [
                        (WORDS("state"), lambda: state_lamp(view.state)),
                        (WORDS("pipelines"), ", ".join(view.pipelines)),
                        (WORDS("operations"), numbers(view.counts)),
                        (WORDS("held"), say.count(int(view.budget.get("quarantined", 0)))),
                        (WORDS("author"), view.author),
                        (WORDS("made"), say.instant(view.created_at, zone)),
                        (WORDS("expires"), say.instant(view.expires_at, zone)),
                    ]
                )
            with panel(WORDS("guards"), cls="o-w8"):
                _guards(view)
        with panel(WORDS("changes")):
            _diff(made)


def state_lamp(state: str) -> None:
    """How a plan or a run stands; its word is the one of the API."""
    lamp(_TONES.get(state, "off"), state.replace("_", " "))


def numbers(counts: Mapping[str, int]) -> str:
    """Counts by kind, in one line."""
    return ", ".join(f"{name} {say.count(number)}" for name, number in sorted(counts.items())) or "0"


async def _approved(visit: Visit, view: PlanView) -> bool:
    wanted = demanded([Guard(**one) for one in view.guards])
    with sheet(WORDS("approve")) as dialog:
        tag("p", WORDS("approve_text"))
        fields = {name: field(name) for name in wanted}

        async def send() -> None:
            allow = {
                name: int(text) if (text := str(one.value or "")).isdigit() else -1 for name, one in fields.items()
            }
            async with visit.ctx("approve:sync") as ctx:
                await planning.approve(ctx, view.sha256, allow=allow)
            dialog.submit(True)  # noqa: FBT003 - NiceGUI's own signature

        async def leave() -> None:
            dialog.submit(False)  # noqa: FBT003 - NiceGUI's own signature

        with tag("div", cls="o-actions"):
            button(WORDS("cancel"), leave)
            button(WORDS("approve"), send, kind="danger")
    return bool(await dialog)


def _guards(view: PlanView) -> None:
    if not view.guards:
        lamp("good", "0")
        return
    columns: list[Column[Mapping[str, object]]] = [
        Column(WORDS("guard"), lambda one: str(one["name"])),
        Column(WORDS("pipelines"), lambda one: str(one["pipeline"])),
        Column(WORDS("measured"), lambda one: f"{one['quantity']} = {one['measured']}", tight=True),
        Column(WORDS("limit"), lambda one: f"{one['limit']:g}", numeric=True),
    ]
    table(list(view.guards), columns)


def _diff(made: Plan) -> None:
    writes = [one for one in made.operations if one.op != "adopt"]
    columns: list[Column[Operation]] = [
        Column(WORDS("operation"), lambda one: one.op, tight=True),
        Column(WORDS("key"), lambda one: one.key.replace(KEY_JOINT, " / ")),
        Column(WORDS("fields"), _changes),
        Column(WORDS("reason"), lambda one: one.reason.replace("_", " "), tight=True),
    ]
    table(writes[:_SHOWN], columns)
    if len(writes) > _SHOWN:
        tag("p", WORDS("more", n=len(writes) - _SHOWN), "o-dim")


def _changes(one: Operation) -> str:
    if one.fields:
        return "; ".join(f"{each.name}: {each.before} → {each.after}" for each in one.fields)
    return ", ".join(f"{name}: {value}" for name, value in (one.after or one.before or {}).items())


def _columns(zone: str) -> list[Column[PlanView]]:
    return [
        Column(WORDS("plan"), lambda one: one.sha256[:12], path=lambda one: f"/sync/plans/{one.sha256}"),
        Column(WORDS("pipelines"), lambda one: ", ".join(one.pipelines)),
        Column(WORDS("state"), lambda one: one.state, lambda one: state_lamp(one.state), tight=True),
        Column(WORDS("operations"), lambda one: numbers(one.counts)),
        Column(WORDS("author"), lambda one: one.author),
        Column(WORDS("made"), lambda one: say.instant(one.created_at, zone), tight=True),
    ]
