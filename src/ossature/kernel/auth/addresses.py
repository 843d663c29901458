"""Who may speak to us at all, by address: the installation's own lists, kept in memory.

The lists of a tenant are looked at when a credential is proved (`authenticator`): an identity holds for one address
only, and every process forgets it within a second when the tenant changes its lists.
"""

from collections.abc import Collection
from ipaddress import ip_network
from uuid import UUID

from prometheus_client import Counter

from ossature.kernel.tenants.domain import contains

FAILED = Counter("auth_address_failures_total", "Requests that failed in a way that abuse does, by kind.", ["kind"])

_PROBES = frozenset({"/health", "/health/live", "/health/ready", "/ready"})
_KNOWN_MOST = 4096


class AddressRules:
    """The `Addresses` of the edge. One per process. deny wins over allow; an empty allow list lets everybody in."""

    def __init__(self, *, allow: Collection[str], deny: Collection[str]) -> None:
        self._allow = [str(ip_network(block, strict=False)) for block in allow]
        self._deny = [str(ip_network(block, strict=False)) for block in deny]
        self._known: dict[str, bool] = {}

    def allows(self, ip: str, tenant_id: UUID | None, path: str) -> bool:
        """Whether an address may ask. The probes of whoever runs us are answered to everybody."""
        if tenant_id is not None or not (self._allow or self._deny):
            return True  # who has a tenant was looked at before it was known
        known = self._known.get(ip)
        if known is None:
            if len(self._known) >= _KNOWN_MOST:
                self._known.clear()
            known = self._known[ip] = self._decide(ip)
        return known or path in _PROBES

    def note_failure(self, ip: str, kind: str) -> None:
        """Count a failure. Nobody is shut out for it by itself."""
        del ip
        FAILED.labels(kind).inc()

    def _decide(self, ip: str) -> bool:
        if contains(self._deny, ip):
            return False
        return not self._allow or contains(self._allow, ip)
