"""What services use up by themselves: units that they name (trips, solver seconds, messages), and distinct things a day.

Nothing of it leaves the house, so there is no provider to count; it is taken from the same windows of the same ledger.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import NAMESPACE_URL, UUID, uuid5

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.outbound.http import refuse_while_writing
from ossature.kernel.outbound.kinds import ConsumerQuotaExhausted
from ossature.kernel.outbound.ledger.ending import told
from ossature.kernel.outbound.ledger.values import AttemptExists, Ledger, Refused, Reservation, Take, WindowSpec
from ossature.kernel.outbound.takes import takes_of
from ossature.kernel.quotas.allowance import distinct_unit, holders_of, window
from ossature.kernel.quotas.consumers import BudgetConsumers
from ossature.kernel.quotas.domain import UsageEvent, period_start
from ossature.kernel.quotas.meter import Meter

_GRACE = timedelta(seconds=60)


class Units:
    """Takes from what callers may use. A use case asks for it with `ctx.port(Units)`, before it writes anything."""

    def __init__(self, consumers: BudgetConsumers, ledger: Ledger, meter: Meter) -> None:
        self._consumers = consumers
        self._ledger = ledger
        self._meter = meter

    @asynccontextmanager
    async def hold(
        self, ctx: Ctx, units: Mapping[str, int], *, what: str, time_limit_s: float = 300.0
    ) -> AsyncIterator[dict[str, int]]:
        """Reserve at most these units for a piece of work; put what it really used into the mapping that is given.

        An exception in the block gives everything back; a killed process is charged as reserved. what: the operation,
        for the usage log. Raises: ConsumerQuotaExhausted.
        """
        attempt_id = clock.new_id()
        takes = takes_of(await self._consumers.windows(ctx), units)
        await self._reserve(ctx, attempt_id, takes, what=what, expires_at=clock.now() + _limit(time_limit_s))
        used = dict(units)
        try:
            yield used
        except BaseException:
            await told(self._ledger.release(attempt_id, outcome="failed"))
            raise
        try:
            for unit, amount in used.items():
                self._note(ctx, unit, amount, what=what)
        finally:
            await told(self._ledger.settle(attempt_id, used))  # the work is done, whatever the ledger says now

    async def take(self, ctx: Ctx, unit: str, amount: int = 1, *, what: str) -> None:
        """Use up units of one kind. Raises: ConsumerQuotaExhausted, and then nothing is used up."""
        async with self.hold(ctx, {unit: amount}, what=what):
            return

    async def take_once(self, ctx: Ctx, unit: str, thing: str, *, what: str) -> bool:
        """Use up one of the different things of today; whether it is new. The same one again, that day, costs nothing.

        thing: its id. It is counted for the key, then the project, then the tenant, each with a memory of its own; what
        a narrower one was charged stays when a wider one refuses. Raises: ConsumerQuotaExhausted.
        """
        counted, is_new = distinct_unit(unit), False
        limits = {one.subject: one for one in await self._consumers.windows(ctx) if one.unit == counted}
        day = period_start(ctx.now, "day", ctx.tenant.zone)
        for subject in ("key", "project", "tenant"):
            holder = holders_of(ctx)[subject]
            if holder is None:
                continue
            free = window(subject, holder, unit=counted, limit=None, period="day", zone=ctx.tenant.zone)
            is_new = await self._take_one(ctx, limits.get(free.subject, free), thing, day=day, what=what)
        if is_new:
            self._note(ctx, unit, 1, what=what)
        return is_new

    async def _take_one(self, ctx: Ctx, spec: WindowSpec, thing: str, *, day: datetime, what: str) -> bool:
        # The attempt's id says which thing on which day: the ledger itself refuses to count it a second time.
        attempt_id = uuid5(NAMESPACE_URL, f"{spec.subject}|{spec.unit}|{day.isoformat()}|{thing}")
        try:
            await self._reserve(ctx, attempt_id, (Take(spec, 1),), what=what, expires_at=clock.now() + _GRACE)
        except AttemptExists:
            return False
        except ConsumerQuotaExhausted:
            # A full window refuses before anybody looks whether this very thing is in it already.
            if await self._ledger.attempt(ctx.tenant.id, attempt_id) is None:
                raise
            return False
        await told(self._ledger.settle(attempt_id, {spec.unit: 1}))
        return True

    async def _reserve(
        self, ctx: Ctx, attempt_id: UUID, takes: tuple[Take, ...], *, what: str, expires_at: datetime
    ) -> None:
        refuse_while_writing()  # the ledger would wait for the very transaction that waits for it
        answer = await self._ledger.reserve(
            Reservation(
                attempt_id=attempt_id,
                request_id=ctx.id,
                tenant_id=ctx.tenant.id,
                provider="house",
                operation=what,
                takes=takes,
                expires_at=expires_at,
            )
        )
        if isinstance(answer, Refused):
            raise ConsumerQuotaExhausted(retry_after_s=answer.retry_after_s, window=answer.window.name)

    def _note(self, ctx: Ctx, unit: str, amount: int, *, what: str) -> None:
        if not amount:
            return
        actor = ctx.actor
        self._meter.note(
            UsageEvent(
                id=clock.new_id(),
                tenant_id=ctx.tenant.id,
                at=clock.now(),
                what=what,
                unit=unit,
                amount=Decimal(amount),
                project_id=actor.project_id,
                key_id=actor.key_id,
                user_id=actor.id if actor.kind == "user" else None,
                request_id=ctx.id,
            )
        )


def _limit(time_limit_s: float) -> timedelta:
    return timedelta(seconds=time_limit_s) + _GRACE
