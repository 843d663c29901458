"""`Visit`: one open page, who looks at it, and the way to act for them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import available_timezones

import structlog

from ossature.kernel.auth.authenticator import GateAuthenticator
from ossature.kernel.console.feed import Feed
from ossature.kernel.console.work import FOLLOWED, Person
from ossature.kernel.context import SYSTEM_TENANT, Actor, Ctx, Tenant
from ossature.kernel.errors import Unavailable
from ossature.kernel.http.ports import Fanout, Identity
from ossature.kernel.jobs.domain import JobNews, State

if TYPE_CHECKING:
    from starlette.requests import Request

    from ossature.kernel.house import House
    from ossature.kernel.http.edge import Passage

_ZONES = frozenset(available_timezones())
_ASK_LIMIT_S = 20.0


class PageTookTooLong(Unavailable):
    """What a console page asked for was not there in time."""

    title = "That took too long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One open page. zone: of the person's browser, else of the tenant. query: of the page's address.

    origin: the address that the browser has us under, without a path. feed: what this page hears of jobs.
    """

    house: "House"
    tenant: Tenant
    actor: Actor
    session: str
    zone: str
    origin: str
    path: str
    query: Mapping[str, str]
    feed: Feed

    @classmethod
    def of(cls, house: "House", request: "Request") -> "Visit":
        """The visit that a request to the console begins; the door has made sure that somebody is signed in."""
        passage: Passage = request.scope["ossature.passage"]
        identity = passage.identity
        said = request.cookies.get("ossature_zone", "")
        return cls(
            house=house,
            tenant=identity.tenant,
            actor=identity.actor,
            session=passage.session,
            zone=said if said in _ZONES else identity.tenant.zone,
            origin=f"{request.url.scheme}://{request.url.netloc}",
            path=request.scope["path"].rstrip("/") or "/",
            query=dict(request.query_params),
            feed=Feed(house.port(Fanout)),  # type: ignore[type-abstract] # a promise is asked for by its Protocol
        )

    @property
    def person(self) -> Person:
        """Who looks, in which tenant: the same on all their pages."""
        return self.tenant.id, f"{self.actor.kind}:{self.actor.id}"

    def may(self, permission: str) -> bool:
        """Whether to show something at all; `ctx` asks again before it is done."""
        return permission == "*" or self.actor.may(permission)

    def follow(self, job_id: UUID, name: str) -> None:
        """Show how far a job is on every page that this person has open, until it has ended."""
        FOLLOWED.follow(self.person, JobNews(job_id, self.tenant.id, name, "", State.QUEUED))

    async def identity(self, permission: str) -> Identity:
        """Who looks, as that is now. Raises: Unauthenticated when the session has ended; PermissionDenied."""
        authenticator = self.house.port(GateAuthenticator)
        credential = b"session=" + self.session.encode("latin-1")
        ip = self.actor.ip
        identity = authenticator.lookup(credential, ip) or await authenticator.authenticate({}, credential, ip)
        if permission != "*":
            identity.actor.require(permission)
        return identity

    @asynccontextmanager
    async def ctx(self, permission: str, *, of_house: bool = False) -> AsyncIterator[Ctx]:
        """A context with its transaction for one look or one act; `*` is for everybody who is signed in.

        of_house: for the house instead of the tenant, which takes `read:platform` besides. A page lies open for hours: the session and what its owner may do are asked for each time.
        Raises: Unauthenticated, PermissionDenied, PageTookTooLong.
        """
        identity = await self.identity(permission)
        if of_house:
            identity.actor.require("read:platform")
        tenant = SYSTEM_TENANT if of_house else identity.tenant
        try:
            async with asyncio.timeout(_ASK_LIMIT_S), self.house.occasion(tenant, identity.actor) as ctx:
                structlog.contextvars.bind_contextvars(request_id=ctx.id)  # what the log, the trail and a refusal say
                yield ctx
        except TimeoutError as error:
            raise PageTookTooLong from error
