"""Predict the matches of the coming days, when something changed.

A forecast is a row of the chain; the same inputs give no second row. Two processes that predict at once follow one another at the
head of the chain, and the second one finds that everything is said.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.jobs.pool import Pool
from ossature.kernel.service import Job
from ossature.services.predict.domain.extras import needed
from ossature.services.predict.domain.facts import KnownMatch, NothingToLearn
from ossature.services.predict.domain.matches import CHAMPION, ModelVersion, NewPrediction, Prediction
from ossature.services.predict.settings import PredictSettings
from ossature.services.predict.store import catalogue, facts, models, predictions

if TYPE_CHECKING:
    from ossature.services.predict.domain.forecasting import Champion, Forecasted

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Priced:
    """What a round gave. predicted: new rows; unchanged: matches of which nothing more was said; learnt: a new champion."""

    predicted: int
    unchanged: int
    learnt: bool


class Forecasters:
    """Makes the numbers: in a process of its own, so that nobody who is served waits for them, or on a thread of this one."""

    def __init__(self, *, apart: bool = True) -> None:
        self._pool = Pool(1) if apart else None

    async def forecast(self, known: Sequence[KnownMatch], *, time_limit_s: float, **options: Any) -> "Forecasted":
        """As `domain.forecasting.forecast_matches`.

        Raises: what that raises; Misconfigured without the extra `predict`; TimeLimitReached, ProcessLost.
        """
        needed("numpy")
        from ossature.services.predict.domain.forecasting import forecast_matches  # noqa: PLC0415 - loads numpy

        return await self.run(partial(forecast_matches, known, **options), time_limit_s=time_limit_s)

    async def run(self, work: Callable[..., _T], *arguments: Any, time_limit_s: float) -> _T:
        """What a function gives; both it and its arguments can be sent to a process. Raises: TimeLimitReached, ProcessLost."""
        if self._pool is None:
            return await asyncio.to_thread(work, *arguments)
        return await self._pool.run(work, *arguments, time_limit_s=time_limit_s)

    async def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            await self._pool.close()


async def price_matches(ctx: Ctx, *, as_of: datetime | None = None) -> Priced:
    """Predict everything that begins within the horizon, from what is known.

    as_of: a moment of the past, for matches that are simulated.
    Raises: NothingToLearn, ArtefactAltered; Misconfigured without the extra `predict`.
    """
    settings = ctx.settings[PredictSettings]
    moment = ctx.now if as_of is None else as_of
    until = moment + timedelta(days=settings.horizon_days)
    champion = await models.champion(ctx.db, ctx.tenant.id, CHAMPION)
    known = await facts.known_at(ctx.db, ctx.tenant.id, moment)
    if not known:
        raise NothingToLearn("no match is known yet")
    await ctx.db.commit()  # nothing is held open while the numbers are made
    artefact = None if champion is None else (champion.artefact, champion.sha256)
    forecasters = ctx.port(Forecasters)
    made = await forecasters.forecast(
        known,
        as_of=moment,
        until=until,
        artefact=artefact,
        refit_days=settings.refit_days,
        time_limit_s=settings.price_time_limit_s,
    )
    async with ctx.db.step():
        head = await predictions.hold(ctx.db, ctx.tenant.id)
        present = await models.champion(ctx.db, ctx.tenant.id, CHAMPION)
        if (present and present.id) != (champion and champion.id):
            return Priced(0, len(made.new), learnt=False)  # another process was quicker; the next round uses its model
        if made.champion is not None:
            await _crown(ctx, made.champion)
        new = await _unsaid(ctx, made.new, now=clock.now() if as_of is None else as_of)
        await predictions.append(ctx.db, ctx.tenant.id, head, new)
    return Priced(len(new), len(made.new) - len(new), made.champion is not None)


async def _crown(ctx: Ctx, made: "Champion") -> None:
    artefact = made.artefact()
    version = ModelVersion(
        id=clock.new_id(),
        name=CHAMPION,
        version=made.version,
        stage="champion",
        fitted_on=made.fitted_on,
        trained_from=made.trained_from,
        trained_until=made.trained_until,
        rows=made.rows,
        artefact=artefact,
        sha256=hashlib.sha256(artefact.encode()).hexdigest(),
        created_at=ctx.now,
    )
    await models.crown(ctx.db, ctx.tenant.id, version)
    await ctx.audit("predict.model_learnt", f"model:{version.id}", version=made.version, rows=made.rows)


async def _unsaid(ctx: Ctx, made: Sequence[NewPrediction], *, now: datetime) -> list[NewPrediction]:
    """Those of these predictions that may still be added: the chain is held, so this stays true."""
    ids = [one.match_id for one in made]
    last = await predictions.latest(ctx.db, ctx.tenant.id, CHAMPION, ids)
    official = {(one.match_id, one.kickoff_at) for one in await predictions.freezes(ctx.db, ctx.tenant.id, ids)}
    open_ = {one.id: one.kickoff_at for one in await catalogue.scheduled_of(ctx.db, ctx.tenant.id, ids)}
    return [
        one
        for one in made
        if open_.get(one.match_id) == one.kickoff_at
        and now < one.kickoff_at
        and (one.match_id, one.kickoff_at) not in official
        and _says_more(one, last.get(one.match_id))
    ]


def _says_more(one: NewPrediction, last: Prediction | None) -> bool:
    if last is None:
        return True
    return one.inputs_hash != last.inputs_hash and datetime.fromisoformat(one.row["as_of"]) > last.as_of


async def price(ctx: Ctx) -> dict[str, object]:
    """Predict what is to come, as a job: with too few results to learn from there is nothing to say yet."""
    try:
        done = await price_matches(ctx)
    except NothingToLearn as nothing:
        return {"predicted": 0, "why": nothing.detail}
    return {"predicted": done.predicted, "unchanged": done.unchanged, "learnt": done.learnt}


PRICE: Final = Job(name="predict.price", run=price, queue="predict.price", attempts=3, time_limit_s=900)
