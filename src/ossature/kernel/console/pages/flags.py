"""Flags and experiments: what is on, for whom, and what kills it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nicegui import ui

from ossature.kernel.console import say
from ossature.kernel.console.parts import button, chips, drawn, empty, field, lamp, link, panel, select, sheet, svg, tag
from ossature.kernel.console.pictures import span_bar
from ossature.kernel.console.search import Hit, fits
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.i18n.words import Message, Words
from ossature.kernel.tenants.flags import store, usecases
from ossature.kernel.tenants.flags.domain import Flag

WORDS = Words(
    "console.flags",
    {
        "title": "Flags",
        "note": "What is on for whom. A change is in force in every process within a second.",
        "own": "Of this tenant",
        "house": "Of the house",
        "house_note": "They hold for every tenant, and go before a tenant's own of the same name.",
        "none": "No flags yet",
        "none_text": "A flag turns something on for some people first, compares two ways of doing it, or turns it off at once.",
        "new": "New flag",
        "name": "Name",
        "name_hint": "board.new",
        "what": "What it is for",
        "state": "State",
        "shares": Message("Shares", context="experiment"),
        "rules": "Rules",
        "experiment": "Experiment",
        "changed": "Changed",
        "killed": "Killed",
        "on": "Answers",
        "declared": "In the file",
        "percent": "For how many per cent it is on",
        "goal": "Goal that an experiment counts",
        "goal_hint": "booking.made",
        "by": "Whose answer stays the same",
        "by_user": "Each user's",
        "by_tenant": "Each tenant's",
        "create": "Create",
        "cancel": "Cancel",
    },
)

TONES = ("accent", "good", "warn", "busy", "off")
_LOOK_AT = 200


@dataclass(frozen=True, slots=True)
class Owned:
    """A flag, and whether it is of the house."""

    flag: Flag
    of_house: bool

    @property
    def path(self) -> str:
        """Where its page is."""
        return f"/flags/house/{self.flag.name}" if self.of_house else f"/flags/own/{self.flag.name}"


async def flags(visit: Visit) -> None:
    """Draw the page."""

    async def new() -> None:
        made = await _ask(visit)
        if made is not None:
            ui.navigate.to(Owned(made, of_house=False).path)

    def new_button() -> None:
        if visit.may("write:flags"):
            button(WORDS("new"), new, kind="main")

    heading(WORDS("title"), note=WORDS("note"), actions=new_button)
    columns = _columns(visit)

    async def draw() -> None:
        own, house = await _own(visit), await _house(visit)
        with panel(WORDS("own"), actions=lambda: exports("flags", lambda: own, columns)):
            if own:
                table(own, columns)
            else:
                empty(WORDS("none"), WORDS("none_text"), new_button)
        if house:
            with panel(WORDS("house"), note=WORDS("house_note")):
                table(house, columns)

    await drawn(10.0, draw, "o-stack")


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """Flags by name and purpose."""
    if not text:
        return []
    found = [*await _own(visit), *await _house(visit)]
    return [
        Hit(title=one.flag.name, note=one.flag.title, path=one.path)
        for one in found
        if fits(text, one.flag.name, one.flag.title)
    ]


def state_lamp(flag: Flag) -> None:
    """How a flag is."""
    if flag.killed_at is not None:
        lamp("bad", WORDS("killed"))
    else:
        lamp("good", WORDS("on"))


def shares_bar(flag: Flag) -> None:
    """Who gets what, where no rule holds."""
    given = sorted(flag.shares.items(), key=lambda one: (one[0] == flag.off, one[0]))
    parts = [
        (share / 100, "rule" if variant == flag.off else TONES[place % len(TONES)], shares_text({variant: share}))
        for place, (variant, share) in enumerate(given)
        if share > 0
    ]
    svg(span_bar(parts))
    tag("span", shares_text(flag.shares), "o-dim o-mono")


def shares_text(shares: Mapping[str, float]) -> str:
    """`on 10 %, off 90 %`."""
    return ", ".join(f"{variant} {say.share(share / 100)}" for variant, share in shares.items())


def _columns(visit: Visit) -> list[Column[Owned]]:
    def marks(one: Owned) -> list[str]:
        flag = one.flag
        found = [(flag.goal is not None, WORDS("experiment")), (flag.declared, WORDS("declared"))]
        return [text for holds, text in found if holds]

    def named(one: Owned) -> None:
        link(one.flag.name, one.path)

    return [
        Column(WORDS("name"), lambda one: one.flag.name, named, tight=True),
        Column(
            WORDS("state"),
            lambda one: WORDS("killed" if one.flag.killed_at else "on"),
            lambda one: state_lamp(one.flag),
            tight=True,
        ),
        Column(WORDS("shares"), lambda one: shares_text(one.flag.shares), lambda one: shares_bar(one.flag)),
        Column(WORDS("rules"), lambda one: say.count(len(one.flag.rules)), numeric=True),
        Column(WORDS("what"), lambda one: one.flag.title),
        Column("", lambda one: " ".join(marks(one)), lambda one: chips(marks(one)), tight=True),
        Column(WORDS("changed"), lambda one: say.instant(one.flag.updated_at, visit.zone), numeric=True),
    ]


async def _own(visit: Visit) -> list[Owned]:
    async with visit.ctx("read:flags") as ctx:
        found = (await store.flags(ctx.db, ctx.tenant.id, ListQuery(limit=_LOOK_AT))).items
    return [Owned(flag, of_house=ctx.tenant.id == SYSTEM_TENANT_ID) for flag in found]


async def _house(visit: Visit) -> list[Owned]:
    if not visit.may("read:platform"):
        return []
    async with visit.ctx("read:platform", of_house=True) as ctx:
        return [Owned(flag, of_house=True) for flag in await usecases.house_flags(ctx)]


async def _ask(visit: Visit) -> Flag | None:
    """The flag that the person wants, made; None when they changed their mind."""

    async def create() -> None:
        share = float(percent.value or 0)
        flag = Flag(
            name=name.value.strip(),
            title=what.value.strip(),
            variants={"on": True, "off": False},
            off="off",
            shares={"on": share, "off": 100 - share},
            by="tenant" if by.value == "tenant" else "user",
            goal=goal.value.strip() or None,
        )
        async with visit.ctx("write:flags") as ctx:
            made = await usecases.create_flag(ctx, ctx.tenant.id, flag)
        dialog.submit(made)

    async def leave() -> None:
        dialog.submit(None)

    with sheet(WORDS("new")) as dialog:
        with tag("div", cls="o-form"):
            name = field(WORDS("name"), hint=WORDS("name_hint"))
            what = field(WORDS("what"))
            percent = field(WORDS("percent"), value="0", kind="number")
            by = select(WORDS("by"), {"user": WORDS("by_user"), "tenant": WORDS("by_tenant")}, value="user")
            goal = field(WORDS("goal"), hint=WORDS("goal_hint"))
        with tag("div", cls="o-actions"):
            button(WORDS("cancel"), leave)
            button(WORDS("create"), create, kind="main")
    answer = await dialog
    dialog.delete()
    return answer if isinstance(answer, Flag) else None
