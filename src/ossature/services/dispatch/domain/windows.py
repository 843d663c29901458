"""Windows of time: from what was asked for ("there at nine") to when each end of a trip may be served.

The derived window of an end is as wide as the longest ride and the service time at the pickup leave it. Instants are
aware UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ossature.kernel.errors import InvalidInput


class TimeRule(StrEnum):
    """What a caller fixes."""

    ARRIVE_BY = "arrive_by"
    PICK_UP_AT = "pick_up_at"
    AS_SOON_AS_POSSIBLE = "as_soon_as_possible"
    ON_CALL = "on_call"


class WindowImpossible(InvalidInput):
    """The times contradict each other: no pickup leads to a drop-off in time. The numbers are in the answer."""

    title = "Window impossible"


@dataclass(frozen=True, slots=True)
class Window:
    """When service may begin, both ends included. Raises: WindowImpossible when it is empty."""

    earliest: datetime
    latest: datetime

    def __post_init__(self) -> None:
        if self.earliest > self.latest:
            raise WindowImpossible(
                f"It would begin at {self.earliest:%H:%M:%S} and end at {self.latest:%H:%M:%S} UTC.",
                earliest=self.earliest.isoformat(),
                latest=self.latest.isoformat(),
                short_by_s=(self.earliest - self.latest).total_seconds(),
            )

    def shifted(self, earliest_s: float, latest_s: float) -> "Window":
        """With both ends moved, each by its own."""
        return Window(self.earliest + timedelta(seconds=earliest_s), self.latest + timedelta(seconds=latest_s))

    def __and__(self, other: "Window") -> "Window":
        return Window(max(self.earliest, other.earliest), min(self.latest, other.latest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """How wide windows are; a tenant sets its own."""

    arrive_earliest_s: int = 1800
    arrive_latest_s: int = 300
    pick_up_early_s: int = 300
    pick_up_late_s: int = 900
    urgent_s: int = 1800
    ride_floor_s: int = 1800
    ride_factor: float = 1.5
    promise_s: int = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """What the derivation knows of a trip. max_ride_s: an own limit of the client or the requirement."""

    direct_s: float
    service_p_s: int
    service_d_s: int
    max_ride_s: int | None = None


@dataclass(frozen=True, slots=True)
class Windows:
    """When a trip may be served."""

    pickup: Window
    dropoff: Window
    max_ride_s: int


def longest_ride_s(leg: Leg, widths: Widths) -> int:
    """The longest time between the end of service at the pickup and its begin at the drop-off."""
    usual = max(float(widths.ride_floor_s), widths.ride_factor * leg.direct_s)
    return int(usual if leg.max_ride_s is None else min(usual, leg.max_ride_s))


def windows(rule: TimeRule, at: datetime | None, leg: Leg, *, now: datetime, widths: Widths) -> Windows | None:
    """When a trip may be served; None for one that waits to be called in.

    at: the instant that the rule is about; an urgent trip and one on call have none.
    Raises: WindowImpossible, also for a trip that takes longer than the longest ride.
    """
    if rule is TimeRule.ON_CALL:
        return None
    max_ride_s = longest_ride_s(leg, widths)
    if leg.direct_s > max_ride_s:
        raise WindowImpossible(
            f"The direct way takes {leg.direct_s:.0f} s; the longest ride is {max_ride_s} s.",
            direct_s=leg.direct_s,
            max_ride_s=max_ride_s,
        )
    if rule is TimeRule.ARRIVE_BY:
        wanted = given(rule, at)
        dropoff = Window(wanted, wanted).shifted(-widths.arrive_earliest_s, -widths.arrive_latest_s)
        return Windows(_pickup_of(dropoff, leg, max_ride_s), dropoff, max_ride_s)
    if rule is TimeRule.PICK_UP_AT:
        wanted = given(rule, at)
        pickup = Window(wanted, wanted).shifted(-widths.pick_up_early_s, widths.pick_up_late_s)
    else:
        pickup = Window(now, now).shifted(0, widths.urgent_s)
    return Windows(pickup, _dropoff_of(pickup, leg, max_ride_s), max_ride_s)


def promise(begin: datetime, hard: Window, *, width_s: int) -> Window:
    """What the client is told: a window of that width around the planned time, inside the hard one."""
    earliest = max(hard.earliest, begin - timedelta(seconds=width_s / 2))
    latest = min(hard.latest, earliest + timedelta(seconds=width_s))
    return Window(max(hard.earliest, latest - timedelta(seconds=width_s)), latest)


def given(rule: TimeRule, at: datetime | None) -> datetime:
    """The instant that a rule is about. Raises: WindowImpossible when there is none."""
    if at is None:
        raise WindowImpossible(f"{rule} needs an instant.", rule=rule.value)
    return at


def _pickup_of(dropoff: Window, leg: Leg, max_ride_s: int) -> Window:
    return dropoff.shifted(-(max_ride_s + leg.service_p_s), -(leg.direct_s + leg.service_p_s))


def _dropoff_of(pickup: Window, leg: Leg, max_ride_s: int) -> Window:
    return pickup.shifted(leg.service_p_s + leg.direct_s, leg.service_p_s + max_ride_s)
