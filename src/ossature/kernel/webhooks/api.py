"""Webhooks over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ossature.kernel.context import CurrentCtx
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.http.input import Input
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.kernel.http.validation import CalledUrl
from ossature.kernel.webhooks import alertmanager, store, usecases
from ossature.kernel.webhooks.domain import Delivery, DeliveryNotFound, DeliveryState, Endpoint

router = APIRouter(tags=["webhooks"])
router.include_router(alertmanager.router)

Url = Annotated[CalledUrl, Field(max_length=2000, examples=["https://example.org/hooks/ossature"])]
Event = Annotated[str, Field(pattern=r"^[a-z0-9_*]+(\.[a-z0-9_*]+)*$", max_length=100, examples=["quota.*"])]
Description = Annotated[str, Field(max_length=200, examples=["our ERP"])]


class EndpointIn(Input):
    """An endpoint to be made."""

    url: Url
    events: list[Event] = Field(min_length=1, max_length=100)
    description: Description = ""


class EndpointPatch(Input):
    """New values of an endpoint; what is left out stays."""

    url: Url | None = None
    events: list[Event] | None = Field(default=None, min_length=1, max_length=100)
    description: Description | None = None
    enabled: bool | None = None


class EndpointOut(BaseModel):
    """An endpoint; never its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    url: str
    events: list[str]
    description: str
    enabled: bool
    disabled_why: str | None
    failing_since: datetime | None
    created_at: datetime


class EndpointWithSecret(EndpointOut):
    """An endpoint with its secret, which is shown this once."""

    secret: str


class DeliveryOut(BaseModel):
    """One message to one endpoint."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    endpoint_id: UUID
    event: str
    state: DeliveryState
    attempts: int
    last_status: int | None
    last_error: str | None
    created_at: datetime
    done_at: datetime | None


class AttemptOut(BaseModel):
    """One try."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    at: datetime
    duration_ms: float
    status: int | None
    error: str | None
    answer: str


class DeliveryInFull(DeliveryOut):
    """One message with its body and all tries."""

    body: str
    tries: list[AttemptOut]


class ReplayIn(Input):
    """From when on what was given up is sent once more."""

    since: AwareDatetime = Field(examples=["2031-01-01T00:00:00Z"])


class ReplayOut(BaseModel):
    """How many messages are on their way once more."""

    deliveries: int


class EventsOut(BaseModel):
    """The names that an endpoint may ask for."""

    items: list[str]


@router.get("")
@policy(allow="read:webhooks")
async def list_endpoints(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.ENDPOINTS, EndpointOut)]
) -> Listing[EndpointOut]:
    """The tenant's endpoints."""
    return answer(await store.list_endpoints(ctx.db, ctx.tenant.id, query), EndpointOut, query)


@router.post("", status_code=201)
@policy(allow="write:webhooks")
async def create_endpoint(ctx: CurrentCtx, body: EndpointIn) -> EndpointWithSecret:
    """Make an endpoint. Its secret is shown only in this answer."""
    made = await usecases.create_endpoint(ctx, url=body.url, events=body.events, description=body.description)
    return _with_secret(made)


@router.get("/events")
@policy(allow="read:webhooks")
async def list_events(ctx: CurrentCtx) -> EventsOut:
    """The events that this installation publishes."""
    return EventsOut(items=sorted(ctx.port(Outbox).catalogue.wires))


@router.get("/{endpoint_id}")
@policy(allow="read:webhooks")
async def read_endpoint(ctx: CurrentCtx, endpoint_id: UUID) -> EndpointOut:
    """One endpoint."""
    return EndpointOut.model_validate(await usecases.read_endpoint(ctx, endpoint_id))


@router.patch("/{endpoint_id}")
@policy(allow="write:webhooks")
async def change_endpoint(ctx: CurrentCtx, endpoint_id: UUID, body: EndpointPatch) -> EndpointOut:
    """Change an endpoint; enabling it forgets its failures."""
    changes = usecases.Changes(url=body.url, events=body.events, description=body.description, enabled=body.enabled)
    return EndpointOut.model_validate(await usecases.change_endpoint(ctx, endpoint_id, changes))


@router.delete("/{endpoint_id}", status_code=204)
@policy(allow="write:webhooks")
async def remove_endpoint(ctx: CurrentCtx, endpoint_id: UUID) -> None:
    """Remove an endpoint; what still waits for it is not sent."""
    await usecases.remove_endpoint(ctx, endpoint_id)


@router.post("/{endpoint_id}/rotate")
@policy(allow="write:webhooks")
async def rotate_secret(ctx: CurrentCtx, endpoint_id: UUID) -> EndpointWithSecret:
    """Give an endpoint a new secret; the old one signs beside it for a while."""
    return _with_secret(await usecases.rotate_secret(ctx, endpoint_id))


@router.post("/{endpoint_id}/test", status_code=202)
@policy(allow="write:webhooks")
async def send_test(ctx: CurrentCtx, endpoint_id: UUID) -> DeliveryOut:
    """Send a test event."""
    return DeliveryOut.model_validate(await usecases.send_test(ctx, endpoint_id))


@router.post("/{endpoint_id}/replay", status_code=202)
@policy(allow="write:webhooks")
async def replay_failed(ctx: CurrentCtx, endpoint_id: UUID, body: ReplayIn) -> ReplayOut:
    """Send once more what was given up since an instant, at most 1,000 messages at a time."""
    return ReplayOut(deliveries=await usecases.replay_failed(ctx, endpoint_id, since=body.since))


@router.get("/{endpoint_id}/deliveries")
@policy(allow="read:webhooks")
async def list_deliveries(
    ctx: CurrentCtx, endpoint_id: UUID, query: Annotated[Asked, listing(store.DELIVERIES, DeliveryOut)]
) -> Listing[DeliveryOut]:
    """The delivery log of an endpoint, newest first."""
    await usecases.read_endpoint(ctx, endpoint_id)
    return answer(await store.list_deliveries(ctx.db, ctx.tenant.id, endpoint_id, query), DeliveryOut, query)


@router.get("/{endpoint_id}/deliveries/{delivery_id}")
@policy(allow="read:webhooks")
async def read_delivery(ctx: CurrentCtx, endpoint_id: UUID, delivery_id: UUID) -> DeliveryInFull:
    """One message with its body and all tries."""
    delivery = await store.read_delivery(ctx.db, ctx.tenant.id, delivery_id)
    if delivery is None or delivery.endpoint_id != endpoint_id:
        raise DeliveryNotFound
    tries = await store.attempts_of(ctx.db, ctx.tenant.id, delivery_id)
    return _in_full(delivery, [AttemptOut.model_validate(one) for one in tries])


@router.post("/{endpoint_id}/deliveries/{delivery_id}/replay", status_code=202)
@policy(allow="write:webhooks")
async def replay_delivery(ctx: CurrentCtx, endpoint_id: UUID, delivery_id: UUID) -> DeliveryOut:
    """Send one message once more, under the same id."""
    return DeliveryOut.model_validate(await usecases.replay_delivery(ctx, endpoint_id, delivery_id))


def _with_secret(endpoint: Endpoint) -> EndpointWithSecret:
    shown = EndpointOut.model_validate(endpoint)
    return EndpointWithSecret(**shown.model_dump(), secret=endpoint.secrets[0])


def _in_full(delivery: Delivery, tries: list[AttemptOut]) -> DeliveryInFull:
    shown = DeliveryOut.model_validate(delivery)
    return DeliveryInFull(**shown.model_dump(), body=delivery.body, tries=tries)
