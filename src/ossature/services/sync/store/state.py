"""What is known of records, rows and sizes since the last time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select, update

from ossature.kernel import clock
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert
from ossature.services.sync.domain.decision import State
from ossature.services.sync.domain.guards import Baseline
from ossature.services.sync.domain.values import Held, HeldView, RecordView
from ossature.services.sync.store.tables import BaselineRow, QuarantineRow, RecordStateRow

QUARANTINE = Listable(
    key=QuarantineRow.key_hash,
    filters={"pipeline": QuarantineRow.pipeline},
    sorts={"pipeline": QuarantineRow.pipeline},
    default="pipeline",
)
_HELD: tuple[Any, ...] = (
    QuarantineRow.pipeline,
    QuarantineRow.key,
    QuarantineRow.field,
    QuarantineRow.reason,
    QuarantineRow.attempts,
    QuarantineRow.state,
    QuarantineRow.created_at,
)
_BATCH = 500
_PK = ["pipeline", "key_hash", "tenant_id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What to remember of a record. state: None forgets it."""

    pipeline: str
    key: str
    state: State | None


def key_hash(key: str) -> str:
    """What a key is stored under, in 32 hex digits."""
    return blake2b(key.encode(), digest_size=16).hexdigest()


async def owned_n(db: Db, tenant_id: UUID, pipeline: str) -> int:
    """How many records of the target are ours."""
    row = RecordStateRow
    counted = select(func.count()).where(row.tenant_id == tenant_id, row.pipeline == pipeline)
    return int(await db.scalar(counted))


async def states(db: Db, tenant_id: UUID, pipeline: str, keys: Sequence[str]) -> dict[str, State]:
    """What is known of records, by key; those that nothing is known of are left out."""
    row, found = RecordStateRow, dict[str, State]()
    for start in range(0, len(keys), _BATCH):
        by_hash = {key_hash(key): key for key in keys[start : start + _BATCH]}
        mine = (row.tenant_id == tenant_id, row.pipeline == pipeline, row.key_hash.in_(by_hash))
        for each in await db.all(
            select(
                row.key_hash, row.owner, row.applied_hash, row.target_hash, row.missing_reads, row.missing_since
            ).where(*mine)
        ):
            found[by_hash[each.key_hash]] = State(
                each.owner, each.applied_hash, each.target_hash, each.missing_reads, _days_since(each.missing_since)
            )
    return found


async def remember(db: Db, tenant_id: UUID, known: Sequence[Known]) -> None:
    """Keep what is known of records."""
    gone = [one for one in known if one.state is None]
    for one in gone:
        row = RecordStateRow
        mine = (row.tenant_id == tenant_id, row.pipeline == one.pipeline, row.key_hash == key_hash(one.key))
        await db.execute(delete(row).where(*mine))
    for one in known:
        if one.state is None:
            continue
        values: dict[str, Any] = {
            "owner": one.state.owner,
            "applied_hash": one.state.applied_hash,
            "target_hash": one.state.target_hash,
            "missing_since": None,
            "missing_reads": 0,
        }
        new = upsert(db, RecordStateRow).values(
            tenant_id=tenant_id, pipeline=one.pipeline, key_hash=key_hash(one.key), **values
        )
        kept = {name: value for name, value in values.items() if name != "owner"}
        await db.execute(new.on_conflict_do_update(index_elements=_PK, set_=kept))


async def record(db: Db, tenant_id: UUID, pipeline: str, key: str) -> RecordView | None:
    """What is known of one record."""
    row = RecordStateRow
    mine = (row.tenant_id == tenant_id, row.pipeline == pipeline, row.key_hash == key_hash(key))
    found = await db.first(select(row.owner, row.missing_reads, row.missing_since).where(*mine))
    if found is None:
        return None
    return RecordView(owner=found.owner, missing_reads=found.missing_reads, missing_since=found.missing_since)


async def list_held(db: Db, tenant_id: UUID, query: ListQuery) -> Found[HeldView]:
    """A page of a tenant's quarantine."""
    return await QUARANTINE.fetch(db, select(*_HELD).where(QuarantineRow.tenant_id == tenant_id), query, _held)


async def held_n(db: Db, tenant_id: UUID) -> dict[str, int]:
    """How many rows of each pipeline are in quarantine."""
    counted = select(QuarantineRow.pipeline, func.count().label("n")).where(QuarantineRow.tenant_id == tenant_id)
    return {row.pipeline: row.n for row in await db.all(counted.group_by(QuarantineRow.pipeline))}


async def baselines(db: Db, tenant_id: UUID) -> dict[str, tuple[datetime, Baseline]]:
    """When the last good run of each pipeline was, and how much there was."""
    row = BaselineRow
    found = await db.all(
        select(row.pipeline, row.at, row.source_rows, row.target_rows).where(row.tenant_id == tenant_id)
    )
    return {one.pipeline: (one.at, Baseline(source_rows=one.source_rows, target_rows=one.target_rows)) for one in found}


async def found_again(db: Db, tenant_id: UUID, pipeline: str, keys: Sequence[str]) -> None:
    """Forget that these records were missing: the source has them, so what is counted begins anew."""
    row = RecordStateRow
    mine = (row.tenant_id == tenant_id, row.pipeline == pipeline, row.missing_reads > 0)
    missing = {each.key_hash for each in await db.all(select(row.key_hash).where(*mine))}
    back = [hashed for hashed in map(key_hash, keys) if hashed in missing] if missing else []
    for start in range(0, len(back), _BATCH):
        these = row.key_hash.in_(back[start : start + _BATCH])
        await db.execute(update(row).where(*mine, these).values(missing_reads=0, missing_since=None))


async def missed(db: Db, tenant_id: UUID, pipeline: str, known: Collection[str]) -> None:
    """Count one more complete read at which the source had these records no more; those that are not ours stay so."""
    row = RecordStateRow
    hashed = [key_hash(key) for key in known]
    values: dict[str, Any] = {
        "missing_reads": row.missing_reads + 1,
        "missing_since": func.coalesce(row.missing_since, clock.now()),
    }
    for start in range(0, len(hashed), _BATCH):
        these = row.key_hash.in_(hashed[start : start + _BATCH])
        mine = (row.tenant_id == tenant_id, row.pipeline == pipeline)
        await db.execute(update(row).where(*mine, these).values(**values))


async def hold(db: Db, tenant_id: UUID, pipeline: str, rows: Collection[Held]) -> None:
    """Put the rows that cannot become records in quarantine, and release those that can again."""
    row = QuarantineRow
    mine = (row.tenant_id == tenant_id, row.pipeline == pipeline)
    kept = {key_hash(one.key): one for one in rows}
    there = await db.all(select(row.key_hash).where(*mine, row.state == "held"))
    released = [each.key_hash for each in there if each.key_hash not in kept]
    for start in range(0, len(released), _BATCH):
        await db.execute(delete(row).where(*mine, row.key_hash.in_(released[start : start + _BATCH])))
    held = [
        {
            "tenant_id": tenant_id,
            "pipeline": pipeline,
            "key_hash": hashed,
            "attempts": 1,
            "key": one.key[:500],
            "field": one.field,
            "reason": one.reason,
            "state": "held",
            "created_at": clock.now(),
        }
        for hashed, one in kept.items()
    ]
    if held:
        new = upsert(db, row)
        again = {name: new.excluded[name] for name in ("key", "field", "reason", "state")}
        changed = new.on_conflict_do_update(index_elements=_PK, set_={**again, "attempts": row.attempts + 1})
        await db.execute(changed, held)


async def baseline(db: Db, tenant_id: UUID, pipeline: str) -> Baseline:
    """How much there was at the last good run; nothing before the first."""
    row = BaselineRow
    found = await db.first(
        select(row.source_rows, row.target_rows).where(row.tenant_id == tenant_id, row.pipeline == pipeline)
    )
    return Baseline() if found is None else Baseline(source_rows=found.source_rows, target_rows=found.target_rows)


async def save_baseline(db: Db, tenant_id: UUID, pipeline: str, *, source_rows: int, target_rows: int) -> None:
    """Remember how much there was at a good run."""
    values = {"source_rows": source_rows, "target_rows": target_rows, "at": clock.now()}
    new = upsert(db, BaselineRow).values(tenant_id=tenant_id, pipeline=pipeline, **values)
    await db.execute(new.on_conflict_do_update(index_elements=["pipeline", "tenant_id"], set_=values))


def _days_since(at: datetime | None) -> int:
    return 0 if at is None else max(0, (clock.now() - at).days)


def _held(row: Row[Any]) -> HeldView:
    return HeldView(**{column.key: getattr(row, column.key) for column in _HELD})
