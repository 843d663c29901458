"""The rate limits of a running house, by class of route and by plan."""

from collections.abc import Iterable, Mapping

from ossature.kernel.quotas.domain import rates
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.service import Rate, Service

_NONE: Mapping[str, Rate] = {}


class RateBook:
    """Every class of rate limits: the operator's word over the services' over the house's, a tenant's plan over all.

    version: another number whenever what plans say has changed.
    """

    def __init__(self, services: Iterable[Service], settings: QuotaSettings) -> None:
        declared = [rate for service in services for rate in service.limits]
        self.rates: Mapping[str, Rate] = rates(declared, settings.rates)
        self.version = 0
        self._plans: Mapping[str, Mapping[str, Rate]] = {}

    def learn(self, plans: Mapping[str, Mapping[str, Rate]]) -> None:
        """Take in what plans say of classes, by the plan's name."""
        if plans != self._plans:
            self._plans = plans
            self.version += 1

    def own(self, plan: str, name: str) -> Rate | None:
        """What a plan says of a class; None where it leaves it to the house."""
        return self._plans.get(plan, _NONE).get(name)

    def of(self, plan: str, name: str) -> Rate:
        """The windows of a class for tenants on a plan; those of `default` for a class that nobody knows."""
        return self.own(plan, name) or self.rates.get(name) or self.rates["default"]
