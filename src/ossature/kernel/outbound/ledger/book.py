"""One group of asks, decided together: pure bookkeeping between what a store read and what it will write.

A store that holds the lock of every window in question reads their cells, lets a `Book` decide in the order of asking,
and writes what changed in the same transaction. All asks of a group thus cost a few statements together.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ossature.kernel.outbound.ledger import windows
from ossature.kernel.outbound.ledger.values import (
    AttemptExists,
    AttemptState,
    Refused,
    Reservation,
    Reserved,
    Take,
    WindowSpec,
    WindowState,
)

Taken = list[list[str | int]]
"""[[window name, cell, unit, units reserved, units charged], ...], as it is stored with an attempt."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Take units; answered by Reserved, Refused or AttemptExists."""

    reservation: Reservation


@dataclass(frozen=True, slots=True)
class End:
    """End an attempt in a state; answered by whether this did it. units: what was really used, by unit."""

    attempt_id: UUID
    state: AttemptState
    units: Mapping[str, int]
    outcome: str
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Clamp:
    """Let a window have no more left than an upstream said."""

    window: WindowSpec
    remaining: int
    reset_us: int | None


Ask = Reserve | End | Clamp


@dataclass(slots=True)
class Cell:
    """A counter as it is stored; see `store.WindowRow`."""

    name: str
    starts_us: int
    ends_us: int
    kind: str
    cap: int
    used: int = 0
    reserved: int = 0
    outside: int = 0

    @property
    def taken(self) -> int:
        """Units that nobody else can have."""
        return self.used + self.reserved + self.outside


@dataclass(slots=True)
class Head:
    """A window's own row; see `store.PaceRow`."""

    name: str
    next_us: int = 0
    held_until_us: int = 0


@dataclass(slots=True)
class Entry:
    """An attempt as it is stored, or is about to be."""

    id: UUID
    state: AttemptState
    taken: Taken
    reservation: Reservation | None = None
    outcome: str = ""
    estimated: bool = False


@dataclass(slots=True)
class _Meter:
    """A counting window at the present instant, with the sum over its cells."""

    span: windows.Span
    total: int = 0


@dataclass(frozen=True, slots=True)
class Need:
    """Cells that a group may count or change: those of a window from `first_us` to `last_us`."""

    name: str
    first_us: int
    last_us: int


@dataclass(slots=True)
class Book:
    """What is known about the windows and attempts of a group, at one instant."""

    now_us: int
    cells: dict[tuple[str, int], Cell] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    attempts: dict[UUID, Entry] = field(default_factory=dict)
    changed_cells: dict[tuple[str, int], Cell] = field(default_factory=dict)
    changed_heads: dict[str, Head] = field(default_factory=dict)
    added: dict[UUID, Entry] = field(default_factory=dict)
    ended: dict[UUID, Entry] = field(default_factory=dict)
    excess: Counter[str] = field(default_factory=Counter)
    _meters: dict[str, _Meter] = field(default_factory=dict)

    def needs(self, asks: Iterable[Ask], specs: Iterable[WindowSpec] = ()) -> list[Need]:
        """The cells to read for a group, in the order of names. The attempts that it ends are known by now."""
        wanted: dict[tuple[str, int, int], None] = {}
        for spec in (*specs, *window_specs(asks)):
            if spec.kind == "pace":
                continue
            meter = self._meters.get(spec.name)
            if meter is None:
                meter = self._meters[spec.name] = _Meter(windows.span(spec, self.now_us))
                wanted[spec.name, meter.span.first_us, meter.span.last_us] = None
        for entry in self.attempts.values():
            for name, cell_us, *_ in entry.taken:
                wanted[str(name), int(cell_us), int(cell_us)] = None
        return [Need(*each) for each in sorted(wanted)]

    def learn(self, cells: Iterable[Cell], heads: Iterable[Head]) -> None:
        """Take in what the store read."""
        for head in heads:
            self.heads[head.name] = head
        for cell in cells:
            self.cells[cell.name, cell.starts_us] = cell
        for cell in self.cells.values():
            meter = self._meters.get(cell.name)
            if meter is not None and meter.span.first_us <= cell.starts_us <= meter.span.last_us:
                meter.total += cell.taken

    def decide(self, asks: Sequence[Ask]) -> list[object]:
        """The answer to each ask, in order; an exception is an answer that is to be raised."""
        return [self._answer(ask) for ask in asks]

    def state(self, spec: WindowSpec) -> WindowState:
        """How full a window is."""
        head = self.heads.get(spec.name) or Head(spec.name)
        held = windows.to_datetime(head.held_until_us) if head.held_until_us > self.now_us else None
        limit = windows.limit_at(spec, self.now_us)
        if spec.kind == "pace":
            resets_at = windows.to_datetime(windows.slot(spec, self.now_us, head.next_us))
            return WindowState(spec, 0, 0, 0, limit, resets_at, held)
        cells = self._counted(spec.name)
        fixed = self._meters[spec.name].span.ends_us if spec.kind == "fixed" else None
        ends_us = fixed or min((cell.ends_us for cell in cells if cell.taken), default=None)
        return WindowState(
            spec,
            sum(cell.used for cell in cells),
            sum(cell.reserved for cell in cells),
            sum(cell.outside for cell in cells),
            limit,
            windows.to_datetime(ends_us) if ends_us is not None else None,
            held,
        )

    def _answer(self, ask: Ask) -> object:
        if isinstance(ask, Reserve):
            return self._reserve(ask.reservation)
        if isinstance(ask, End):
            return self._end(ask)
        self._clamp(ask)
        return None

    def _reserve(self, reservation: Reservation) -> object:
        if reservation.attempt_id in self.attempts:
            return AttemptExists(f"Attempt {reservation.attempt_id} was reserved before.")
        takes = [take for take in merged(reservation.takes) if take.units]
        paces = [take for take in takes if take.window.kind == "pace"]
        slot_us = self._slot(paces)
        refusals = [refused for take in takes if (refused := self._refusal(take, slot_us)) is not None]
        if refusals:
            # The one that stays shut longest: to come back any earlier would be for nothing.
            return max(refusals, key=lambda each: float("inf") if each.retry_after_s is None else each.retry_after_s)
        taken: Taken = []
        for take in takes:
            if take.window.kind != "pace":
                taken.append([take.window.name, self._add(take), take.window.unit, take.units, 0])
        for take in paces:
            head = self.head(take.window.name)
            head.next_us = slot_us + take.units * windows.interval(
                take.window, windows.limit_at(take.window, self.now_us)
            )
            self.changed_heads[head.name] = head
        entry = Entry(reservation.attempt_id, AttemptState.OPEN, taken, reservation)
        self.attempts[entry.id] = self.added[entry.id] = entry
        return Reserved(entry.id, (slot_us - self.now_us) / windows.SECOND_US)

    def _slot(self, paces: Sequence[Take]) -> int:
        """One slot for all paces of an attempt: sent in the later of two, it would be too near to others in the earlier."""
        return max(
            (windows.slot(take.window, self.now_us, self.head(take.window.name).next_us) for take in paces),
            default=self.now_us,
        )

    def _refusal(self, take: Take, slot_us: int) -> Refused | None:
        spec = take.window
        held_us = self.head(spec.name).held_until_us - self.now_us
        if held_us > 0:
            return Refused(spec, held_us / windows.SECOND_US)
        limit = windows.limit_at(spec, self.now_us)
        if spec.kind == "pace":
            if take.units > limit:
                return Refused(spec, windows.retry_after_s(spec, self.now_us, take.units, ()))
            wait_s = (slot_us - self.now_us) / windows.SECOND_US
            return Refused(spec, wait_s - spec.max_wait_s) if wait_s > spec.max_wait_s else None
        if self._meters[spec.name].total + take.units <= limit:
            return None
        leaving = [(cell.ends_us, cell.taken) for cell in self._counted(spec.name)]
        return Refused(spec, windows.retry_after_s(spec, self.now_us, take.units, leaving))

    def _add(self, take: Take) -> int:
        """Reserve in the window's present cell; which one that is."""
        cell = self._present(take.window)
        cell.reserved += take.units
        self._meters[take.window.name].total += take.units
        return cell.starts_us

    def _present(self, spec: WindowSpec) -> Cell:
        present = self._meters[spec.name].span
        key = (spec.name, present.cell_us)
        limit = windows.limit_at(spec, self.now_us)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell(spec.name, present.cell_us, present.ends_us, spec.kind, limit)
        cell.cap = limit
        self.changed_cells[key] = cell
        return cell

    def _end(self, ask: End) -> bool:
        entry = self.attempts.get(ask.attempt_id)
        if entry is None:
            return False
        late = entry.state is AttemptState.REAPED and ask.state is AttemptState.SETTLED
        if entry.state is not AttemptState.OPEN and not late:
            return False
        for take in entry.taken:
            name, cell_us, unit, units, charged = str(take[0]), int(take[1]), str(take[2]), int(take[3]), int(take[4])
            actual = 0 if ask.state is AttemptState.RELEASED else max(0, ask.units.get(unit, units))
            actual = max(actual, charged)
            self._charge(name, cell_us, reserved=0 if late else -units, used=actual - charged)
            if actual > max(units, charged):
                self.excess[unit] += actual - max(units, charged)
            take[4] = actual
        entry.outcome, entry.estimated = ask.outcome, ask.estimated
        if not late:
            entry.state = ask.state
        self.ended[entry.id] = entry
        return not late

    def _charge(self, name: str, cell_us: int, *, reserved: int, used: int) -> None:
        cell = self.cells.get((name, cell_us))
        if cell is None:  # pruned long ago: nobody counts it any more
            return
        cell.reserved += reserved
        cell.used += used
        self.changed_cells[name, cell_us] = cell
        meter = self._meters.get(name)
        if meter is not None and meter.span.first_us <= cell_us <= meter.span.last_us:
            meter.total += reserved + used

    def _clamp(self, ask: Clamp) -> None:
        spec = ask.window
        if spec.kind != "pace":
            meter = self._meters[spec.name]
            surplus = windows.limit_at(spec, self.now_us) - meter.total - max(0, ask.remaining)
            if surplus > 0:
                self._present(spec).outside += surplus
                meter.total += surplus
        if ask.remaining <= 0 and ask.reset_us is not None:
            head = self.head(spec.name)
            held_us = min(ask.reset_us, self.now_us + windows.length(spec, self.now_us))
            if held_us > head.held_until_us:
                head.held_until_us = held_us
                self.changed_heads[spec.name] = head

    def head(self, name: str) -> Head:
        """A window's own row, new if none was read."""
        return self.heads.setdefault(name, Head(name))

    def _counted(self, name: str) -> list[Cell]:
        reach = self._meters[name].span
        return [
            cell
            for (owner, starts_us), cell in self.cells.items()
            if owner == name and reach.first_us <= starts_us <= reach.last_us
        ]


def window_names(asks: Iterable[Ask]) -> set[str]:
    """Their names."""
    return {spec.name for spec in window_specs(asks)}


def window_specs(asks: Iterable[Ask]) -> Iterable[WindowSpec]:
    """The windows that reservations and clamps of a group speak of."""
    for ask in asks:
        if isinstance(ask, Reserve):
            yield from (take.window for take in ask.reservation.takes)
        elif isinstance(ask, Clamp):
            yield ask.window


def merged(takes: tuple[Take, ...]) -> Iterable[Take]:
    """The takes, those from one window added up."""
    if len({take.window.name for take in takes}) == len(takes):
        return takes
    merged: dict[str, Take] = {}
    for take in takes:
        before = merged.get(take.window.name)
        merged[take.window.name] = Take(take.window, take.units + (before.units if before else 0))
    return merged.values()
