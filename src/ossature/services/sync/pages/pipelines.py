"""Pipelines: what is kept equal."""

from ossature.kernel.console import say
from ossature.kernel.console.parts import button, drawn, empty, lamp, panel
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.i18n.words import Words
from ossature.services.sync.domain.values import PipelineView
from ossature.services.sync.store.pipelines import list_pipelines

WORDS = Words(
    "sync.pipelines",
    {
        "title": "Pipelines",
        "note": "Records of one system kept equal in another.",
        "none": "Nothing is kept equal yet",
        "none_text": "A pipeline is one TOML file: ossature sync pipelines save FILE.",
        "name": "Pipeline",
        "about": "What it is for",
        "version": "Version",
        "state": "State",
        "on": "Enabled",
        "off": "Disabled",
        "changed": "Changed",
        "plan": "Plan now",
    },
)


async def pipelines(visit: Visit) -> None:
    """Draw the page."""

    async def plan() -> None:
        async with visit.ctx("plan:sync") as ctx:
            job = visit.house.jobs.registry["sync.make_plan"]
            job_id = await ctx.enqueue(job, {}, unique=job.name)
        visit.follow(job_id, job.name)

    def plan_button() -> None:
        if visit.may("plan:sync"):
            button(WORDS("plan"), plan, kind="main")

    heading(WORDS("title"), note=WORDS("note"), actions=plan_button)

    async def draw() -> None:
        async with visit.ctx("read:sync") as ctx:
            found = (await list_pipelines(ctx.db, ctx.tenant.id, ListQuery(limit=200))).items
            zone = ctx.tenant.zone
        with panel():
            if not found:
                empty(WORDS("none"), WORDS("none_text"))
                return
            table(found, _columns(zone))

    await drawn(30.0, draw)


def _columns(zone: str) -> list[Column[PipelineView]]:
    def state(one: PipelineView) -> None:
        lamp("good" if one.enabled else "off", WORDS("on" if one.enabled else "off"))

    return [
        Column(WORDS("name"), lambda one: one.name),
        Column(WORDS("about"), lambda one: one.title),
        Column(WORDS("state"), lambda one: WORDS("on" if one.enabled else "off"), state, tight=True),
        Column(WORDS("version"), lambda one: say.count(one.version_n), numeric=True),
        Column(WORDS("changed"), lambda one: say.instant(one.changed_at, zone), tight=True),
    ]
