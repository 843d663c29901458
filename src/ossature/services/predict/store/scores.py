"""What official predictions were worth: every statement about scores."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, insert, select

from ossature.kernel import clock
from ossature.kernel.db.transaction import Db
from ossature.services.predict.domain.facts import MatchStatus
from ossature.services.predict.domain.matches import Official, Scored
from ossature.services.predict.store.catalogue import among, score_of
from ossature.services.predict.store.tables import FreezeRow, MatchRow, PredictionRow, ScoreRow

_SCORE = (
    ScoreRow.prediction_seq,
    ScoreRow.match_id,
    ScoreRow.match_revision,
    ScoreRow.model,
    ScoreRow.rps,
    ScoreRow.log_loss,
    ScoreRow.brier,
    ScoreRow.hit,
    ScoreRow.bin,
    ScoreRow.market_rps,
    ScoreRow.reason,
    ScoreRow.scored_at,
)


async def unscored(db: Db, tenant_id: UUID, *, limit: int = 5000) -> list[Official]:
    """Official predictions of finished matches whose present result has no score yet."""
    match, done = MatchRow, ScoreRow
    have = select(done.prediction_seq).where(
        done.tenant_id == tenant_id,
        done.prediction_seq == FreezeRow.prediction_seq,
        done.match_revision == match.revision,
    )
    over = match.status == MatchStatus.FINISHED.value
    return await _official(db, tenant_id, over, ~have.exists(), limit=limit)


async def officials(
    db: Db, tenant_id: UUID, *, model: str, competition: str | None, first: datetime | None, last: datetime | None
) -> list[tuple[Official, Scored]]:
    """Scored official predictions with what they were worth by the present result, oldest match first."""
    over = (MatchRow.status == MatchStatus.FINISHED.value, FreezeRow.model == model)
    asked = among(competition=competition, first=first, last=last)
    found = await _official(db, tenant_id, *over, *asked, limit=None)
    worth = {(one.prediction_seq, one.match_revision): one for one in await _scores(db, tenant_id, model)}
    return [(one, worth[one.seq, one.revision]) for one in found if (one.seq, one.revision) in worth]


async def scores_of(db: Db, tenant_id: UUID, match_ids: Collection[UUID]) -> list[Scored]:
    """All scores of these matches, those of earlier revisions too, oldest first."""
    mine = (ScoreRow.tenant_id == tenant_id, ScoreRow.match_id.in_(list(match_ids)))
    rows = await db.all(select(*_SCORE).where(*mine).order_by(ScoreRow.match_revision, ScoreRow.prediction_seq))
    return [Scored(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name


async def add_scores(db: Db, tenant_id: UUID, scores: Sequence[Scored]) -> None:
    """Add scores."""
    now = clock.now()
    rows = [{**asdict(one), "tenant_id": tenant_id, "created_at": now} for one in scores]
    if rows:
        await db.execute(insert(ScoreRow.__table__), rows)  # type: ignore[arg-type] # a Table, called a FromClause


async def _scores(db: Db, tenant_id: UUID, model: str) -> list[Scored]:
    rows = await db.all(select(*_SCORE).where(ScoreRow.tenant_id == tenant_id, ScoreRow.model == model))
    return [Scored(**row._mapping) for row in rows]  # noqa: SLF001 - as above


async def _official(db: Db, tenant_id: UUID, *conditions: Any, limit: int | None) -> list[Official]:
    match, row = MatchRow, PredictionRow
    # A match that was moved has a freeze for each kick-off; the one of the kick-off that it had at last counts.
    statement = (
        select(
            match.id,
            match.revision,
            match.day,
            match.home_goals,
            match.away_goals,
            match.half_home_goals,
            match.half_away_goals,
            row.seq,
            row.model,
            row.p_home,
            row.p_draw,
            row.p_away,
            row.abstained,
        )
        .select_from(FreezeRow)
        .join(
            match,
            and_(
                match.tenant_id == FreezeRow.tenant_id,
                match.id == FreezeRow.match_id,
                match.kickoff_at == FreezeRow.kickoff_at,
            ),
        )
        .join(row, and_(row.tenant_id == FreezeRow.tenant_id, row.seq == FreezeRow.prediction_seq))
        .where(FreezeRow.tenant_id == tenant_id, *conditions)
        .order_by(match.kickoff_at, match.id, row.model)
    )
    rows = await db.all(statement if limit is None else statement.limit(limit))
    found = []
    for one in rows:
        score = score_of(one)
        if score is not None:
            p = (one.p_home, one.p_draw, one.p_away)
            found.append(
                Official(
                    match_id=one.id,
                    revision=one.revision,
                    seq=one.seq,
                    model=one.model,
                    p=p,
                    score=score,
                    day=one.day,
                    abstained=one.abstained,
                )
            )
    return found


async def hits(db: Db, tenant_id: UUID, model: str, bin_: int) -> tuple[int, int]:
    """How many scored predictions of a model have a favourite of about this probability, and how many of those won."""
    mine = (ScoreRow.tenant_id == tenant_id, ScoreRow.model == model, ScoreRow.bin == bin_)
    present = and_(
        MatchRow.tenant_id == ScoreRow.tenant_id,
        MatchRow.id == ScoreRow.match_id,
        MatchRow.revision == ScoreRow.match_revision,
    )
    won = func.sum(case((ScoreRow.hit, 1), else_=0))
    row = await db.one(
        select(func.count().label("n"), won.label("won")).select_from(ScoreRow).join(MatchRow, present).where(*mine)
    )
    return int(row.n), int(row.won or 0)
