"""One upstream as it runs: finds the path, checks key, contact and limits, answers, misbehaves when ordered to."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from starlette.routing import compile_path

from ossature.sim.breakage import AT_ONCE, Delivery, break_reply
from ossature.sim.faults import (
    BESIDE_OTHERS,
    CLOCK_SKEW,
    GOOD_ANSWERS_ONLY,
    OFF_BY_ONE_LIMIT,
    SLOW,
    STREAMS_ONLY,
    Fault,
    FaultBook,
    Kind,
)
from ossature.sim.limits import Limit, Windows
from ossature.sim.provider import Provider, Route, is_valid_key, names_a_contact
from ossature.sim.wire import NOTHING, Reason, Refusal, Reply, Request

_DEFAULT_DELAY_MS = 2_000
_DEFAULT_SKEW_MS = 300_000
_STRIKES_ALONE = frozenset(Kind) - BESIDE_OTHERS


@dataclass(slots=True)
class _Refused(Exception):  # noqa: N818 - a refusal, not an error of ours
    refusal: Refusal


class Answer(NamedTuple):
    """A reply on its way: the operation it belongs to ("" = none), and the upstream's time."""

    operation: str
    reply: Reply
    delivery: Delivery
    now: datetime


class Site:
    """One provider with its counters, windows and faults."""

    def __init__(self, provider: Provider, *, faults: FaultBook, limits: Iterable[Limit]) -> None:
        self.provider = provider
        self._faults = faults
        self._exact = {(route.method, route.path): route for route in provider.routes if "{" not in route.path}
        self._patterns = tuple((compile_path(route.path)[0], route) for route in provider.routes if "{" in route.path)
        self.reset(limits)

    def reset(self, limits: Iterable[Limit]) -> None:
        """Forget everything that reached it and enforce these limits."""
        self.windows = Windows(limits)
        self.reached = 0
        self.abandoned = 0
        self.statuses: Counter[int] = Counter()
        self.operations: Counter[str] = Counter()
        self.under_way: set[int] = set()
        self.state = self.provider.new_state() if self.provider.new_state is not None else None

    def limit(self, limits: Iterable[Limit]) -> None:
        """Enforce these limits from now on, with fresh windows."""
        self.windows = Windows(limits)

    def answer(self, request: Request) -> Answer:
        """Return what this upstream says to the request."""
        self.reached += 1
        operation, delivery = "", AT_ONCE
        try:
            route, args = self._find(request.method, request.path)
            request = replace(request, args=args) if args else request
            operation = route.operation_of(request)
            request = self._on_its_clock(request, operation)
            reply = self._serve(request, route, operation=operation)
            if self._faults:
                reply, delivery = self._misbehave(reply, route, operation=operation)
        except _Refused as refused:
            reply = self.provider.refuse(refused.refusal)
        self.operations[operation] += 1
        self.statuses[reply.status] += 1
        return Answer(operation, reply, delivery, request.now)

    def _find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        route = self._exact.get((method, path))
        if route is not None:
            return route, NOTHING
        other_method = any(known == path for _, known in self._exact)
        for pattern, candidate in self._patterns:
            match = pattern.match(path)
            if match and candidate.method == method:
                return candidate, match.groupdict()
            other_method = other_method or match is not None
        if other_method:
            raise _Refused(Refusal(reason=Reason.WRONG_METHOD, status=405))
        raise _Refused(Refusal(reason=Reason.NO_SUCH_PATH, status=404))

    def _on_its_clock(self, request: Request, operation: str) -> Request:
        skew = self._faults and self._faults.strike(self.provider.id, operation, kinds=CLOCK_SKEW)
        if not skew:
            return request
        skew_ms = _DEFAULT_SKEW_MS if skew.ms is None else skew.ms
        return replace(request, now=request.now + timedelta(milliseconds=skew_ms))

    def _serve(self, request: Request, route: Route, *, operation: str) -> Reply:
        """Return the true answer. Raises: _Refused."""
        provider = self.provider
        caller = self._check_caller(request)
        if not self.windows.limits:
            return route.handler(request)
        units = provider.units(request)
        stricter = self._faults and self._faults.strike(provider.id, operation, kinds=OFF_BY_ONE_LIMIT)
        full = self.windows.refuse(caller, units, now=request.now, stricter_by=1 if stricter else 0)
        if full is not None:
            limit, wait_s = full
            raise _Refused(
                Refusal(
                    reason=Reason.THROTTLED,
                    status=429,
                    limit=limit,
                    resets_at=request.now + timedelta(seconds=wait_s),
                    retry_after_s=max(1, math.ceil(wait_s)),
                ),
            )
        states = self.windows.states(caller, units, now=request.now)
        reply = route.handler(replace(request, windows=states))
        if reply.units:
            self.windows.charge(caller, reply.units, now=request.now)
        return reply

    def _check_caller(self, request: Request) -> str:
        """Return whose windows count: the key, or the address. Raises: _Refused."""
        provider = self.provider
        if provider.needs_contact and not names_a_contact(request.header(b"user-agent")):
            raise _Refused(Refusal(reason=Reason.NO_CONTACT, status=403))
        if provider.credential.place == "none":
            return request.client
        key = provider.credential.presented(request)
        if not key:
            raise _Refused(Refusal(reason=Reason.NO_KEY, status=401))
        if not is_valid_key(provider.id, key):
            raise _Refused(Refusal(reason=Reason.WRONG_KEY, status=401, key=key))
        return key

    def _misbehave(self, reply: Reply, route: Route, *, operation: str) -> tuple[Reply, Delivery]:
        possible = _STRIKES_ALONE
        if reply.status != 200:
            possible = possible - GOOD_ANSWERS_ONLY
        elif not reply.events:
            possible = possible - STREAMS_ONLY
        fault = self._faults.strike(self.provider.id, operation, kinds=possible)
        delivery = AT_ONCE
        if fault is not None:
            reply, delivery = break_reply(reply, fault, provider=self.provider, route=route)
        slow = self._faults.strike(self.provider.id, operation, kinds=SLOW)
        return reply, delivery if slow is None else _late(delivery, slow)


def _late(delivery: Delivery, slow: Fault) -> Delivery:
    delay_ms = slow.ms if slow.ms is not None else 0 if slow.gap_ms else _DEFAULT_DELAY_MS
    return replace(delivery, delay_s=delay_ms / 1000, gap_s=max(delivery.gap_s, slow.gap_ms / 1000))
