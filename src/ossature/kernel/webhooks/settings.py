"""Settings of webhooks: how they are sent, and the operator's own endpoints."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import Field, SecretStr

from ossature.kernel.config import Config, Finding, Settings
from ossature.kernel.webhooks.domain import signs

_NAME = re.compile(r"(?P<number>\d{1,2})_(?P<part>url|secret|events)")
_MIN_SECRET_CHARS = 16


class WebhooksSettings(Settings, room="webhooks"):
    """How deliveries are made."""

    time_limit_s: float = Field(default=15.0, gt=0, le=60, description="How long a receiver may take to answer.")
    per_tenant: int = Field(default=50, ge=1, description="Endpoints that one tenant may have.")
    rotation_overlap_s: float = Field(
        default=86_400.0, ge=0, description="How long the old secret still signs beside a new one."
    )
    keep_days: int = Field(default=30, ge=1, description="How long the delivery log is kept.")


@dataclass(frozen=True, slots=True)
class Configured:
    """An endpoint of the operator: hears the facts of every tenant."""

    number: int
    url: str
    secret: str
    events: tuple[str, ...]


class WebhookEndpointSettings(Settings, room="webhook"):
    """Endpoints of the operator: `OSSATURE_WEBHOOK_1_URL`, `..._1_SECRET`, `..._1_EVENTS=quota.low,api.*`."""

    parts: dict[str, SecretStr] = Field(default_factory=dict, description="N_URL, N_SECRET and N_EVENTS, N from 1.")

    open_fields = {"parts": ""}  # noqa: RUF012 - the declaration of Settings

    def listed(self) -> tuple[Configured, ...]:
        """The endpoints that are complete; without events one hears everything."""
        return tuple(
            Configured(number, parts["url"], parts["secret"], _split(parts.get("events", "*")))
            for number, parts in sorted(self._by_number().items())
            if parts.get("url") and parts.get("secret")
        )

    def findings(self, config: Config) -> Iterator[Finding]:
        """What is wrong with the endpoints."""
        del config
        for name in self.parts:
            if not _NAME.fullmatch(name):
                yield Finding(self.variable(name), "is not a setting", "Write 1_URL, 1_SECRET or 1_EVENTS.")
        for number, parts in self._by_number().items():
            if not parts.get("url", "").startswith(("https://", "http://")):
                yield Finding(self.variable(f"{number}_url"), "is not a web address", "Give the endpoint's https URL.")
            if len(parts.get("secret", "")) < _MIN_SECRET_CHARS:
                fix = f"Use {_MIN_SECRET_CHARS} characters or more, best whsec_ and 32 random bytes in base64."
                yield Finding(self.variable(f"{number}_secret"), "is missing or short", fix)
            elif not signs(parts["secret"]):
                fix = "What follows whsec_ is base64; leave whsec_ out for a secret of another form."
                yield Finding(self.variable(f"{number}_secret"), "cannot sign", fix)

    def _by_number(self) -> Mapping[int, Mapping[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for name, value in self.parts.items():
            if match := _NAME.fullmatch(name):
                found.setdefault(int(match["number"]), {})[match["part"]] = value.get_secret_value()
        return found


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) or ("*",)
