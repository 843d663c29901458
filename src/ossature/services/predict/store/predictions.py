"""The chain of predictions, and which of them are official: every statement about them.

Whoever adds a prediction or freezes one holds the chain of the tenant, so that both follow one another in all processes.
"""

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, Select, and_, func, insert, select

from ossature.kernel import clock
from ossature.kernel.db import chain
from ossature.kernel.db.chain import ChainLink, Form, Head, Verdict
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.services.predict.domain.matches import CHAIN, Freeze, NewPrediction, Prediction
from ossature.services.predict.domain.proof import instant, linked
from ossature.services.predict.store import catalogue
from ossature.services.predict.store.tables import FreezeRow, MatchRow, PredictionRow

PREDICTIONS = Listable(
    key=PredictionRow.seq, filters={"model": PredictionRow.model}, sorts={"seq": PredictionRow.seq}, default="-seq"
)
FREEZE_BACK: Final = timedelta(days=30)
"""A kick-off that nobody froze is made good for so long: predictions of before it stay what they are."""

_BATCH: Final = 1000
_NUMBERS: Final = ("p_home", "p_draw", "p_away", "lam_home", "lam_away", "rho", "p_over_2_5", "p_btts")
_TEXTS: Final = ("model", "model_version", "trained_until", "inputs", "phase", "reasons")


def _row_hash(_previous: bytes, body: str) -> bytes:
    return hashlib.sha256(body.encode()).digest()


FORM: Final = Form(_row_hash, names_itself=False)
"""A body names the hash before it itself, so that rows of files and of the database are checked alike."""


async def hold(db: Db, tenant_id: UUID) -> Head:
    """Where the chain of a tenant stands; it is the caller's until the transaction ends."""
    return await chain.hold(db, tenant_id, CHAIN)


async def append(db: Db, tenant_id: UUID, head: Head, new: Sequence[NewPrediction]) -> None:
    """Add rows behind a head that is held."""
    seq, previous, now = head.seq, head.hash, clock.now()
    rows = []
    for one in new:
        seq += 1
        body, digest = linked(one.row, seq, previous.hex())
        rows.append(
            {
                "tenant_id": tenant_id,
                "seq": seq,
                "id": clock.new_id(),
                "match_id": one.match_id,
                **{name: one.row[name] for name in (*_TEXTS, *_NUMBERS, "abstained")},
                "as_of": datetime.fromisoformat(one.row["as_of"]),
                "inputs_hash": one.inputs_hash,
                "body": body,
                "previous": previous,
                "hash": bytes.fromhex(digest),
                "created_at": now,
            }
        )
        previous = rows[-1]["hash"]
    if rows:
        await db.execute(insert(PredictionRow.__table__), rows)  # type: ignore[arg-type] # a Table, called a FromClause
        await chain.move(db, tenant_id, CHAIN, Head(seq, previous))


async def latest(db: Db, tenant_id: UUID, model: str, match_ids: Collection[UUID]) -> dict[UUID, Prediction]:
    """The newest prediction that a model made of each of these matches."""
    row = PredictionRow
    mine = (row.tenant_id == tenant_id, row.model == model, row.match_id.in_(list(match_ids)))
    newest = select(func.max(row.seq)).where(*mine).group_by(row.match_id)
    rows = await db.all(_of(tenant_id).where(row.seq.in_(newest)))
    return {one.match_id: _prediction(one) for one in rows}


async def prediction(db: Db, tenant_id: UUID, prediction_id: UUID) -> Prediction | None:
    """One prediction."""
    row = await db.first(_of(tenant_id).where(PredictionRow.id == prediction_id))
    return None if row is None else _prediction(row)


async def numbered(db: Db, tenant_id: UUID, seqs: Collection[int]) -> dict[int, Prediction]:
    """Predictions by their places in the chain."""
    rows = await db.all(_of(tenant_id).where(PredictionRow.seq.in_(list(seqs))))
    return {row.seq: _prediction(row) for row in rows}


async def list_predictions(db: Db, tenant_id: UUID, match_id: UUID, query: ListQuery) -> Found[Prediction]:
    """One page of the predictions of a match."""
    return await PREDICTIONS.fetch(db, _of(tenant_id).where(PredictionRow.match_id == match_id), query, _prediction)


async def links(db: Db, tenant_id: UUID, *, after: int = 0) -> AsyncIterator[ChainLink]:
    """The rows of a tenant's chain as they lie in the database, from behind a number on."""
    row, match = PredictionRow, MatchRow
    said = (
        select(*row.__table__.c, match.code)
        .outerjoin(match, and_(match.tenant_id == row.tenant_id, match.id == row.match_id))
        .where(row.tenant_id == tenant_id)
        .order_by(row.seq)
        .limit(_BATCH)
    )
    while True:
        rows = await db.all(said.where(row.seq > after))
        for one in rows:
            yield _link(one)
        if len(rows) < _BATCH:
            return
        after = rows[-1].seq


async def verify(db: Db, tenant_id: UUID) -> Verdict:
    """Read a tenant's chain and find everything that is not as it was written."""
    return await chain.verify(db, tenant_id, CHAIN, lambda: links(db, tenant_id), form=FORM)


async def due(db: Db, tenant_id: UUID, *, now: datetime, lead: timedelta) -> list[tuple[UUID, datetime, str, int]]:
    """What is to be frozen: match, kick-off, model, and the number of its last prediction from before kick-off."""
    row, match, frozen = PredictionRow, MatchRow, FreezeRow
    done = select(frozen.match_id).where(
        frozen.tenant_id == match.tenant_id,
        frozen.match_id == match.id,
        frozen.model == row.model,
        frozen.kickoff_at == match.kickoff_at,
    )
    statement = (
        select(match.id, match.kickoff_at, row.model, func.max(row.seq).label("seq"))
        .join(row, and_(row.tenant_id == match.tenant_id, row.match_id == match.id))
        .where(
            match.tenant_id == tenant_id,
            match.kickoff_at <= now + lead,
            match.kickoff_at > now - FREEZE_BACK,
            row.phase == "pre",
            row.as_of < match.kickoff_at,
            ~done.exists(),
        )
        .group_by(match.id, match.kickoff_at, row.model)
        .order_by(match.kickoff_at, match.id, row.model)
    )
    return [(one.id, one.kickoff_at, one.model, one.seq) for one in await db.all(statement)]


async def add_freezes(db: Db, tenant_id: UUID, freezes: Sequence[Freeze]) -> None:
    """Make predictions official."""
    now = clock.now()
    rows = [
        {
            "tenant_id": tenant_id,
            "match_id": one.match_id,
            "model": one.model,
            "kickoff_at": one.kickoff_at,
            "prediction_seq": one.prediction_seq,
            "frozen_at": one.frozen_at,
            "created_at": now,
        }
        for one in freezes
    ]
    if rows:
        await db.execute(insert(FreezeRow.__table__), rows)  # type: ignore[arg-type] # as above


async def freezes(db: Db, tenant_id: UUID, match_ids: Collection[UUID]) -> list[Freeze]:
    """The official predictions of these matches, one for each model and kick-off."""
    row = FreezeRow
    statement = select(row.match_id, row.model, row.kickoff_at, row.prediction_seq, row.frozen_at)
    mine = statement.where(row.tenant_id == tenant_id, row.match_id.in_(list(match_ids)))
    rows = await db.all(mine.order_by(row.kickoff_at, row.model))
    return [Freeze(**one._mapping) for one in rows]  # noqa: SLF001 - SQLAlchemy's public name


async def missed(
    db: Db,
    tenant_id: UUID,
    *,
    now: datetime,
    competition: str | None = None,
    first: datetime | None = None,
    last: datetime | None = None,
) -> int:
    """How many matches have begun without an official prediction since there was the first one of all."""
    row, frozen = MatchRow, FreezeRow
    done = select(frozen.match_id).where(
        frozen.tenant_id == row.tenant_id, frozen.match_id == row.id, frozen.kickoff_at == row.kickoff_at
    )
    begun = select(func.min(frozen.kickoff_at)).where(frozen.tenant_id == tenant_id).scalar_subquery()
    mine = (row.tenant_id == tenant_id, row.kickoff_at <= now, row.kickoff_at >= begun, ~done.exists())
    asked = catalogue.among(competition=competition, first=first, last=last)
    return int(await db.scalar(select(func.count()).select_from(row).where(*mine, *asked)) or 0)


def _of(tenant_id: UUID) -> Select[Any]:
    return select(PredictionRow.__table__).where(PredictionRow.tenant_id == tenant_id)


def _link(row: Row[Any]) -> ChainLink:
    columns = {name: getattr(row, name) for name in (*_TEXTS, *_NUMBERS, "abstained")}
    columns |= {"as_of": instant(row.as_of), "prev_hash": row.previous.hex(), "match_id": row.code}
    return ChainLink(row.seq, row.body, row.previous, row.hash, columns)


def _prediction(row: Row[Any]) -> Prediction:
    return Prediction(
        id=row.id,
        seq=row.seq,
        match_id=row.match_id,
        **{name: getattr(row, name) for name in (*_TEXTS[:-1], *_NUMBERS)},
        as_of=row.as_of,
        abstained=row.abstained,
        reasons=tuple(filter(None, row.reasons.split(";"))),
        inputs_hash=row.inputs_hash,
        body=row.body,
        previous=row.previous.hex(),
        hash=row.hash.hex(),
    )
