"""`Ctx`: who asks, for which tenant, when, in which transaction. One per request and one per job.

It is frozen at eleven public names (a test counts them): `tenant actor now id db settings` say where we are,
`ask port publish enqueue audit` are what one can do from here. A domain room never sees it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar, cast
from uuid import UUID

from fastapi import Depends
from starlette.requests import HTTPConnection

from ossature.kernel.errors import PermissionDenied

if TYPE_CHECKING:
    from ossature.kernel.config import Config
    from ossature.kernel.db.transaction import Db
    from ossature.kernel.service import Job

_P = TypeVar("_P")

SYSTEM_TENANT_ID = UUID(int=0)
"""The house itself: owner of scheduled work and of what all tenants share."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """For whom we work. zone: IANA name of the tenant's local days. language: BCP 47."""

    id: UUID
    slug: str
    name: str
    plan: str = "free"
    zone: str = "UTC"
    language: str = "en"
    suspended: bool = False


SYSTEM_TENANT = Tenant(id=SYSTEM_TENANT_ID, slug="system", name="The house", plan="system")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks.

    permissions: `verb:object` strings, `*` on either side for all. scopes narrow a key further than its owner's roles
    (they are already applied to `permissions`). bound: what a person stands for, such as `driver -> id`, so that object
    policies can tell own from other. language: that a person chose to read (BCP 47); empty when they chose none.
    """

    kind: Literal["user", "key", "system", "anonymous"]
    id: UUID | None
    name: str
    permissions: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    key_id: UUID | None = None
    project_id: UUID | None = None
    bound: Mapping[str, str] = field(default_factory=dict)
    ip: str = ""
    language: str = ""

    def may(self, permission: str) -> bool:
        """Whether a permission is held, by itself or by a wildcard."""
        held = self.permissions
        if permission in held or "*:*" in held:
            return True
        verb, _, what = permission.partition(":")
        return f"{verb}:*" in held or f"*:{what}" in held

    def require(self, permission: str) -> None:
        """Raises: PermissionDenied, naming the permission that is missing."""
        if not self.may(permission):
            msg = f"This needs the permission {permission!r}."
            raise PermissionDenied(msg, permission=permission)


SYSTEM = Actor(kind="system", id=None, name="system", permissions=frozenset({"*:*"}))
ANONYMOUS = Actor(kind="anonymous", id=None, name="anonymous")


class Doors(Protocol):
    """What a `Ctx` opens onto: the assembled house, seen from below."""

    @property
    def settings(self) -> Config:
        """All settings by group."""

    def port(self, promise: type[_P]) -> _P:
        """Who keeps a promise."""

    def ask(self, ctx: Ctx, operation: str, query: object, **options: Any) -> Awaitable[Any]:
        """The outside world's answer."""

    def publish(self, ctx: Ctx, fact: object) -> Awaitable[None]:
        """Record a fact in the transaction of `ctx`."""

    def enqueue(self, ctx: Ctx, job: Job, arguments: Mapping[str, Any], **options: Any) -> Awaitable[UUID]:
        """Record a job in the transaction of `ctx`; its id."""

    def audit(self, ctx: Ctx, action: str, what: str, **facts: Any) -> Awaitable[None]:
        """Add to the audit trail in the transaction of `ctx`."""


class Ctx:
    """Who asks, for whom, when and in which transaction."""

    __slots__ = ("_doors", "actor", "db", "id", "now", "tenant")

    def __init__(self, doors: Doors, *, tenant: Tenant, actor: Actor, now: datetime, id: str, db: Db) -> None:  # noqa: A002 - its public name
        self._doors = doors
        self.tenant = tenant
        self.actor = actor
        self.now = now
        self.id = id
        self.db = db

    @property
    def settings(self) -> Config:
        """All settings by group: `ctx.settings[HubSettings]`."""
        return self._doors.settings

    def port(self, promise: type[_P]) -> _P:
        """Who keeps a promise of `contracts` here."""
        return self._doors.port(promise)

    async def ask(self, operation: str, query: object, **options: Any) -> Any:  # noqa: ANN401 - the operation says
        """The outside world's answer to an operation such as `weather.current`, through `kernel.outbound`.

        Raises: a Problem of `kernel.outbound`. Never inside a write transaction.
        """
        return await self._doors.ask(self, operation, query, **options)

    async def publish(self, fact: object) -> None:
        """Record a fact; its listeners run as jobs once this transaction is committed."""
        await self._doors.publish(self, fact)

    async def enqueue(self, job: Job, arguments: Mapping[str, Any] | None = None, /, **options: Any) -> UUID:
        """Have a job run after this transaction is committed; its id.

        options: `at` (aware datetime), `delay_s`, `unique` (a key: one waiting job at most), `priority`.
        """
        return await self._doors.enqueue(self, job, arguments or {}, **options)

    async def audit(self, action: str, what: str, **facts: Any) -> None:
        """Add to the tenant's audit trail, in this transaction. facts: `before`, `after`, and others; masked."""
        await self._doors.audit(self, action, what, **facts)


async def current(connection: HTTPConnection) -> Ctx:
    """The `Ctx` that the edge made for this request or WebSocket. (Async: FastAPI runs plain functions in a thread.)"""
    return cast("Ctx", connection.scope["ossature.ctx"])


CurrentCtx = Annotated[Ctx, Depends(current)]
"""How a route asks for its context: `async def read(ctx: CurrentCtx)`."""
