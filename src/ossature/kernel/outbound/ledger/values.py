"""What the quota ledger is told and what it answers.

A *window* limits how many units a subject may use in a stretch of time. An *attempt* is one call to an upstream: it
*takes* units from several windows at once (the consumer's and the provider's, in one transaction), is sent, and is then
*settled* with what it really used, *released* if it was proved not to have been sent, or *reaped* (charged as reserved)
if nobody came back in time. Caps are never overshot, whatever the number of processes and whenever one of them dies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Literal, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from ossature.kernel.errors import Conflict, Unavailable

Kind = Literal["fixed", "sliding", "pace", "log"]
Period = Literal["minute", "hour", "day", "week", "month"]

LOG_MOST = 1_000
"""Largest limit of an exact log: every attempt in its window is a row that is read for the next decision."""
PACE_MOST_WAIT_S = 60.0
_DAY_S = 86_400.0


class LedgerUnavailable(Unavailable):
    """The quota ledger cannot be asked just now, so nothing is sent that it would have to count."""

    title = "Quota ledger unavailable"
    retry_after_s = 1.0


class AttemptExists(Conflict):
    """An attempt with this id was reserved before; every try is an attempt of its own."""

    title = "Attempt exists"


@dataclass(frozen=True, slots=True)
class DayLimit:
    """Another limit at a time of day, in the window's zone; `starts` > `ends` goes over midnight.

    starts is part of it, ends is not.
    """

    starts: time
    ends: time
    limit: int

    def covers(self, at: time) -> bool:
        """Whether this limit is in force at a local time of day."""
        if self.starts <= self.ends:
            return self.starts <= at < self.ends
        return at >= self.starts or at < self.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpec:
    """A limit on the use of something: at most `limit` units of `unit` per `seconds` or per calendar `period`.

    subject: whose use is counted, by convention `upstream:NAME:CREDENTIAL` (two services with one key share it) or
        `consumer:key:ID`, `consumer:tenant:ID`, `consumer:project:ID`, `pool:NAME`.
    kind: `fixed` starts again at each multiple of `seconds`, or at each local midnight, Monday, ... of `period`;
        `sliding` never passes the limit in any stretch of `seconds` (tenths of it, over eleven of them: it may give up
        to a tenth less); `log` is the same without loss, for limits up to 1,000; `pace` spaces units evenly,
        `seconds / limit` apart, and tells the caller how long to wait for its slot.
    limits: limits by time of day in `zone`; the first that covers the present holds, else `limit`.
    max_wait_s: only `pace`: a slot further away than this is refused.
    Limits may change: counters belong to (subject, unit, kind, length) and are kept.
    """

    subject: str
    unit: str
    kind: Kind
    limit: int
    seconds: float | None = None
    period: Period | None = None
    zone: str = "UTC"
    limits: tuple[DayLimit, ...] = ()
    max_wait_s: float = 2.0
    name: str = field(init=False)
    """What the counters are stored under."""

    def __post_init__(self) -> None:
        wrong = self._wrong()
        if wrong:
            msg = f"window {self.subject} {self.unit}: {wrong}"
            raise ValueError(msg)
        ZoneInfo(self.zone)  # raises for a zone that does not exist
        length = f"{self.period}@{self.zone}" if self.period else f"{self.seconds:g}s"
        object.__setattr__(self, "name", f"{self.subject}|{self.unit}|{self.kind}|{length}")

    def _wrong(self) -> str:
        limits = (self.limit, *(each.limit for each in self.limits))
        rolling = self.kind in {"sliding", "log"}
        rules = (
            ((self.seconds is None) == (self.period is None), "has either seconds or a period"),
            (self.seconds is not None and self.seconds <= 0, "seconds are more than 0"),
            (
                self.period is not None and self.kind != "fixed",
                f"only a fixed window follows the calendar, not {self.kind}",
            ),
            (rolling and (self.seconds or 0) > _DAY_S, f"a {self.kind} window is at most a day long"),
            (self.kind == "log" and max(limits) > LOG_MOST, f"an exact log has a limit of at most {LOG_MOST}"),
            (not 0 <= self.max_wait_s <= PACE_MOST_WAIT_S, f"a slot is waited for at most {PACE_MOST_WAIT_S:g} s"),
            (min(limits) < 0, "a limit is not negative"),
        )
        return next((text for broken, text in rules if broken), "")


@dataclass(frozen=True, slots=True)
class Take:
    """Units that an attempt wants from one window: the exact number, or an upper bound where only that is known."""

    window: WindowSpec
    units: int

    def __post_init__(self) -> None:
        if self.units < 0:
            msg = f"{self.window.name}: units are not negative"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """One try to reach an upstream, with all that it takes. Every retry, hedge and fallback is one of its own.

    expires_at: when nobody will come back to settle it any more: its deadline and 60 s.
    """

    attempt_id: UUID
    request_id: str
    tenant_id: UUID
    provider: str
    operation: str
    takes: tuple[Take, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Reserved:
    """All windows had room. wait_s: send only after this many seconds (the next slot of a `pace`)."""

    attempt_id: UUID
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """One window had no room, and nothing was taken from any.

    retry_after_s: when there may be room again; None if the units never fit under the limit.
    """

    window: WindowSpec
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class WindowState:
    """How full a window is now.

    used: settled and reaped units; reserved: of attempts that are open; outside: units that the upstream counted and we
    did not (`clamp`). resets_at: when the oldest of them leaves; None for an empty window that has no fixed end.
    held_until: nothing is given before, because the upstream said so. A `pace` counts nothing; its `resets_at` is its
    next free slot.
    """

    window: WindowSpec
    used: int
    reserved: int
    outside: int
    limit: int
    resets_at: datetime | None
    held_until: datetime | None = None

    @property
    def remaining(self) -> int:
        """Units that are left."""
        return max(0, self.limit - self.used - self.reserved - self.outside)


class AttemptState(StrEnum):
    """Where an attempt is; from `open` it goes to one of the others, once."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"
    REAPED = "reaped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt's trail. takes: (window name, unit, units reserved); actual: units by name, {} while it is open."""

    id: UUID
    request_id: str
    tenant_id: UUID
    provider: str
    operation: str
    state: AttemptState
    outcome: str
    estimated: bool
    takes: tuple[tuple[str, str, int], ...]
    actual: Mapping[str, int]
    created_at: datetime
    expires_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that is not the sum of its attempts."""

    window_name: str
    starts_at: datetime
    used: int
    used_by_attempts: int
    reserved: int
    reserved_by_attempts: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows a retention run deleted."""

    attempts: int
    windows: int


class Ledger(Protocol):
    """Exactly-once accounting of attempts, shared by all processes. Every method raises LedgerUnavailable."""

    async def reserve(self, reservation: Reservation, /) -> Reserved | Refused:
        """Take from all windows or from none. Raises: AttemptExists."""

    async def settle(
        self, attempt_id: UUID, units: Mapping[str, int], /, *, estimated: bool = False, outcome: str = "ok"
    ) -> bool:
        """Charge what was really used, by unit; a unit that is not named is charged as reserved.

        True if this call ended the attempt. Repeating is harmless. After reaping only an excess is added.
        outcome: `ok` or an error kind, kept with the attempt.
        """

    async def release(self, attempt_id: UUID, /, *, outcome: str = "not_sent") -> bool:
        """Give back what was taken, since the attempt was proved not to have been sent; True if this call did it."""

    async def clamp(self, window: WindowSpec, /, *, remaining: int, reset_at: datetime | None = None) -> None:
        """Believe the upstream when it says that less is left than we think; never when it says more.

        With nothing remaining, the window is held until `reset_at`, at most for its own length.
        """

    async def states(self, windows: Sequence[WindowSpec], /) -> list[WindowState]:
        """How full windows are, in their order."""

    async def attempt(self, tenant_id: UUID, attempt_id: UUID, /) -> Attempt | None:
        """A tenant's attempt; None if there is none, or no longer."""

    async def reap(self, *, limit: int = 1_000) -> int:
        """Charge open attempts that expired, as reserved; how many."""

    async def verify(self) -> list[Difference]:
        """Every counter that is not the sum of its attempts: none, unless somebody wrote past the ledger."""

    async def repair(self) -> list[Difference]:
        """Set such counters to the sum of their attempts; what was mended."""

    async def prune(self, *, attempts_older_than: timedelta, windows_older_than: timedelta) -> Pruned:
        """Forget attempts that ended and windows that closed long ago; what is left still verifies."""

    async def close(self) -> None:
        """Finish what was asked, and let go of the store."""
