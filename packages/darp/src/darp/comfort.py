"""Times of a fixed order that keep people on board as shortly as can be, and fetch them as late as that allows.

The rules are differences (one time is at least another plus a constant), the aim is linear, so the best times are reached
from the least ones by raising sets of stops together: each time the set that gains most among those that may rise without
breaking a rule, found as a minimum cut (Picard 1976), until no set gains. Exact: the answer of a linear program.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from darp.arrays import Arrays

_TIGHT = 1e-9
# One minute of riding weighs more than any number of later pickups, and those more than a later start.
_RIDE, _PICKUP, _START = 1_000_000, 1_000, 1


class Bound(NamedTuple):
    """The time at position `later` is at least the one at `earlier`, plus `apart`."""

    earlier: int
    later: int
    apart: float


def bounds(values: Arrays, vehicle: int, nodes: Sequence[int]) -> list[Bound]:
    """The rules on the times of a route."""
    n, place = values.requests, {node: index for index, node in enumerate(nodes)}
    found = []
    for index in range(max(1, int(values.facts[vehicle])), len(nodes)):
        before, node = nodes[index - 1], nodes[index]
        found.append(Bound(index - 1, index, float(values.service[before] + values.duration[before, node])))
    found.append(Bound(len(nodes) - 1, 0, -float(values.max_duration[vehicle])))
    for request in range(n):
        if request in place and request + n in place:
            longest = float(values.service[request] + values.max_ride[request])
            found.append(Bound(place[request + n], place[request], -longest))
    return found


def gains(values: Arrays, nodes: Sequence[int]) -> list[int]:
    """What a unit of time later is worth at each position."""
    n = values.requests
    whole = set(nodes)

    def gain(node: int) -> int:
        if node >= 2 * n:
            return _START if node == nodes[0] else 0
        if node >= n:
            return -_RIDE if node - n in whole else 0
        return _PICKUP + (_RIDE if node + n in whole else 0)

    return [gain(node) for node in nodes]


def improved(values: Arrays, vehicle: int, nodes: Sequence[int], least: Sequence[float]) -> list[float]:
    """The best times, from the least ones."""
    times = list(least)
    rules, worth = bounds(values, vehicle, nodes), gains(values, nodes)
    latest = [float(values.latest[node]) for node in nodes]
    while True:
        tight = [(b.earlier, b.later) for b in rules if times[b.later] - times[b.earlier] - b.apart <= _TIGHT]
        stuck = [index for index, time in enumerate(times) if latest[index] - time <= _TIGHT]
        rising = best_closure(worth, tight, stuck)
        if not rising:
            return times
        room = [latest[index] - times[index] for index in rising]
        room += [
            times[b.later] - times[b.earlier] - b.apart for b in rules if b.earlier in rising and b.later not in rising
        ]
        step = min(room)
        if step == float("inf"):
            return times
        for index in rising:
            times[index] += step


def best_closure(worth: Sequence[int], follows: Sequence[tuple[int, int]], stuck: Sequence[int]) -> set[int]:
    """The set worth most of which nobody is stuck and in which who rises is joined by who must follow; empty if none gains."""
    source, sink = len(worth), len(worth) + 1
    capacity: list[dict[int, float]] = [{} for _ in range(len(worth) + 2)]

    def connect(a: int, b: int, room: float) -> None:
        capacity[a][b] = capacity[a].get(b, 0) + room
        capacity[b].setdefault(a, 0)

    for index, gain in enumerate(worth):
        connect(source, index, max(0, gain))
        connect(index, sink, max(0, -gain))
    for earlier, later in follows:
        connect(earlier, later, float("inf"))
    for index in stuck:
        connect(index, sink, float("inf"))
    while True:
        came_from = _reachable(capacity, source)
        if sink not in came_from:
            return came_from.keys() - {source}
        path, node = [], sink
        while node != source:
            path.append((came_from[node], node))
            node = came_from[node]
        flow = min(capacity[a][b] for a, b in path)
        for a, b in path:
            capacity[a][b] -= flow
            capacity[b][a] += flow


def _reachable(capacity: Sequence[dict[int, float]], source: int) -> dict[int, int]:
    """Every node that can still get flow, and the node it was reached from."""
    came_from, waiting = {source: source}, deque([source])
    while waiting:
        node = waiting.popleft()
        for other, room in capacity[node].items():
            if room > 0 and other not in came_from:
                came_from[other] = node
                waiting.append(other)
    return came_from
