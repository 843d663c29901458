"""The limits an upstream enforces, written as text: `600/minute`, `6000 tokens/minute`, `1/second by all`."""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

Period = Literal["second", "minute", "hour", "day", "month"]

_SLIDING_S: Mapping[str, float] = {"second": 1.0, "minute": 60.0}
# A caller that keeps the pace exactly is not punished for the jitter of the network.
JITTER_S = 0.02
_TEXT = re.compile(r"(?P<most>\d+)(?: (?P<unit>[\w.:/@-]+?))?/(?P<period>[a-z]+)(?P<everyone> by all)?")


class LimitError(ValueError):
    """The text is not a limit."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` units per period.

    Seconds and minutes slide (never more in any true window); hours, days and months follow the UTC calendar.
    everyone: one window for all callers together, instead of one per key (or address, where there is no key).
    """

    most: int
    period: Period
    unit: str = "requests"
    everyone: bool = False

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Return the limit that the text states. Raises: LimitError."""
        found = _TEXT.fullmatch(text.strip())
        if found is None or found["period"] not in get_args(Period):
            raise LimitError(f"{text!r} is not a limit such as '600/minute' or '6000 tokens/minute by all'.")
        period: Period = found["period"]  # type: ignore[assignment]  # one of Period, checked above
        return cls(int(found["most"]), period, found["unit"] or "requests", everyone=bool(found["everyone"]))

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        unit = "" if self.unit == "requests" else f" {self.unit}"
        return f"{self.most}{unit}/{self.period}{' by all' if self.everyone else ''}"


@dataclass(frozen=True, slots=True)
class WindowState:
    """A limit after a request was admitted: what is left of it, and in how many seconds it is whole again."""

    limit: Limit
    remaining: int
    reset_s: float


def _calendar_start(period: Period, now: datetime) -> datetime:
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if period == "hour":
        return hour
    return hour.replace(hour=0) if period == "day" else hour.replace(hour=0, day=1)


def _calendar_end(period: Period, start: datetime) -> datetime:
    if period == "hour":
        return start + timedelta(hours=1)
    return start + timedelta(days=1) if period == "day" else (start + timedelta(days=32)).replace(day=1)


class Window:
    """What one caller has used of one limit."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._uses: deque[tuple[float, int]] = deque()
        self._used = 0
        self._start = datetime.min.replace(tzinfo=UTC)

    def _forget_the_past(self, now: datetime) -> None:
        span_s = _SLIDING_S.get(self.limit.period)
        if span_s is None:
            start = _calendar_start(self.limit.period, now)
            if start > self._start:
                self._start, self._used = start, 0
            return
        oldest_s = now.timestamp() - span_s + JITTER_S
        while self._uses and self._uses[0][0] <= oldest_s:
            self._used -= self._uses.popleft()[1]

    def room(self, now: datetime) -> int:
        """Return how many units are left at this moment."""
        self._forget_the_past(now)
        return self.limit.most - self._used

    def charge(self, units: int, now: datetime) -> None:
        """Count the units as used now."""
        self._used += units
        if self.limit.period in _SLIDING_S:
            self._uses.append((now.timestamp(), units))

    def wait_s(self, units: int, now: datetime) -> float:
        """Return in how many seconds that many units will be free."""
        span_s = _SLIDING_S.get(self.limit.period)
        if span_s is None:
            return (_calendar_end(self.limit.period, self._start) - now).total_seconds()
        free = self.limit.most - self._used
        for at_s, used in self._uses:
            free += used
            if free >= units:
                return max(0.0, at_s + span_s - now.timestamp())
        return span_s

    def state(self, now: datetime) -> WindowState:
        """Return what is left and when nothing of it will be used any more."""
        room = max(0, self.room(now))
        return WindowState(self.limit, room, self.wait_s(self.limit.most, now) if self._used else 0.0)


class Windows:
    """All windows of one upstream: one per limit and caller."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        self.limits = tuple(limits)
        self._windows: dict[tuple[Limit, str], Window] = {}

    def _of(self, caller: str, units: Mapping[str, int]) -> list[Window]:
        found = []
        for limit in self.limits:
            if limit.unit in units or limit.unit == "tokens":
                subject = (limit, "" if limit.everyone else caller)
                found.append(self._windows.setdefault(subject, Window(limit)))
        return found

    def refuse(
        self, caller: str, units: Mapping[str, int], *, now: datetime, stricter_by: int = 0
    ) -> tuple[Limit, float] | None:
        """Return the full window that stands in the way and the seconds to wait, or None and charge all windows.

        Units that are known only after the answer (`tokens`) need one free unit here and are charged later.
        stricter_by: how much lower than stated every limit is (a fault).
        """
        windows = self._of(caller, units)
        for window in windows:
            wanted = units.get(window.limit.unit, 1)
            if window.room(now) - stricter_by < wanted:
                return window.limit, window.wait_s(wanted + stricter_by, now)
        for window in windows:
            if window.limit.unit in units:
                window.charge(units[window.limit.unit], now)
        return None

    def charge(self, caller: str, units: Mapping[str, int], *, now: datetime) -> None:
        """Count what an answer has cost."""
        for window in self._of(caller, units):
            if window.limit.unit in units:
                window.charge(units[window.limit.unit], now)

    def states(self, caller: str, units: Mapping[str, int], *, now: datetime) -> tuple[WindowState, ...]:
        """Return the windows that hold for a request of this caller with these units."""
        return tuple(window.state(now) for window in self._of(caller, units))
