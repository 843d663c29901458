"""One flag: who gets what and why, its kill switch, and what an experiment has shown."""

from dataclasses import dataclass
from uuid import UUID

from nicegui import ui

from ossature.kernel.console import say
from ossature.kernel.console.pages.flags import TONES, shares_bar, shares_text, state_lamp
from ossature.kernel.console.parts import (
    button,
    confirm,
    document,
    drawn,
    empty,
    facts,
    field,
    panel,
    sheet,
    svg,
    tag,
)
from ossature.kernel.console.pictures import interval
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.i18n.words import Message, Words
from ossature.kernel.tenants.flags import usecases
from ossature.kernel.tenants.flags.domain import Arm, Flag, Results, Rule

WORDS = Words(
    "console.flag",
    {
        "kill": "Kill",
        "kill_title": "Turn it off for everybody?",
        "kill_text": "Everybody gets the variant {off} within a second, until it is revived.",
        "why": "Why",
        "revive": "Revive",
        "delete": "Delete",
        "delete_text": "Who asks for it gets the default of the place that asks.",
        "cancel": "Cancel",
        "state": "State",
        "off": "While it is killed",
        "by": "Whose answer stays the same",
        "by_user": "Each user's",
        "by_tenant": "Each tenant's",
        "variants": "Variants",
        "who": "Who gets what",
        "who_note": "The first rule that holds answers; without one, these shares.",
        "rest": "Everybody else",
        "rule_tenants": "tenants {names}",
        "rule_plans": "plans {names}",
        "rule_users": "users {names}",
        "rule_roles": "roles {names}",
        "everybody": "everybody",
        "shown_title": "What the experiment has shown",
        "round": "Round {round}, goal {goal}. A change of who gets what begins a new round.",
        "nobody": "Nobody was shown it yet",
        "nobody_text": "Who looks at the flag through a rule of one variant is not counted.",
        "variant": "Variant",
        "shown": Message("Shown to", context="experiment"),
        "reached": "Reached the goal",
        "rate": Message("Rate", context="experiment"),
        "lift": "Against {off}",
        "total": "Brought in all",
        "between": "{value}, between {low} and {high}",
        "picture": "Rates with their 95 % intervals",
        "declared": "It stands in the file of flags: change it there. It can be killed here.",
        "killed_at": "Killed",
    },
)


@dataclass
class _Sheet:
    """The page of one flag, while it is open."""

    visit: Visit
    owner_id: UUID
    name: str
    off: str = ""

    @property
    def read(self) -> str:
        """What it takes to see it."""
        return "read:platform" if self.owner_id == SYSTEM_TENANT_ID else "read:flags"

    @property
    def write(self) -> str:
        """What it takes to change it."""
        return "write:platform" if self.owner_id == SYSTEM_TENANT_ID else "write:flags"

    async def draw(self) -> None:
        """Draw how it is now."""
        async with self.visit.ctx(self.read) as ctx:
            flag = await usecases.read_flag(ctx, self.owner_id, self.name)
            found = await usecases.read_results(ctx, self.owner_id, self.name) if flag.goal is not None else None
        _facts(self.visit, flag)
        _who(flag)
        if found is not None:
            _results(found)

    async def kill(self) -> None:
        """Turn it off, if the person means it."""
        why = await _ask_why(self.off)
        if why:
            async with self.visit.ctx(self.write) as ctx:
                await usecases.kill_flag(ctx, self.owner_id, self.name, why)
            self.reload()

    async def revive(self) -> None:
        """Let it answer again."""
        async with self.visit.ctx(self.write) as ctx:
            await usecases.revive_flag(ctx, self.owner_id, self.name)
        self.reload()

    async def delete(self) -> None:
        """Delete it, if the person means it."""
        if await confirm(self.name, WORDS("delete_text"), WORDS("delete")):
            async with self.visit.ctx(self.write) as ctx:
                await usecases.delete_flag(ctx, self.owner_id, self.name)
            ui.navigate.to("/flags")

    def reload(self) -> None:
        """Draw all of it anew: what can be done is another thing now."""
        ui.navigate.reload()


async def own_flag(visit: Visit, name: str) -> None:
    """Draw the page of a flag of the tenant."""
    await _draw(_Sheet(visit, visit.tenant.id, name))


async def house_flag(visit: Visit, name: str) -> None:
    """Draw the page of a flag of the house."""
    await _draw(_Sheet(visit, SYSTEM_TENANT_ID, name))


async def _draw(page: _Sheet) -> None:
    async with page.visit.ctx(page.read) as ctx:
        flag = await usecases.read_flag(ctx, page.owner_id, page.name)
    page.off = flag.off

    def actions() -> None:
        if page.visit.may(page.write):
            if flag.killed_at is None:
                button(WORDS("kill"), page.kill, kind="danger")
            else:
                button(WORDS("revive"), page.revive)
            if not flag.declared:
                button(WORDS("delete"), page.delete)

    heading(page.name, note=flag.title, actions=actions)
    await drawn(10.0, page.draw, "o-stack")


def _facts(visit: Visit, flag: Flag) -> None:
    with panel():
        if flag.declared:
            tag("p", WORDS("declared"))
        facts(
            [
                (WORDS("state"), lambda: state_lamp(flag)),
                *(
                    [(WORDS("killed_at"), f"{say.instant(flag.killed_at, visit.zone)}: {flag.killed_why}")]
                    if flag.killed_at
                    else []
                ),
                (WORDS("off"), flag.off),
                (WORDS("by"), WORDS("by_tenant" if flag.by == "tenant" else "by_user")),
                (WORDS("variants"), lambda: document(dict(flag.variants))),
            ]
        )


def _who(flag: Flag) -> None:
    with panel(WORDS("who"), note=WORDS("who_note")):
        pairs = [(_about(rule), shares_text(rule.shares)) for rule in flag.rules]
        facts([*pairs, (WORDS("rest"), lambda: shares_bar(flag))])


def _about(rule: Rule) -> str:
    told = [
        (rule.tenants, "rule_tenants"),
        (rule.plans, "rule_plans"),
        (rule.users, "rule_users"),
        (rule.roles, "rule_roles"),
    ]
    said = [WORDS(word, names=" ".join(sorted(names))) for names, word in told if names]
    return ", ".join(said) or WORDS("everybody")


def _results(found: Results) -> None:
    flag, arms = found.flag, sorted(found.arms, key=lambda arm: (arm.variant != found.flag.off, arm.variant))
    columns = _columns(flag)
    note = WORDS("round", round=flag.round, goal=flag.goal)
    with panel(
        WORDS("shown_title"), note=note, actions=lambda: exports(f"experiment-{flag.name}", lambda: arms, columns)
    ):
        if not any(arm.shown for arm in arms):
            empty(WORDS("nobody"), WORDS("nobody_text"))
            return
        most = max(arm.high for arm in arms if arm.shown)
        rows = [
            (arm.variant, arm.rate, (arm.low, arm.high), "rule" if arm.variant == flag.off else TONES[0])
            for arm in arms
            if arm.shown
        ]
        svg(interval(rows, most=most, say=lambda rate: say.share(rate, 1), title=WORDS("picture")), "o-wide-pic")
        table(arms, columns)


def _columns(flag: Flag) -> list[Column[Arm]]:
    def between(value: float, low: float, high: float) -> str:
        return WORDS("between", value=say.share(value, 1), low=say.share(low, 1), high=say.share(high, 1))

    return [
        Column(WORDS("variant"), lambda arm: arm.variant),
        Column(WORDS("shown"), lambda arm: say.count(arm.shown), numeric=True),
        Column(WORDS("reached"), lambda arm: say.count(arm.reached), numeric=True),
        Column(WORDS("rate"), lambda arm: between(arm.rate, arm.low, arm.high) if arm.shown else say.NOTHING),
        Column(WORDS("lift", off=flag.off), lambda arm: between(*arm.lift) if arm.lift else say.NOTHING),
        Column(WORDS("total"), lambda arm: say.decimal(arm.total, 2), numeric=True),
    ]


async def _ask_why(off: str) -> str:
    """Why the person turns it off; empty when they changed their mind."""

    async def agree() -> None:
        if why.value.strip():
            dialog.submit(why.value.strip())

    async def leave() -> None:
        dialog.submit("")

    with sheet(WORDS("kill_title")) as dialog:
        tag("p", WORDS("kill_text", off=off))
        why = field(WORDS("why"))
        with tag("div", cls="o-actions"):
            button(WORDS("cancel"), leave)
            button(WORDS("kill"), agree, kind="danger")
    answer = await dialog
    dialog.delete()
    return str(answer or "")
