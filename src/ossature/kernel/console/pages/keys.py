"""API keys: who may call, for how long, and as what."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from ossature.kernel import clock
from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.keys import store, usecases
from ossature.kernel.auth.keys.domain import PREFIX, Key
from ossature.kernel.auth.roles import covers
from ossature.kernel.console import say
from ossature.kernel.console.parts import (
    Refreshed,
    Tone,
    button,
    chips,
    confirm,
    drawn,
    empty,
    field,
    lamp,
    panel,
    select,
    sheet,
    show_secret,
    tag,
    toast,
)
from ossature.kernel.console.search import Hit, fits
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.i18n.words import Message, Words

WORDS = Words(
    "console.keys",
    {
        "title": "API keys",
        "note": "A key stands for a program. Its secret is shown once, and only its digest is kept.",
        "new": "New key",
        "create": "Create",
        "cancel": "Cancel",
        "name": "Name",
        "name_hint": "What uses it, such as: nightly import",
        "roles": "Roles",
        "scopes": "Only these permissions",
        "scopes_hint": "read:jobs, *:hub; empty leaves all that the roles give",
        "ips": "Only from these networks",
        "ips_hint": "203.0.113.0/24; empty lets every address in",
        "life": "Ends",
        "never": "Never",
        "days": Message("In one day", plural="In {count} days"),
        "secret": "The secret of {name}",
        "state": "State",
        "hint": "Secret",
        "used": "Last used",
        "expires": "Ends",
        "rotate": "Rotate",
        "rotate_sure": "Rotate {name}?",
        "rotate_text": "It gets a new secret. The present one holds for {span} more, so that its users can change.",
        "revoke": "Revoke",
        "revoke_sure": "Revoke {name}?",
        "revoke_text": "It is refused everywhere within a second. That cannot be undone.",
        "revoked": "{name} is revoked",
        "active": "Active",
        "over": "Expired",
        "gone": "Revoked",
        "soon": "Ends soon",
        "due": "Rotation due",
        "overlap": "Two secrets hold",
        "none": "No keys",
        "none_text": "Programs call with a key. Make one for each, so that it can be revoked alone.",
    },
)

_LIVES = (30, 90, 365)
_SOON = timedelta(days=14)


async def keys(visit: Visit) -> None:
    """Draw the page."""
    desk = _Desk(visit)
    heading(WORDS("title"), note=WORDS("note"), actions=desk.new_button)
    with panel():
        desk.place = await drawn(10.0, desk.draw)


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """Keys by their name or by the beginning of their secret, of which no more than a hint is kept."""
    if not text:
        return []
    async with visit.ctx("read:keys") as ctx:
        found = (await store.keys(ctx.db, ctx.tenant.id, ListQuery(limit=200))).items
    now = clock.now()

    def begins(key: Key) -> bool:
        head, tail = key.hint.split("...", 1)
        return text.startswith(PREFIX) and (head.startswith(text) or (text.startswith(head) and text.endswith(tail)))

    return [
        Hit(title=key.name, note=f"{key.hint}, {_state(key, now)[1]}", path="/keys")
        for key in found
        if begins(key) or fits(text, key.name)
    ]


class _Desk:
    """What is done on this page, and drawing it again afterwards."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.shown: list[Key] = []
        self.place: Refreshed | None = None

    def new_button(self) -> None:
        """The way to a new key."""
        if self.visit.may("write:keys"):
            button(WORDS("new"), self.new, kind="main")

    async def draw(self) -> None:
        """The keys as they are now, revoked ones last."""
        async with self.visit.ctx("read:keys") as ctx:
            found = (await store.keys(ctx.db, ctx.tenant.id, ListQuery(limit=200))).items
        self.shown[:] = sorted(found, key=lambda key: key.revoked_at is not None)
        if not self.shown:
            empty(WORDS("none"), WORDS("none_text"), self.new_button)
            return
        columns = self._columns()
        table(self.shown, columns)
        with tag("div", cls="o-below"):
            exports("keys", lambda: self.shown, columns)

    async def again(self) -> None:
        """Draw the list anew."""
        if self.place is not None:
            await self.place.again()

    async def new(self) -> None:
        """Ask what the key is to be, make it, show its secret once."""
        issued = await _ask(self.visit)
        if issued is not None:
            await show_secret(WORDS("secret", name=issued.key.name), issued.secret)
            await self.again()

    async def rotate(self, key: Key) -> None:
        """Give a key a new secret."""
        overlap = say.span(self.visit.house.port(Gate).settings.key_overlap_s)
        if await confirm(WORDS("rotate_sure", name=key.name), WORDS("rotate_text", span=overlap), WORDS("rotate")):
            async with self.visit.ctx("write:keys") as ctx:
                issued = await usecases.rotate_key(ctx, key.id)
            await show_secret(WORDS("secret", name=key.name), issued.secret)
            await self.again()

    async def revoke(self, key: Key) -> None:
        """Take a key out of use."""
        if await confirm(WORDS("revoke_sure", name=key.name), WORDS("revoke_text"), WORDS("revoke")):
            async with self.visit.ctx("write:keys") as ctx:
                await usecases.revoke_key(ctx, key.id)
            toast(WORDS("revoked", name=key.name), tone="good")
            await self.again()

    def _columns(self) -> list[Column[Key]]:
        now, zone = clock.now(), self.visit.zone
        return [
            Column(WORDS("name"), lambda key: key.name),
            Column(WORDS("state"), lambda key: _state(key, now)[1], lambda key: lamp(*_state(key, now)), tight=True),
            Column(WORDS("hint"), lambda key: key.hint, lambda key: tag("span", key.hint, "o-mono"), tight=True),
            Column(
                WORDS("roles"),
                lambda key: " ".join(sorted(key.roles | key.scopes)),
                lambda key: chips(sorted(key.roles | key.scopes)),
            ),
            Column(WORDS("used"), lambda key: say.ago(key.last_used_at, now), numeric=True),
            Column(
                WORDS("expires"),
                lambda key: say.instant(key.expires_at, zone) if key.expires_at else WORDS("never"),
                numeric=True,
            ),
            Column("", lambda _: "", self._row_actions, tight=True),
        ]

    def _row_actions(self, key: Key) -> None:
        if key.revoked_at is None and self.visit.may("write:keys"):
            with tag("div", cls="o-row"):
                button(WORDS("rotate"), lambda: self.rotate(key), small=True)
                button(WORDS("revoke"), lambda: self.revoke(key), kind="danger", small=True)


def _state(key: Key, now: datetime) -> tuple[Tone, str]:
    if key.revoked_at is not None:
        return "off", WORDS("gone")
    if key.expires_at is not None and key.expires_at <= now:
        return "bad", WORDS("over")
    if key.rotate_due_at is not None and key.rotate_due_at <= now:
        return "warn", WORDS("due")
    if key.expires_at is not None and key.expires_at <= now + _SOON:
        return "warn", WORDS("soon")
    if key.previous_until is not None and key.previous_until > now:
        return "info", WORDS("overlap")
    return "good", WORDS("active")


async def _ask(visit: Visit) -> usecases.IssuedKey | None:
    """The key that the person wants, made; None when they changed their mind."""
    book = visit.house.port(Gate).roles.book
    mine = [name for name, held in sorted(book.items()) if all(covers(visit.actor.permissions, one) for one in held)]

    async def create() -> None:
        days = int(life.value or 0)
        async with visit.ctx("write:keys") as ctx:
            new = usecases.NewKey(
                name=name.value.strip() or WORDS("new"),
                roles=list(roles.value or ()),
                scopes=_words(scopes.value),
                ip_allow=_words(ips.value),
                expires_at=ctx.now + timedelta(days=days) if days else None,
            )
            issued = await usecases.create_key(ctx, new)
        dialog.submit(issued)

    async def leave() -> None:
        dialog.submit(None)

    with sheet(WORDS("new")) as dialog:
        with tag("div", cls="o-form"):
            name = field(WORDS("name"), hint=WORDS("name_hint"))
            roles = select(WORDS("roles"), mine, value=["user"] if "user" in mine else mine[:1], several=True)
            scopes = field(WORDS("scopes"), hint=WORDS("scopes_hint"))
            ips = field(WORDS("ips"), hint=WORDS("ips_hint"))
            life = select(
                WORDS("life"), {"0": WORDS("never"), **{str(d): WORDS("days", count=d) for d in _LIVES}}, value="90"
            )
        with tag("div", cls="o-actions"):
            button(WORDS("cancel"), leave)
            button(WORDS("create"), create, kind="main")
    answer = await dialog
    dialog.delete()
    return answer if isinstance(answer, usecases.IssuedKey) else None


def _words(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]
