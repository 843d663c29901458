"""The product with one small service more: a request puts a job down, the job asks the outside and tells of it.

`python tests/journeys/relay.py serve` is `ossature serve` with the service `relay` beside the hub.
"""

import sys
from dataclasses import dataclass

from fastapi import APIRouter
from pydantic import BaseModel

from ossature.contracts.hub import Weather
from ossature.kernel.cli.main import run
from ossature.kernel.context import Ctx, CurrentCtx
from ossature.kernel.http.policy import policy
from ossature.kernel.service import Fact, Job, Service
from ossature.services.hub.service import service as hub

router = APIRouter()


@dataclass(frozen=True, slots=True)
class ParcelCarried:
    """A parcel came to where it was to go."""

    parcel: str
    temperature_c: float | None


async def _carry(ctx: Ctx, parcel: str) -> None:
    weather = await ctx.port(Weather).now(ctx, latitude=46.2, longitude=6.1)  # type: ignore[type-abstract] # a promise
    await ctx.publish(ParcelCarried(parcel, weather.temperature_c))


CARRY = Job(name="relay.carry", run=_carry, queue="relay")


class Carried(BaseModel):
    """The job that carries the parcel."""

    job: str


@router.post("/parcels/{parcel}", status_code=202)
@policy(allow="*")
async def send_parcel(ctx: CurrentCtx, parcel: str) -> Carried:
    """Have a parcel carried."""
    return Carried(job=str(await ctx.enqueue(CARRY, {"parcel": parcel})))


RELAY = Service(
    name="relay",
    router=router,
    jobs=(CARRY,),
    facts=(Fact(type=ParcelCarried, wire="parcel.carried", key="parcel"),),
)

if __name__ == "__main__":
    sys.exit(run((hub, RELAY), sys.argv[1:]))
