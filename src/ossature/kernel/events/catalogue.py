"""Which facts there are, how they are written down, and who listens to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import Histogram

from ossature.kernel import clock
from ossature.kernel.errors import Misconfigured, Problem
from ossature.kernel.events import store
from ossature.kernel.events.store import StoredFact
from ossature.kernel.service import Fact, Job, Service

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx

LAG_SECONDS = Histogram(
    "events_delivery_lag_seconds",
    "From the publication of a fact to the end of a listener's work on it.",
    ["listener"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 3600, 86400),
)
ORDER = "order"
"""The argument of a delivery whose equal values run one after the other."""


class FactUnreadable(Problem):
    """A stored fact does not fit its class: it is newer than this process, or the class changed without a version."""

    title = "Fact unreadable"


class Catalogue:
    """Every fact that the house knows, and its listeners."""

    def __init__(self, facts: Iterable[Fact], listens: Iterable[Mapping[type, Sequence[Job]]] = ()) -> None:
        """A catalogue of these facts and listeners.

        Raises: Misconfigured when two facts share a name, or somebody listens to a type that nobody declares.
        """
        self._by_type: dict[type, Fact] = {}
        self._by_wire: dict[str, Fact] = {}
        self._listeners: dict[str, list[Job]] = {}
        self._deliveries: dict[str, Job] = {}
        for fact in facts:
            self._declare(fact)
        for listening in listens:
            for fact_type, handlers in listening.items():
                self._attach(fact_type, handlers)

    @classmethod
    def of(cls, services: Sequence[Service]) -> Catalogue:
        """Everything that these services publish and listen to."""
        return cls((fact for service in services for fact in service.facts), [service.listens for service in services])

    @property
    def deliveries(self) -> tuple[Job, ...]:
        """The jobs that run the listeners; the queue must know them."""
        return tuple(self._deliveries.values())

    @property
    def wires(self) -> frozenset[str]:
        """The names of all facts."""
        return frozenset(self._by_wire)

    def declared(self, fact_type: type) -> Fact:
        """How facts of this type are known. Raises: Misconfigured when no service declares it."""
        fact = self._by_type.get(fact_type)
        if fact is None:
            raise Misconfigured(f"{fact_type.__name__} is not declared in any service's `facts`.")
        return fact

    def listeners(self, wire: str) -> Sequence[Job]:
        """The deliveries of a fact."""
        return self._listeners.get(wire, ())

    def delivery(self, listener: str) -> tuple[Job, list[str]]:
        """The delivery of the listener with this job name, and the facts that it hears.

        Raises: Misconfigured when there is none.
        """
        job = self._deliveries.get(listener)
        if job is None:
            raise Misconfigured(f"No listener is named {listener!r}; there are: {', '.join(sorted(self._deliveries))}.")
        return job, [wire for wire, jobs in self._listeners.items() if job in jobs]

    def decode(self, wire: str, version: int, payload: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the fact's own type
        """A fact from its JSON values. Fields that its class has since gained take their defaults.

        Raises: FactUnreadable.
        """
        fact = self._by_wire.get(wire)
        if fact is None:
            raise FactUnreadable(f"No service here declares {wire!r}.")
        if version > fact.version:
            raise FactUnreadable(f"{wire} version {version} is newer than this process, which knows {fact.version}.")
        try:
            return msgspec.convert(payload, fact.type)
        except msgspec.ValidationError as error:
            raise FactUnreadable(f"{wire} version {version}: {error}") from error

    def _declare(self, fact: Fact) -> None:
        taken = self._by_wire.get(fact.wire)
        if taken is not None and taken.type is not fact.type:
            raise Misconfigured(f"{taken.type.__name__} and {fact.type.__name__} are both called {fact.wire!r}.")
        self._by_type[fact.type] = self._by_wire[fact.wire] = fact

    def _attach(self, fact_type: type, handlers: Sequence[Job]) -> None:
        fact = self._by_type.get(fact_type)
        if fact is None:
            names = ", ".join(job.name for job in handlers)
            raise Misconfigured(f"{names} listens to {fact_type.__name__}, which no service declares in `facts`.")
        for handler in handlers:
            delivery = self._deliveries.get(handler.name)
            if delivery is None:
                delivery = self._deliveries[handler.name] = self._wrapped(handler)
            self._listeners.setdefault(fact.wire, []).append(delivery)

    def _wrapped(self, handler: Job) -> Job:
        """The job that decodes a fact, gives it to `handler` and notes in the same transaction that it did."""

        async def deliver(ctx: Ctx, **told: Any) -> Any:  # noqa: ANN401 - JSON arguments, see `arguments`
            position: int = told["position"]
            if await store.handled(ctx.db, ctx.tenant.id, position, handler.name):
                return None
            result = await handler.run(ctx, self.decode(told["wire"], told["version"], told["fact"]))
            await store.mark_handled(ctx.db, ctx.tenant.id, position, handler.name)
            lag = clock.now() - datetime.fromisoformat(told["at"])
            LAG_SECONDS.labels(handler.name).observe(max(0.0, lag.total_seconds()))
            return result

        return replace(handler, run=deliver, ordered_by=ORDER)


def arguments(fact: StoredFact) -> dict[str, Any]:
    """What a delivery of this fact is told."""
    # Another tenant may use the same key: it must not wait for ours. Without a key nobody waits for anybody.
    order = f"{fact.tenant_id}/{fact.key}" if fact.key is not None else f"{fact.tenant_id}#{fact.position}"
    return {
        "fact": dict(fact.payload),
        "wire": fact.wire,
        "version": fact.version,
        "position": fact.position,
        "at": fact.at.isoformat(),
        ORDER: order,
    }
