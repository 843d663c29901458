"""Matches: what is predicted of those to come, and what was predicted of those that are over."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from nicegui import ui

from ossature.kernel.console import say
from ossature.kernel.console.parts import button, drawn, empty, lamp, link, panel, select, tabs, tag, toast
from ossature.kernel.console.search import Hit, fits
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import Filter, Found, ListQuery, Order
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.i18n.words import Words
from ossature.services.predict.domain.facts import MatchStatus
from ossature.services.predict.domain.matches import Match
from ossature.services.predict.pages.plots import outcome_bar
from ossature.services.predict.store import catalogue
from ossature.services.predict.usecases.looking import MatchView, with_predictions
from ossature.services.predict.usecases.pricing import PRICE

WORDS = Words(
    "predict.matches",
    {
        "title": "Matches",
        "note": "What is predicted of each match. The last prediction before kick-off is the official one.",
        "simulated": "A simulated league: nothing here is about real teams.",
        "coming": "To come",
        "played": "Played",
        "competition": "Competition",
        "every": "Every competition",
        "kickoff": "Kick-off",
        "match": "Match",
        "forecast": "Home, draw, away",
        "standing": "Standing",
        "official": "official",
        "newest": "may change",
        "abstained": "abstained",
        "missed": "no official one",
        "unpredicted": "not predicted yet",
        "result": "Result",
        "rps": "RPS",
        "none": "No match is here",
        "none_text": "Matches come from files (`ossature predict import FILE`), and are predicted once enough results are known.",
        "price": "Predict now",
        "pricing": "What came within reach is being predicted.",
        "further": "Further ones",
        "first": "Back to the first ones",
        "cursor": "This place in the list is none.",
        "versus": "{home} \N{EN DASH} {away}",
    },
)
_PAGE: Final = 50
_PATH: Final = "/predict/matches"


async def matches(visit: Visit) -> None:
    """Draw the list."""
    played = visit.query.get("show", "") == "played"
    competition = visit.query.get("competition", "")[:20]
    heading(WORDS("title"), note=WORDS("note"), actions=lambda: _act(visit))

    async def draw() -> None:
        async with visit.ctx("read:predict.forecasts") as ctx:
            known = (await catalogue.list_competitions(ctx.db, ctx.tenant.id, ListQuery(limit=200))).items
            found = await _found(ctx, visit, played=played, competition=competition)
            views = await with_predictions(ctx, list(found.items))
        with tag("div", cls="o-row"):
            _filters([one.code for one in known], competition, "played" if played else "")
            if any(view.match.simulated for view in views):
                tag("span", WORDS("simulated"), "o-dim")
        with panel():
            if not views:
                empty(WORDS("none"), WORDS("none_text"))
                return
            table(views, _columns(visit.zone, ctx.now, played=played))
            _pager(visit, found, played=played, competition=competition)

    await drawn(20.0, draw, "o-stack")


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """The coming matches of a team."""
    if not text:
        return []
    async with visit.ctx("read:predict.forecasts") as ctx:
        query = ListQuery(limit=200, filters=(_open(),), sort=(Order("kickoff"),))
        found = (await catalogue.list_matches(ctx.db, ctx.tenant.id, query)).items
    return [
        Hit(title=named(one), note=say.instant(one.kickoff_at, visit.zone, length="short"), path=f"{_PATH}/{one.id}")
        for one in found
        if fits(text, one.home, one.away, one.competition)
    ]


def named(match: Match) -> str:
    """Both teams, home first."""
    return WORDS("versus", home=match.home, away=match.away)


def result_of(match: Match) -> str:
    """The score at the end, or nothing."""
    return say.NOTHING if match.score is None else f"{match.score.home} : {match.score.away}"


def standing(view: MatchView, now: datetime) -> None:
    """Whether there is a prediction, whether it is official, and whether it abstains, as a lamp."""
    said = view.official or view.newest
    if said is not None and said.abstained:
        lamp("warn", f"{WORDS('abstained')}: {', '.join(said.reasons)}")
    elif view.official is not None:
        lamp("good", WORDS("official"))
    elif view.match.kickoff_at <= now:
        lamp("off", WORDS("missed"))
    elif said is not None:
        lamp("info", WORDS("newest"))
    else:
        lamp("off", WORDS("unpredicted"))


def _act(visit: Visit) -> None:
    if not visit.may("run:predict.price"):
        return

    async def price() -> None:
        async with visit.ctx("run:predict.price") as ctx:
            job_id = await ctx.enqueue(PRICE, unique="price")
        visit.follow(job_id, PRICE.name)
        toast(WORDS("pricing"))

    button(WORDS("price"), price, kind="main")


def _open() -> Filter:
    return Filter("status", "eq", MatchStatus.SCHEDULED.value)


async def _found(ctx: Ctx, visit: Visit, *, played: bool, competition: str) -> Found[Match]:
    filters = [Filter("status", "eq", MatchStatus.FINISHED.value) if played else _open()]
    if competition:
        filters.append(Filter("competition", "eq", competition))
    said = visit.query.get("after", "")
    after = None
    if said:
        moment, _, key = said.rpartition("~")
        try:
            after = (datetime.fromisoformat(moment).astimezone(UTC), UUID(key))
        except (ValueError, OverflowError) as error:
            raise InvalidInput(errors=[FieldError("/after", WORDS("cursor"), "cursor")]) from error
    query = ListQuery(limit=_PAGE, filters=tuple(filters), sort=(Order("kickoff", descending=played),), after=after)
    return await catalogue.list_matches(ctx.db, ctx.tenant.id, query)


def _pager(visit: Visit, found: Found[Match], *, played: bool, competition: str) -> None:
    kept = {"show": "played" if played else "", "competition": competition}
    if found.next is None and not visit.query.get("after"):
        return
    with tag("div", cls="o-below"):
        if visit.query.get("after"):
            link(WORDS("first"), _address(**kept))
        if found.next is not None:
            moment, key = found.next
            link(WORDS("further"), _address(**kept, after=f"{moment.isoformat()}~{key}"))


def _filters(codes: Sequence[str], chosen: str, show: str) -> None:
    choices = [("", WORDS("coming")), ("played", WORDS("played"))]
    tabs(choices, show, lambda show: _address(show=show, competition=chosen))
    options = {"": WORDS("every"), **{code: code for code in codes}}

    def go(code: str) -> None:
        ui.navigate.to(_address(show=show, competition=code))

    made = select(WORDS("competition"), options, value=chosen if chosen in options else "").style("min-width: 180px")
    made.on_value_change(lambda event: go(str(event.value)))


def _address(**said: str) -> str:
    kept = {name: value for name, value in said.items() if value}
    return f"{_PATH}?{urlencode(kept)}" if kept else _PATH


def _columns(zone: str, now: datetime, *, played: bool) -> list[Column[MatchView]]:
    columns: list[Column[MatchView]] = [
        Column(WORDS("kickoff"), lambda one: _kickoff(one.match, zone), tight=True),
        Column(WORDS("competition"), lambda one: one.match.competition, tight=True),
        Column(WORDS("match"), lambda one: named(one.match), path=lambda one: f"{_PATH}/{one.match.id}"),
        Column(WORDS("forecast"), _said, _bar),
        Column(WORDS("standing"), lambda _: "", lambda one: standing(one, now), tight=True),
    ]
    if played:
        columns += [
            Column(WORDS("result"), lambda one: result_of(one.match), numeric=True),
            Column(WORDS("rps"), _rps, numeric=True),
        ]
    return columns


def _kickoff(match: Match, zone: str) -> str:
    return say.instant(match.kickoff_at, zone, length="short") if match.kickoff_is_exact else say.day(match.day)


def _said(view: MatchView) -> str:
    said = view.official or view.newest
    return say.NOTHING if said is None else " / ".join(say.share(share) for share in said.p)


def _bar(view: MatchView) -> None:
    said = view.official or view.newest
    if said is None:
        tag("span", say.NOTHING)
    else:
        outcome_bar(said.p)


def _rps(view: MatchView) -> str:
    return say.decimal(view.scores[-1].rps, 3) if view.scores else say.NOTHING
