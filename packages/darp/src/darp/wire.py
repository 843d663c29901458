"""A problem as JSON, schema 1: the fields of the classes by their names, `null` for what is unbounded."""

import hashlib
import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from darp.errors import ProblemError, UnsupportedError
from darp.model import LayoutChange, PinnedStop, Request, Stop, StopKind, Vehicle

if TYPE_CHECKING:
    from darp.problem import Problem

T = TypeVar("T")

SCHEMA = 1
# Rules of the field that this version does not plan; a problem that states one is refused.
LATER = {
    "requests": ("target", "together"),
    "vehicles": ("breaks", "overtime", "fairness", "target"),
}


def digest(text: str) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def problem_to_json(problem: "Problem") -> str:
    """See `Problem.to_json`."""
    document = {
        "schema": SCHEMA,
        "layout_change": problem.layout_change,
        "durations": problem.durations.tolist(),
        "costs": None if problem.costs is None else problem.costs.tolist(),
        "requests": [_request_out(request) for request in problem.requests],
        "vehicles": [_vehicle_out(vehicle) for vehicle in problem.vehicles],
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def problem_from_json(text: str | bytes) -> dict[str, Any]:
    """The arguments of `Problem`; raises `ProblemError`, `UnsupportedError`."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProblemError([f"not JSON: {error}"]) from None
    fields = _fields(document, "problem", {"schema", "durations", "requests", "vehicles"}, {"costs", "layout_change"})
    if fields.pop("schema") != SCHEMA:
        raise UnsupportedError([f"schema: this version reads {SCHEMA}"])
    fields["layout_change"] = _as("layout_change", LayoutChange, fields.get("layout_change", "when_empty"))
    for name, read in (("requests", _request_in), ("vehicles", _vehicle_in)):
        fields[name] = tuple(read(f"{name}[{number}]", one) for number, one in enumerate(_list(name, fields[name])))
    return fields


def _bound_out(value: float) -> float | None:
    return None if math.isinf(value) else value


def _stop_out(stop: Stop) -> dict[str, Any]:
    return {
        "place": stop.place,
        "earliest": stop.earliest,
        "latest": _bound_out(stop.latest),
        "service": stop.service,
    }


def _request_out(request: Request) -> dict[str, Any]:
    return {
        "id": request.id,
        "pickup": _stop_out(request.pickup),
        "dropoff": _stop_out(request.dropoff),
        "load": list(request.load),
        "max_ride": _bound_out(request.max_ride),
        "skills": request.skills,
        "allowed": None if request.allowed is None else sorted(request.allowed),
        "forbidden": sorted(request.forbidden),
        "preferred": sorted(request.preferred),
        "bonus": request.bonus,
        "penalty": request.penalty,
        "share_class": request.share_class,
        "release": _bound_out(request.release),
    }


def _vehicle_out(vehicle: Vehicle) -> dict[str, Any]:
    return {
        "id": vehicle.id,
        "start": _stop_out(vehicle.start),
        "end": _stop_out(vehicle.end),
        "layouts": [list(layout) for layout in vehicle.layouts],
        "skills": vehicle.skills,
        "max_duration": _bound_out(vehicle.max_duration),
        "fixed_cost": vehicle.fixed_cost,
        "prefix": [{"request": stop.request, "kind": stop.kind, "at": stop.at} for stop in vehicle.prefix],
        "started": vehicle.started,
    }


def _fields(
    value: object, path: str, needed: set[str], optional: set[str], later: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ProblemError([f"{path}: must be an object"])
    stated = [name for name in later if value.get(name)]
    if stated:
        raise UnsupportedError([f"{path}.{name}: this version does not plan it" for name in stated])
    reasons = [f"{path}.{name}: is missing" for name in sorted(needed - value.keys())]
    reasons += [
        f"{path}.{name}: there is no such field" for name in sorted(value.keys() - needed - optional - set(later))
    ]
    if reasons:
        raise ProblemError(reasons)
    return {name: field for name, field in value.items() if name not in later}


def _list(path: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ProblemError([f"{path}: must be a list"])
    return value


def _as(path: str, kind: Callable[[Any], T], value: object) -> T:
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        raise ProblemError([f"{path}: {value!r:.100} cannot be read"]) from None


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _bound(value: object) -> float:
    return math.inf if value is None else _number(value)


def _release(value: object) -> float:
    return -math.inf if value is None else _number(value)


def _maybe(value: object) -> float | None:
    return None if value is None else _number(value)


def _names(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        raise TypeError
    return frozenset(map(_text, value))


def _names_or_all(value: object) -> frozenset[str] | None:
    return None if value is None else _names(value)


def _amounts(value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(map(_whole, value))


def _layouts(value: object) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(map(_amounts, value))


_STOP: dict[str, Callable[[Any], Any]] = {"place": _whole, "earliest": _number, "latest": _bound, "service": _number}
_REQUEST: dict[str, Callable[[Any], Any]] = {
    "id": _text, "load": _amounts, "max_ride": _bound, "skills": _whole, "allowed": _names_or_all, "forbidden": _names,
    "preferred": _names, "bonus": _number, "penalty": _maybe, "share_class": _text, "release": _release,
}  # fmt: skip
_VEHICLE: dict[str, Callable[[Any], Any]] = {
    "id": _text, "layouts": _layouts, "skills": _whole, "max_duration": _bound, "fixed_cost": _number, "started": _maybe,
}  # fmt: skip


def _read(path: str, fields: dict[str, Any], readers: dict[str, Callable[[Any], Any]]) -> dict[str, Any]:
    return {name: _as(f"{path}.{name}", readers[name], value) for name, value in fields.items() if name in readers}


def _stop_in(path: str, value: object) -> Stop:
    return Stop(**_read(path, _fields(value, path, {"place"}, set(_STOP)), _STOP))


def _request_in(path: str, value: object) -> Request:
    fields = _fields(value, path, {"id", "pickup", "dropoff"}, set(_REQUEST), LATER["requests"])
    pickup, dropoff = (_stop_in(f"{path}.{name}", fields[name]) for name in ("pickup", "dropoff"))
    return Request(pickup=pickup, dropoff=dropoff, **_read(path, fields, _REQUEST))


def _vehicle_in(path: str, value: object) -> Vehicle:
    fields = _fields(value, path, {"id", "start", "end"}, {*_VEHICLE, "prefix"}, LATER["vehicles"])
    start, end = (_stop_in(f"{path}.{name}", fields[name]) for name in ("start", "end"))
    listed = _list(f"{path}.prefix", fields.get("prefix", []))
    prefix = tuple(_pinned(f"{path}.prefix[{number}]", one) for number, one in enumerate(listed))
    return Vehicle(start=start, end=end, prefix=prefix, **_read(path, fields, _VEHICLE))


def _pinned(path: str, value: object) -> PinnedStop:
    fields = _fields(value, path, {"request", "kind"}, {"at"})
    return PinnedStop(
        request=_as(f"{path}.request", _text, fields["request"]),
        kind=_as(f"{path}.kind", StopKind, fields["kind"]),
        at=_as(f"{path}.at", _maybe, fields.get("at")),
    )
