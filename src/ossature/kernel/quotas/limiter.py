"""Rate limits at the edge: every request is counted against its caller, its tenant and its address at once.

Without Redis each process counts for itself, with limits divided by the number of processes. With Redis the windows are
shared (see `shared.py`); while Redis is away this process goes on alone with divided limits, and a metric says so.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Gauge

from ossature.kernel import clock
from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.http.ports import Identity, RateState
from ossature.kernel.quotas.rates import RateBook
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.quotas.window import Window, WindowSpec

if TYPE_CHECKING:
    from ossature.kernel.quotas.shared import SharedWindows

log = structlog.get_logger()

REFUSED = Counter("quotas_rate_refused_total", "Requests over a rate limit.", ["rate", "window"])
ALONE = Counter("quotas_rate_alone_total", "Requests that were counted in this process since Redis was away.")
SHARED_UP = Gauge(
    "quotas_rate_shared_up", "1 while rate limits are counted in Redis, 0 while it is away.", multiprocess_mode="min"
)

_SETS_MOST = 50_000
_SWEEP_EVERY_S = 30.0
_UNLIMITED = RateState(allowed=True)

_Key = tuple[str, str, str, str]
"""Caller, class of routes, address and plan."""


class WindowSet:
    """The windows that one caller meets at one class of routes from one address, and what is said of them."""

    __slots__ = ("policy", "windows")

    def __init__(self, windows: Sequence[Window]) -> None:
        self.windows = tuple(windows)
        stated = ", ".join(f'"{w.spec.name}";q={w.limit};w={w.seconds}' for w in windows)
        self.policy = (b"ratelimit-policy", stated.encode())


class EdgeLimiter:
    """The `Limiter` of the edge. One per process."""

    def __init__(
        self,
        settings: QuotaSettings,
        book: RateBook,
        *,
        processes: int = 1,
        shared: "SharedWindows | None" = None,
        time_s: Callable[[], float] = clock.unix_s,
    ) -> None:
        """processes: how many of them count for themselves when no Redis joins them."""
        self._settings = settings
        self._book = book
        self._version = book.version
        self._processes = processes
        self._shared = shared
        self._time_s = time_s
        self._sets: dict[_Key, WindowSet] = {}
        self._sets_alone: dict[_Key, WindowSet] = {}
        self._windows: dict[tuple[str, str, bool], Window] = {}
        self._shared_rests_until_s = 0.0
        self._swept_s = time_s()
        if shared is not None:
            SHARED_UP.set(1)

    def admit(self, identity: Identity, rate: str, ip: str) -> RateState | None:
        """Count one request in this process; None when a slice of the shared windows has to be taken first."""
        if not self._settings.enabled:
            return _UNLIMITED
        now_s = self._time_s()
        if not 0 <= now_s - self._swept_s <= _SWEEP_EVERY_S:  # also after a clock was set back
            self._sweep(now_s)
        if self._shared is None:
            return self._admit_alone(identity, rate, ip, now_s)
        if 0 < self._shared_rests_until_s - now_s <= self._settings.shared_retry_s:
            ALONE.inc()
            return self._admit_alone(identity, rate, ip, now_s)
        windows = self._set(identity, rate, ip, divided=False)
        return _allowed(windows, now_s) if self._shared.spend(windows.windows) else None

    async def admit_shared(self, identity: Identity, rate: str, ip: str) -> RateState:
        """Count one request in Redis; in this process when Redis is away."""
        if self._shared is None:
            return self._admit_alone(identity, rate, ip, self._time_s())
        windows = self._set(identity, rate, ip, divided=False)
        try:
            allowed = await self._shared.take(windows.windows)
        except self._shared.faults as error:
            log.warning("quotas.shared_counter_away", error=repr(error))
            SHARED_UP.set(0)
            ALONE.inc()
            self._shared_rests_until_s = self._time_s() + self._settings.shared_retry_s
            return self._admit_alone(identity, rate, ip, self._time_s())
        SHARED_UP.set(1)
        now_s = self._time_s()
        return _allowed(windows, now_s) if allowed else _refused(windows, rate, now_s)

    def _admit_alone(self, identity: Identity, rate: str, ip: str, now_s: float) -> RateState:
        windows = self._set(identity, rate, ip, divided=True)
        for window in windows.windows:
            if window.left(now_s) < 1:
                return _refused(windows, rate, now_s)
        for window in windows.windows:
            window.count += 1
        return _allowed(windows, now_s)

    def _set(self, identity: Identity, rate: str, ip: str, *, divided: bool) -> WindowSet:
        if self._version != self._book.version:
            self._version = self._book.version
            self._sets.clear()
            self._sets_alone.clear()
        sets = self._sets_alone if divided else self._sets
        key = (identity.subject, rate, ip, identity.tenant.plan)
        found = sets.get(key)
        if found is None:
            found = sets[key] = WindowSet(
                [self._window(spec, divided=divided) for spec in self._specs(identity, rate, ip)]
            )
        return found

    def _window(self, spec: WindowSpec, *, divided: bool) -> Window:
        key = (spec.key, spec.name, divided)
        found = self._windows.get(key)
        divided_by = self._processes if divided else 1
        if found is None:
            found = self._windows[key] = Window(spec, divided_by=divided_by)
        elif found.spec.limit != spec.limit:
            found.resize(spec, divided_by=divided_by)
        return found

    def _specs(self, identity: Identity, rate: str, ip: str) -> list[WindowSpec]:
        """The caller's own windows, and wider ones of the tenant and of the address."""
        plan = identity.tenant.plan
        known = self._book.of(plan, rate)
        subject, tenant_id = identity.subject, identity.tenant.id
        specs = [
            WindowSpec(f"{subject}:{known.name}", f"{known.name}-{seconds}", limit, seconds)
            for limit, seconds in known.windows
        ]
        limit, seconds = known.windows[0]
        factors = self._settings
        if tenant_id != SYSTEM_TENANT_ID:
            most = int(limit * factors.tenant_factor)
            specs.append(WindowSpec(f"tenant:{tenant_id}:{known.name}", f"{known.name}-tenant", most, seconds))
        if ip and not subject.startswith("ip:"):
            most = int(limit * factors.address_factor)
            # Tenants behind one address may be on different plans: each plan has a count of its own there.
            scope = f"{known.name}@{plan}" if self._book.own(plan, rate) else known.name
            specs.append(WindowSpec(f"ip:{ip}:{scope}", f"{known.name}-ip", most, seconds))
        return specs

    def _sweep(self, now_s: float) -> None:
        """Forget windows in which nothing counts any more, so that memory follows the callers of today."""
        self._swept_s = now_s
        self._windows = {key: w for key, w in self._windows.items() if not w.is_over(now_s)}
        living = {id(window) for window in self._windows.values()}
        for sets in (self._sets, self._sets_alone):
            gone = [key for key, one in sets.items() if not all(id(w) in living for w in one.windows)]
            for key in gone:
                del sets[key]
            while len(sets) > _SETS_MOST:
                del sets[next(iter(sets))]
        if self._shared is not None:
            self._shared.drop_old()


def _allowed(windows: WindowSet, now_s: float) -> RateState:
    tightest, left = windows.windows[0], windows.windows[0].left(now_s)
    for window in windows.windows[1:]:
        here = window.left(now_s)
        if here * tightest.limit < left * window.limit:
            tightest, left = window, here
    return RateState(True, (windows.policy, _state(tightest, left, now_s)))  # noqa: FBT003 - the hot path; `allowed`


def _refused(windows: WindowSet, rate: str, now_s: float) -> RateState:
    waits = [(window.wait_s(now_s), window) for window in windows.windows]
    wait_s, window = max(waits, key=lambda pair: pair[0])
    REFUSED.labels(rate, window.spec.name).inc()
    # A shared window may have reopened between the counting and this answer: never invite an immediate repeat.
    return RateState(
        allowed=False,
        headers=(windows.policy, _state(window, 0, now_s)),
        retry_after_s=max(wait_s, 0.05),
        window=window.spec.name,
    )


def _state(window: Window, left: float, now_s: float) -> tuple[bytes, bytes]:
    """The RateLimit field. Source: draft-ietf-httpapi-ratelimit-headers-10, 4."""
    stated = f'"{window.spec.name}";r={max(0, int(left))};t={window.resets_in_s(now_s)}'
    return (b"ratelimit", stated.encode())
