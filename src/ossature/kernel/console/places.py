"""Where somebody acts: the tenants and projects that they can change to."""

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from nicegui import ui

from ossature.kernel.auth.sessions.usecases import open_projects, reachable_tenants
from ossature.kernel.console.calls import call, tell_refusal
from ossature.kernel.console.search import Hit, Source, fits
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Words
from ossature.kernel.tenants import store

WORDS = Words(
    "console.places",
    {
        "tenants": "Act for",
        "projects": "Project",
        "here": "here now",
        "whole": "{tenant} as a whole",
    },
)


async def project_name(visit: Visit) -> str:
    """The name of the project that the visitor acts for; empty for the tenant as a whole."""
    if visit.actor.project_id is None:
        return ""
    async with visit.ctx("*") as ctx:
        found = await store.project(ctx.db, ctx.tenant.id, visit.actor.project_id)
    return found.name if found is not None else ""


async def _find_tenants(visit: Visit, text: str) -> Sequence[Hit]:
    async with visit.ctx("*") as ctx:
        found = await reachable_tenants(ctx, matching=text)
    if len(found) == 1 and found[0].id == visit.tenant.id:
        return []
    return [
        Hit(
            title=tenant.name,
            note=WORDS("here") if tenant.id == visit.tenant.id else tenant.slug,
            act=_move(tenant.slug),
        )
        for tenant in found
    ]


async def _find_projects(visit: Visit, text: str) -> Sequence[Hit]:
    async with visit.ctx("*") as ctx:
        found = await open_projects(ctx)
    if not found:
        return []
    slug = visit.tenant.slug
    hits = [
        Hit(
            title=project.name,
            note=WORDS("here") if project.id == visit.actor.project_id else project.slug,
            act=_move(slug, project.slug),
        )
        for project in found
        if fits(text, project.name, project.slug)
    ]
    whole = WORDS("whole", tenant=visit.tenant.name)
    if visit.actor.project_id is not None and fits(text, whole):
        hits.insert(0, Hit(title=whole, act=_move(slug)))
    return hits


def _move(tenant: str, project: str | None = None) -> Callable[[], Awaitable[None]]:
    """Go there: by our API, which gives the browser another session, and on to the first page."""

    async def move() -> None:
        called = await call("POST", "/v1/auth/switch", {"tenant": tenant, "project": project})
        if called.good:
            ui.run_javascript(f"ossature.settle({json.dumps(tenant)}, {json.dumps(project)})")
        else:
            tell_refusal(called)

    return move


PLACES = (
    Source(partial(WORDS, "projects"), "read:projects", _find_projects),
    Source(partial(WORDS, "tenants"), "*", _find_tenants),
)
"""Where the palette looks for them."""
