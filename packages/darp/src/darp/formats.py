"""Public benchmark files: the dial-a-ride instances of Cordeau and Laporte, and those in which requests become known."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from darp.errors import FormatError
from darp.model import Request, Stop, Vehicle
from darp.problem import Problem

MOST_VEHICLES = 10_000
"""More than a benchmark has, and fewer than fill a machine's memory."""


def read_cordeau(path: str | Path) -> Problem:
    """Read a file of Cordeau and Laporte (2003) or Cordeau (2006); times in minutes, cost = time = Euclidean distance.

    The number of requests is taken from the rows, since the header's count is n in some files and 2n in others. An odd
    number of rows has one depot, which is then the end too. Raises `FormatError`.
    """
    try:
        lines = [line.split() for line in Path(path).read_text().splitlines() if line.strip()]
        header = [float(word) for word in lines[0]]
        rows = np.array([[float(word) for word in line] for line in lines[1:]])
        count, _, max_duration, capacity, max_ride = header
        vehicles, room = _vehicles(count), int(capacity)
    except (OSError, ValueError, IndexError, OverflowError) as error:
        raise FormatError(f"{path}: {error}") from None
    if rows.ndim != 2 or rows.shape[1] != 7 or len(rows) < 3:
        raise FormatError(f"{path}: rows must be `id x y service load earliest latest`, and at least three")
    if len(rows) % 2:
        rows = np.vstack([rows, rows[0]])
    n = len(rows) // 2 - 1
    loads = rows[1 : n + 1, 4]
    if not (np.isfinite(loads).all() and np.allclose(loads, -rows[n + 1 : -1, 4])):
        raise FormatError(f"{path}: the loads of pickups and drop-offs do not belong together")
    apart = rows[:, None, 1:3] - rows[None, :, 1:3]
    start, end = _stop(rows, 0), _stop(rows, len(rows) - 1)
    return Problem(
        durations=np.sqrt((apart**2).sum(axis=-1)),
        requests=tuple(
            Request(
                id=str(number),
                pickup=_stop(rows, number),
                dropoff=_stop(rows, n + number),
                load=(int(rows[number, 4]),),
                max_ride=max_ride,
            )
            for number in range(1, n + 1)
        ),
        vehicles=tuple(
            Vehicle(id=str(number + 1), start=start, end=end, layouts=((room,),), max_duration=max_duration)
            for number in range(vehicles)
        ),
    )


def _vehicles(count: float) -> int:
    """How many vehicles a file says. Raises: ValueError, OverflowError."""
    vehicles = int(count)
    if not 0 <= vehicles <= MOST_VEHICLES:
        msg = f"there are 0 to {MOST_VEHICLES} vehicles, not {vehicles}"
        raise ValueError(msg)
    return vehicles


def _stop(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]], number: int) -> Stop:
    _, _, _, service, _, earliest, latest = rows[number].tolist()
    return Stop(place=number, earliest=earliest, latest=latest, service=service)


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicInstance:
    """A day of which requests become known one by one. known_at: request id -> when; 0 for what is known before the day."""

    problem: Problem
    known_at: dict[str, float]


def read_ddarp(path: str | Path) -> DynamicInstance:
    """Read a file of Berbeglia, Cordeau and Laporte (2012) as JSON; units as in `read_cordeau`.

    A file without arrival times is a static day: everything is known before it. Raises `FormatError`.
    """
    try:
        document = json.loads(Path(path).read_text())
        fixed, requests = document["static_info"], document["requests"]
        depot = fixed["depot_location"]
        ends = [one[f"{end}_location"] for end in ("pickup", "delivery") for one in requests]
        points = np.array([[place["x_coord"], place["y_coord"]] for place in (depot, *ends)], dtype=np.float64)
        apart = points[:, None] - points[None, :]
        home = Stop(place=0, latest=float(fixed["planing_horizon"]))
        vehicles = tuple(
            Vehicle(
                id=str(number + 1),
                start=home,
                end=home,
                layouts=((int(fixed["vehicle_capacity"]),),),
                max_duration=float(fixed["max_route_time"]),
            )
            for number in range(_vehicles(fixed["number_of_vehicles"]))
        )
        people = tuple(
            Request(
                id=str(one["id"]),
                pickup=_dynamic_stop(one, "pickup", 1 + row),
                dropoff=_dynamic_stop(one, "delivery", 1 + len(requests) + row),
                load=(int(one["load"]),),
                max_ride=float(fixed["max_ride_time"]),
            )
            for row, one in enumerate(requests)
        )
        known_at = {str(one["id"]): float(one.get("arrival_time", 0)) for one in requests}
    except (OSError, ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise FormatError(f"{path}: {error!r}") from None
    return DynamicInstance(
        problem=Problem(durations=np.sqrt((apart**2).sum(axis=-1)), requests=people, vehicles=vehicles),
        known_at=known_at,
    )


def _dynamic_stop(request: dict[str, Any], end: str, place: int) -> Stop:
    return Stop(
        place=place,
        earliest=float(request[f"{end}_lower_tw"]),
        latest=float(request[f"{end}_upper_tw"]),
        service=float(request[f"{end}_service_time"]),
    )
