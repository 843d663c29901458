"""Webhooks: whom we tell of what."""

from collections.abc import Sequence

from nicegui import ui

from ossature.kernel.console import say
from ossature.kernel.console.parts import (
    button,
    chips,
    drawn,
    empty,
    field,
    lamp,
    panel,
    select,
    sheet,
    show_secret,
    tag,
)
from ossature.kernel.console.search import Hit, fits
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.i18n.words import Words
from ossature.kernel.webhooks import store, usecases
from ossature.kernel.webhooks.domain import Endpoint

WORDS = Words(
    "console.webhooks",
    {
        "title": "Webhooks",
        "note": "Signed messages to other systems, tried again for three days.",
        "new": "New endpoint",
        "none": "Nobody is told yet",
        "none_text": "An endpoint is an address of yours that hears of facts: bookings confirmed, budgets used up, jobs that gave up.",
        "url": "Address",
        "url_hint": "https://example.org/hooks",
        "events": "Events",
        "all_events": "Everything (*)",
        "description": "What it is for",
        "state": "State",
        "created": "Since",
        "on": "Delivers",
        "off": "Disabled",
        "failing": "Fails",
        "create": "Create",
        "cancel": "Cancel",
        "secret": "The secret of this endpoint",
    },
)


_LOOK_AT = 200


async def endpoints(visit: Visit) -> None:
    """Draw the page."""
    shown: list[Endpoint] = []

    async def new() -> None:
        created = await _ask(visit)
        if created is not None:
            await show_secret(WORDS("secret"), created.secrets[0])
            ui.navigate.to(f"/webhooks/{created.id}")

    def new_button() -> None:
        if visit.may("write:webhooks"):
            button(WORDS("new"), new, kind="main")

    heading(WORDS("title"), note=WORDS("note"), actions=new_button)
    columns = _columns(visit)

    async def draw() -> None:
        async with visit.ctx("read:webhooks") as ctx:
            shown[:] = (await store.list_endpoints(ctx.db, ctx.tenant.id, ListQuery(limit=100))).items
        with panel():
            if not shown:
                empty(WORDS("none"), WORDS("none_text"), new_button)
                return
            table(shown, columns)
            with tag("div", cls="o-below"):
                exports("webhooks", lambda: shown, columns)

    await drawn(10.0, draw)


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """Endpoints by their address, purpose or id."""
    if not text:
        return []
    async with visit.ctx("read:webhooks") as ctx:
        found = (await store.list_endpoints(ctx.db, ctx.tenant.id, ListQuery(limit=_LOOK_AT))).items
    return [
        Hit(title=one.url, note=one.description, path=f"/webhooks/{one.id}")
        for one in found
        if fits(text, one.url, one.description, str(one.id))
    ]


def state_lamp(endpoint: Endpoint) -> None:
    """How an endpoint is."""
    if not endpoint.enabled:
        lamp("off", WORDS("off"))
    elif endpoint.failing_since is not None:
        lamp("bad", WORDS("failing"))
    else:
        lamp("good", WORDS("on"))


def _columns(visit: Visit) -> list[Column[Endpoint]]:
    def path(endpoint: Endpoint) -> str:
        return f"/webhooks/{endpoint.id}"

    return [
        Column(WORDS("url"), lambda one: one.url, path=path),
        Column(WORDS("state"), lambda one: WORDS("on" if one.enabled else "off"), state_lamp, tight=True),
        Column(WORDS("events"), lambda one: " ".join(one.events), lambda one: chips(one.events)),
        Column(WORDS("description"), lambda one: one.description),
        Column(WORDS("created"), lambda one: say.instant(one.created_at, visit.zone), numeric=True),
    ]


async def _ask(visit: Visit) -> Endpoint | None:
    """The endpoint that the person wants, made; None when they changed their mind."""
    wires = sorted(visit.house.port(Outbox).catalogue.wires)

    async def create() -> None:
        async with visit.ctx("write:webhooks") as ctx:
            made = await usecases.create_endpoint(
                ctx, url=url.value.strip(), events=list(events.value or ()), description=description.value.strip()
            )
        dialog.submit(made)

    async def leave() -> None:
        dialog.submit(None)

    with sheet(WORDS("new")) as dialog:
        with tag("div", cls="o-form"):
            url = field(WORDS("url"), hint=WORDS("url_hint"), kind="url")
            events = select(
                WORDS("events"), {"*": WORDS("all_events"), **{w: w for w in wires}}, value=["*"], several=True
            )
            description = field(WORDS("description"))
        with tag("div", cls="o-actions"):
            button(WORDS("cancel"), leave)
            button(WORDS("create"), create, kind="main")
    answer = await dialog
    dialog.delete()
    return answer if isinstance(answer, Endpoint) else None
