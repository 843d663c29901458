"""Who may speak to us at all, by address: the installation's own rules, kept in memory.

The lists of a tenant are looked at when a credential is proved (`authenticator`): an identity holds for one address
only, and every process forgets it within a second when the tenant changes its lists.
"""

from collections.abc import Collection, Mapping
from ipaddress import ip_network
from uuid import UUID

from prometheus_client import Counter

from ossature.kernel.auth.countries import Countries
from ossature.kernel.auth.denials.watch import Watch
from ossature.kernel.http.edge import RateLimited
from ossature.kernel.tenants.domain import contains

FAILED = Counter("auth_address_failures_total", "Requests that failed in a way that abuse does, by kind.", ["kind"])

_PROBES = frozenset({"/health", "/health/live", "/health/ready", "/ready"})
_KNOWN_MOST = 4096
_NO_PLACES: Mapping[str, Collection[str]] = {}


class AddressRules:
    """The `Addresses` of the edge. One per process. deny wins over allow; an empty allow list lets everybody in.

    places: by path, the blocks from which it, and everything below it, may be asked for. countries: with the codes of
    `country_allow` and `country_deny`, which hold for addresses whose country is known, and outside of `allow`.
    watch: refuses addresses that fail too often, whatever lists they are on.
    """

    def __init__(
        self,
        *,
        allow: Collection[str],
        deny: Collection[str],
        places: Mapping[str, Collection[str]] = _NO_PLACES,
        countries: Countries | None = None,
        country_allow: Collection[str] = (),
        country_deny: Collection[str] = (),
        watch: Watch | None = None,
    ) -> None:
        self._allow = [str(ip_network(block, strict=False)) for block in allow]
        self._deny = [str(ip_network(block, strict=False)) for block in deny]
        self._places = [(path.rstrip("/"), tuple(blocks)) for path, blocks in places.items()]
        self._countries = countries
        self._country_allow, self._country_deny = frozenset(country_allow), frozenset(country_deny)
        self._open = not (self._allow or self._deny or countries is not None)
        self._known: dict[str, bool] = {}
        self._watch = watch

    def allows(self, ip: str, tenant_id: UUID | None, path: str) -> bool:
        """Whether an address may ask. The probes of whoever runs us are answered to everybody."""
        if tenant_id is not None:
            return True  # who has a tenant was looked at before it was known
        if self._places and not self._may_enter(ip, path):
            return False
        if self._watch is not None and self._watch.denied and self._watch.refuses(ip):
            return path in _PROBES
        if self._open:
            return True
        known = self._known.get(ip)
        if known is None:
            if len(self._known) >= _KNOWN_MOST:
                self._known.clear()
            known = self._known[ip] = self._decide(ip)
        return known or path in _PROBES

    def note_failure(self, ip: str, kind: str) -> None:
        """Count a failure; who has too many is refused for a while, see `denials`."""
        FAILED.labels(kind).inc()
        if self._watch is not None:
            self._watch.note(ip, kind)

    def note_unknown(self, ip: str) -> None:
        """Count a credential that the database did not know."""
        if self._watch is not None:
            self._watch.note_try(ip)

    def require_patience(self, ip: str) -> None:
        """Raises: RateLimited for an address that had too many credentials looked up that nobody knows."""
        wait_s = self._watch.rests_s(ip) if self._watch is not None else 0.0
        if wait_s:
            raise RateLimited(retry_after_s=wait_s, window="bad-credentials")

    def _may_enter(self, ip: str, path: str) -> bool:
        for place, blocks in self._places:
            if (path == place or path.startswith(f"{place}/")) and not contains(blocks, ip):
                return False
        return True

    def _decide(self, ip: str) -> bool:
        if contains(self._deny, ip):
            return False
        if self._allow:
            return contains(self._allow, ip)
        return self._countries is None or self._welcomes(self._countries.country(ip))

    def _welcomes(self, country: str) -> bool:
        """An address whose country nobody knows is let in: private ones are among them."""
        if not country:
            return True
        return country not in self._country_deny and (not self._country_allow or country in self._country_allow)
