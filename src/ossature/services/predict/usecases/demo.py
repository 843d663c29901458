"""A simulated league, so that every list has something to show: rounds that were predicted and scored, and the next one.

The league runs on days around the present. Rounds of the past are predicted as of the evening before each of them, from what was
known then; every match says that it is simulated. Each start of the demo plays what has come due since the last one.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import ListQuery, Order
from ossature.services.predict.domain.extras import needed
from ossature.services.predict.ports import MatchFiles
from ossature.services.predict.store import catalogue
from ossature.services.predict.usecases.freezing import freeze_due
from ossature.services.predict.usecases.importing import store_facts
from ossature.services.predict.usecases.pricing import Forecasters, price_matches
from ossature.services.predict.usecases.scoring import score_due

_WEEK: Final = timedelta(days=7)
_SIMULATE_LIMIT_S: Final = 120.0
_SEASONS: Final = 9
_BOOKS: Final = ("B365", "PSH", "PSD", "PSA", "P>", "P<", "Max")
"""Prices that the demo leaves out, by how their columns begin: the average and one closing price are enough to look at."""
_PREDICTED, _NEXT = 6, 10
"""The last season: weeks before the first one are history, those before the second one are played."""

Row = Mapping[str, Any]


async def fill_demo(ctx: Ctx) -> None:
    """Two divisions of eight teams: eight seasons, four rounds that were predicted, and the round of tomorrow."""
    if False in await catalogue.simulated_kinds(ctx.db, ctx.tenant.id):
        return  # a league of one's own is not mixed with ours
    needed("numpy", "polars")
    from ossature.services.predict.domain.simulate import World, league_from  # noqa: PLC0415 - loads numpy

    first = await _first_day(ctx)
    await ctx.db.commit()  # nothing is held open while the world is made
    world = World(seed=4, seasons=_SEASONS, teams=8)
    tomorrow = ctx.now.date() + timedelta(days=1)
    anchor = (first, 0) if first is not None else (tomorrow, _NEXT)
    rows, opens = await ctx.port(Forecasters).run(league_from, world, *anchor, time_limit_s=_SIMULATE_LIMIT_S)
    rows = [{name: value for name, value in row.items() if not name.startswith(_BOOKS)} for row in rows]
    await _store(ctx, [row for row in rows if row["date"] < opens + _PREDICTED * _WEEK], at=ctx.now)
    week = opens + _PREDICTED * _WEEK
    while of_week := [row for row in rows if week <= row["date"] < week + _WEEK]:
        await _play(ctx, of_week, week)
        week += _WEEK
    await price_matches(ctx)


async def _first_day(ctx: Ctx) -> date | None:
    """The day of the first match that an earlier start stored."""
    query = ListQuery(limit=1, sort=(Order("kickoff"),))
    found = (await catalogue.list_matches(ctx.db, ctx.tenant.id, query)).items
    return found[0].day if found else None


async def _play(ctx: Ctx, rows: Sequence[Row], week: date) -> None:
    """Announce a week; when it is over, predict it as of the evening before, freeze, and score it."""
    eve = datetime.combine(week, time(), UTC) - timedelta(hours=1)
    over = datetime.combine(max(row["date"] for row in rows), time(20), UTC)
    announced = [{name: value for name, value in row.items() if name not in _RESULT} for row in rows]
    # A prediction of now uses what was seen before now.
    await _store(ctx, announced, at=min(eve, ctx.now - timedelta(minutes=1)))
    if over >= ctx.now:
        return
    await price_matches(ctx, as_of=eve + timedelta(minutes=30))
    await freeze_due(ctx, now=over)
    await _store(ctx, rows, at=over)
    await score_due(ctx, now=over + timedelta(minutes=5))


async def _store(ctx: Ctx, rows: Sequence[Row], *, at: datetime) -> None:
    files = ctx.port(MatchFiles)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    await store_facts(ctx, files.of_rows(rows, "demo"), at=at)


_RESULT: Final = frozenset({"FTHG", "FTAG", "HTHG", "HTAG"})
"""Without these a row says nothing of how a match ended: counts and closing prices are taken with a result only."""
