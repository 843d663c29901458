"""Plans: what lists need in a row, their bytes in compressed pieces."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update

from ossature.kernel import clock
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.services.sync.domain.plan import Plan, sha256_of
from ossature.services.sync.domain.values import PlanView
from ossature.services.sync.store.tables import PlanBlobRow, PlanRow

_CHUNK_BYTES = 1024 * 1024
_SHORTEST = 12

PLANS = Listable(
    key=PlanRow.id,
    filters={"state": PlanRow.state},
    sorts={"created_at": PlanRow.created_at},
    default="-created_at",
)
_VIEW = (
    PlanRow.id,
    PlanRow.sha256,
    PlanRow.pipelines,
    PlanRow.author,
    PlanRow.author_id,
    PlanRow.state,
    PlanRow.counts,
    PlanRow.guards,
    PlanRow.budget,
    PlanRow.created_at,
    PlanRow.expires_at,
    PlanRow.approved_by,
    PlanRow.approved_at,
)


async def list_plans(db: Db, tenant_id: UUID, query: ListQuery) -> Found[PlanView]:
    """A page of a tenant's plans."""
    return await PLANS.fetch(db, select(*_VIEW).where(PlanRow.tenant_id == tenant_id), query, _view)


async def plan(db: Db, tenant_id: UUID, sha256: str) -> PlanView | None:
    """A plan by its name, or by at least its first 12 digits."""
    if len(sha256) < _SHORTEST:
        return None
    # 12 to 64 digits, compared as text: the range of all names that begin with them.
    named = PlanRow.sha256.between(sha256, sha256 + "g")
    found = await db.all(select(*_VIEW).where(PlanRow.tenant_id == tenant_id, named).limit(2))
    return _view(found[0]) if len(found) == 1 else None


async def content(db: Db, tenant_id: UUID, plan_id: UUID) -> bytes:
    """The bytes of a plan."""
    row = PlanBlobRow
    found = await db.all(select(row.chunk).where(row.tenant_id == tenant_id, row.plan_id == plan_id).order_by(row.seq))
    return zlib.decompress(b"".join(each.chunk for each in found))


@dataclass(frozen=True, slots=True)
class Packed:
    """The bytes of a plan as they are stored, with its name; made before the transaction that stores them."""

    sha256: str
    content: bytes

    @classmethod
    def of(cls, body: bytes) -> "Packed":
        """Pack the bytes of a plan."""
        return cls(sha256_of(body), zlib.compress(body, 6))


async def save_plan(
    db: Db,
    tenant_id: UUID,
    made: Plan,
    packed: Packed,
    *,
    author: str,
    author_id: UUID | None,
    expires_at: datetime,
) -> PlanView:
    """Keep a plan. One with the same bytes is kept once."""
    sha256 = packed.sha256
    known = await plan(db, tenant_id, sha256)
    if known is not None:
        return known
    plan_id = clock.new_id()
    values: dict[str, Any] = {
        "id": plan_id,
        "tenant_id": tenant_id,
        "sha256": sha256,
        "pipelines": [one.name for one in made.pipelines],
        "author": author,
        "author_id": author_id,
        "state": made.state,
        "counts": made.counts,
        "guards": [one.to_dict() for one in made.guards],
        "budget": dict(made.budget),
        "expires_at": expires_at,
        "created_at": made.created_at,
    }
    await db.execute(insert(PlanRow).values(**values))
    for seq, start in enumerate(range(0, len(packed.content), _CHUNK_BYTES)):
        piece = packed.content[start : start + _CHUNK_BYTES]
        await db.execute(insert(PlanBlobRow).values(tenant_id=tenant_id, plan_id=plan_id, seq=seq, chunk=piece))
    return PlanView(
        **{name: value for name, value in values.items() if name != "tenant_id"}, approved_by=None, approved_at=None
    )


async def move(
    db: Db, tenant_id: UUID, plan_id: UUID, *, of: tuple[str, ...], to: str, more: Mapping[str, Any] | None = None
) -> bool:
    """Bring a plan from one of the states `of` to another; False when it is in none of them."""
    mine = (PlanRow.tenant_id == tenant_id, PlanRow.id == plan_id, PlanRow.state.in_(of))
    return bool(await db.execute(update(PlanRow).where(*mine).values(state=to, **(more or {}))))


def _view(row: Row[Any]) -> PlanView:
    return PlanView(**{column.key: getattr(row, column.key) for column in _VIEW})
