"""The product with one more service, whose route and whose job fail with personal data in their hands."""

import sys
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from ossature.app import services
from ossature.kernel.cli.main import run
from ossature.kernel.context import Ctx, CurrentCtx
from ossature.kernel.http.policy import policy
from ossature.kernel.service import Job, Service

router = APIRouter(tags=["ward"])


class Patient(BaseModel):
    """Who is to be laid down where."""

    model_config = ConfigDict(extra="forbid")

    name: str
    email: str
    password: str


class Bed(BaseModel):
    """Where somebody lies."""

    number: int


async def lay_down(ctx: Ctx, patient: dict[str, Any]) -> None:
    """Find a bed, which there is none of."""
    del ctx
    raise LookupError(f"no bed for {patient['name']} {patient['email']}, who knows {patient['password']}")


LAY_DOWN = Job(name="ward.lay_down", run=lay_down, attempts=1)


@router.post("/patients/{name}")
@policy(allow="read:jobs")
async def take_in(ctx: CurrentCtx, name: str, body: Patient) -> Bed:
    """Take somebody in."""
    if name == "later":
        await ctx.enqueue(LAY_DOWN, {"patient": body.model_dump()})
        return Bed(number=0)
    await lay_down(ctx, body.model_dump())
    return Bed(number=1)


WARD = Service(name="ward", router=router, jobs=(LAY_DOWN,))

if __name__ == "__main__":
    sys.exit(run(lambda: (*services(), WARD), sys.argv[1:]))
