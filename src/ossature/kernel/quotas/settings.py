"""Settings of rate limits and of the metering of usage."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from pydantic import Field

from ossature.kernel.config import Config, Finding, Settings
from ossature.kernel.quotas.domain import parse_windows
from ossature.kernel.quotas.plan import parse_plan


class QuotaSettings(Settings, room="quotas"):
    """How much callers may ask, and how what they used is written down."""

    open_fields: ClassVar[Mapping[str, str]] = {"rates": "RATE_", "plans": "PLAN_"}

    enabled: bool = Field(default=True, description="Whether rate limits are enforced.")
    rates: dict[str, str] = Field(
        default_factory=dict,
        description="Windows of a class of routes, per caller: OSSATURE_QUOTAS_RATE_LOGIN='5/60 20/3600' (count/seconds).",
    )
    plans: dict[str, str] = Field(
        default_factory=dict,
        description="A plan of tenants: OSSATURE_QUOTAS_PLAN_FREE='rate.default=600/60 request=1000/day key.money=5/month "
        "distinct.match=3/day' (caps of the tenant, of each `project.` or `key.`; units per hour, day, week or month).",
    )
    tenant_factor: float = Field(default=5.0, gt=0, description="A tenant may ask as often as so many of its callers.")
    address_factor: float = Field(default=5.0, gt=0, description="An address may ask as often as so many callers.")
    shared_time_limit_s: float = Field(default=0.25, gt=0, description="How long Redis may take to count a request.")
    shared_retry_s: float = Field(default=1.0, gt=0, description="How long Redis is left alone after it failed.")
    usage_flush_s: float = Field(default=0.5, gt=0, description="The longest that usage waits to be written.")
    usage_batch: int = Field(default=500, ge=1, le=2000, description="As many events are written at once.")
    usage_waiting_most: int = Field(
        default=20_000,
        ge=100,
        description="Events that may wait while the database is away; then requests are refused.",
    )

    def findings(self, config: Config) -> Iterator[Finding]:
        """Windows and plans that cannot be read."""
        del config
        for name, text in self.rates.items():
            variable = self.variable(f"rate_{name}")
            try:
                parse_windows(text)
            except ValueError as error:
                yield Finding(variable, str(error), "Write count/seconds, several separated by spaces: 5/60 20/3600.")
        for name, text in self.plans.items():
            variable = self.variable(f"plan_{name}")
            try:
                parse_plan(name, text)
            except ValueError as error:
                yield Finding(variable, str(error), "Write words such as rate.default=600/60, request=1000/day.")
