"""Changes that must meet what was read: `ETag` on the answer of a GET, `If-Match` on the PATCH or PUT that follows.

>>> @router.get("/{client_id}")
... async def read_client(ctx: CurrentCtx, client_id: UUID, response: Response) -> ClientOut:
...     found = await store.client(ctx.db, ctx.tenant.id, client_id)
...     response.headers["etag"] = tag_of(found.id, found.version)
...
>>> @router.patch("/{client_id}")
... async def change_client(ctx: CurrentCtx, request: Request, client_id: UUID, body: ClientChange) -> ClientOut:
...     async with ctx.db.step():  # what is compared must still hold when it is changed
...         found = await store.client(ctx.db, ctx.tenant.id, client_id)
...         require_match(request, tag_of(found.id, found.version))
"""

import hashlib

from starlette.requests import HTTPConnection

from ossature.kernel.errors import Problem

_TAG_BYTES = 12


class PreconditionFailed(Problem):
    """The thing was changed since it was read: read it again, and decide again. `ETag` is the one that it has now."""

    status = 412
    title = "Precondition failed"


class PreconditionRequired(Problem):
    """This change must say what it was made for: send the `ETag` of what was read as `If-Match`."""

    status = 428
    title = "Precondition required"


def tag_of(*parts: object) -> str:
    """The ETag of a thing in one version: the parts say which, such as its id and a number that grows."""
    text = "\0".join(map(str, parts))
    return f'"{hashlib.blake2b(text.encode(), digest_size=_TAG_BYTES).hexdigest()}"'


def require_match(request: HTTPConnection, tag: str, *, required: bool = False) -> None:
    """Return when a change was made for the version with this ETag, or, unless `required`, for whatever is there.

    A weak tag counts as the strong one: it is ours, weakened by compression on its way out. Source: RFC 9110, 13.1.1.
    Raises: PreconditionFailed, PreconditionRequired.
    """
    asked = request.headers.getlist("if-match")
    if not asked:
        if required:
            raise PreconditionRequired
        return
    known = {one.strip().removeprefix("W/") for line in asked for one in line.split(",")}
    if "*" not in known and tag.removeprefix("W/") not in known:
        raise PreconditionFailed(headers={"ETag": tag})


def surrogate(*keys: str) -> str:
    """The value of `Surrogate-Key`: keys that a purge can name. Raises: ValueError for a key with a space in it."""
    for key in keys:
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError(f"{key!r} is no surrogate key: printable ASCII without spaces")
    return " ".join(keys)
