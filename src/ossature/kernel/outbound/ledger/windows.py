"""The arithmetic of windows: which stretch of time counts now, and when there will be room.

Pure. Instants are microseconds since 1970 in UTC: a counter's key must be exact, in three kinds of store.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ossature.kernel.outbound.ledger.values import PACE_MOST_WAIT_S, Period, WindowSpec

SECOND_US = 1_000_000
FOREVER_US = 1 << 60
"""Later than all cells: a window that rolls also counts what lies in its future, in case a clock was set back."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_STEPS = 10
"""Sub-buckets of a sliding window. Eleven are counted, so that any true window lies within them."""


@dataclass(frozen=True, slots=True)
class Span:
    """What a window counts at an instant: cells from `first_us` to `last_us`, both included.

    cell_us: the cell that takes new units. ends_us: when that cell stops counting.
    """

    first_us: int
    last_us: int
    cell_us: int
    ends_us: int


def to_us(at: datetime) -> int:
    """An aware instant as microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def to_datetime(us: int) -> datetime:
    """Microseconds since 1970 as an aware instant, UTC."""
    return _EPOCH + timedelta(microseconds=us)


def span(spec: WindowSpec, now_us: int) -> Span:
    """What a counting window counts now. A `pace` counts nothing: see `slot`."""
    if spec.period is not None:
        starts_us, ends_us = _calendar(spec.period, spec.zone, now_us)
        return Span(starts_us, starts_us, starts_us, ends_us)
    length_us = length(spec)
    if spec.kind == "log":
        return Span(now_us - length_us, FOREVER_US, now_us, now_us + length_us + 1)
    if spec.kind == "sliding":
        step_us = sub_bucket(spec)
        cell_us = now_us - now_us % step_us
        return Span(cell_us - _STEPS * step_us, FOREVER_US, cell_us, cell_us + (_STEPS + 1) * step_us)
    starts_us = now_us - now_us % length_us
    return Span(starts_us, starts_us, starts_us, starts_us + length_us)


def sub_bucket(spec: WindowSpec) -> int:
    """A tenth of a sliding window, in microseconds, rounded up."""
    return -(-length(spec) // _STEPS)


def length(spec: WindowSpec, now_us: int = 0) -> int:
    """How long a window is, in microseconds; a calendar's at that instant."""
    if spec.seconds is not None:
        return max(1, round(spec.seconds * SECOND_US))
    assert spec.period is not None  # noqa: S101 - a spec has one of them
    starts_us, ends_us = _calendar(spec.period, spec.zone, now_us)
    return ends_us - starts_us


def limit_at(spec: WindowSpec, now_us: int) -> int:
    """The limit in force at an instant."""
    if not spec.limits:
        return spec.limit
    local = to_datetime(now_us).astimezone(ZoneInfo(spec.zone)).time()
    return next((each.limit for each in spec.limits if each.covers(local)), spec.limit)


def steady(spec: WindowSpec, now_us: int) -> tuple[int, int]:
    """From when until when a fixed window and the limit stay what they are now; the end is not part of it."""
    changes = _limit_changes(spec, now_us)
    starts = [at for at in changes if at <= now_us]
    ends = [at for at in changes if at > now_us]
    if spec.kind == "fixed":
        present = span(spec, now_us)
        starts.append(present.cell_us)
        ends.append(present.ends_us)
    return max(starts, default=0), min(ends, default=FOREVER_US)


def retry_after_s(spec: WindowSpec, now_us: int, units: int, leaving: Iterable[tuple[int, int]]) -> float | None:
    """Seconds until `units` may fit again, or None if they never do.

    leaving: (when, units) of what is counted now.
    """
    held = sorted(leaving)
    moments = {at for at, _ in held} | set(_limit_changes(spec, now_us))
    for moment in sorted(moments):
        if moment <= now_us:
            continue
        counted = sum(n for at, n in held if at > moment)
        if counted + units <= limit_at(spec, moment):
            return (moment - now_us) / SECOND_US
    return None


def slot(spec: WindowSpec, now_us: int, next_us: int) -> int:
    """The first instant at which a `pace` lets something go.

    next_us: what was stored; further away than any wait can have put it, it is of a clock that was wrong.
    """
    furthest_us = now_us + length(spec) + round(PACE_MOST_WAIT_S * SECOND_US)
    return max(now_us, next_us) if next_us <= furthest_us else now_us


def interval(spec: WindowSpec, limit: int) -> int:
    """Microseconds between two slots of a `pace` under a limit, which is not 0."""
    return -(-length(spec) // limit)


def _limit_changes(spec: WindowSpec, now_us: int) -> list[int]:
    """The instants from yesterday to the day after tomorrow at which another limit comes into force."""
    if not spec.limits:
        return []
    zone = ZoneInfo(spec.zone)
    today = to_datetime(now_us).astimezone(zone).date()
    times = {at for each in spec.limits for at in (each.starts, each.ends)}
    return [_instant(today + timedelta(days=days), at, zone) for days in range(-1, 3) for at in times]


_known: dict[tuple[str, str], tuple[int, int]] = {}


def _calendar(period: Period, zone: str, now_us: int) -> tuple[int, int]:
    """Start and end of the calendar window that an instant lies in."""
    known = _known.get((period, zone))
    if known is not None and known[0] <= now_us < known[1]:
        return known
    found = (_clock_window if period in {"minute", "hour"} else _day_window)(period, ZoneInfo(zone), now_us)
    _known[period, zone] = found
    return found


def _clock_window(period: Period, zone: ZoneInfo, now_us: int) -> tuple[int, int]:
    """A local minute or hour: some zones are off by half an hour, so an hour need not begin when UTC's does."""
    offset = to_datetime(now_us).astimezone(zone).utcoffset() or timedelta()
    offset_us = offset // _MICROSECOND
    length_us = 60 * SECOND_US if period == "minute" else 3600 * SECOND_US
    starts_us = now_us - (now_us + offset_us) % length_us
    return starts_us, starts_us + length_us


def _day_window(period: Period, zone: ZoneInfo, now_us: int) -> tuple[int, int]:
    """A local day, week (from Monday) or month."""
    day = _first_day(period, to_datetime(now_us).astimezone(zone).date())
    starts_us = _instant(day, time(), zone)
    if starts_us > now_us:  # a change of the clocks swallowed the first minutes of the day
        day = _first_day(period, day - timedelta(days=1))
        starts_us = _instant(day, time(), zone)
    return starts_us, _instant(_next_first_day(period, day), time(), zone)


def _first_day(period: Period, day: date) -> date:
    if period == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if period == "week" else day


def _next_first_day(period: Period, first: date) -> date:
    if period == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if period == "week" else 1)


def _instant(day: date, at: time, zone: ZoneInfo) -> int:
    # A time that the clocks skip is the instant of the change; of one that comes twice the first is meant.
    return to_us(datetime.combine(day, at, tzinfo=zone).astimezone(UTC))
