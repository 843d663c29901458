"""Cost: what was used today and what it costs, by what was asked for."""

from datetime import timedelta
from decimal import Decimal

from ossature.kernel.console import say
from ossature.kernel.console.parts import drawn, empty, panel, tabs, tag
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Message, Words
from ossature.kernel.quotas import store
from ossature.kernel.quotas.domain import UsageSum, period_start

WORDS = Words(
    "console.cost",
    {
        "title": "Cost today",
        "note": "Since midnight, {zone}: {total} for what was used.",
        "what": Message("What", context="that was used"),
        "project": "Project",
        "key": "Key",
        "user": Message("Person", context="who used it"),
        "uses": "Uses",
        "cost": "Cost",
        "share": "Share",
        "nobody": "none",
        "none": "Nothing was used today",
        "none_text": "Every metered use is counted here as it happens. Ask something in the playground, or call the API with a key.",
        "reference": "Open the API reference",
    },
)
_GROUPS = ("what", "project", "key", "user")


async def cost(visit: Visit) -> None:
    """Draw the page. `?by=what|project|key|user`."""
    by = visit.query.get("by", "what")
    by = by if by in _GROUPS else "what"
    shown: list[UsageSum] = []
    columns = _columns(by, shown)
    shown[:] = await _sums(visit, by)
    total = say.money(_total(shown), "USD")
    heading(
        WORDS("title"),
        note=WORDS("note", zone=visit.zone, total=total),
        actions=lambda: exports("cost", lambda: shown, columns),
    )

    async def draw() -> None:
        shown[:] = await _sums(visit, by)
        if shown:
            table(shown, columns)
        else:
            empty(WORDS("none"), WORDS("none_text"), lambda: tag("a", WORDS("reference"), "o-button", href="/docs"))

    with panel():
        with tag("div", cls="o-panel-head"):
            tabs([(name, WORDS(name)) for name in _GROUPS], by, lambda name: f"/cost?by={name}")
        await drawn(15.0, draw)


async def _sums(visit: Visit, by: str) -> list[UsageSum]:
    async with visit.ctx("read:usage") as ctx:
        since = period_start(ctx.now, "day", visit.zone)
        until = ctx.now + timedelta(seconds=1)
        found = await store.sum_usage(ctx.db, ctx.tenant.id, since=since, until=until, group_by=(by,))
    return sorted(found, key=lambda one: (-one.cost, -one.events))


def _total(sums: list[UsageSum]) -> Decimal:
    return sum((one.cost for one in sums), Decimal(0))


def _columns(by: str, shown: list[UsageSum]) -> list[Column[UsageSum]]:
    def part(one: UsageSum) -> str:
        total = _total(shown)
        return say.share(float(one.cost / total)) if total else say.NOTHING

    return [
        Column(WORDS(by), lambda one: one.group[0] or WORDS("nobody")),
        Column(WORDS("uses"), lambda one: say.count(one.events), numeric=True),
        Column(WORDS("cost"), lambda one: say.money(one.cost, "USD"), numeric=True),
        Column(WORDS("share"), part, numeric=True),
    ]
