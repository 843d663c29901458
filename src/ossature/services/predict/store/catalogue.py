"""Competitions, teams and matches: every statement about them. What was told of a match is in `facts`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, bindparam, insert, select, update

from ossature.kernel import clock
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.services.predict.domain.facts import SPORT, MatchFacts, MatchStatus, Score, country_of
from ossature.services.predict.domain.matches import Competition, Match
from ossature.services.predict.store.tables import CompetitionRow, MatchRow, TeamRow

MATCHES = Listable(
    key=MatchRow.id,
    filters={
        "competition": MatchRow.competition,
        "season": MatchRow.season,
        "status": MatchRow.status,
        "kickoff": MatchRow.kickoff_at,
        "home_id": MatchRow.home_id,
        "away_id": MatchRow.away_id,
    },
    sorts={"kickoff": MatchRow.kickoff_at},
    default="-kickoff",
)
COMPETITIONS = Listable(
    key=CompetitionRow.id,
    filters={"code": CompetitionRow.code, "country": CompetitionRow.country},
    sorts={"code": CompetitionRow.code},
    default="code",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the ids of a file's competitions and teams are: by code, and by country and name."""

    competitions: Mapping[str, UUID]
    teams: Mapping[tuple[str, str], UUID]


async def list_competitions(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Competition]:
    """One page of the competitions."""
    row = CompetitionRow
    statement = select(row.__table__).where(row.tenant_id == tenant_id)
    return await COMPETITIONS.fetch(db, statement, query, _competition)


async def list_matches(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Match]:
    """One page of the matches."""
    return await MATCHES.fetch(db, _of(tenant_id), query, _match)


async def match(db: Db, tenant_id: UUID, match_id: UUID) -> Match | None:
    """A match."""
    row = await db.first(_of(tenant_id).where(MatchRow.id == match_id))
    return None if row is None else _match(row)


async def matches_named(db: Db, tenant_id: UUID, codes: Iterable[str]) -> dict[str, Match]:
    """Those of these matches that are known, by their names in files."""
    rows = await db.all(_of(tenant_id).where(MatchRow.code.in_(list(codes))))
    return {row.code: _match(row) for row in rows}


async def scheduled_of(db: Db, tenant_id: UUID, match_ids: Collection[UUID]) -> list[Match]:
    """Those of these matches that have no result yet."""
    open_ = (MatchRow.id.in_(list(match_ids)), MatchRow.status == MatchStatus.SCHEDULED.value)
    return [_match(row) for row in await db.all(_of(tenant_id).where(*open_))]


def among(*, competition: str | None, first: datetime | None, last: datetime | None) -> list[ColumnElement[bool]]:
    """What holds for the matches of a division that begin within a time; None leaves an end open."""
    found: list[ColumnElement[bool]] = []
    if competition is not None:
        found.append(MatchRow.competition == competition)
    if first is not None:
        found.append(MatchRow.kickoff_at >= first)
    if last is not None:
        found.append(MatchRow.kickoff_at <= last)
    return found


async def tenants(db: Db) -> list[UUID]:
    """The tenants that have competitions. `db`: a view across tenants."""
    rows = await db.all(select(CompetitionRow.tenant_id).distinct().order_by(CompetitionRow.tenant_id))
    return [row.tenant_id for row in rows]


async def simulated_kinds(db: Db, tenant_id: UUID) -> set[bool]:
    """Whether there are simulated matches (True), real ones (False), or both."""
    rows = await db.all(select(MatchRow.simulated).where(MatchRow.tenant_id == tenant_id).distinct())
    return {row.simulated for row in rows}


async def places(db: Db, tenant_id: UUID, facts: Sequence[MatchFacts]) -> Place:
    """Where the competitions and teams of these matches are; those that are new are added."""
    countries = {one.competition: country_of(one.competition) for one in facts}
    return Place(
        await _competitions(db, tenant_id, {one.competition: one.kind for one in facts}),
        await _teams(
            db, tenant_id, {(countries[one.competition], name) for one in facts for name in (one.home, one.away)}
        ),
    )


async def add_matches(
    db: Db, tenant_id: UUID, facts: Sequence[MatchFacts], place: Place, *, simulated: bool
) -> dict[str, UUID]:
    """Add matches that nobody knew; their ids by their names in files."""
    now, rows = clock.now(), []
    for one in facts:
        country = country_of(one.competition)
        rows.append(
            {
                "tenant_id": tenant_id,
                "created_at": now,
                "id": clock.new_id(),
                "competition_id": place.competitions[one.competition],
                "home_id": place.teams[country, one.home],
                "away_id": place.teams[country, one.away],
                "code": one.code,
                "competition": one.competition,
                "kind": one.kind,
                "home": one.home,
                "away": one.away,
                "season": one.season,
                "neutral": one.neutral,
                "revision": int(one.score is not None),
                "simulated": simulated,
                **_present(one),
            }
        )
    if rows:
        await db.execute(insert(MatchRow.__table__), rows)  # type: ignore[arg-type] # a Table, called a FromClause
    return {row["code"]: row["id"] for row in rows}


async def change_matches(db: Db, tenant_id: UUID, changed: Sequence[tuple[UUID, int, MatchFacts]]) -> None:
    """Matches as their source tells them now: id, revision, facts."""
    if not changed:
        return
    row = MatchRow.__table__
    mine = (row.c.tenant_id == tenant_id, row.c.id == bindparam("match_id"))
    values = [{"match_id": id_, "revision": revision, **_present(facts)} for id_, revision, facts in changed]
    await db.execute(update(row).where(*mine), values)  # type: ignore[arg-type] # as above


def _present(facts: MatchFacts) -> dict[str, Any]:
    return {
        "day": facts.day,
        "kickoff_at": facts.kickoff_at,
        "kickoff_is_exact": facts.kickoff_is_exact,
        "status": facts.status.value,
        "changed_at": clock.now(),
        **goals(facts.score),
    }


def goals(score: Score | None) -> dict[str, int | None]:
    """A score as columns."""
    names = ("home_goals", "away_goals", "half_home_goals", "half_away_goals")
    if score is None:
        return dict.fromkeys(names)
    return dict(zip(names, (score.home, score.away, score.half_home, score.half_away), strict=True))


def score_of(row: Row[Any]) -> Score | None:
    """The score that columns hold."""
    if row.home_goals is None or row.away_goals is None:
        return None
    return Score(row.home_goals, row.away_goals, row.half_home_goals, row.half_away_goals)


async def _competitions(db: Db, tenant_id: UUID, kinds: Mapping[str, str]) -> dict[str, UUID]:
    row = CompetitionRow
    mine = select(row.code, row.id).where(row.tenant_id == tenant_id, row.code.in_(sorted(kinds)))
    known = {one.code: one.id for one in await db.all(mine)}
    new = {code: clock.new_id() for code in sorted(kinds.keys() - known.keys())}
    if new:
        now = clock.now()
        rows = [
            {
                "tenant_id": tenant_id,
                "created_at": now,
                "id": id_,
                "code": code,
                "kind": kinds[code],
                "country": country_of(code),
                "sport": SPORT,
            }
            for code, id_ in new.items()
        ]
        await db.execute(insert(CompetitionRow.__table__), rows)  # type: ignore[arg-type] # as above
    return known | new


async def _teams(db: Db, tenant_id: UUID, names: set[tuple[str, str]]) -> dict[tuple[str, str], UUID]:
    row = TeamRow
    countries = sorted({country for country, _ in names})
    statement = select(row.id, row.country, row.name).where(row.tenant_id == tenant_id, row.country.in_(countries))
    known = {(found.country, found.name): found.id for found in await db.all(statement)}
    now = clock.now()
    new = {key: clock.new_id() for key in sorted(names - known.keys())}
    if new:
        rows = [
            {"tenant_id": tenant_id, "created_at": now, "id": id_, "country": country, "name": name}
            for (country, name), id_ in new.items()
        ]
        await db.execute(insert(TeamRow.__table__), rows)  # type: ignore[arg-type] # as above
    return known | new


def _competition(row: Row[Any]) -> Competition:
    return Competition(id=row.id, code=row.code, kind=row.kind, country=row.country, sport=row.sport)


def _of(tenant_id: UUID) -> Select[Any]:
    return select(MatchRow.__table__).where(MatchRow.tenant_id == tenant_id)


def _match(row: Row[Any]) -> Match:
    return Match(
        id=row.id,
        code=row.code,
        competition=row.competition,
        kind=row.kind,
        season=row.season,
        day=row.day,
        kickoff_at=row.kickoff_at,
        kickoff_is_exact=row.kickoff_is_exact,
        home=row.home,
        away=row.away,
        home_id=row.home_id,
        away_id=row.away_id,
        neutral=row.neutral,
        status=MatchStatus(row.status),
        score=score_of(row),
        revision=row.revision,
        simulated=row.simulated,
    )
