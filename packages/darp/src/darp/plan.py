"""What the solver answers: routes with times, and who could not be served."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from darp.errors import PlanError
from darp.model import StopKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStop:
    """A stop of a route. begin: when service begins there; the vehicle may wait before it."""

    request: str
    kind: StopKind
    begin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The day of one vehicle. start: when it leaves its start; end: when it is at its end."""

    vehicle: str
    start: float
    stops: tuple[PlannedStop, ...]
    end: float

    @property
    def requests(self) -> tuple[str, ...]:
        """Ids of whom it picks up, in this order."""
        return tuple(stop.request for stop in self.stops if stop.kind is StopKind.PICKUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole plan.

    routes: used vehicles only, in the order of the problem. cost: of the arcs and vehicles, less bonuses; without the
    penalties of those left out. kernel, seed, threads, iterations, seconds: how it was found; seconds by the clock
    of its time limit.
    """

    routes: tuple[Route, ...]
    unserved: tuple[str, ...]
    cost: float
    kernel: str = "python"
    seed: int = 0
    threads: int = 1
    iterations: int = 0
    seconds: float = 0.0

    def route(self, vehicle: str) -> Route | None:
        """The route of a vehicle, `None` if it stays where it is."""
        return next((route for route in self.routes if route.vehicle == vehicle), None)

    def to_json(self) -> str:
        """The plan as one JSON object."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read `to_json`; raises `PlanError`."""
        try:
            fields: dict[str, Any] = json.loads(text)
            routes = tuple(_route(route) for route in fields.pop("routes"))
            return replace(cls(routes=(), unserved=(), cost=0.0), routes=routes, **_lists_as_tuples(fields))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise PlanError(f"not a plan: {error}") from None


def _route(fields: dict[str, Any]) -> Route:
    stops = (PlannedStop(**{**stop, "kind": StopKind(stop["kind"])}) for stop in fields.pop("stops"))
    return Route(stops=tuple(stops), **fields)


def _lists_as_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
