"""`@policy(...)`: what the edge does for a route, said where the route is written.

    @router.get("/{job_id}")
    @policy(allow="read:jobs")
    async def read_job(ctx: CurrentCtx, job_id: UUID) -> JobOut: ...

Every route has one; the application does not start otherwise. `kernel.http.route` enforces it.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any, TypeVar, cast

from ossature.kernel.service import Deprecation, Policy

ATTRIBUTE = "__policy__"

_F = TypeVar("_F", bound=Callable[..., Any])


def policy(  # noqa: PLR0913 - each is a field of `Policy`
    *,
    allow: str | None = None,
    public: bool = False,
    rate: str = "default",
    effects: bool | None = None,
    max_body_bytes: int | None = None,
    cache: str = "no-store",
    time_limit_s: float | None = None,
    nobody: bool = False,
    signed: bool = False,
) -> Callable[[_F], _F]:
    """A decorator that attaches a `Policy` to an endpoint and gives the endpoint back unchanged.

    Exactly one of `allow` (a permission, `verb:object`) and `public` says who may call; `allow="*"` is for everybody who
    is signed in. Raises: ValueError where the endpoint is defined, so a mistake never serves.
    """
    if (allow is None) is not public:
        msg = "a route needs a permission or is public: policy(allow='read:things') or policy(public=True)"
        raise ValueError(msg)
    if signed and public:
        msg = "who signs is somebody: a route for signed requests needs a permission, allow='*' for everybody who has a key"
        raise ValueError(msg)
    value = Policy(
        allow=allow,
        public=public,
        rate=rate,
        effects=effects,
        max_body_bytes=max_body_bytes,
        cache=cache,
        time_limit_s=time_limit_s,
        nobody=nobody,
        signed=signed,
    )

    def attach(endpoint: _F) -> _F:
        setattr(endpoint, ATTRIBUTE, value)
        return endpoint

    return attach


def deprecated(since: date, *, sunset: date | None = None, successor: str = "") -> Callable[[_F], _F]:
    """A decorator above `@policy(...)`: the route will go one day, and every answer says so (see `Deprecation`).

    Raises: ValueError where there is no policy below it, or the days are in the wrong order.
    """
    value = Deprecation(since=since, sunset=sunset, successor=successor)

    def attach(endpoint: _F) -> _F:
        below = policy_of(endpoint)
        if below is None:
            msg = "write @deprecated(...) above @policy(...)"
            raise ValueError(msg)
        setattr(endpoint, ATTRIBUTE, replace(below, deprecated=value))
        return endpoint

    return attach


def policy_of(endpoint: object) -> Policy | None:
    """The policy that was attached to an endpoint, or None."""
    return cast("Policy | None", getattr(endpoint, ATTRIBUTE, None))
