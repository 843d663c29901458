"""The control routes under `/_sim`: see what reached the simulator, set limits, order faults, move the clock."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import wraps
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ossature.sim.faults import Fault, FaultError
from ossature.sim.journal import KEPT
from ossature.sim.lab import Lab, UnknownProviderError
from ossature.sim.limits import Limit, LimitError
from ossature.sim.wire import InputError, Json, whole

Endpoint = Callable[[Request], Awaitable[Response]]


class OrderError(ValueError):
    """The order to the simulator is malformed."""


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


def _explained(endpoint: Endpoint) -> Endpoint:
    """Answer 422 with the reason when the order is malformed."""

    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except UnknownProviderError as unknown:
            return _json({"error": f"There is no simulated provider {unknown.args[0]!r}."}, 422)
        except (OrderError, FaultError, LimitError) as bad:
            return _json({"error": str(bad)}, 422)

    return answer


async def _order(request: Request) -> Json:
    try:
        order: Json = orjson.loads(await request.body())
    except orjson.JSONDecodeError as wrong:
        raise OrderError(f"The body is not JSON: {wrong}.") from None
    return order


async def _mapping(request: Request) -> Mapping[str, Any]:
    order = await _order(request)
    if not isinstance(order, dict):
        raise OrderError("The body must be a JSON object.")
    return order


class _Control:
    """The endpoints."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    async def index(self, _: Request) -> Response:
        """Return the providers with their operations and limits, the seed and the clock."""
        providers = {
            name: {
                "paths": [f"{route.method} /{name}{route.path}" for route in site.provider.routes],
                "key": site.provider.credential.place,
                "needs_contact": site.provider.needs_contact,
                "limits": [str(limit) for limit in site.windows.limits],
            }
            for name, site in self._lab.sites.items()
        }
        return _json({"seed": self._lab.seed, "clock": self._clock_state(), "providers": providers})

    async def requests(self, request: Request) -> Response:
        """Return counts per provider and the recent requests, newest first (`?provider=`, `?limit=`).

        abandoned: slow streams that their caller left before the end.
        """
        provider = request.query_params.get("provider")
        try:
            limit = whole(request.query_params, "limit", otherwise=50, least=0, most=KEPT)
        except InputError:
            raise OrderError(f"'limit' must be a whole number up to {KEPT}.") from None
        chosen = self._lab.sites if provider is None else {provider: self._lab.site(provider)}
        counts = {
            name: {
                "reached": site.reached,
                "abandoned": site.abandoned,
                "by_status": {str(status): count for status, count in sorted(site.statuses.items())},
                "by_operation": {name or "none": count for name, count in sorted(site.operations.items())},
            }
            for name, site in chosen.items()
            if site.reached or provider
        }
        return _json(
            {
                "total": sum(site.reached for site in chosen.values()),
                "providers": counts,
                "recent": self._lab.journal.recent(provider=provider, most=limit),
            }
        )

    async def limits(self, request: Request) -> Response:
        """Return the limits in force; POST `{"open_meteo": ["100/minute"]}` replaces them (null = its own again)."""
        if request.method == "POST":
            order = await _mapping(request)
            parsed = {name: self._parse_limits(name, texts) for name, texts in order.items()}
            for name, limits in parsed.items():
                self._lab.site(name).limit(limits)
        return _json({name: [str(limit) for limit in site.windows.limits] for name, site in self._lab.sites.items()})

    def _parse_limits(self, name: str, texts: object) -> tuple[Limit, ...]:
        site = self._lab.site(name)
        if texts is None:
            return site.provider.limits
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise LimitError(f"The limits of {name} must be a list of texts such as '600/minute'.")
        return tuple(map(Limit.parse, texts))

    async def faults(self, request: Request) -> Response:
        """Return the faults in force; POST one object, or a list of them, adds; DELETE ends all."""
        if request.method == "POST":
            order = await _order(request)
            orders = order if isinstance(order, list) else [order]
            self._lab.faults.add([Fault.parse(each, providers=self._lab.sites) for each in orders])
        elif request.method == "DELETE":
            self._lab.faults.replace(())
        return _json({"items": [{**asdict(fault), "left": left} for fault, left in self._lab.faults.listed()]})

    async def reset(self, _: Request) -> Response:
        """Go back to the moment of the start."""
        self._lab.reset()
        return Response(status_code=204)

    async def clock(self, request: Request) -> Response:
        """Return the clock; POST `{"set": "2026-03-01T12:00:00Z"}`, `{"advance_s": 60}` or `{"real": true}` moves it."""
        if request.method == "POST":
            order = await _mapping(request)
            try:
                self._move(order)
            except OverflowError:
                raise OrderError("That moment is beyond the calendar.") from None
        return _json(self._clock_state())

    async def state(self, request: Request) -> Response:
        """Return a part of what a provider remembers; POST changes it."""
        site, what = self._lab.site(request.path_params["provider"]), request.path_params["what"]
        if site.state is None:
            raise OrderError("This provider remembers nothing.")
        if request.method == "POST":
            try:
                site.state.order(what, await _mapping(request), self._lab.clock.now())
            except ValueError as wrong:
                raise OrderError(str(wrong)) from None
            self._lab.keep()
            return Response(status_code=204)
        found = site.state.show(what)
        return _json(found) if found is not None else _json({"error": f"It has no {what!r}."}, 404)

    def _move(self, order: Mapping[str, Any]) -> None:
        clock = self._lab.clock
        match order:
            case {"set": str(text), **rest} if not rest:
                try:
                    at = datetime.fromisoformat(text)
                except ValueError:
                    raise OrderError(f"{text!r} is not an ISO 8601 moment.") from None
                if at.tzinfo is None:
                    raise OrderError("'set' needs a zone, such as Z.")
                clock.set(at)
            case {"advance_s": int() | float() as seconds, **rest} if not rest and not isinstance(seconds, bool):
                clock.advance(seconds)
            case {"real": True, **rest} if not rest:
                clock.follow()
            case _:
                raise OrderError("Give one of 'set' (ISO 8601), 'advance_s' (seconds), 'real' (true).")

    def _clock_state(self) -> dict[str, str]:
        clock = self._lab.clock
        return {"now": clock.now().isoformat().replace("+00:00", "Z"), "mode": clock.mode}


def control_app(lab: Lab) -> ASGIApp:
    """Return the control routes as an application of their own."""
    control = _Control(lab)
    return Starlette(
        routes=[
            Route("/_sim", _explained(control.index)),
            Route("/_sim/requests", _explained(control.requests)),
            Route("/_sim/limits", _explained(control.limits), methods=["GET", "POST"]),
            Route("/_sim/faults", _explained(control.faults), methods=["GET", "POST", "DELETE"]),
            Route("/_sim/reset", _explained(control.reset), methods=["POST"]),
            Route("/_sim/clock", _explained(control.clock), methods=["GET", "POST"]),
            Route("/_sim/{provider}/{what}", _explained(control.state), methods=["GET", "POST"]),
        ],
    )
