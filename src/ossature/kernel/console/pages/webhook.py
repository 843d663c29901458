"""One webhook endpoint: its deliveries, and what can be done about them."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from nicegui import ui

from ossature.kernel import clock
from ossature.kernel.console import say
from ossature.kernel.console.pages.webhooks import state_lamp
from ossature.kernel.console.parts import (
    Refreshed,
    Tone,
    button,
    chips,
    code,
    confirm,
    drawn,
    empty,
    facts,
    lamp,
    panel,
    sheet,
    show_secret,
    svg,
    tag,
    toast,
)
from ossature.kernel.console.pictures import strip
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.i18n.words import Message, Words
from ossature.kernel.webhooks import store, usecases
from ossature.kernel.webhooks.domain import Attempt, Delivery, DeliveryState, Endpoint

WORDS = Words(
    "console.webhook",
    {
        "webhooks": "Webhooks",
        "test": "Send a test",
        "tested": "A test is on its way",
        "replay_failed": "Replay what failed",
        "replayed": Message(
            "One message is on its way once more", plural="{count} messages are on their way once more"
        ),
        "rotate": "Rotate the secret",
        "rotate_text": "The new secret signs from now on; the old one signs beside it for a while, so that the receiver can change at leisure.",
        "secret": "The new secret",
        "enable": "Enable",
        "disable": "Disable",
        "remove": "Remove",
        "remove_sure": "Remove this endpoint?",
        "remove_text": "What still waits for it is not sent. Its log stays until it is purged.",
        "changed": "Changed",
        "state": "State",
        "why": "Why",
        "events": "Events",
        "description": "What it is for",
        "since": "Since",
        "failing": "Fails since",
        "last": "The last deliveries",
        "last_note": "the newest at the end",
        "log": "Delivery log",
        "event": "Event",
        "when": "When",
        "attempts": "Attempts",
        "status": "Status",
        "error": "Answer",
        "waiting": "On its way",
        "delivered": "Delivered",
        "failed": "Given up",
        "cancelled": "Cancelled",
        "look": "Look",
        "replay": "Replay",
        "none": "Nothing was sent yet",
        "none_text": "A message is sent when a fact happens that this endpoint wants to hear of. A test tells whether it would arrive.",
        "message": "Message",
        "tries": "Tries",
        "no_tries": "It was not tried yet.",
        "close": "Close",
    },
)

TONES: dict[DeliveryState, Tone] = {
    DeliveryState.WAITING: "busy",
    DeliveryState.DELIVERED: "good",
    DeliveryState.FAILED: "bad",
    DeliveryState.CANCELLED: "off",
}
_STRIP = {"busy": "info"}
_LOOK_BACK = timedelta(days=14)


async def endpoint(visit: Visit, *, endpoint_id: UUID) -> None:
    """Draw the page. Raises: EndpointNotFound."""
    async with visit.ctx("read:webhooks") as ctx:
        found = await usecases.read_endpoint(ctx, endpoint_id)
    desk = _Desk(visit, endpoint_id)
    heading(found.url, trail=[(WORDS("webhooks"), "/webhooks")], actions=lambda: desk.actions(found))
    desk.place = await drawn(4.0, desk.draw, "o-stack")


class _Desk:
    """What is done on this page, and drawing it again afterwards."""

    def __init__(self, visit: Visit, endpoint_id: UUID) -> None:
        self.visit = visit
        self.endpoint_id = endpoint_id
        self.shown: list[Delivery] = []
        self.place: Refreshed | None = None

    async def do(self, said: str, act: Callable[[Ctx], Awaitable[object]], **told: object) -> None:
        """Do something in one transaction, say so, and draw the page again."""
        async with self.visit.ctx("write:webhooks") as ctx:
            result = await act(ctx)
        toast(WORDS(said, count=result, **told), tone="good")
        if self.place is not None:
            await self.place.again()

    def actions(self, found: Endpoint) -> None:
        """What can be done about the endpoint."""
        if not self.visit.may("write:webhooks"):
            return
        button(WORDS("test"), self.test, kind="main")
        button(WORDS("replay_failed"), self.replay_failed)
        button(WORDS("rotate"), self.rotate)
        button(WORDS("disable" if found.enabled else "enable"), lambda: self.switch(enabled=not found.enabled))
        button(WORDS("remove"), self.remove, kind="danger")

    async def test(self) -> None:
        await self.do("tested", lambda ctx: usecases.send_test(ctx, self.endpoint_id))

    async def replay_failed(self) -> None:
        since = clock.now() - _LOOK_BACK
        await self.do("replayed", lambda ctx: usecases.replay_failed(ctx, self.endpoint_id, since=since))

    async def replay(self, delivery: Delivery) -> None:
        await self.do("tested", lambda ctx: usecases.replay_delivery(ctx, self.endpoint_id, delivery.id))

    async def rotate(self) -> None:
        if await confirm(WORDS("rotate"), WORDS("rotate_text"), WORDS("rotate")):
            async with self.visit.ctx("write:webhooks") as ctx:
                changed = await usecases.rotate_secret(ctx, self.endpoint_id)
            await show_secret(WORDS("secret"), changed.secrets[0])

    async def switch(self, *, enabled: bool) -> None:
        changes = usecases.Changes(enabled=enabled)
        await self.do("changed", lambda ctx: usecases.change_endpoint(ctx, self.endpoint_id, changes))
        ui.navigate.reload()

    async def remove(self) -> None:
        if await confirm(WORDS("remove_sure"), WORDS("remove_text"), WORDS("remove")):
            async with self.visit.ctx("write:webhooks") as ctx:
                await usecases.remove_endpoint(ctx, self.endpoint_id)
            ui.navigate.to("/webhooks")

    async def draw(self) -> None:
        """The endpoint and its log as they are now."""
        async with self.visit.ctx("read:webhooks") as ctx:
            found = await usecases.read_endpoint(ctx, self.endpoint_id)
            page = await store.list_deliveries(ctx.db, ctx.tenant.id, self.endpoint_id, ListQuery(limit=60))
        self.shown[:] = page.items
        columns = self._columns()
        with tag("div", cls="o-grid"):
            with panel(cls="o-w5"):
                _facts(self.visit, found)
            with panel(WORDS("last"), note=WORDS("last_note"), cls="o-w7"):
                cells = [
                    (
                        _STRIP.get(TONES[one.state], TONES[one.state]),
                        f"{one.event}, {say.instant(one.created_at, self.visit.zone)}",
                    )
                    for one in reversed(self.shown)
                ]
                svg(strip(cells))
        with panel(WORDS("log"), actions=lambda: exports("deliveries", lambda: self.shown, columns)):
            if self.shown:
                table(self.shown, columns)
            else:
                empty(WORDS("none"), WORDS("none_text"))

    def _columns(self) -> list[Column[Delivery]]:
        zone = self.visit.zone
        return [
            Column(WORDS("event"), lambda one: one.event),
            Column(
                WORDS("state"),
                lambda one: WORDS(one.state.value),
                lambda one: lamp(TONES[one.state], WORDS(one.state.value)),
                tight=True,
            ),
            Column(WORDS("status"), lambda one: str(one.last_status or say.NOTHING), numeric=True),
            Column(WORDS("attempts"), lambda one: str(one.attempts), numeric=True),
            Column(WORDS("error"), lambda one: (one.last_error or "")[:160]),
            Column(WORDS("when"), lambda one: say.instant(one.created_at, zone), numeric=True),
            Column("", lambda _: "", self._row_actions, tight=True),
        ]

    def _row_actions(self, delivery: Delivery) -> None:
        with tag("div", cls="o-row"):
            button(WORDS("look"), lambda: self.look(delivery), small=True)
            if delivery.state is not DeliveryState.WAITING and self.visit.may("write:webhooks"):
                button(WORDS("replay"), lambda: self.replay(delivery), small=True)

    async def look(self, delivery: Delivery) -> None:
        """A message with all its tries, in a dialog."""
        async with self.visit.ctx("read:webhooks") as ctx:
            tries = await store.attempts_of(ctx.db, ctx.tenant.id, delivery.id)

        async def leave() -> None:
            dialog.close()

        with sheet(delivery.event, wide=True) as dialog:
            tag("div", WORDS("tries"), "o-label")
            for one in tries:
                _try(self.visit, one)
            if not tries:
                tag("p", WORDS("no_tries"), "o-dim")
            tag("div", WORDS("message"), "o-label")
            code(delivery.body)
            with tag("div", cls="o-actions"):
                button(WORDS("close"), leave)
        await dialog
        dialog.delete()


def _facts(visit: Visit, found: Endpoint) -> None:
    said: list[tuple[str, str | Callable[[], object]]] = [
        (WORDS("state"), lambda: state_lamp(found)),
        (WORDS("events"), lambda: chips(found.events)),
        (WORDS("description"), found.description or say.NOTHING),
        (WORDS("since"), say.instant(found.created_at, visit.zone)),
    ]
    if found.disabled_why:
        said.append((WORDS("why"), found.disabled_why))
    if found.failing_since is not None:
        said.append((WORDS("failing"), say.instant(found.failing_since, visit.zone)))
    facts(said)


def _try(visit: Visit, one: Attempt) -> None:
    with tag("div", cls="o-note-good" if one.accepted else "o-note-bad"):
        status = str(one.status) if one.status is not None else one.error or ""
        tag("div", f"{one.number}. {say.instant(one.at, visit.zone)}, {say.latency(one.duration_ms)}, {status}")
        if one.answer:
            tag("div", one.answer[:500], "o-mono")
