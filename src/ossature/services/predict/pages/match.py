"""One match: what is predicted of it, what follows from that, how it came about, and the proof of when it was said."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ossature.kernel.console import say
from ossature.kernel.console.charts import lines
from ossature.kernel.console.parts import button, empty, facts, panel, reading, tag
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.db.chain import Verdict
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.i18n.words import Message, Words
from ossature.services.predict.domain.matches import ForecastNotReady, NoChampion, Prediction, Scored
from ossature.services.predict.pages.matches import WORDS as LIST
from ossature.services.predict.pages.matches import named, result_of, standing
from ossature.services.predict.pages.plots import WORDS as SIDES
from ossature.services.predict.pages.plots import outcome_bar, score_table
from ossature.services.predict.store import predictions
from ossature.services.predict.usecases import looking
from ossature.services.predict.usecases.looking import Forecast, MatchView

if TYPE_CHECKING:
    from ossature.services.predict.domain.markets import Selection

WORDS = Words(
    "predict.match",
    {
        "forecast": "Forecast",
        "expected": "Expected goals",
        "over": "Over 2.5 goals",
        "btts": "Both score",
        "fair": "fair odds {odds}",
        "market": "Market, without its margin ({book}, {phase})",
        "no_market": "No book has quoted this match",
        "about": "About it",
        "kickoff": "Kick-off",
        "competition": "Competition",
        "season": "Season",
        "result": "Result",
        "standing": "Standing",
        "model": "Model",
        "learnt": "Learnt until",
        "inputs": "Knew",
        "as_of": "Said",
        "bin": "When it was about as sure",
        "bin_text": "its favourite won {observed} of {count} times (95 %: {low} to {high})",
        "no_bin": "it has no record yet",
        "grid": "Scores",
        "grid_note": "home down, away across",
        "course": "How it changed",
        "markets": "Markets",
        "markets_note": "all from the one grid",
        "selection": "What",
        "chance": "Chance",
        "odds": "Fair odds",
        "results_only": "results only",
        "past_odds": "results and odds of earlier matches",
        "own_odds": "the odds of this match too",
        "rows": "Everything that was said",
        "rows_note": "Nothing here is ever changed: each row carries the hash of the one before.",
        "seq": "No.",
        "hash": "Hash",
        "official": "official",
        "verify": "Verify the chain",
        "intact": Message(
            "Intact: {count} row, none changed, none missing.",
            plural="Intact: {count} rows, none changed, none missing.",
        ),
        "broken": "Broken at no. {seq}: {where} {detail}",
        "worth": "What it was worth",
        "rps": "RPS",
        "market_rps": "RPS of the market",
        "log_loss": "Log-loss",
        "hit": "Favourite won",
        "yes": "yes",
        "no": "no",
        "reason": "Scored",
        "final": "at the result",
        "corrected": "after a correction",
        "not_yet": "Nothing was predicted of this match yet",
    },
)
_SHOWN: Final = (
    ("1x2", None),
    ("double_chance", None),
    ("draw_no_bet", None),
    ("total", 2.5),
    ("btts", None),
    ("asian_handicap", -0.5),
    ("clean_sheet", None),
)
_INPUTS: Final = {"results": "results_only", "past_odds": "past_odds", "own_odds": "own_odds"}
_ROWS: Final = 100


async def match(visit: Visit, *, match_id: UUID) -> None:
    """Draw one match. Raises: MatchUnknown."""
    async with visit.ctx("read:predict.forecasts") as ctx:
        view = await looking.read_match(ctx, match_id)
        forecast, why_not = None, ""
        try:
            forecast = await looking.forecast_of(ctx, view)
        except (ForecastNotReady, NoChampion) as problem:
            why_not = problem.detail or (type(problem).__doc__ or "").strip()
        said = (await predictions.list_predictions(ctx.db, ctx.tenant.id, match_id, ListQuery(limit=_ROWS))).items
        now = ctx.now
    heading(named(view.match), trail=[(LIST("title"), "/predict/matches")])
    with tag("div", cls="o-stack"):
        if view.match.simulated:
            tag("p", LIST("simulated"), "o-dim")
        if forecast is None:
            with panel():
                empty(WORDS("not_yet"), why_not)
            with panel(WORDS("about")):
                _about(visit, view, None, now)
            return
        _readings(forecast.prediction)
        with tag("div", cls="o-grid"):
            with tag("div", cls="o-stack o-w7"):
                with panel(WORDS("forecast")):
                    _forecast(forecast)
                _grid(forecast.prediction)
                if len(said) > 1:
                    with panel(WORDS("course")):
                        _course(visit, said)
            with tag("div", cls="o-stack o-w5"):
                with panel(WORDS("about")):
                    _about(visit, view, forecast, now)
                _markets(forecast.prediction)
        if view.scores:
            with panel(WORDS("worth")):
                table(view.scores, _score_columns())
        _rows(visit, view, said)


def _readings(said: Prediction) -> None:
    with tag("div", cls="o-readings"):
        for name, chance in zip(("home", "draw", "away"), said.p, strict=True):
            odds = WORDS("fair", odds=say.decimal(1 / chance, 2)) if chance > 0 else ""
            reading(SIDES(name), say.share(chance, 1), note=odds)
        if said.lam_home is not None and said.lam_away is not None:
            sides = f"{say.decimal(said.lam_home, 2)} : {say.decimal(said.lam_away, 2)}"
            reading(WORDS("expected"), say.decimal(said.lam_home + said.lam_away, 2), note=sides)
        for name, more in (("over", said.p_over_2_5), ("btts", said.p_btts)):
            if more is not None:
                reading(WORDS(name), say.share(more, 1))


def _forecast(forecast: Forecast) -> None:
    outcome_bar(forecast.prediction.p, wide=True)
    market = forecast.market
    if market is None:
        tag("p", WORDS("no_market"), "o-dim")
    else:
        tag("p", WORDS("market", book=market.book, phase=market.phase.value), "o-dim")
        outcome_bar(market.p, wide=True)


def _about(visit: Visit, view: MatchView, forecast: Forecast | None, now: datetime) -> None:
    one = view.match
    when = say.instant(one.kickoff_at, visit.zone, length="short") if one.kickoff_is_exact else say.day(one.day)
    pairs: list[tuple[str, object]] = [
        (WORDS("kickoff"), when),
        (WORDS("competition"), f"{one.competition}, {one.season}"),
        (WORDS("standing"), lambda: standing(view, now)),
        (WORDS("result"), result_of(one)),
    ]
    if forecast is not None:
        said = forecast.prediction
        pairs += [
            (WORDS("as_of"), say.instant(said.as_of, visit.zone)),
            (WORDS("inputs"), WORDS(_INPUTS[said.inputs]) if said.inputs in _INPUTS else said.inputs),
            (WORDS("model"), f"{said.model} {said.model_version[:12]}"),
            (WORDS("learnt"), said.trained_until),
            (WORDS("bin"), _record(forecast)),
        ]
    facts(pairs)  # type: ignore[arg-type] # a list is not covariant


def _record(forecast: Forecast) -> str:
    found = forecast.bin
    if found is None:
        return WORDS("no_bin")
    shares = {"observed": found.observed, "low": found.low, "high": found.high}
    return WORDS("bin_text", count=found.n, **{name: say.share(share) for name, share in shares.items()})


def _grid(said: Prediction) -> None:
    grid = looking.worked_out(said, wanted=frozenset(), with_grid=True).grid
    if grid is not None:
        with panel(WORDS("grid"), note=WORDS("grid_note")):
            score_table(grid)


def _markets(said: Prediction) -> None:
    found = looking.worked_out(said, wanted=frozenset(name for name, _ in _SHOWN), with_grid=False).markets
    if found:
        chosen = [one for name, line in _SHOWN for one in found.get(name, ()) if line is None or one.line == line]
        with panel(WORDS("markets"), note=WORDS("markets_note")):
            table(chosen, _market_columns())


def _market_columns() -> "list[Column[Selection]]":
    def what(one: "Selection") -> str:
        line = "" if one.line is None else f" {one.line:g}"
        return f"{one.market}{line}: {one.outcome}".replace("_", " ")

    def odds(one: "Selection") -> str:
        return say.NOTHING if one.fair_odds is None else say.decimal(one.fair_odds, 2)

    return [
        Column(WORDS("selection"), what),
        Column(WORDS("chance"), lambda one: say.share(one.win, 1), numeric=True),
        Column(WORDS("odds"), odds, numeric=True),
    ]


def _course(visit: Visit, said: Sequence[Prediction]) -> None:
    oldest_first = list(reversed(said))
    times = [say.instant(one.as_of, visit.zone, length="short") for one in oldest_first]
    series = [
        (SIDES(name), tone, [round(one.p[place] * 100, 1) for one in oldest_first])
        for place, (name, tone) in enumerate((("home", "accent"), ("draw", "dim"), ("away", "info")))
    ]
    lines(times, series, "%")


def _score_columns() -> list[Column[Scored]]:
    def market(one: Scored) -> str:
        return say.NOTHING if one.market_rps is None else say.decimal(one.market_rps, 4)

    return [
        Column(WORDS("reason"), lambda one: WORDS("corrected" if one.reason == "corrected" else "final")),
        Column(WORDS("rps"), lambda one: say.decimal(one.rps, 4), numeric=True),
        Column(WORDS("market_rps"), market, numeric=True),
        Column(WORDS("log_loss"), lambda one: say.decimal(one.log_loss, 4), numeric=True),
        Column(WORDS("hit"), lambda one: WORDS("yes" if one.hit else "no"), tight=True),
    ]


def _rows(visit: Visit, view: MatchView, said: Sequence[Prediction]) -> None:
    async def verify() -> None:
        async with visit.ctx("read:predict.forecasts") as ctx:
            found = await predictions.verify(ctx.db, ctx.tenant.id)
        verdict.clear()
        with verdict:
            _verdict(found)

    official = view.official.seq if view.official is not None else None
    columns: list[Column[Prediction]] = [
        Column(WORDS("seq"), lambda one: say.count(one.seq), numeric=True),
        Column(WORDS("as_of"), lambda one: say.instant(one.as_of, visit.zone), tight=True),
        Column(LIST("forecast"), lambda one: " / ".join(say.share(share, 1) for share in one.p)),
        Column(WORDS("standing"), lambda one: WORDS("official") if one.seq == official else say.NOTHING, tight=True),
        Column(WORDS("hash"), lambda one: one.hash[:16], tight=True),
    ]
    with panel(WORDS("rows"), note=WORDS("rows_note"), actions=lambda: button(WORDS("verify"), verify)):
        verdict = tag("div", cls="o-stack", aria_live="polite")
        table(said, columns)


def _verdict(found: Verdict) -> None:
    if found.intact:
        tag("div", WORDS("intact", count=found.checked), "o-note-good")
        return
    with tag("div", cls="o-note-bad"):
        for fault in found.faults[:20]:
            tag("div", WORDS("broken", seq=fault.seq, where=fault.where, detail=fault.detail), "o-mono")
