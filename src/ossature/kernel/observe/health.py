"""Whether the house is well: its checks, run together, each within its time limit."""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Gauge

from ossature.kernel.observe.logs import masker
from ossature.kernel.service import Check, CheckResult, Health

if TYPE_CHECKING:
    from ossature.kernel.house import House

log = structlog.get_logger()

STATE = Gauge(
    "health_state",
    "How a part was at the last look: 0 well, 1 degraded, 2 down.",
    ["check"],
    multiprocess_mode="livemax",
)
_STATES = {Health.OK: 0, Health.DEGRADED: 1, Health.DOWN: 2}
# Probes come every few seconds from several sides; the answer of one is good enough for the next.
CACHE_S = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and how long it took."""

    name: str
    health: Health
    ready: bool
    latency_ms: float
    detail: str = ""
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks found. health: the worst of them. failing: names of those that keep the house from serving."""

    health: Health
    findings: Sequence[Finding]

    @property
    def failing(self) -> Sequence[str]:
        """The checks that readiness depends on and that are down."""
        return [finding.name for finding in self.findings if finding.ready and finding.health is Health.DOWN]

    def of(self, health: Health) -> Sequence[str]:
        """The checks that found this."""
        return [finding.name for finding in self.findings if finding.health is health]

    @property
    def ready(self) -> bool:
        """Whether requests may be sent here."""
        return not self.failing


class Inspector:
    """Runs checks. `draining` makes readiness fail while the process still serves: set it before it stops."""

    def __init__(self, checks: Sequence[Check], house: "House") -> None:
        self._checks = tuple(checks)
        self._house = house
        self._kept: dict[bool, tuple[float, Report]] = {}
        self._running = {only_ready: asyncio.Lock() for only_ready in (True, False)}
        """One look of each kind at a time; a part that hangs and is not needed keeps nobody from asking for readiness."""
        self.draining = False

    async def ready(self) -> Report:
        """The checks that decide whether this process should get requests; at most one second old."""
        if self.draining:
            gone = Finding("process", Health.DOWN, ready=True, latency_ms=0.0, detail="This process is about to stop.")
            return Report(Health.DOWN, [gone])
        return await self._recent(only_ready=True)

    async def everything(self) -> Report:
        """All checks; at most one second old."""
        return await self._recent(only_ready=False)

    async def keep_looking(self, interval_s: float = 30.0) -> None:
        """Look at everything until cancelled, so that Prometheus sees how each part is (`health_state`)."""
        while True:
            await self.everything()
            await asyncio.sleep(interval_s)

    async def _recent(self, *, only_ready: bool) -> Report:
        async with self._running[only_ready]:
            at, report = self._kept.get(only_ready, (0.0, None))
            if report is None or time.monotonic() - at > CACHE_S:
                chosen = [check for check in self._checks if check.ready or not only_ready]
                report = await inspect(chosen, self._house)
                self._kept[only_ready] = (time.monotonic(), report)
        return report


async def inspect(checks: Sequence[Check], house: "House") -> Report:
    """Run checks at the same time; one that fails, or takes too long, is a finding like others."""
    findings = await asyncio.gather(*(_run(check, house) for check in checks))
    worst = Health.OK
    for finding in findings:
        STATE.labels(finding.name).set(_STATES[finding.health])
        if finding.health is Health.DOWN:
            worst = Health.DOWN
        elif finding.health is Health.DEGRADED and worst is Health.OK:
            worst = Health.DEGRADED
    return Report(worst, findings)


async def _run(check: Check, house: "House") -> Finding:
    started = time.perf_counter()
    outcome = (await asyncio.gather(_limited(check.run(house), check.time_limit_s), return_exceptions=True))[0]
    latency_ms = round((time.perf_counter() - started) * 1000, 2)
    if isinstance(outcome, CheckResult):
        return Finding(
            check.name, outcome.health, check.ready, latency_ms, outcome.detail, outcome.advice, dict(outcome.facts)
        )
    if isinstance(outcome, TimeoutError):
        detail = f"No answer within {check.time_limit_s:g} s."
    elif isinstance(outcome, Exception):
        detail = masker.text(f"{type(outcome).__name__}: {outcome}".splitlines()[0][:300])  # drivers quote addresses
        log.warning("health.check_failed", check=check.name, detail=detail)
    else:
        raise outcome
    return Finding(check.name, Health.DOWN, check.ready, latency_ms, detail)


async def _limited(result: Awaitable[CheckResult], limit_s: float) -> CheckResult:
    async with asyncio.timeout(limit_s):
        return await result
