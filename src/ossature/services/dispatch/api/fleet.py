"""Drivers, vehicles and shifts over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.services.dispatch.api.reading import address, load, matching, tagged
from ossature.services.dispatch.api.shapes.fleet import (
    DriverIn,
    DriverOut,
    DriverPatch,
    ShiftIn,
    ShiftOut,
    VehicleIn,
    VehicleOut,
    VehiclePatch,
)
from ossature.services.dispatch.domain.fleet import DriverNotFound
from ossature.services.dispatch.store import fleet as store
from ossature.services.dispatch.usecases import fleet as usecases
from ossature.services.dispatch.usecases.seeing import own_driver

router = APIRouter(tags=["dispatch"])


@router.get("/drivers")
@policy(allow="read:fleet")
async def list_drivers(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.DRIVERS, DriverOut)]
) -> Listing[DriverOut]:
    """The drivers; a driver sees themselves."""
    found = await store.list_drivers(ctx.db, ctx.tenant.id, query, only=own_driver(ctx.actor))
    return answer(found, DriverOut, query)


@router.post("/drivers", status_code=201)
@policy(allow="write:fleet")
async def add_driver(ctx: CurrentCtx, body: DriverIn) -> DriverOut:
    """Add a driver."""
    return DriverOut.model_validate(
        await usecases.add_driver(ctx, usecases.DriverWish(**body.model_dump(exclude_none=True)))
    )


@router.get("/drivers/{driver_id}")
@policy(allow="read:fleet")
async def read_driver(ctx: CurrentCtx, driver_id: UUID, response: Response) -> DriverOut:
    """One driver."""
    if own_driver(ctx.actor) not in (None, driver_id):
        raise DriverNotFound
    return tagged(response, DriverOut.model_validate(await usecases.read_driver(ctx, driver_id)))


@router.patch("/drivers/{driver_id}")
@policy(allow="write:fleet")
async def change_driver(
    ctx: CurrentCtx, request: Request, response: Response, driver_id: UUID, body: DriverPatch
) -> DriverOut:
    """Change a driver, in the version that was read (`If-Match`)."""
    found = await usecases.read_driver(ctx, driver_id)
    matching(request, found)
    changes = body.model_dump(exclude_none=True)
    changed = await usecases.change_driver(ctx, driver_id, found.version, changes)
    return tagged(response, DriverOut.model_validate(changed))


@router.delete("/drivers/{driver_id}", status_code=204)
@policy(allow="write:fleet")
async def withdraw_driver(ctx: CurrentCtx, request: Request, driver_id: UUID) -> None:
    """Plan with a driver no more. What they drove stays told, so nothing is removed; `active` takes them back."""
    found = await usecases.read_driver(ctx, driver_id)
    matching(request, found, required=False)
    if found.active:
        await usecases.change_driver(ctx, driver_id, found.version, {"active": False})


@router.get("/vehicles")
@policy(allow="read:fleet")
async def list_vehicles(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.VEHICLES, VehicleOut)]
) -> Listing[VehicleOut]:
    """The vehicles."""
    return answer(await store.list_vehicles(ctx.db, ctx.tenant.id, query), VehicleOut, query)


@router.post("/vehicles", status_code=201)
@policy(allow="write:fleet")
async def add_vehicle(ctx: CurrentCtx, body: VehicleIn) -> VehicleOut:
    """Add a vehicle."""
    layouts = [load(one) for one in body.layouts]
    wish = usecases.VehicleWish(plate=body.plate, name=body.name, layouts=layouts, equipment=body.equipment)
    return VehicleOut.model_validate(await usecases.add_vehicle(ctx, wish))


@router.get("/vehicles/{vehicle_id}")
@policy(allow="read:fleet")
async def read_vehicle(ctx: CurrentCtx, vehicle_id: UUID, response: Response) -> VehicleOut:
    """One vehicle."""
    return tagged(response, VehicleOut.model_validate(await usecases.read_vehicle(ctx, vehicle_id)))


@router.patch("/vehicles/{vehicle_id}")
@policy(allow="write:fleet")
async def change_vehicle(
    ctx: CurrentCtx, request: Request, response: Response, vehicle_id: UUID, body: VehiclePatch
) -> VehicleOut:
    """Change a vehicle, in the version that was read (`If-Match`)."""
    found = await usecases.read_vehicle(ctx, vehicle_id)
    matching(request, found)
    changes = body.model_dump(exclude_none=True, exclude={"layouts"})
    if body.layouts is not None:
        changes["layouts"] = [load(each) for each in body.layouts]
    changed = await usecases.change_vehicle(ctx, vehicle_id, found.version, changes)
    return tagged(response, VehicleOut.model_validate(changed))


@router.delete("/vehicles/{vehicle_id}", status_code=204)
@policy(allow="write:fleet")
async def withdraw_vehicle(ctx: CurrentCtx, request: Request, vehicle_id: UUID) -> None:
    """Plan with a vehicle no more. What it drove stays told, so nothing is removed; `active` takes it back."""
    found = await usecases.read_vehicle(ctx, vehicle_id)
    matching(request, found, required=False)
    if found.active:
        await usecases.change_vehicle(ctx, vehicle_id, found.version, {"active": False})


@router.get("/shifts")
@policy(allow="read:planning")
async def list_shifts(ctx: CurrentCtx, query: Annotated[Asked, listing(store.SHIFTS, ShiftOut)]) -> Listing[ShiftOut]:
    """The shifts; a driver sees their own."""
    found = await store.list_shifts(ctx.db, ctx.tenant.id, query, driver_id=own_driver(ctx.actor))
    return answer(found, ShiftOut, query)


@router.post("/shifts", status_code=201)
@policy(allow="write:planning")
async def add_shift(ctx: CurrentCtx, body: ShiftIn) -> ShiftOut:
    """Add a shift: a driver and a vehicle, from a base and back."""
    wish = usecases.ShiftWish(
        driver_id=body.driver_id,
        vehicle_id=body.vehicle_id,
        base=address(body.base, "/base"),
        starts_at=body.starts_at,
        ends_at=body.ends_at,
    )
    return ShiftOut.model_validate(await usecases.add_shift(ctx, wish))


@router.delete("/shifts/{shift_id}", status_code=204)
@policy(allow="write:planning")
async def remove_shift(ctx: CurrentCtx, shift_id: UUID) -> None:
    """Take away a shift in which nothing is planned."""
    await usecases.remove_shift(ctx, shift_id)
