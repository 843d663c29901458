"""Whether a route keeps every rule, exactly: the least fixpoint of lower bounds, and loads against layouts.

Every rule on times says that one time is at least another one plus a constant. So there is one least solution, found by
raising times until nothing moves, and the route is feasible if and only if it passes no latest time.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from darp.reference.model import Model

TOLERANCE = 1e-6
NOBODY, MIXED = -1, -2
_STILL = 1e-9


def least_times(model: "Model", vehicle: int, route: Sequence[int]) -> list[float] | None:
    """Least begin of service at each node of the route, `None` where there is none."""
    begin = [model.earliest[node] for node in route]
    first = max(1, model.facts[vehicle])
    if not _sweep_forward(model, route, begin, first):
        return None
    position = {node: index for index, node in enumerate(route)}
    rides = [
        (index, position[node - model.n])
        for index, node in enumerate(route)
        if model.n <= node < 2 * model.n and node - model.n in position
    ]
    rides.reverse()
    # A chain of lower bounds that comes back to none of its rules is no longer than this; a longer one never ends.
    for _ in range(len(rides) + 2):
        moved = _sweep_backward(model, vehicle, route, begin, rides)
        if not moved:
            return None if moved is None else begin
        if not _sweep_forward(model, route, begin, first):
            return None
    return None


def _sweep_forward(model: "Model", route: Sequence[int], begin: list[float], first: int) -> bool:
    """Raise times to service and travel from the node before; False if one is later than its latest."""
    for index in range(first, len(route)):
        before, node = route[index - 1], route[index]
        arrival = begin[index - 1] + model.service[before] + model.duration[before][node]
        begin[index] = max(begin[index], arrival)
        if begin[index] > model.latest[node] + TOLERANCE:
            return False
    return True


def _sweep_backward(
    model: "Model", vehicle: int, route: Sequence[int], begin: list[float], rides: list[tuple[int, int]]
) -> bool | None:
    """Raise pickups to the longest ride and the start to the longest duty: whether one moved, `None` if one is too late."""
    moved = False
    bounds = [(0, begin[-1] - model.max_duration[vehicle])]
    for dropoff, pickup in rides:
        node = route[pickup]
        bounds.append((pickup, begin[dropoff] - model.max_ride[node] - model.service[node]))
    for index, least in bounds:
        if least > begin[index] + _STILL:
            if least > model.latest[route[index]] + TOLERANCE:
                return None
            begin[index] = least
            moved = True
    return moved


def loads_fit(model: "Model", vehicle: int, route: Sequence[int]) -> bool:
    """Whether there is a layout for every stretch within which the vehicle may not be rearranged, and only one share class."""
    if MIXED in company(model, route):
        return False
    every = (1 << len(model.layouts[vehicle])) - 1
    possible, aboard, load = every, 0, [0] * model.dimensions
    for node in route[1:-1]:
        picked_up = node < model.n
        carried = model.load[node if picked_up else node - model.n]
        aboard += 1 if picked_up else -1
        load = [have + one if picked_up else have - one for have, one in zip(load, carried, strict=True)]
        if model.layout_change == model.ANYWHERE or (aboard == 0 and model.layout_change == model.WHEN_EMPTY):
            possible = every
        if aboard:
            possible &= model.holding(vehicle, load)
            if not possible:
                return False
    return True


def company(model: "Model", route: Sequence[int]) -> list[int]:
    """Share class of those on board after each position: NOBODY where it is empty, from the first MIXED on MIXED."""
    found, aboard, now = [], 0, NOBODY
    for node in route:
        if node < model.n:
            own = model.company[node]
            now = own if now in {NOBODY, own} else MIXED
            aboard += 1
        elif node < 2 * model.n:
            aboard -= 1
            now = NOBODY if aboard == 0 and now != MIXED else now
        found.append(now)
    return found
