"""`/v1/auth`: sessions, keys, users and roles."""

from fastapi import APIRouter
from pydantic import BaseModel

from ossature.kernel.auth.denials import api as denials
from ossature.kernel.auth.factors import api as factors
from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.keys import api as keys
from ossature.kernel.auth.roles import covers
from ossature.kernel.auth.sessions import api as sessions
from ossature.kernel.auth.signatures import api as signatures
from ossature.kernel.auth.signin import api as signin
from ossature.kernel.auth.users import api as users
from ossature.kernel.auth.users import mailed_api, welcome
from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.policy import policy

router = APIRouter()


class RoleOut(BaseModel):
    """A role. grantable: whether the caller may give it to somebody."""

    name: str
    permissions: list[str]
    grantable: bool


class RolesOut(BaseModel):
    """Every role of the house."""

    items: list[RoleOut]


@router.get("/roles", tags=["roles"])
@policy(allow="read:roles")
async def list_roles(ctx: CurrentCtx) -> RolesOut:
    """Every role with what it may do."""
    book = ctx.port(Gate).roles.book
    return RolesOut(
        items=[
            RoleOut(
                name=name,
                permissions=sorted(permissions),
                grantable=all(covers(ctx.actor.permissions, p) for p in permissions),
            )
            for name, permissions in sorted(book.items())
        ]
    )


router.include_router(signin.router)
router.include_router(sessions.router)
router.include_router(factors.router)
router.include_router(keys.router)
router.include_router(denials.router)
router.include_router(signatures.router)
router.include_router(mailed_api.router)
router.include_router(users.router)
router.include_router(welcome.router)
