"""What is wrong with a problem: one sentence for each fault, beginning with the path of the field."""

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from darp.model import Request, Stop, StopKind, Vehicle

if TYPE_CHECKING:
    from darp.problem import Problem

MOST_LAYOUTS = 16
MOST_AMOUNT = 100_000
"""Of a load or a layout, in each dimension: sums of them are far from where a kernel's numbers end."""


def faults(problem: "Problem") -> list[str]:
    """All of them; empty if the problem makes sense. A rule that cannot be kept is no fault: its request stays unserved."""
    shape = list(_matrices(problem))
    if shape:
        return shape
    places = len(problem.durations)
    dimensions = _dimensions(problem)
    found = [*_repeated("requests", problem.requests), *_repeated("vehicles", problem.vehicles)]
    vehicles = {vehicle.id for vehicle in problem.vehicles}
    for number, request in enumerate(problem.requests):
        found += _request(f"requests[{number}]", request, places, dimensions, vehicles)
    for number, vehicle in enumerate(problem.vehicles):
        found += _vehicle(f"vehicles[{number}]", vehicle, places, dimensions)
    return found or list(_prefixes(problem))


def _dimensions(problem: "Problem") -> int | None:
    """Of the first layout, or of the first load where there is no vehicle."""
    layouts = problem.vehicles[0].layouts if problem.vehicles else tuple(one.load for one in problem.requests)
    return len(layouts[0]) if layouts else None


def _amounts(path: str, amounts: tuple[int, ...]) -> Iterator[str]:
    if not amounts:
        yield f"{path}: must have a dimension"
    if not all(0 <= amount <= MOST_AMOUNT for amount in amounts):
        yield f"{path}: amounts are 0 to {MOST_AMOUNT}"


def _matrices(problem: "Problem") -> Iterator[str]:
    for name in ("durations", "costs"):
        matrix = getattr(problem, name)
        if matrix is None:
            continue
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            yield f"{name}: must be square, its shape is {matrix.shape}"
        elif matrix.shape != problem.durations.shape:
            yield f"{name}: must have the shape of durations, {problem.durations.shape}"
        elif not np.isfinite(matrix).all() or (matrix < 0).any():
            row, column = np.argwhere(~np.isfinite(matrix) | (matrix < 0))[0]
            yield f"{name}[{row}][{column}]: must be a finite number of 0 or more"


def _repeated(name: str, things: Iterable[Request | Vehicle]) -> Iterator[str]:
    seen: set[str] = set()
    for number, one in enumerate(things):
        if one.id in seen:
            yield f"{name}[{number}].id: {one.id!r} is there already"
        seen.add(one.id)


def _stop(path: str, stop: Stop, places: int) -> Iterator[str]:
    if not 0 <= stop.place < places:
        yield f"{path}.place: {stop.place} is no row of the matrices, which have {places}"
    if not math.isfinite(stop.earliest):
        yield f"{path}.earliest: must be finite"
    if math.isnan(stop.latest) or stop.latest < stop.earliest:
        yield f"{path}.latest: {stop.latest} is before earliest, {stop.earliest}"
    if not 0 <= stop.service < math.inf:
        yield f"{path}.service: must be a finite number of 0 or more"


def _request(path: str, request: Request, places: int, dimensions: int | None, vehicles: set[str]) -> Iterator[str]:
    yield from _stop(f"{path}.pickup", request.pickup, places)
    yield from _stop(f"{path}.dropoff", request.dropoff, places)
    if dimensions is not None and len(request.load) != dimensions:
        yield f"{path}.load: has {len(request.load)} dimensions, the layouts have {dimensions}"
    yield from _amounts(f"{path}.load", request.load)
    if not request.max_ride >= 0:
        yield f"{path}.max_ride: must be 0 or more"
    if request.skills < 0:
        yield f"{path}.skills: must be a bit mask, 0 or more"
    if not 0 <= request.bonus < math.inf:
        yield f"{path}.bonus: must be a finite number of 0 or more"
    if request.penalty is not None and not 0 <= request.penalty < math.inf:
        yield f"{path}.penalty: must be a finite number of 0 or more"
    if math.isnan(request.release) or request.release == math.inf:
        yield f"{path}.release: must be a number"
    for name in ("allowed", "forbidden", "preferred"):
        for vehicle in sorted((getattr(request, name) or frozenset()) - vehicles):
            yield f"{path}.{name}: there is no vehicle {vehicle!r}"


def _vehicle(path: str, vehicle: Vehicle, places: int, dimensions: int | None) -> Iterator[str]:
    yield from _stop(f"{path}.start", vehicle.start, places)
    yield from _stop(f"{path}.end", vehicle.end, places)
    if not 1 <= len(vehicle.layouts) <= MOST_LAYOUTS:
        yield f"{path}.layouts: must be 1 to {MOST_LAYOUTS}"
    for number, layout in enumerate(vehicle.layouts):
        if len(layout) != dimensions:
            yield f"{path}.layouts[{number}]: has {len(layout)} dimensions, the first layout has {dimensions}"
        yield from _amounts(f"{path}.layouts[{number}]", layout)
    if vehicle.skills < 0:
        yield f"{path}.skills: must be a bit mask, 0 or more"
    if not vehicle.max_duration >= 0:
        yield f"{path}.max_duration: must be 0 or more"
    if not 0 <= vehicle.fixed_cost < math.inf:
        yield f"{path}.fixed_cost: must be a finite number of 0 or more"
    if vehicle.started is not None and not math.isfinite(vehicle.started):
        yield f"{path}.started: must be finite"


def _prefixes(problem: "Problem") -> Iterator[str]:
    known = {request.id for request in problem.requests}
    seen: dict[tuple[str, StopKind], int] = {}
    for number, vehicle in enumerate(problem.vehicles):
        last = vehicle.started
        for position, stop in enumerate(vehicle.prefix):
            path = f"vehicles[{number}].prefix[{position}]"
            if stop.request not in known:
                yield f"{path}.request: there is no request {stop.request!r}"
            if (stop.request, stop.kind) in seen:
                yield f"{path}: the {stop.kind} of {stop.request!r} is pinned already"
            if stop.kind is StopKind.DROPOFF and seen.get((stop.request, StopKind.PICKUP)) != number:
                yield f"{path}: its pickup must stand before it in the same prefix"
            if stop.at is not None and (last is None or not last <= stop.at < math.inf):
                yield f"{path}.at: what has happened follows on what has happened, from `started` on"
            seen[stop.request, stop.kind] = number
            last = stop.at
