"""How rooms ask for flags, and how experiments are counted.

features = ctx.port(Features)
if features.on(ctx, "dispatch.new_board"):
    ...
await features.reach(ctx, "booking.made")
"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from uuid import UUID

import structlog
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails
from prometheus_client import Counter
from sqlalchemy.exc import DBAPIError

from ossature.kernel import background
from ossature.kernel.context import Ctx
from ossature.kernel.errors import Unavailable
from ossature.kernel.tenants.flags import store
from ossature.kernel.tenants.flags.book import FlagBook
from ossature.kernel.tenants.flags.domain import Asker, Exposure, Flag, Value, decide, kind_of
from ossature.kernel.tenants.flags.provider import WHY, HouseProvider, Registration

log = structlog.get_logger()

EXPOSED = Counter("tenants_flags_exposures_total", "First looks at a variant of an experiment that were written.")
LOST = Counter("tenants_flags_exposures_lost_total", "First looks at a variant that could not be kept.")

_T = TypeVar("_T", bound=Value)
_SEEN_MOST = 100_000
_WAITING_MOST = 20_000
_BATCH = 500
_FLUSH_S = 1.0
_END_LIMIT_S = 5.0

_Look = tuple[UUID, UUID, str, int, str]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a flag said to somebody. reason: in the words of OpenFeature."""

    name: str
    owner_id: UUID
    value: Any
    variant: str
    reason: str


class Features:
    """The flags, for whoever has a `Ctx`. One per process."""

    def __init__(self, book: FlagBook) -> None:
        self.book = book
        self._database = book.registry.database
        self._registration = Registration(HouseProvider(book))
        self._client = api.get_client(self._registration.domain)
        self._seen: OrderedDict[_Look, None] = OrderedDict()
        self._waiting: dict[_Look, Exposure] = {}
        self._wake = asyncio.Event()
        self._ending = False

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[None]:
        """While open, who is shown which variant is written, within about a second; at the end what still waits is."""
        task = background.start(self._write_for_ever, "tenants.flags_exposures")
        try:
            yield
        finally:
            self._ending = True
            self._wake.set()
            _, unfinished = await asyncio.wait([task], timeout=_END_LIMIT_S)
            for one in unfinished:
                one.cancel()
            if self._waiting:
                LOST.inc(len(self._waiting))
                log.warning("tenants.flags_exposures_lost", exposures=len(self._waiting))
            self._registration.close()

    def on(self, ctx: Ctx, name: str, *, default: bool = False) -> bool:
        """Whether something is on for who asks; the default where there is no such flag."""
        return self.value(ctx, name, default)

    def value(self, ctx: Ctx, name: str, default: _T) -> _T:
        """What a flag says to who asks; the default where there is no such flag, or one of another kind.

        Whom an experiment shows a variant is counted from here on.
        """
        details = self.look(ctx, name, default)
        self._expose(ctx, details)
        return cast("_T", details.value)

    def look(self, ctx: Ctx, name: str, default: Value) -> FlagEvaluationDetails[Any]:
        """What a flag says to who asks, and why, without counting."""
        about = context_of(ctx)
        kind = kind_of(default)
        if kind == "boolean":
            return self._client.get_boolean_details(name, cast("bool", default), about)
        if kind == "string":
            return self._client.get_string_details(name, cast("str", default), about)
        if kind == "object":
            return self._client.get_object_details(name, cast("Mapping[str, Any]", default), about)
        if isinstance(default, int):
            return self._client.get_integer_details(name, default, about)
        return self._client.get_float_details(name, cast("float", default), about)

    def show(self, ctx: Ctx, name: str) -> Shown | None:
        """What a flag says to who asks, counted; None where there is no such flag."""
        found = self.book.find(ctx.tenant.id, name)
        if found is None:
            return None
        self.value(ctx, name, _any_value(found[1]))
        return _shown(*found, asker_of_ctx(ctx))

    def all(self, ctx: Ctx) -> Sequence[Shown]:
        """What every flag says to who asks, by name, without counting."""
        asker = asker_of_ctx(ctx)
        return [_shown(owner_id, flag, asker) for owner_id, flag in self.book.seen_by(ctx.tenant.id)]

    async def reach(self, ctx: Ctx, goal: str, *, amount: float = 1.0) -> None:
        """Have experiments count that who asks has reached a goal, in this transaction. amount: what it brought."""
        asker = asker_of_ctx(ctx)
        subjects = {flag.key_of(asker) for flag in self._measuring(ctx.tenant.id, goal)}
        if subjects:
            await store.add_outcomes(ctx.db, ctx.tenant.id, goal, sorted(subjects), amount=amount, at=ctx.now)

    def _measuring(self, tenant_id: UUID, goal: str) -> Iterator[Flag]:
        return (flag for _, flag in self.book.seen_by(tenant_id) if flag.goal == goal)

    def _expose(self, ctx: Ctx, details: FlagEvaluationDetails[Any]) -> None:
        about = details.flag_metadata
        if "goal" not in about or details.variant is None:
            return
        owner_id, subject = UUID(str(about["owner_id"])), str(about["subject"])
        look = (ctx.tenant.id, owner_id, details.flag_key, int(about["round"]), subject)
        if look in self._seen:
            self._seen.move_to_end(look)
            return
        if len(self._waiting) >= _WAITING_MOST:
            LOST.inc()
            return
        self._seen[look] = None
        if len(self._seen) > _SEEN_MOST:
            self._seen.popitem(last=False)
        self._waiting[look] = Exposure(*look[:5], variant=details.variant, at=ctx.now)

    async def _write_for_ever(self) -> None:
        while not self._ending:
            try:
                async with asyncio.timeout(_FLUSH_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            await self._write()

    async def _write(self) -> None:
        by_tenant: dict[UUID, list[_Look]] = defaultdict(list)
        for look in self._waiting:
            by_tenant[look[0]].append(look)
        for tenant_id, looks in by_tenant.items():
            for start in range(0, len(looks), _BATCH):
                await self._write_some(tenant_id, looks[start : start + _BATCH])

    async def _write_some(self, tenant_id: UUID, looks: list[_Look]) -> None:
        exposures = [self._waiting[look] for look in looks]
        try:
            async with self._database.begin(tenant_id) as db:
                await store.add_exposures(db, exposures)
        except (Unavailable, OSError) as error:  # it waits for better times
            log.warning("tenants.flags_exposures_not_written", error=repr(error)[:300])
            return
        except DBAPIError as error:  # of a tenant that is gone; no repetition would help
            log.warning("tenants.flags_exposures_unwritable", error=repr(error)[:300])
            LOST.inc(len(looks))
        else:
            EXPOSED.inc(len(looks))
        for look in looks:
            del self._waiting[look]


def _any_value(flag: Flag) -> Value:
    """A value of the kind that all variants can be taken as."""
    values = list(flag.variants.values())
    return next((value for value in values if isinstance(value, float)), values[0])


def _shown(owner_id: UUID, flag: Flag, asker: Asker) -> Shown:
    decision = decide(flag, asker)
    return Shown(flag.name, owner_id, decision.value, decision.variant, WHY[decision.reason].value)


def asker_of_ctx(ctx: Ctx) -> Asker:
    """Who asks."""
    actor = ctx.actor
    return Asker(
        subject=str(actor.id or ctx.tenant.id),
        tenant_id=ctx.tenant.id,
        tenant=ctx.tenant.slug,
        plan=ctx.tenant.plan,
        roles=actor.roles,
    )


def context_of(ctx: Ctx) -> EvaluationContext:
    """Who asks, as OpenFeature says it."""
    asker = asker_of_ctx(ctx)
    return EvaluationContext(
        targeting_key=asker.subject,
        attributes={
            "tenant_id": str(asker.tenant_id),
            "tenant": asker.tenant,
            "plan": asker.plan,
            "roles": sorted(asker.roles),
        },
    )
