"""What is done with signed links: give out, look at, use, revoke."""

from datetime import datetime, timedelta
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import Db
from ossature.kernel.http.edge import RateLimited
from ossature.kernel.http.ports import Identity, Limiter
from ossature.kernel.links import store
from ossature.kernel.links.domain import Link, LinkRefused, UnknownLink, digest, made_here, new_token

_KEPT = timedelta(days=30)


class Links:
    """Gives out and reads links; made by the house, found through `ctx.port(Links)`. secret: of the installation."""

    def __init__(self, database: Database, secret: bytes, limiter: Limiter) -> None:
        self._database = database
        self._secret = secret
        self._limiter = limiter

    async def issue(
        self, db: Db, tenant_id: UUID, scope: str, subject: str, *, until: datetime, uses: int | None = 1
    ) -> str:
        """The token of a new link, which nobody can be shown again.

        scope: what it opens, `room.thing`. subject: whose. uses: how often it opens; None for as often as one likes.
        """
        token = new_token(self._secret, scope)
        await store.add_link(
            db, tenant_id, scope=scope, subject=subject, digest=digest(token), expires_at=until, uses=uses
        )
        return token

    async def renew(self, db: Db, tenant_id: UUID, scope: str, subject: str, *, until: datetime) -> str:
        """The token of a new link for one use, in the place of those that this subject was given before."""
        await store.revoke_links(db, tenant_id, scope=scope, subject=subject, now=clock.now())
        return await self.issue(db, tenant_id, scope, subject, until=until)

    async def issued_since(self, db: Db, tenant_id: UUID, scope: str, subject: str, moment: datetime) -> bool:
        """Whether a link to one thing of one subject was given out after a moment."""
        return await store.has_link_since(db, tenant_id, scope=scope, subject=subject, moment=moment)

    async def look(self, ctx: Ctx, scope: str, token: str, *, rate: str = "") -> Link:
        """The link of a token, still unused; whichever tenant it belongs to.

        rate: a class of rate limits that counts for this link alone, however many people share it.
        Raises: LinkRefused, RateLimited.
        """
        if not made_here(self._secret, scope, token):
            raise LinkRefused
        async with self._database.begin() as db:
            found = await store.link_by_digest(db, scope, digest(token))
        if found is None or not found.open_at(ctx.now):
            raise LinkRefused
        if rate:
            await self._count(ctx, found, rate)
        return found

    async def use(self, db: Db, scope: str, token: str, *, now: datetime) -> Link:
        """The link of a token, one use of which is gone with the commit of `db`: that of the effect.

        db: sees all tenants. Raises: LinkRefused, also for the second of two who use a link for one use at once.
        """
        found = None
        if made_here(self._secret, scope, token):
            found = await store.use_link(db, scope, digest(token), now)
        if found is None:
            raise LinkRefused
        return found

    async def revoke(self, db: Db, tenant_id: UUID, scope: str, subject: str, *, now: datetime) -> int:
        """How many links to one thing of one subject were open until now."""
        return await store.revoke_links(db, tenant_id, scope=scope, subject=subject, now=now)

    async def _count(self, ctx: Ctx, link: Link, rate: str) -> None:
        identity = Identity(tenant=ctx.tenant, actor=ctx.actor, subject=f"link:{link.id}")
        state = self._limiter.admit(identity, rate, ctx.actor.ip)
        if state is None:
            state = await self._limiter.admit_shared(identity, rate, ctx.actor.ip)
        if not state.allowed:
            raise RateLimited(retry_after_s=state.retry_after_s, window=state.window)


async def revoke_link(ctx: Ctx, link_id: UUID) -> Link:
    """The link, which opens nothing any more. Raises: UnknownLink."""
    await store.revoke_link(ctx.db, ctx.tenant.id, link_id, ctx.now)
    after = await store.link(ctx.db, ctx.tenant.id, link_id)
    if after is None:
        raise UnknownLink
    await ctx.audit("link.revoked", f"link:{link_id}", scope=after.scope)
    return after


async def delete_spent(ctx: Ctx) -> int:
    """How many links that ended a month ago were dropped. Runs across tenants."""
    return await store.delete_links_ended_before(ctx.db, ctx.now - _KEPT)
