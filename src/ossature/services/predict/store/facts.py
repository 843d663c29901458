"""Observations and odds: what was said of matches, in the order in which it was said."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, func, insert, select

from ossature.kernel import clock
from ossature.kernel.db.transaction import Db
from ossature.services.predict.domain.facts import (
    Basis,
    KnownMatch,
    MatchFacts,
    Phase,
    Quote,
    Seen,
    SeenQuote,
    day_of,
)
from ossature.services.predict.store.catalogue import goals, score_of
from ossature.services.predict.store.tables import MatchRow, ObservationRow, OddsRow

QuoteKey = tuple[UUID, str, str, float, str]


@dataclass(frozen=True, slots=True)
class Last:
    """The newest observation of a match from anybody: its number, and the digest of what it said."""

    number: int
    digest: str


async def last_observations(db: Db, tenant_id: UUID, match_ids: Collection[UUID]) -> dict[UUID, Last]:
    """The newest observation of each of these matches."""
    row = ObservationRow
    mine = (row.tenant_id == tenant_id, row.match_id.in_(list(match_ids)))
    newest = select(row.match_id, func.max(row.number).label("number")).where(*mine).group_by(row.match_id).subquery()
    statement = select(row.match_id, row.number, row.payload_sha256).join(
        newest, and_(newest.c.match_id == row.match_id, newest.c.number == row.number)
    )
    rows = await db.all(statement.where(row.tenant_id == tenant_id))
    return {found.match_id: Last(found.number, found.payload_sha256) for found in rows}


async def add_observations(
    db: Db, tenant_id: UUID, told: Sequence[tuple[UUID, int, MatchFacts, Seen]], *, source: str
) -> None:
    """Add what a source said of matches: each with its id, its number, and when it was seen."""
    now = clock.now()
    rows = [
        {
            "tenant_id": tenant_id,
            "match_id": match_id,
            "number": number,
            "source": source,
            "event_at": facts.kickoff_at,
            "seen_at": seen.at,
            "seen_basis": seen.basis.value,
            "status": facts.status.value,
            "kickoff_at": facts.kickoff_at,
            **goals(facts.score),
            "counts": dict(facts.counts),
            "payload_sha256": facts.digest,
            "created_at": now,
        }
        for match_id, number, facts, seen in told
    ]
    if rows:
        await db.execute(insert(ObservationRow.__table__), rows)  # type: ignore[arg-type] # a Table, called a FromClause


async def last_quotes(
    db: Db, tenant_id: UUID, match_ids: Collection[UUID]
) -> dict[QuoteKey, tuple[int, tuple[float | None, ...]]]:
    """Of every quote of these matches the newest: its number and prices."""
    row = OddsRow
    statement = select(row.match_id, row.book, row.market, row.line, row.phase, row.number, row.prices)
    mine = statement.where(row.tenant_id == tenant_id, row.match_id.in_(list(match_ids))).order_by(row.number)
    rows = await db.all(mine)
    return {(one.match_id, one.book, one.market, one.line, one.phase): (one.number, tuple(one.prices)) for one in rows}


async def add_quotes(db: Db, tenant_id: UUID, quotes: Sequence[SeenQuote]) -> None:
    """Add quotes that say something new."""
    now = clock.now()
    rows = [
        {
            "tenant_id": tenant_id,
            "match_id": one.match_id,
            "book": one.quote.book,
            "market": one.quote.market,
            "line": one.quote.line,
            "phase": one.quote.phase.value,
            "number": one.number,
            "prices": list(one.quote.prices),
            "event_at": one.event_at,
            "seen_at": one.seen.at,
            "seen_basis": one.seen.basis.value,
            "created_at": now,
        }
        for one in quotes
    ]
    if rows:
        await db.execute(insert(OddsRow.__table__), rows)  # type: ignore[arg-type] # as above


async def known_at(db: Db, tenant_id: UUID, as_of: datetime) -> list[KnownMatch]:
    """Every match with what was seen of it before a moment, in the order of days."""
    observed = await _observed(db, tenant_id, as_of)
    quotes = await _quoted(db, tenant_id, as_of)
    row = MatchRow.__table__
    found = []
    for one in await db.all(select(row).where(row.c.tenant_id == tenant_id)):
        seen = observed.get(one.id)
        if seen is None:
            continue
        found.append(
            KnownMatch(
                id=one.id,
                code=one.code,
                competition=one.competition,
                kind=one.kind,
                season=one.season,
                # As it was known then: a match that was put off since has another day by now.
                day=day_of(seen.kickoff_at),
                kickoff_at=seen.kickoff_at,
                home=one.home,
                away=one.away,
                neutral=one.neutral,
                score=score_of(seen),
                counts=seen.counts,
                quotes=tuple(quotes.get(one.id, ())),
            )
        )
    # Here and not in SQL: the order of texts of a database depends on its locale, and ratings on the order.
    return sorted(found, key=lambda one: (one.day, one.competition, one.home, one.away, one.code))


async def quotes_of(db: Db, tenant_id: UUID, match_ids: Collection[UUID]) -> list[SeenQuote]:
    """Every quote of these matches, oldest first."""
    row = OddsRow.__table__
    mine = (row.c.tenant_id == tenant_id, row.c.match_id.in_(list(match_ids)))
    rows = await db.all(select(row).where(*mine).order_by(row.c.seen_at, row.c.number))
    return [SeenQuote(one.match_id, _quote(one), one.number, one.event_at, _seen(one)) for one in rows]


async def _observed(db: Db, tenant_id: UUID, as_of: datetime) -> dict[UUID, Row[Any]]:
    """The last observation of each match that was seen before a moment; a match without one is not known yet."""
    row = ObservationRow
    statement = select(
        row.match_id,
        row.number,
        row.kickoff_at,
        row.home_goals,
        row.away_goals,
        row.half_home_goals,
        row.half_away_goals,
        row.counts,
    )
    found: dict[UUID, Row[Any]] = {}
    for one in await db.all(statement.where(row.tenant_id == tenant_id, row.seen_at < as_of)):
        if one.match_id not in found or found[one.match_id].number < one.number:
            found[one.match_id] = one
    return found


async def _quoted(db: Db, tenant_id: UUID, as_of: datetime) -> dict[UUID, list[Quote]]:
    """The last quote of each kind that was seen before a moment, by match."""
    row = OddsRow
    statement = select(row.match_id, row.book, row.market, row.line, row.phase, row.number, row.prices)
    found: dict[QuoteKey, Row[Any]] = {}
    for one in await db.all(statement.where(row.tenant_id == tenant_id, row.seen_at < as_of)):
        key = (one.match_id, one.book, one.market, one.line, one.phase)
        if key not in found or found[key].number < one.number:
            found[key] = one
    quotes: dict[UUID, list[Quote]] = {}
    for one in found.values():
        quotes.setdefault(one.match_id, []).append(_quote(one))
    return quotes


def _quote(row: Row[Any]) -> Quote:
    prices = tuple(row.prices)
    return Quote(book=row.book, market=row.market, line=row.line, phase=Phase(row.phase), prices=prices)


def _seen(row: Row[Any]) -> Seen:
    return Seen(row.seen_at, Basis(row.seen_basis))
