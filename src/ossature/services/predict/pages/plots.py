"""Pictures of probabilities. Every one says in words or numbers what it shows: none speaks by colour alone."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ossature.kernel.console import say
from ossature.kernel.console.parts import svg, tag
from ossature.kernel.console.pictures import span_bar
from ossature.kernel.i18n.words import Words

if TYPE_CHECKING:
    from ossature.services.predict.domain.score import Bin

WORDS = Words(
    "predict.plots",
    {
        "home": "Home",
        "draw": "Draw",
        "away": "Away",
        "scores": "Chance of each score: the home side down, the away side across",
        "reliability": "How often what was said came true: said across, observed upwards",
        "said": "said",
        "observed": "observed",
    },
)
_SIDE, _LEFT, _TOP, _GAP = 300.0, 46.0, 10.0, 36.0
_SHADE_MOST = 42
"""Percent of the accent in the darkest cell: text on it keeps the contrast of WCAG AA."""


def outcome_bar(p: tuple[float, float, float], *, wide: bool = False) -> None:
    """Home win, draw and away win as one bar, with the three numbers below it."""
    names = (WORDS("home"), WORDS("draw"), WORDS("away"))
    parts = [
        (share, tone, f"{name} {say.share(share)}")
        for share, tone, name in zip(p, ("accent", "rule", "info"), names, strict=True)
    ]
    with tag("div").style("width: 100%" if wide else "width: 220px; max-width: 100%"):
        svg(span_bar(parts), "o-mirror")
        with tag("div", cls="o-pair o-mono"):
            for share in p:
                tag("span", say.share(share))


def score_table(grid: Sequence[Sequence[float]], *, most: int = 6) -> None:
    """The chance of each score up to `most` - 1 goals a side, shaded by how likely it is. grid: home by away."""
    shown = [list(row[:most]) for row in grid[:most]]
    highest = max(max(row) for row in shown) or 1.0
    with tag("div", cls="o-scroll"), tag("table", cls="o-table", aria_label=WORDS("scores")):
        with tag("thead"), tag("tr"):
            tag("th", "", scope="col", aria_label=WORDS("home"))
            for goals in range(len(shown[0])):
                tag("th", str(goals), "o-number", scope="col")
        with tag("tbody"):
            for goals, row in enumerate(shown):
                with tag("tr"):
                    tag("th", str(goals), scope="row")
                    for away, chance in enumerate(row):
                        shade = round(_SHADE_MOST * chance / highest)
                        cell = tag("td", say.share(chance, 1), "o-number", data_title=f"{goals}:{away}")
                        cell.style(f"background: color-mix(in srgb, var(--accent) {shade}%, transparent)")


def reliability(bins: "Sequence[Bin]") -> str:
    """Observed frequency over what was said, with 95 % intervals, and the line on which a perfect forecaster lies."""

    def x(share: float) -> float:
        return _LEFT + share * _SIDE

    def y(share: float) -> float:
        return _TOP + (1.0 - share) * _SIDE

    parts = [
        f'<path d="M{x(0):g} {y(0):g}L{x(1):g} {y(1):g}" stroke="var(--rule)" stroke-dasharray="4 4" fill="none"/>',
        f'<path d="M{x(0):g} {y(1):g}V{y(0):g}H{x(1):g}" stroke="var(--rule)" fill="none"/>',
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        text = html.escape(say.share(tick))
        parts.append(f'<text x="{x(tick):g}" y="{y(0) + 16:g}" text-anchor="middle">{text}</text>')
        parts.append(f'<text x="{_LEFT - 6:g}" y="{y(tick) + 4:g}" text-anchor="end">{text}</text>')
    for one in bins:
        what = html.escape(f"{WORDS('said')} {say.share(one.said)}, {WORDS('observed')} {say.share(one.observed)}")
        parts.append(
            f'<g><title>{what}</title><path d="M{x(one.said):.1f} {y(one.low):.1f}V{y(one.high):.1f}" stroke="var(--accent)"'
            f' stroke-width="1.5"/><circle cx="{x(one.said):.1f}" cy="{y(one.observed):.1f}" r="4.5" fill="var(--accent)"/></g>'
        )
    parts.append(f'<text x="{x(0.5):g}" y="{y(0) + 32:g}" text-anchor="middle">{html.escape(WORDS("said"))}</text>')
    label = html.escape(WORDS("reliability"), quote=True)
    width, height = _LEFT + _SIDE + 16, _TOP + _SIDE + _GAP
    return (
        f'<svg class="o-pic" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )
