"""What a CDN in front of us keeps: names for it (`Surrogate-Key`), and the word that it is old.

    response.headers["surrogate-key"] = surrogate("rounds", f"round/{number}")  # of an answer that is public
    await purge(ctx, f"round/{number}")  # where it changes: the CDN is told after this transaction is committed

Who tells it is a port: `HttpCdn` asks any CDN that has an address for it; another class may keep the promise.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote, urlsplit

from ossature.kernel.context import Ctx
from ossature.kernel.errors import UpstreamFailed
from ossature.kernel.http.caching import surrogate
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.outbound.http import Http, HttpRequest
from ossature.kernel.outbound.manifest import TimeLimits
from ossature.kernel.outbound.settings import OutboundSettings
from ossature.kernel.service import Job

if TYPE_CHECKING:
    from ossature.kernel.house import House

_LIMITS = TimeLimits(first_byte_s=10.0, total_s=20.0)
_GOOD = range(200, 300)
_MAX_ANSWER_BYTES = 64 * 1024


class PurgeRefused(UpstreamFailed):
    """The CDN did not take the word that something is old; it is told again."""

    title = "Purge refused"


class Cdn(Protocol):
    """Forgets on request."""

    async def purge(self, keys: Sequence[str], /) -> None:
        """Have it forget every answer that carries one of these keys. Raises: PurgeRefused, Undelivered."""


class NoCdn:
    """There is none: answers become old by their `Cache-Control` alone."""

    async def purge(self, keys: Sequence[str], /) -> None:
        """Nothing is kept."""


class HttpCdn:
    """One request for each key, as the settings `cdn_purge_*` say. private: hosts that may lie in our own networks."""

    def __init__(self, http: Http, settings: HttpSettings, *, private: frozenset[str]) -> None:
        self._http = http
        self._settings = settings
        host = (urlsplit(settings.cdn_purge_url).hostname or "").lower()
        self._hosts, self._private = frozenset({host}), host in private

    async def purge(self, keys: Sequence[str], /) -> None:
        """Tell it of every key, one after the other."""
        for key in keys:
            reply = await self._http.send(self._request(key))
            if reply.status not in _GOOD:
                raise PurgeRefused(f"The CDN answered {reply.status} to the purge of {key!r}.")

    def _request(self, key: str) -> HttpRequest:
        settings = self._settings
        name, _, value = settings.cdn_purge_header.get_secret_value().partition(":")
        headers: Mapping[str, str] = {name.strip().lower(): value.strip()} if name else {}
        body = settings.cdn_purge_body.replace("{key}", json.dumps(key)[1:-1]).encode()
        return HttpRequest(
            method=settings.cdn_purge_method,
            url=settings.cdn_purge_url.replace("{key}", quote(key, safe="")),
            hosts=self._hosts,
            headers={**headers, **({"content-type": "application/json"} if body else {})},
            secret_headers=frozenset(headers),
            body=body,
            limits=_LIMITS,
            max_body_bytes=_MAX_ANSWER_BYTES,
            private=self._private,
        )


def cdn_of(house: "House") -> Cdn:
    """The CDN that the settings name."""
    settings = house.config[HttpSettings]
    if not settings.cdn_purge_url:
        return NoCdn()
    return HttpCdn(house.http, settings, private=frozenset(house.config[OutboundSettings].private_hosts))


async def purge(ctx: Ctx, *keys: str) -> None:
    """Have the CDN forget what carries one of these keys, once this transaction is committed."""
    if ctx.settings[HttpSettings].cdn_purge_url:
        await ctx.enqueue(PURGE, {"keys": surrogate(*keys).split()})


async def purge_cdn(ctx: Ctx, keys: list[str]) -> int:
    """Tell the CDN; a refusal is tried again. How many keys there were."""
    await ctx.port(Cdn).purge(keys)  # type: ignore[type-abstract] # a promise
    return len(keys)


PURGE: Final = Job(name="http.purge_cdn", run=purge_cdn, attempts=8)
