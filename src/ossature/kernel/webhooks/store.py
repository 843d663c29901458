"""Tables of webhooks and every statement about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Row, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.retention import outlived
from ossature.kernel.db.sealed import SealedText
from ossature.kernel.db.table import SECRET, Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.webhooks.domain import SECRET_PREFIX, Attempt, Delivery, DeliveryState, Endpoint


class EndpointRow(TenantOwned, Table):
    """An endpoint of a tenant."""

    __tablename__ = "webhooks_endpoint"
    __table_args__ = (Index("ix_webhooks_endpoint_tenant_created_at", "tenant_id", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    url: Mapped[str]
    description: Mapped[str]
    events: Mapped[list[Any]]
    secret: Mapped[str] = mapped_column(info={SECRET: True})
    old_secret: Mapped[str | None] = mapped_column(info={SECRET: True})
    old_secret_until: Mapped[datetime | None]
    enabled: Mapped[bool] = mapped_column(default=True)
    disabled_why: Mapped[str | None]
    failing_since: Mapped[datetime | None]


def _plain(_secret: bytes, _row: UUID, stored: str) -> str | None:
    """Secrets were kept as they are before there was a key ring."""
    return stored if stored.startswith(SECRET_PREFIX) else None


SECRET_OF = SealedText(EndpointRow.secret, row=EndpointRow.id, earlier=_plain)
OLD_SECRET_OF = SealedText(EndpointRow.old_secret, row=EndpointRow.id, earlier=_plain)


class DeliveryRow(TenantOwned, Table):
    """One message to one endpoint. No foreign key: endpoints of the settings have no row."""

    __tablename__ = "webhooks_delivery"
    __table_args__ = (
        Index("ix_webhooks_delivery_endpoint", "tenant_id", "endpoint_id", "created_at", "id"),
        Index("ix_webhooks_delivery_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    endpoint_id: Mapped[UUID]
    event: Mapped[str]
    body: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int]
    replayed_after: Mapped[int]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]
    done_at: Mapped[datetime | None]


class AttemptRow(TenantOwned, Table):
    """One try of one delivery."""

    __tablename__ = "webhooks_attempt"

    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("webhooks_delivery.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    duration_ms: Mapped[float]
    status: Mapped[int | None]
    error: Mapped[str | None]
    answer: Mapped[str]


ENDPOINTS = Listable(
    key=EndpointRow.id,
    filters={"enabled": EndpointRow.enabled, "url": EndpointRow.url},
    sorts={"created_at": EndpointRow.created_at},
    default="created_at",
)
DELIVERIES = Listable(
    key=DeliveryRow.id,
    filters={"state": DeliveryRow.state, "event": DeliveryRow.event, "created_at": DeliveryRow.created_at},
    sorts={"created_at": DeliveryRow.created_at},
    default="-created_at",
)


async def add_endpoint(db: Db, tenant_id: UUID, endpoint: Endpoint) -> None:
    """Add an endpoint."""
    await db.execute(
        insert(EndpointRow).values(
            id=endpoint.id,
            tenant_id=tenant_id,
            url=endpoint.url,
            description=endpoint.description,
            events=list(endpoint.events),
            secret=SECRET_OF.seal(db.ring, endpoint.id, endpoint.secrets[0]),
            created_at=endpoint.created_at,
        )
    )


async def count_endpoints(db: Db, tenant_id: UUID) -> int:
    """How many endpoints the tenant has."""
    return int(await db.scalar(select(func.count()).where(EndpointRow.tenant_id == tenant_id)))


async def read_endpoint(db: Db, tenant_id: UUID, endpoint_id: UUID) -> Endpoint | None:
    """The tenant's endpoint."""
    statement = select(EndpointRow.__table__).where(EndpointRow.tenant_id == tenant_id, EndpointRow.id == endpoint_id)
    row = await db.first(statement)
    return None if row is None else _endpoint(row)


async def list_endpoints(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Endpoint]:
    """One page of the tenant's endpoints."""
    return await ENDPOINTS.fetch(
        db, select(EndpointRow.__table__).where(EndpointRow.tenant_id == tenant_id), query, _endpoint
    )


async def enabled_endpoints(db: Db, tenant_id: UUID) -> list[Endpoint]:
    """The tenant's endpoints that get messages."""
    statement = select(EndpointRow.__table__).where(EndpointRow.tenant_id == tenant_id, EndpointRow.enabled)
    return [_endpoint(row) for row in await db.all(statement)]


async def change_endpoint(db: Db, tenant_id: UUID, endpoint_id: UUID, **values: Any) -> None:
    """Set columns of an endpoint: url, description, events, enabled, disabled_why, failing_since."""
    of_endpoint = (EndpointRow.tenant_id == tenant_id, EndpointRow.id == endpoint_id)
    await db.execute(update(EndpointRow).where(*of_endpoint).values(**values))


async def secrets_of(db: Db, tenant_id: UUID, endpoint_id: UUID) -> tuple[str, ...]:
    """What signs for the tenant's endpoint now, the newest first. Raises: CannotOpen."""
    statement = select(EndpointRow.secret, EndpointRow.old_secret, EndpointRow.old_secret_until)
    row = await db.first(statement.where(EndpointRow.tenant_id == tenant_id, EndpointRow.id == endpoint_id))
    if row is None:
        return ()
    newest = SECRET_OF.open(db.ring, endpoint_id, row.secret)
    if row.old_secret is None or row.old_secret_until is None or row.old_secret_until <= clock.now():
        return (newest,)
    return (newest, OLD_SECRET_OF.open(db.ring, endpoint_id, row.old_secret))


async def put_secret(
    db: Db, tenant_id: UUID, endpoint_id: UUID, secret: str, *, old: str | None, until: datetime
) -> None:
    """Sign with another secret; the old one, if any, signs beside it until then."""
    values = {
        "secret": SECRET_OF.seal(db.ring, endpoint_id, secret),
        "old_secret": None if old is None else OLD_SECRET_OF.seal(db.ring, endpoint_id, old),
        "old_secret_until": until,
    }
    await change_endpoint(db, tenant_id, endpoint_id, **values)


async def remove_endpoint(db: Db, tenant_id: UUID, endpoint_id: UUID) -> None:
    """Remove an endpoint; its delivery log stays until it is purged."""
    await db.execute(delete(EndpointRow).where(EndpointRow.tenant_id == tenant_id, EndpointRow.id == endpoint_id))


async def add_delivery(db: Db, tenant_id: UUID, delivery: Delivery) -> None:
    """Add a message that is to be sent."""
    await db.execute(
        insert(DeliveryRow).values(
            id=delivery.id,
            tenant_id=tenant_id,
            endpoint_id=delivery.endpoint_id,
            event=delivery.event,
            body=delivery.body,
            state=delivery.state.value,
            attempts=delivery.attempts,
            replayed_after=delivery.replayed_after,
            created_at=delivery.created_at,
        )
    )


async def read_delivery(db: Db, tenant_id: UUID, delivery_id: UUID) -> Delivery | None:
    """The tenant's delivery."""
    statement = select(DeliveryRow.__table__).where(DeliveryRow.tenant_id == tenant_id, DeliveryRow.id == delivery_id)
    row = await db.first(statement)
    return None if row is None else _delivery(row)


async def list_deliveries(db: Db, tenant_id: UUID, endpoint_id: UUID, query: ListQuery) -> Found[Delivery]:
    """One page of the log of an endpoint."""
    statement = select(DeliveryRow.__table__).where(
        DeliveryRow.tenant_id == tenant_id, DeliveryRow.endpoint_id == endpoint_id
    )
    return await DELIVERIES.fetch(db, statement, query, _delivery)


async def failed_since(db: Db, tenant_id: UUID, endpoint_id: UUID, since: datetime, *, limit: int) -> list[Delivery]:
    """Deliveries of an endpoint that were given up, oldest first."""
    statement = select(DeliveryRow.__table__).where(
        DeliveryRow.tenant_id == tenant_id,
        DeliveryRow.endpoint_id == endpoint_id,
        DeliveryRow.created_at >= since,
        DeliveryRow.state.in_((DeliveryState.FAILED.value, DeliveryState.CANCELLED.value)),
    )
    rows = await db.all(statement.order_by(DeliveryRow.created_at, DeliveryRow.id).limit(limit))
    return [_delivery(row) for row in rows]


async def set_state(db: Db, tenant_id: UUID, delivery_id: UUID, state: DeliveryState, **values: Any) -> None:
    """Move a delivery on."""
    of_delivery = (DeliveryRow.tenant_id == tenant_id, DeliveryRow.id == delivery_id)
    await db.execute(update(DeliveryRow).where(*of_delivery).values(state=state.value, **values))


async def add_attempt(db: Db, tenant_id: UUID, delivery_id: UUID, attempt: Attempt) -> None:
    """Log a try."""
    await db.execute(
        insert(AttemptRow).values(
            tenant_id=tenant_id,
            delivery_id=delivery_id,
            number=attempt.number,
            created_at=attempt.at,
            duration_ms=attempt.duration_ms,
            status=attempt.status,
            error=attempt.error,
            answer=attempt.answer,
        )
    )


async def attempts_of(db: Db, tenant_id: UUID, delivery_id: UUID) -> Sequence[Attempt]:
    """The tries of a delivery, in order."""
    statement = select(AttemptRow.__table__).where(
        AttemptRow.tenant_id == tenant_id, AttemptRow.delivery_id == delivery_id
    )
    return [
        Attempt(
            number=row.number,
            at=row.created_at,
            duration_ms=row.duration_ms,
            status=row.status,
            error=row.error,
            answer=row.answer,
        )
        for row in await db.all(statement.order_by(AttemptRow.number))
    ]


async def purge(db: Db, now: datetime, *, keep_days: int, limit: int) -> int:
    """Forget deliveries that ended, after the retention of their tenant or so many days; how many, at most `limit`."""
    over = await outlived(db, DeliveryRow.tenant_id, DeliveryRow.created_at, now=now, keep_days=keep_days)
    old = select(DeliveryRow.id).where(over, DeliveryRow.state != DeliveryState.WAITING.value).limit(limit)
    return await db.execute(delete(DeliveryRow).where(DeliveryRow.id.in_(old)))


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        id=row.id,
        tenant_id=row.tenant_id,
        url=row.url,
        events=tuple(row.events),
        description=row.description,
        enabled=row.enabled,
        disabled_why=row.disabled_why,
        failing_since=row.failing_since,
        created_at=row.created_at,
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        tenant_id=row.tenant_id,
        endpoint_id=row.endpoint_id,
        event=row.event,
        body=row.body,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        replayed_after=row.replayed_after,
        created_at=row.created_at,
        last_status=row.last_status,
        last_error=row.last_error,
        done_at=row.done_at,
    )
