"""Versions of models: every statement about them."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update

from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.services.predict.domain.matches import ModelVersion
from ossature.services.predict.store.tables import ModelVersionRow

MODELS = Listable(
    key=ModelVersionRow.id,
    filters={"name": ModelVersionRow.name, "stage": ModelVersionRow.stage},
    sorts={"created_at": ModelVersionRow.created_at},
    default="-created_at",
)


async def champion(db: Db, tenant_id: UUID, name: str) -> ModelVersion | None:
    """The version of a model that predicts now."""
    row = ModelVersionRow
    mine = (row.tenant_id == tenant_id, row.name == name, row.stage == "champion")
    found = await db.first(select(row.__table__).where(*mine))
    return None if found is None else _model(found)


async def model(db: Db, tenant_id: UUID, model_id: UUID) -> ModelVersion | None:
    """One version."""
    row = ModelVersionRow
    found = await db.first(select(row.__table__).where(row.tenant_id == tenant_id, row.id == model_id))
    return None if found is None else _model(found)


async def list_models(db: Db, tenant_id: UUID, query: ListQuery) -> Found[ModelVersion]:
    """One page of the versions."""
    statement = select(ModelVersionRow.__table__).where(ModelVersionRow.tenant_id == tenant_id)
    return await MODELS.fetch(db, statement, query, _model)


async def crown(db: Db, tenant_id: UUID, made: ModelVersion) -> None:
    """Add a version and let it predict; the one before is retired."""
    row = ModelVersionRow
    before = (row.tenant_id == tenant_id, row.name == made.name, row.stage == "champion")
    await db.execute(update(row).where(*before).values(stage="retired"))
    await db.execute(insert(row).values(tenant_id=tenant_id, **{**asdict(made), "stage": "champion"}))


def _model(row: Row[Any]) -> ModelVersion:
    return ModelVersion(
        id=row.id,
        name=row.name,
        version=row.version,
        stage=row.stage,
        fitted_on=row.fitted_on,
        trained_from=row.trained_from,
        trained_until=row.trained_until,
        rows=row.rows,
        artefact=row.artefact,
        sha256=row.sha256,
        created_at=row.created_at,
    )
