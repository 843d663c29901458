"""How well providers did lately: share of good answers and latency, per provider and operation group."""

from collections import deque
from dataclasses import dataclass, field

_WEIGHT = 0.1
_SAMPLES = 64
_LEAST_SAMPLES = 8
DEFAULT_P95_MS = 1500.0


@dataclass(slots=True)
class Health:
    """A moving picture. success: 0..1, a newcomer is trusted a little less than a proven one."""

    success: float = 0.95
    ewma_ms: float | None = None
    last_error: str = ""
    _samples: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))

    def note(self, *, ok: bool, ms: float, error: str = "") -> None:
        """Count one attempt."""
        self.success += _WEIGHT * (ok - self.success)
        if not ok:
            self.last_error = error
            return
        self.ewma_ms = ms if self.ewma_ms is None else self.ewma_ms + _WEIGHT * (ms - self.ewma_ms)
        self._samples.append(ms)

    @property
    def p95_ms(self) -> float:
        """What nineteen of twenty good answers took at most; a guess before there were eight."""
        if len(self._samples) < _LEAST_SAMPLES:
            return DEFAULT_P95_MS
        ordered = sorted(self._samples)
        return ordered[int(0.95 * (len(ordered) - 1))]
