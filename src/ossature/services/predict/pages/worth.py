"""Reliability: how often what was said came true, and how far it is from the market on the same matches."""

from typing import TYPE_CHECKING

from ossature.kernel.console import say
from ossature.kernel.console.parts import drawn, empty, panel, reading, svg, tag
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Message, Words
from ossature.services.predict.pages.plots import reliability
from ossature.services.predict.usecases.looking import read_worth

if TYPE_CHECKING:
    from ossature.services.predict.domain.score import Bin, Gap, Summary
    from ossature.services.predict.domain.worth import Worth

WORDS = Words(
    "predict.worth",
    {
        "title": "Reliability",
        "note": "Only predictions that were official before kick-off, the ones that abstained included.",
        "none": "Nothing to judge yet",
        "none_text": "When a match is over, what was official before its kick-off is scored here.",
        "rps": "RPS",
        "rps_note": "lower is better",
        "gap": "Beside the market",
        "gap_note": "95 %: {low} to {high}",
        "no_gap": "no match was quoted",
        "log_loss": "Log-loss",
        "accuracy": "Favourite won",
        "ece": "Calibration error",
        "ece_note": "perfect: about {floor}",
        "matches": "Matches",
        "matches_note": "{abstained} abstained, {missed} missed",
        "plot": "Said and observed",
        "plot_note": "Every outcome of every match, in bins of equal count; bars are 95 % intervals (Wilson).",
        "compared": Message(
            "The market is compared on the {count} match that was quoted; a perfect forecaster shows a calibration error too, "
            "because matches are few. A missed match began without an official prediction.",
            plural="The market is compared on the {count} matches that were quoted; a perfect forecaster shows a calibration "
            "error too, because matches are few. A missed match began without an official prediction.",
        ),
        "said": "Said",
        "observed": "Observed",
        "low": "At least",
        "high": "At most",
        "count": "Outcomes",
    },
)


async def worth(visit: Visit) -> None:
    """Draw the page. Raises: Misconfigured without the extra."""
    shown: list[Bin] = []
    columns = _columns()
    heading(WORDS("title"), note=WORDS("note"), actions=lambda: exports("reliability", lambda: shown, columns))

    async def draw() -> None:
        async with visit.ctx("read:predict.public") as ctx:
            found = await read_worth(ctx)
        shown[:] = found.reliability
        if found.summary is None:
            with panel():
                empty(WORDS("none"), WORDS("none_text"))
            return
        with tag("div", cls="o-stack"):
            _readings(found, found.summary)
            with tag("div", cls="o-grid"):
                with panel(WORDS("plot"), cls="o-w5"):
                    svg(reliability(found.reliability))
                    tag("p", WORDS("plot_note"), "o-dim")
                    tag("p", WORDS("compared", count=0 if found.gap is None else found.gap.n), "o-dim")
                with panel(cls="o-w7"):
                    table(found.reliability, columns)

    await drawn(60.0, draw)


def _readings(found: "Worth", means: "Summary") -> None:
    with tag("div", cls="o-readings"):
        reading(WORDS("rps"), say.decimal(means.rps, 4), note=WORDS("rps_note"))
        _gap(found.gap)
        reading(WORDS("log_loss"), say.decimal(means.log_loss, 4))
        reading(WORDS("accuracy"), say.share(means.accuracy, 1))
        floor = WORDS("ece_note", floor=say.decimal(means.ece_floor, 4))
        reading(WORDS("ece"), say.decimal(means.ece, 4), note=floor)
        told = WORDS("matches_note", abstained=found.abstained, missed=found.missed)
        reading(WORDS("matches"), say.count(means.n), note=told)


def _gap(gap: "Gap | None") -> None:
    if gap is None:
        reading(WORDS("gap"), say.NOTHING, note=WORDS("no_gap"))
        return
    note = WORDS("gap_note", low=_signed(gap.low, 3), high=_signed(gap.high, 3))
    reading(WORDS("gap"), _signed(gap.mean), note=note)


def _signed(value: float, digits: int = 4) -> str:
    return ("+" if value > 0 else "") + say.decimal(value, digits)


def _columns() -> "list[Column[Bin]]":
    return [
        Column(WORDS("said"), lambda one: say.share(one.said, 1), numeric=True),
        Column(WORDS("observed"), lambda one: say.share(one.observed, 1), numeric=True),
        Column(WORDS("low"), lambda one: say.share(one.low, 1), numeric=True),
        Column(WORDS("high"), lambda one: say.share(one.high, 1), numeric=True),
        Column(WORDS("count"), lambda one: say.count(one.n), numeric=True),
    ]
