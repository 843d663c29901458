"""What official predictions of finished matches were worth, one by one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import numpy as np

from ossature.services.predict.domain import devig, score
from ossature.services.predict.domain.facts import Phase, SeenQuote
from ossature.services.predict.domain.matches import Hits, MarketPrice, Official, Scored, twentieth
from ossature.services.predict.domain.native import Floats

_BOOKS: Final = ("Avg", "BbAv", "PS", "B365", "WH", "GB", "IW", "BW")


def worth_of(
    officials: Sequence[Official], market: Mapping[UUID, Sequence[float]], before: Collection[int], *, at: datetime
) -> list[Scored]:
    """One score for each. market: closing prices by match; before: numbers of predictions that were scored already."""
    chances: Floats = np.array([one.p for one in officials])
    outcomes = score.outcome(
        np.array([float(one.score.home) for one in officials]), np.array([float(one.score.away) for one in officials])
    )
    prices = np.array([market.get(one.match_id, (np.nan,) * 3) for one in officials])
    said = devig.power(prices)
    theirs = np.full(len(officials), np.nan)
    quoted = np.isfinite(said.sum(axis=1))
    theirs[quoted] = score.rps(said[quoted], outcomes[quoted])
    ours, losses, briers = (how(chances, outcomes) for how in (score.rps, score.log_loss, score.brier))
    return [
        Scored(
            prediction_seq=one.seq,
            match_id=one.match_id,
            match_revision=one.revision,
            model=one.model,
            rps=float(ours[n]),
            log_loss=float(losses[n]),
            brier=float(briers[n]),
            hit=bool(chances[n].argmax() == outcomes[n]),
            bin=twentieth(float(chances[n].max())),
            market_rps=float(theirs[n]) if quoted[n] else None,
            reason="corrected" if one.seq in before else "final",
            scored_at=at,
        )
        for n, one in enumerate(officials)
    ]


def market_price(quotes: Sequence[SeenQuote]) -> MarketPrice | None:
    """What the market says of one match: closing prices before early ones, the average of books before single ones.

    quotes: oldest first. None when no book has prices for all three outcomes.
    """
    newest = {(one.quote.phase, one.quote.book): one for one in quotes if one.quote.market == "1x2"}
    for phase in (Phase.CLOSING, Phase.EARLY):
        for book in _BOOKS:
            found = newest.get((phase, book))
            if found is not None and None not in found.quote.prices:
                said = devig.power(np.array([found.quote.prices], dtype=np.float64))[0]
                p = (float(said[0]), float(said[1]), float(said[2]))
                return MarketPrice(p=p, book=book, phase=phase, seen_at=found.seen.at)
    return None


def hits_of(n: int, hits: int) -> Hits | None:
    """How often it came true, with its interval; None without forecasts."""
    if n == 0:
        return None
    low, high = score.wilson(hits, n)
    return Hits(n, hits / n, low, high)


@dataclass(frozen=True, slots=True)
class Worth:
    """Official predictions of finished matches together; what needs matches is None where there are none.

    gap: RPS minus that of the market, on the matches that have closing prices; missed: matches that began without an
    official prediction; reliability: every outcome of every match as one forecast, in bins of equal count.
    """

    summary: score.Summary | None
    gap: score.Gap | None
    reliability: tuple[score.Bin, ...]
    abstained: int
    missed: int


def worth(officials: Sequence[tuple[Official, Scored]], *, missed: int, bins: int = 10) -> Worth:
    """Scores of these predictions together."""
    abstained = sum(one.abstained for one, _ in officials)
    if not officials:
        return Worth(None, None, (), abstained, missed)
    chances: Floats = np.array([one.p for one, _ in officials])
    outcomes = score.outcome(
        np.array([float(one.score.home) for one, _ in officials]),
        np.array([float(one.score.away) for one, _ in officials]),
    )
    market = [(of.rps, of.market_rps, one.day.toordinal()) for one, of in officials if of.market_rps is not None]
    gap = None
    if market:
        ours, theirs, days = (np.array(column) for column in zip(*market, strict=True))
        gap = score.paired(ours, theirs.astype(np.float64), days)
    happened = (outcomes[:, None] == np.arange(chances.shape[1])).astype(np.float64)
    return Worth(
        summary=score.summary(chances, outcomes),
        gap=gap,
        reliability=tuple(score.reliability(chances.ravel(), happened.ravel(), bins=bins)),
        abstained=abstained,
        missed=missed,
    )
