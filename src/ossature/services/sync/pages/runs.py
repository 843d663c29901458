"""Runs: what was written, what was not, and why."""

from collections.abc import Mapping
from uuid import UUID

from ossature.kernel.console import say
from ossature.kernel.console.parts import Tone, drawn, empty, facts, lamp, link, panel, tag
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.i18n.words import Words
from ossature.services.sync.domain.canonical import KEY_JOINT
from ossature.services.sync.domain.problems import RunUnknown
from ossature.services.sync.domain.values import OpView, RunView
from ossature.services.sync.pages.plans import numbers
from ossature.services.sync.store import journal

WORDS = Words(
    "sync.runs",
    {
        "title": "Runs",
        "note": "What was written, and the proof of it.",
        "none": "Nothing was applied yet",
        "none_text": "A plan that nothing forbids, or that somebody approved, can be applied.",
        "run": "Run",
        "plan": "Plan",
        "state": "State",
        "operations": "Operations",
        "started": "Started",
        "finished": "Ended",
        "resumed": "Went on after an interruption",
        "problem": "Problem",
        "key": "Record",
        "operation": "Operation",
        "evidence": "Known by",
    },
)
_TONES: Mapping[str, Tone] = {
    "queued": "info",
    "running": "busy",
    "paused": "warn",
    "succeeded": "good",
    "partial": "bad",
    "failed": "bad",
    "planned": "info",
    "intent": "busy",
    "done": "good",
    "stale": "warn",
    "unverified": "bad",
}
_SHOWN = 200


async def runs(visit: Visit) -> None:
    """Draw the list."""
    heading(WORDS("title"), note=WORDS("note"))

    async def draw() -> None:
        async with visit.ctx("read:sync") as ctx:
            found = (await journal.list_runs(ctx.db, ctx.tenant.id, ListQuery(limit=100))).items
            zone = ctx.tenant.zone
        with panel():
            if not found:
                empty(WORDS("none"), WORDS("none_text"))
                return
            table(found, _columns(zone))

    await drawn(5.0, draw)


async def run(visit: Visit, *, run_id: UUID) -> None:
    """Draw one run. Raises: RunUnknown."""
    heading(str(run_id)[:8], trail=[(WORDS("title"), "/sync/runs")])

    async def draw() -> None:
        async with visit.ctx("read:sync") as ctx:
            found = await journal.run(ctx.db, ctx.tenant.id, run_id)
            if found is None:
                raise RunUnknown(f"There is no run {run_id}.")
            ops = await journal.ops(ctx.db, ctx.tenant.id, run_id, limit=_SHOWN)
            zone = ctx.tenant.zone
        with tag("div", cls="o-stack"):
            with panel(WORDS("run")):
                facts(
                    [
                        (WORDS("state"), lambda: _lamp(found.state)),
                        (WORDS("plan"), lambda: link(found.plan_sha256[:12], f"/sync/plans/{found.plan_sha256}")),
                        (WORDS("operations"), numbers(found.counts)),
                        (WORDS("started"), say.instant(found.started_at, zone)),
                        (WORDS("finished"), say.instant(found.finished_at, zone)),
                        (WORDS("resumed"), say.count(found.resumed_n)),
                        (WORDS("problem"), found.problem or "-"),
                    ]
                )
            with panel(WORDS("operations")):
                table(ops, _op_columns())

    await drawn(2.0, draw)


def _lamp(state: str) -> None:
    lamp(_TONES.get(state, "off"), state)


def _columns(zone: str) -> list[Column[RunView]]:
    return [
        Column(WORDS("run"), lambda one: str(one.id)[:8], path=lambda one: f"/sync/runs/{one.id}"),
        Column(WORDS("plan"), lambda one: one.plan_sha256[:12], path=lambda one: f"/sync/plans/{one.plan_sha256}"),
        Column(WORDS("state"), lambda one: one.state, lambda one: _lamp(one.state), tight=True),
        Column(WORDS("operations"), lambda one: numbers(one.counts)),
        Column(WORDS("started"), lambda one: say.instant(one.started_at, zone), tight=True),
    ]


def _op_columns() -> list[Column[OpView]]:
    return [
        Column(WORDS("operation"), lambda one: one.kind, tight=True),
        Column(WORDS("key"), lambda one: one.key.replace(KEY_JOINT, " / ")),
        Column(WORDS("state"), lambda one: one.state, lambda one: _lamp(one.state), tight=True),
        Column(WORDS("evidence"), lambda one: one.evidence or "-", tight=True),
        Column(WORDS("problem"), lambda one: one.problem or "-"),
    ]
