"""The plans of a running house: those of the settings over those of the database, in every process within a second."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError

from ossature.kernel import background, clock
from ossature.kernel.errors import FieldError, Unavailable
from ossature.kernel.quotas.plan import FREE, Plan, PlanNotKnown, parse_plan
from ossature.kernel.quotas.plans import store
from ossature.kernel.quotas.rates import RateBook
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.tenants.registry import Registry

log = structlog.get_logger()

CHANGED = "quotas.plans"
"""The signal that a plan was changed."""

_TRUST = timedelta(seconds=1)


class Plans:
    """Every plan, by name. One per process; it also keeps the tenants' `PlanBook`."""

    def __init__(self, registry: Registry, settings: QuotaSettings, rates: RateBook) -> None:
        self._registry = registry
        self._rates = rates
        self._declared = {name: parse_plan(name, text) for name, text in settings.plans.items()}
        self._known: Mapping[str, Plan] = {FREE.name: FREE, **self._declared}
        self._read_at: datetime | None = None
        self._news: asyncio.Event = asyncio.Event()
        registry.signals.subscribe(CHANGED, lambda _: self._news.set(), lost=self._news.set)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """While open, a change that another process tells of is read at once, for the rate limits at the edge.

        A database that is away, or not migrated yet, does not keep a process from starting: the declared plans hold.
        """
        if not await self._learned():
            self._news.set()
        task = background.start(self._follow, "quotas.plans")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def current(self) -> Mapping[str, Plan]:
        """The plans as they were at most a second ago. What decides over budgets does not wait for a signal."""
        # A reading that lies in the future is of a clock that was set back.
        if self._read_at is None or not timedelta(0) <= clock.now() - self._read_at < _TRUST:
            await self.read()
        return self._known

    async def read(self) -> Mapping[str, Plan]:
        """The plans as they are now."""
        at = clock.now()
        async with self._registry.database.begin() as db:
            kept = await store.plans(db)
        self._known = {FREE.name: FREE, **kept, **self._declared}
        self._read_at = at
        self._rates.learn({name: plan.rates for name, plan in self._known.items()})
        return self._known

    async def require_known(self, name: str) -> None:
        """Raises: PlanNotKnown."""
        known = await self.read()
        if name not in known:
            msg = f"There is no plan {name[:60]!r}; there are {', '.join(sorted(known))}."
            raise PlanNotKnown(msg, errors=[FieldError("/plan", msg, "plan")])

    def is_declared(self, name: str) -> bool:
        """Whether a plan stands in the settings, which win over the database."""
        return name in self._declared

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if not await self._learned():
                await asyncio.sleep(_TRUST.total_seconds())
                self._news.set()

    async def _learned(self) -> bool:
        try:
            await self.read()
        except (Unavailable, DBAPIError, OSError) as error:
            log.warning("quotas.plans_not_read", error=repr(error)[:300])
            return False
        return True
