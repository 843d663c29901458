"""Pipelines with their versions, and connections."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, update

from ossature.kernel import clock
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert
from ossature.services.sync.domain.config import Pipeline, version_of
from ossature.services.sync.domain.problems import PipelineExists
from ossature.services.sync.domain.values import Connection, PipelineView, VersionView
from ossature.services.sync.store.tables import ConnectionRow, PipelineRow, PipelineVersionRow

PIPELINES = Listable(
    key=PipelineRow.id,
    filters={"name": PipelineRow.name, "enabled": PipelineRow.enabled},
    sorts={"name": PipelineRow.name},
    default="name",
)
VERSIONS = Listable(
    key=PipelineVersionRow.n,
    sorts={"n": PipelineVersionRow.n},
    default="-n",
)
CONNECTIONS = Listable(
    key=ConnectionRow.id,
    filters={"name": ConnectionRow.name, "kind": ConnectionRow.kind},
    sorts={"name": ConnectionRow.name},
    default="name",
)
_VERSION: tuple[Any, ...] = (
    PipelineVersionRow.n,
    PipelineVersionRow.sha256,
    PipelineVersionRow.author,
    PipelineVersionRow.created_at,
    PipelineVersionRow.toml,
)
_CONNECTION: tuple[Any, ...] = (ConnectionRow.name, ConnectionRow.kind, ConnectionRow.public, ConnectionRow.secrets)
_VIEW: tuple[Any, ...] = (
    PipelineRow.id,
    PipelineRow.name,
    PipelineRow.title,
    PipelineRow.enabled,
    PipelineRow.version,
    PipelineRow.version_n,
    PipelineRow.toml,
    PipelineRow.changed_at,
)


async def list_pipelines(db: Db, tenant_id: UUID, query: ListQuery) -> Found[PipelineView]:
    """A page of a tenant's pipelines."""
    return await PIPELINES.fetch(db, select(*_VIEW).where(PipelineRow.tenant_id == tenant_id), query, _pipeline)


async def pipelines(db: Db, tenant_id: UUID) -> Sequence[PipelineView]:
    """Every pipeline of a tenant, by name."""
    found = await db.all(select(*_VIEW).where(PipelineRow.tenant_id == tenant_id).order_by(PipelineRow.name))
    return [_pipeline(row) for row in found]


async def pipeline(db: Db, tenant_id: UUID, name: str, *, hold: bool = False) -> PipelineView | None:
    """One pipeline. hold: nobody else changes it before the transaction ends."""
    statement = select(*_VIEW).where(PipelineRow.tenant_id == tenant_id, PipelineRow.name == name)
    row = await db.first(statement.with_for_update() if hold else statement)
    return None if row is None else _pipeline(row)


async def save_pipeline(db: Db, tenant_id: UUID, spec: Pipeline, toml: str, *, author: str) -> PipelineView:
    """A new version of a pipeline, unless its text is the one that it has.

    Raises: PipelineExists when somebody else makes the first one of that name in the same moment.
    """
    before, sha256 = await pipeline(db, tenant_id, spec.name, hold=True), version_of(toml)
    if before is not None and before.version == sha256:
        return before
    now = clock.now()
    values: dict[str, Any] = {"title": spec.title, "version": sha256, "toml": toml, "changed_at": now}
    values["version_n"] = 1 if before is None else before.version_n + 1
    if before is None:
        new = {"tenant_id": tenant_id, "name": spec.name, "enabled": True, "id": clock.new_id()}
        added = upsert(db, PipelineRow).values(**new, **values, created_at=now)
        if not await db.execute(added.on_conflict_do_nothing(index_elements=["tenant_id", "name"])):
            raise PipelineExists(f"There is a pipeline {spec.name!r} already.")
        pipeline_id = new["id"]
    else:
        pipeline_id = before.id
        mine = (PipelineRow.tenant_id == tenant_id, PipelineRow.id == before.id)
        await db.execute(update(PipelineRow).where(*mine).values(**values))
    version = {"pipeline_id": pipeline_id, "n": values["version_n"], "sha256": sha256, "toml": toml, "author": author}
    await db.execute(insert(PipelineVersionRow).values(tenant_id=tenant_id, **version))
    saved = await pipeline(db, tenant_id, spec.name)
    if saved is None:
        msg = "a pipeline that was just saved is there"
        raise LookupError(msg)
    return saved


async def delete_pipeline(db: Db, tenant_id: UUID, name: str) -> bool:
    """Forget a pipeline with its versions; its plans and runs stay."""
    return bool(
        await db.execute(delete(PipelineRow).where(PipelineRow.tenant_id == tenant_id, PipelineRow.name == name))
    )


async def enable_pipeline(db: Db, tenant_id: UUID, name: str, *, enabled: bool) -> bool:
    """Have a pipeline planned with all others, or only by its name; False when there is none."""
    mine = (PipelineRow.tenant_id == tenant_id, PipelineRow.name == name)
    return bool(await db.execute(update(PipelineRow).where(*mine).values(enabled=enabled, changed_at=clock.now())))


async def list_versions(db: Db, tenant_id: UUID, pipeline_id: UUID, query: ListQuery) -> Found[VersionView]:
    """A page of the versions of a pipeline."""
    row = PipelineVersionRow
    mine = (row.tenant_id == tenant_id, row.pipeline_id == pipeline_id)
    return await VERSIONS.fetch(db, select(*_VERSION).where(*mine), query, _version)


async def version(db: Db, tenant_id: UUID, pipeline_id: UUID, n: int) -> VersionView | None:
    """One version of a pipeline."""
    row = PipelineVersionRow
    mine = (row.tenant_id == tenant_id, row.pipeline_id == pipeline_id, row.n == n)
    found = await db.first(select(*_VERSION).where(*mine))
    return None if found is None else _version(found)


async def list_connections(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Connection]:
    """A page of a tenant's connections."""
    mine = select(*_CONNECTION).where(ConnectionRow.tenant_id == tenant_id)
    return await CONNECTIONS.fetch(db, mine, query, _connection)


async def connection(db: Db, tenant_id: UUID, name: str, *, hold: bool = False) -> Connection | None:
    """One connection. hold: nobody else changes it before the transaction ends."""
    row = ConnectionRow
    statement = select(*_CONNECTION).where(row.tenant_id == tenant_id, row.name == name)
    found = await db.first(statement.with_for_update() if hold else statement)
    return None if found is None else _connection(found)


async def delete_connection(db: Db, tenant_id: UUID, name: str) -> bool:
    """Forget a connection; False when there is none."""
    mine = (ConnectionRow.tenant_id == tenant_id, ConnectionRow.name == name)
    return bool(await db.execute(delete(ConnectionRow).where(*mine)))


async def add_connection(db: Db, tenant_id: UUID, one: Connection) -> bool:
    """Write a new connection; False when there is one of that name."""
    values = {"kind": one.kind, "public": dict(one.public), "secrets": dict(one.secrets)}
    new = upsert(db, ConnectionRow).values(tenant_id=tenant_id, name=one.name, **values)
    return bool(await db.execute(new.on_conflict_do_nothing(index_elements=["tenant_id", "name"])))


async def save_connection(db: Db, tenant_id: UUID, one: Connection) -> None:
    """Write a connection over the one of that name."""
    values = {"kind": one.kind, "public": dict(one.public), "secrets": dict(one.secrets)}
    new = upsert(db, ConnectionRow).values(tenant_id=tenant_id, name=one.name, **values)
    await db.execute(new.on_conflict_do_update(index_elements=["tenant_id", "name"], set_=values))


def _pipeline(row: Row[Any]) -> PipelineView:
    return PipelineView(
        id=row.id,
        name=row.name,
        title=row.title,
        enabled=row.enabled,
        version=row.version,
        version_n=row.version_n,
        toml=row.toml,
        changed_at=row.changed_at,
    )


def _version(row: Row[Any]) -> VersionView:
    return VersionView(**{column.key: getattr(row, column.key) for column in _VERSION})


def _connection(row: Row[Any]) -> Connection:
    return Connection(name=row.name, kind=row.kind, public=row.public, secrets=row.secrets)
