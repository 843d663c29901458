"""Made-up days, for benches and tests: the same seed gives the same day."""

import math
from dataclasses import replace

import numpy as np

from darp.model import LayoutChange, PinnedStop, Request, Stop, StopKind, Vehicle
from darp.problem import Matrix, Problem

_DAY = 14 * 60.0


def _travel(places: Matrix, *, minutes_per_km: float = 2.0, detour: float = 1.3) -> Matrix:
    """Minutes between places in km, by default at 30 km/h on roads that are 1.3 times as long as the crow flies."""
    apart = places[:, None, :] - places[None, :, :]
    return np.asarray(np.hypot(apart[..., 0], apart[..., 1]) * detour * minutes_per_km)


def clinic_day(requests: int = 200, vehicles: int = 30, seed: int = 7) -> Problem:
    """A day of patient transport, in minutes: half of the people go to one of six medical centres, half come back."""
    random = np.random.default_rng(seed)
    centres = random.uniform(-6, 6, (6, 2))
    homes = random.uniform(-12, 12, (requests, 2))
    durations = _travel(np.vstack([[[0.0, 0.0]], centres, homes]))
    depot = Stop(place=0, latest=_DAY)
    made = []
    for number in range(requests):
        home, centre = 7 + number, 1 + int(random.integers(6))
        direct = float(durations[home, centre])
        when = float(random.uniform(60 + direct, _DAY - 120))
        tight = {"earliest": when, "latest": when + (15 if number % 2 == 0 else 30), "service": 5.0}
        loose = {"earliest": 0.0, "latest": _DAY, "service": 5.0}
        outbound = number % 2 == 0
        made.append(
            Request(
                id=f"r{number}",
                pickup=Stop(place=home, **loose) if outbound else Stop(place=centre, **tight),
                dropoff=Stop(place=centre, **tight) if outbound else Stop(place=home, **loose),
                load=(1 if random.random() < 0.75 else 2,),
                max_ride=max(60.0, direct + 5.0),
            )
        )
    fleet = (Vehicle(id=f"v{number}", start=depot, end=depot, layouts=((3,),)) for number in range(vehicles))
    return Problem(durations=durations, requests=tuple(made), vehicles=tuple(fleet))


def varied_day(requests: int, vehicles: int, seed: int) -> Problem:
    """A small day with every rule: several depots, shifts, layouts, skills, lists, bonuses, pinned stops, people on board.

    Travel times are of no metric, and costs are not times.
    """
    random = np.random.default_rng(seed)
    places = 2 * requests + 3
    durations = _travel(random.uniform(-5, 5, (places, 2)), minutes_per_km=1.0) * random.uniform(
        0.6, 1.4, (places, places)
    )
    costs = durations * random.uniform(0.5, 1.5, (places, places))
    fleet = [_varied_vehicle(random, number) for number in range(vehicles)]
    names = [vehicle.id for vehicle in fleet]
    people = [_varied_request(random, number, names, durations) for number in range(requests)]
    if requests and vehicles and random.random() < 0.4:
        fleet[0] = _pinned(random, fleet[0], people[0], durations)
    change = list(LayoutChange)[int(random.integers(3))]
    return Problem(
        durations=durations, costs=costs, requests=tuple(people), vehicles=tuple(fleet), layout_change=change
    )


def _varied_vehicle(random: np.random.Generator, number: int) -> Vehicle:
    begin = float(random.uniform(0, 40))
    layouts = (((4, 0),), ((4, 0), (2, 1)), ((3, 1), (1, 2)), ((3, 2),))[int(random.integers(4))]
    return Vehicle(
        id=f"v{number}",
        start=Stop(place=int(random.integers(3)), earliest=begin, latest=begin + 60),
        end=Stop(place=int(random.integers(3)), earliest=begin, latest=begin + float(random.uniform(120, 260))),
        layouts=layouts,
        skills=int(random.integers(4)),
        max_duration=math.inf if random.random() < 0.5 else float(random.uniform(60, 200)),
        fixed_cost=0.0 if random.random() < 0.5 else float(random.uniform(0, 20)),
    )


def _varied_request(random: np.random.Generator, number: int, vehicles: list[str], durations: Matrix) -> Request:
    from_place, to_place = 3 + 2 * number, 4 + 2 * number
    direct = float(durations[from_place, to_place])
    when, width = float(random.uniform(20, 160)), float(random.uniform(10, 80))
    picked = Stop(place=from_place, earliest=when, latest=when + width, service=float(random.uniform(0, 4)))
    dropped = Stop(place=to_place, earliest=when, latest=when + width + 60, service=float(random.uniform(0, 4)))

    def some(share: float) -> frozenset[str]:
        return frozenset(name for name in vehicles if random.random() < share)

    return Request(
        id=f"r{number}",
        pickup=picked,
        dropoff=dropped,
        load=((1, 0), (2, 0), (0, 1))[int(random.integers(3))],
        max_ride=direct * float(random.uniform(1.05, 2.5)) + 2,
        skills=int(random.choice([0, 0, 0, 1, 2])),
        allowed=None if random.random() < 0.8 else some(0.6),
        forbidden=some(0.1),
        preferred=some(0.2),
        bonus=float(random.uniform(0, 5)),
        share_class=("", "", "", "ward", f"r{number}")[int(random.integers(5))],
        release=when + float(random.uniform(-20, width)) if random.random() < 0.2 else -math.inf,
    )


def _pinned(random: np.random.Generator, vehicle: Vehicle, request: Request, durations: Matrix) -> Vehicle:
    """Pin the pickup of a request, sometimes its drop-off, sometimes as something that has happened."""
    kinds = (StopKind.PICKUP, StopKind.DROPOFF)[: int(random.integers(1, 3))]
    happened = random.random() < 0.5
    leave = request.pickup.earliest - float(durations[vehicle.start.place, request.pickup.place])
    at = max(leave, vehicle.start.earliest) + float(random.uniform(0, 10))
    prefix = [PinnedStop(request=request.id, kind=kind) for kind in kinds]
    started = None
    if happened:
        started = at
        prefix[0] = PinnedStop(request=request.id, kind=kinds[0], at=at + float(random.uniform(0, 20)))
    return replace(vehicle, prefix=tuple(prefix), started=started)
