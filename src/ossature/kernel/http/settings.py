"""Settings of the edge and of the web server."""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from ossature.kernel.config import Config, Finding, Settings, Severity

# As browsers send it (RFC 6454, 7): nothing behind the host but a port; `null` is everybody who hides.
_ORIGIN = re.compile(r"https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(?::\d{1,5})?/?")

_HEADER = re.compile(r"[A-Za-z0-9-]+:[ -~]+")


class HttpSettings(Settings, room="http"):
    """How requests are taken in and answered."""

    server: Literal["granian", "uvicorn"] = Field(
        default="uvicorn", description="Which web server; granian is an extra."
    )
    max_body_bytes: int = Field(
        default=50 * 1024 * 1024, ge=1024, description="Largest request body; a route may state its own."
    )
    drain_time_limit_s: float = Field(
        default=30.0, gt=0, description="How long requests in progress may go on after SIGTERM."
    )
    drain_notice_s: float = Field(
        default=0.0,
        ge=0,
        description="How long /ready says 503 before the listening socket closes; for balancers that look at /ready.",
    )
    drain_linger_s: float = Field(
        default=2.0,
        ge=0,
        description="How long a process that ends still answers on connections that a proxy keeps open, telling it to "
        "close them; without it a request that is just coming in would be lost.",
    )
    head_time_limit_s: float = Field(
        default=30.0,
        gt=0,
        description="How long the address and headers of a request may take to arrive (uvicorn).",
    )
    keep_alive_s: int = Field(default=75, ge=1, description="How long an idle connection is kept open.")
    backlog: int = Field(default=2048, ge=16, description="Connections that may wait to be accepted.")
    trusted_proxies: list[str] = Field(
        default=["127.0.0.1", "::1"],
        description="Addresses or networks whose X-Forwarded-For is believed.",
    )
    cors_origins: list[str] = Field(
        default=[], description="Origins of browser applications that may call us, such as https://app.example.org."
    )
    cdn_purge_url: str = Field(
        default="", description="What the CDN is asked to forget a surrogate key: an address with {key}; empty: no CDN."
    )
    cdn_purge_method: Literal["POST", "PURGE", "DELETE", "PUT"] = Field(
        default="POST", description="How the CDN is asked."
    )
    cdn_purge_header: SecretStr = Field(
        default=SecretStr(""),
        description="What proves to the CDN that it is us: Fastly-Key: ..., Authorization: Bearer ...",
    )
    cdn_purge_body: str = Field(
        default="", description='A JSON body with {key}, for a CDN that wants one: {"tags": ["{key}"]}'
    )
    compress_min_bytes: int = Field(default=500, ge=0, description="Smaller answers are sent as they are.")
    idempotency_keep_s: int = Field(default=24 * 3600, ge=60, description="How long an answer can be replayed.")
    idempotency_lease_s: float = Field(
        default=60.0, gt=0, description="After this, a request that died in the middle may be sent again."
    )
    budget_write_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="How often each process writes down how it kept the service levels; a kill loses what came since.",
    )
    budget_keep_days: int = Field(
        default=90, ge=31, description="How long it is known by the hour how the service levels were kept."
    )
    batch_time_limit_s: float = Field(
        default=30.0, gt=0, description="How long the requests of one batch may take together."
    )
    batch_at_once: int = Field(
        default=8, ge=1, le=100, description="How many requests of one batch are under way at the same time."
    )
    legacy_api: bool = Field(default=False, description="Also answer /api/... as /v1/...")
    docs: bool = Field(default=True, description="Serve the API reference pages and openapi.json.")
    live_queue_frames: int = Field(default=1000, ge=10, description="Frames that wait for a slow live client.")
    live_heartbeat_s: float = Field(default=20.0, gt=0, description="A live connection hears from us this often.")
    live_idle_s: float = Field(default=300.0, gt=0, description="A live client that is silent for so long is closed.")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for network in value:
            ip_network(network, strict=False)
        return value

    def findings(self, config: Config) -> Iterator[Finding]:
        """Wildcards that open more than a production house wants open."""
        if "*" in self.cors_origins:
            severity = Severity.ERROR if config.main.profile == "production" else Severity.WARNING
            yield Finding(
                self.variable("cors_origins"), "lets every website in", "List the origins that you know.", severity
            )
        for origin in self.cors_origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                fix = "Write scheme, host and port as browsers do: https://app.example.org."
                yield Finding(self.variable("cors_origins"), f"has {origin!r}, which is no origin", fix)
        if self.cdn_purge_url and not (
            self.cdn_purge_url.startswith(("https://", "http://"))
            and "{key}" in self.cdn_purge_url + self.cdn_purge_body
        ):
            fix = "Write an address, with {key} in it or in the body."
            yield Finding(self.variable("cdn_purge_url"), "purges nothing by its key", fix)
        header = self.cdn_purge_header.get_secret_value()
        if header and not _HEADER.fullmatch(header):
            yield Finding(self.variable("cdn_purge_header"), "is no header", "Write it as Name: value, in one line.")
        if config.main.profile == "production" and any(
            ip_network(network, strict=False).prefixlen == 0 for network in self.trusted_proxies
        ):
            yield Finding(
                self.variable("trusted_proxies"), "believes everybody's X-Forwarded-For", "List your proxies only."
            )
