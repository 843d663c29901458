"""What callers may use of the outside world: plans and hard budgets, in the ledger that also counts the providers'."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.db.engine import Database
from ossature.kernel.outbound.engine import Allowance, Asker
from ossature.kernel.outbound.ledger.values import WindowSpec
from ossature.kernel.outbound.operation import Operation
from ossature.kernel.quotas import store
from ossature.kernel.quotas.allowance import holders_of, windows_of
from ossature.kernel.quotas.domain import Budget
from ossature.kernel.quotas.plans.book import Plans
from ossature.kernel.tenants import store as tenants

_TRUST = timedelta(seconds=1)
_TENANTS_MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    """What limits a tenant, and until when that is believed."""

    until: datetime
    plan: str
    zone: str
    budgets: tuple[Budget, ...]


class BudgetConsumers:
    """Keeps the engine's `Consumers`. A plan or budget that is set or changed holds everywhere within a second."""

    def __init__(self, database: Database, plans: Plans) -> None:
        self._database = database
        self._plans = plans
        self._known: dict[UUID, _Known] = {}

    async def allowance(self, asker: Asker, operation: Operation, /) -> Allowance:
        """The windows of the caller's tenant, project and key, and who pays."""
        del operation
        if not isinstance(asker, Ctx):
            return Allowance()
        actor = asker.actor
        return Allowance(windows=await self.windows(asker), project_id=actor.project_id, key_id=actor.key_id)

    async def windows(self, ctx: Ctx) -> tuple[WindowSpec, ...]:
        """Everything that limits a caller, as windows of the ledger."""
        known = await self._of(ctx)
        plans = await self._plans.current()
        return windows_of(plans, known.plan, known.budgets, holders=holders_of(ctx), zone=known.zone)

    async def _of(self, ctx: Ctx) -> _Known:
        """What limits a tenant, as it was at most a moment ago."""
        now, tenant_id = clock.now(), ctx.tenant.id
        known = self._known.get(tenant_id)
        if known is not None and now < known.until <= now + _TRUST:  # and not of a clock that was set back
            return known
        if known is not None:  # one looks; the others, until it has seen, go by what was known
            self._known[tenant_id] = replace(known, until=now + _TRUST)
        async with self._database.begin(tenant_id) as db:
            tenant = await tenants.tenant(db, tenant_id)
            budgets = tuple(await store.hard_budgets(db, tenant_id))
        if len(self._known) >= _TENANTS_MOST:
            self._known.clear()
        brief = tenant.brief if tenant is not None else ctx.tenant
        known = self._known[tenant_id] = _Known(now + _TRUST, brief.plan, brief.zone, budgets)
        return known
