"""Import files of matches: what they say that is new becomes observations, odds and the present state of matches.

The same file again, or its rows in another order, changes nothing; a process that dies in the middle leaves whole matches, and
the next import adds the others.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.db.engine import Database
from ossature.kernel.db.lease import holding
from ossature.services.predict.domain.facts import (
    Basis,
    MatchContradicted,
    MatchFacts,
    MatchFile,
    MatchStatus,
    Phase,
    Seen,
    SeenQuote,
    SimulatedMixed,
    closing_seen,
    early_seen,
    result_seen,
)
from ossature.services.predict.domain.matches import Match
from ossature.services.predict.ports import MatchFiles
from ossature.services.predict.store import catalogue, facts
from ossature.services.predict.usecases.pricing import PRICE
from ossature.services.predict.usecases.scoring import SCORE

SOURCE: Final = "matches_odds"
_BATCH: Final = 1000
_LEASE_S: Final = 30.0
_WAIT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import changed. matches: in the file; quotes: that were new; results: first ones and corrections."""

    matches: int
    new_matches: int
    results: int
    corrections: int
    quotes: int


async def import_file(ctx: Ctx, content: bytes, *, name: str) -> Imported:
    """Store a file of matches, and have what follows from it predicted and scored.

    Raises: ImportInvalid naming file, row and column; MatchContradicted; SimulatedMixed; LeaseTaken while another import takes its time.
    """
    files = ctx.port(MatchFiles)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    read = await asyncio.to_thread(files.read, content, name)
    done = await store_facts(ctx, read, at=ctx.now)
    async with ctx.db.step():
        await ctx.audit("predict.imported", f"file:{name}", matches=done.matches, results=done.results)
        await ctx.enqueue(SCORE, unique="score")
        await ctx.enqueue(PRICE, unique="price")
    return done


async def store_facts(ctx: Ctx, read: MatchFile, *, at: datetime) -> Imported:
    """Store what a file says as known at a moment: the present, unless matches are simulated.

    Raises: SimulatedMixed, MatchContradicted; then nothing of it is stored.
    """
    total = Imported(0, 0, 0, 0, 0)
    batches = [read.facts[first : first + _BATCH] for first in range(0, len(read.facts), _BATCH)]
    name = f"predict.import:{ctx.tenant.id}"
    async with holding(ctx.port(Database), name, lasts_s=_LEASE_S, wait_s=_WAIT_S) as lease:
        if (await catalogue.simulated_kinds(ctx.db, ctx.tenant.id)) - {read.simulated}:
            raise SimulatedMixed
        for batch in batches:
            await _refuse_contradictions(ctx, batch)
        for batch in batches:
            async with ctx.db.step():
                await lease.guard(ctx.db)
                total = _sum(total, await _store(ctx, batch, simulated=read.simulated, at=at))
    return total


async def _refuse_contradictions(ctx: Ctx, batch: Sequence[MatchFacts]) -> None:
    known = await catalogue.matches_named(ctx.db, ctx.tenant.id, [one.code for one in batch])
    for one in batch:
        match = known.get(one.code)
        if match is not None and (match.competition, match.home, match.away) != (one.competition, one.home, one.away):
            said = f"Match {one.code} is known as {match.competition}: {match.home} - {match.away}."
            raise MatchContradicted(said, match=one.code)


async def _store(ctx: Ctx, batch: Sequence[MatchFacts], *, simulated: bool, at: datetime) -> Imported:
    known = await catalogue.matches_named(ctx.db, ctx.tenant.id, [one.code for one in batch])
    new = [one for one in batch if one.code not in known]
    added: dict[str, UUID] = {}
    if new:
        place = await catalogue.places(ctx.db, ctx.tenant.id, new)
        added = await catalogue.add_matches(ctx.db, ctx.tenant.id, new, place, simulated=simulated)
    ids = {code: match.id for code, match in known.items()} | added
    corrections, results = await _observe(ctx, batch, known, ids, at=at)
    quotes = await _quote(ctx, batch, known, ids, at=at)
    return Imported(len(batch), len(new), results, corrections, quotes)


async def _observe(
    ctx: Ctx, batch: Sequence[MatchFacts], known: Mapping[str, Match], ids: Mapping[str, UUID], *, at: datetime
) -> tuple[int, int]:
    """Add the observations that are new: how many were corrections, and how many results in all."""
    last = await facts.last_observations(ctx.db, ctx.tenant.id, [match.id for match in known.values()])
    told: list[tuple[UUID, int, MatchFacts, Seen]] = []
    changed: list[tuple[UUID, int, MatchFacts]] = []
    corrections = results = 0
    for one in batch:
        match, before = known.get(one.code), last.get(ids[one.code])
        if before is not None and before.digest == one.digest:
            continue
        if match is not None and match.status is MatchStatus.FINISHED and one.score is None:
            continue  # a fixture of before says less than the result that is known
        told.append((ids[one.code], before.number + 1 if before else 1, one, _seen(one, at, known=match is not None)))
        results += one.score is not None
        if match is not None:
            corrected = match.score is not None and one.score != match.score
            corrections += corrected
            revision = match.revision + (corrected or (match.score is None and one.score is not None))
            changed.append((match.id, revision, one))
    await catalogue.change_matches(ctx.db, ctx.tenant.id, changed)
    await facts.add_observations(ctx.db, ctx.tenant.id, told, source=SOURCE)
    return corrections, results


async def _quote(
    ctx: Ctx, batch: Sequence[MatchFacts], known: Mapping[str, Match], ids: Mapping[str, UUID], *, at: datetime
) -> int:
    """Add the quotes that are new; how many."""
    last = await facts.last_quotes(ctx.db, ctx.tenant.id, [match.id for match in known.values()])
    new = []
    for one in batch:
        assumed = {Phase.EARLY: early_seen(one, at), Phase.CLOSING: closing_seen(one, at)}
        for quote in one.quotes:
            number, prices = last.get((ids[one.code], *quote.key), (0, ()))
            if prices != quote.prices:
                when = assumed[quote.phase]
                seen = Seen(at, Basis.OBSERVED) if one.code in known else when
                new.append(SeenQuote(ids[one.code], quote, number + 1, when.at, seen))
    await facts.add_quotes(ctx.db, ctx.tenant.id, new)
    return len(new)


def _seen(one: MatchFacts, at: datetime, *, known: bool) -> Seen:
    """When it was seen what is told of a match. Of one that was known before nobody has to assume it."""
    if known:
        return Seen(at, Basis.OBSERVED)
    return early_seen(one, at) if one.score is None else result_seen(one, at)


def _sum(a: Imported, b: Imported) -> Imported:
    return Imported(
        a.matches + b.matches,
        a.new_matches + b.new_matches,
        a.results + b.results,
        a.corrections + b.corrections,
        a.quotes + b.quotes,
    )
