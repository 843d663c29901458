"""What is done with legal documents: read, accept, see what is still to be accepted."""

from datetime import date
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.legal import store
from ossature.kernel.legal.domain import (
    Acceptance,
    AnotherText,
    Document,
    Edition,
    PeopleOnly,
    UnknownDocument,
    editions,
)
from ossature.kernel.legal.library import Library


async def all_editions(ctx: Ctx) -> list[Edition]:
    """Every version of every document."""
    return editions(await ctx.port(Library).documents(), ctx.now.date())


async def edition(ctx: Ctx, kind: str, version: date | None = None) -> Edition:
    """A version of a document; without one, that which is in force. Raises: UnknownDocument."""
    for one in await all_editions(ctx):
        if one.kind == kind and (one.in_force if version is None else one.version == version):
            return one
    raise UnknownDocument


async def document(ctx: Ctx, kind: str, version: date | None, *wishes: str) -> Document:
    """A text in the first of these languages that it is kept in, else in English. Raises: UnknownDocument."""
    return (await edition(ctx, kind, version)).in_language(*wishes)


async def accept(ctx: Ctx, kind: str, version: date, sha256: str) -> Acceptance:
    """Record that the caller accepts a text. Raises: PeopleOnly, UnknownDocument, AnotherText."""
    user_id = _person(ctx)
    found = await edition(ctx, kind, version)
    shown = next((one for one in found.documents if one.sha256 == sha256), None)
    if shown is None:
        raise AnotherText
    already = (kind, version) in await store.accepted(ctx.db, ctx.tenant.id, user_id)
    acceptance = await store.add_acceptance(ctx.db, ctx.tenant.id, user_id, shown, ip=ctx.actor.ip)
    if not already:
        await ctx.audit("legal.accepted", f"{kind} {version}", language=shown.language, sha256=sha256)
    return acceptance


async def pending(ctx: Ctx) -> list[Edition]:
    """What is in force and the caller has not accepted; nothing for a key, which never does."""
    if ctx.actor.kind != "user":
        return []
    accepted = await store.accepted(ctx.db, ctx.tenant.id, _person(ctx))
    return [one for one in await all_editions(ctx) if one.in_force and (one.kind, one.version) not in accepted]


def _person(ctx: Ctx) -> UUID:
    if ctx.actor.kind != "user" or ctx.actor.id is None:
        raise PeopleOnly
    return ctx.actor.id
