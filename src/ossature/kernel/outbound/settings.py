"""Settings of everything that leaves the house."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from ossature.kernel.config import Settings
from ossature.kernel.outbound.manifest import Limit
from ossature.kernel.outbound.provider import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """One answer that is kept warm: an operation whose answers all may share, and the question."""

    operation: str
    query: dict[str, Any] = field(default_factory=dict)


class OutboundSettings(Settings, room="outbound"):
    """How other machines are spoken to."""

    connections: int = Field(default=100, ge=1, description="Open connections per process.")
    connections_per_host: int = Field(default=20, ge=1, description="Open connections per host and process.")
    keepalive_s: float = Field(default=30.0, gt=0, description="How long an idle connection is kept.")
    dns_cache_s: int = Field(default=60, ge=0, description="How long a resolved name is believed.")
    max_body_bytes: int = Field(default=10 * 1024 * 1024, gt=0, description="A larger answer is refused.")
    max_media_bytes: int = Field(default=200 * 1024 * 1024, gt=0, description="Same, for answers that go to a file.")
    private_hosts: list[str] = Field(
        default_factory=list, description="Hosts (`name` or `name:port`) that may lie in a private network."
    )
    folders: dict[str, Path] = Field(
        default_factory=dict,
        description='Folders that providers may read and write files in, by name, as JSON: {"erp": "/srv/erp"}.',
    )
    warm: list[Warm] = Field(
        default_factory=list,
        description="Answers that are fetched before anybody asks, as JSON: "
        '[{"operation": "finance.fx_rates", "query": {"base": "EUR"}}].',
    )
    warm_leaves: float = Field(
        default=0.25, ge=0, le=1, description="Share of a provider's quota that warming leaves to those who ask."
    )
    limits: dict[str, list[Limit]] = Field(
        default_factory=dict,
        description="What your plan allows, by provider, instead of what its manifest says, as JSON: "
        '{"open_meteo": [{"limit": 10000, "per_s": 86400, "kind": "fixed"}]}.',
    )

    def limited(self, provider: Provider) -> Provider:
        """The provider with the operator's own limits, if there are any."""
        stated = self.limits.get(provider.id)
        if stated is None:
            return provider
        return replace(provider, manifest=replace(provider.manifest, limits=tuple(stated)))
