"""What the simulated N2F remembers: companies, axes, values, users, tokens, every call, and what it did to whom."""

import base64
import uuid
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from ossature.sim.expenses.n2f_knobs import KnobError, Knobs
from ossature.sim.limits import JITTER_S

Record = dict[str, Any]

DAY, NIGHT = {"read": 60, "write": 10}, {"read": 200, "write": 50}
"""Calls in a minute from 06 to 20 o'clock, and from 20 to 06."""
ZONE = ZoneInfo("Europe/Paris")
CALLS_KEPT = 20_000
_MINUTE_S = 60.0
_FAST = 200
_COMPANIES = (("1001", "100", "North"), ("1002", "200", "South"), ("1003", "300", "East"))
_AXES = (("Plaque", "Plate", "Kenteken"), ("Subpost", "Subpost", "Subpost"), ("Département", "Department", "Afdeling"))
_ROLES = (("Utilisateur", "User", "Gebruiker"), ("Administrateur", "Administrator", "Beheerder"))
_PROFILES = (("Standard", "Standard", "Standaard"), ("Direction", "Management", "Directie"))
_NAMESPACE = uuid.UUID("5d1d2a64-6e70-5f19-9a3c-6b1b70c1a0f2")


def _names(texts: tuple[str, ...]) -> list[Record]:
    return [{"culture": culture, "value": text} for culture, text in zip(("fr", "en", "nl"), texts, strict=True)]


def _id(*parts: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


@dataclass(slots=True)
class Entry:
    """A record with what readers saw before its last change, and when that was. value: None once it is deleted."""

    value: Record | None
    before: Record | None
    since: datetime


@dataclass(frozen=True, slots=True)
class CallLine:
    """One call as it was counted. effect: `created`, `changed`, `deleted`, `none`, or empty for what changes nothing."""

    at: datetime
    client: str
    kind: str
    method: str
    path: str
    status: int
    effect: str = ""


@dataclass(slots=True)
class Books:
    """Everything that one simulated N2F holds. overlaps: calls that began while another one of them was under way."""

    knobs: Knobs = field(default_factory=Knobs)
    users: dict[str, Entry] = field(default_factory=dict)
    values: dict[str, dict[str, Entry]] = field(default_factory=dict)
    tokens: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    calls: deque[CallLine] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))
    counts: Counter[str] = field(default_factory=Counter)
    mails: list[str] = field(default_factory=list)
    tokens_n: int = 0
    reads_n: int = 0
    _sent: dict[tuple[str, str], deque[float]] = field(default_factory=dict)

    companies: tuple[Record, ...] = tuple(
        {"uuid": base64.b64encode(number.encode()).decode(), "code": code, "name": name}
        for number, code, name in _COMPANIES
    )
    roles: tuple[Record, ...] = tuple({"uuid": _id("role", each[0]), "names": _names(each)} for each in _ROLES)
    profiles: tuple[Record, ...] = tuple({"uuid": _id("profile", each[0]), "names": _names(each)} for each in _PROFILES)

    def axes(self, company: str) -> list[Record]:
        """The custom axes of a company; the same axis has another id in every one."""
        return [{"uuid": _id(company, each[0]), "names": _names(each)} for each in _AXES]

    def seen(self, entries: Mapping[str, Entry], now: datetime) -> list[Record]:
        """What readers are given of records, in the order of their creation."""
        late = self.knobs.visibility_s
        views = (each.before if (now - each.since).total_seconds() < late else each.value for each in entries.values())
        return [view for view in views if view is not None]

    def put(self, entries: dict[str, Entry], key: str, value: Record | None, now: datetime) -> str:
        """Change, create or (None) delete a record; what that did: `created`, `changed`, `deleted` or `none`."""
        if self.knobs.drop_writes:
            self.knobs = self.knobs.turned({"drop_writes": self.knobs.drop_writes - 1})
            return "none"
        there = entries.get(key)
        before = there.value if there is not None else None
        if value == before:
            return "none"
        entries[key] = Entry(value, before, now)
        if value is None:
            if not self.knobs.visibility_s:
                del entries[key]
            return "deleted"
        return "created" if before is None else "changed"

    def full(self, client: str, kind: str, now: datetime) -> float | None:
        """Seconds until a client may make another call of that kind; None when it may now, and then it is counted."""
        local = now.astimezone(ZONE).time()
        most = (DAY if time(6) <= local < time(20) else NIGHT)[kind] * (_FAST if client.endswith("-fast") else 1)
        at_s = now.timestamp()
        sent = self._sent.setdefault((client, kind), deque())
        since_s = at_s - at_s % _MINUTE_S if self.knobs.quota_count == "fixed" else at_s - _MINUTE_S + JITTER_S
        while sent and sent[0] <= since_s:
            sent.popleft()
        if len(sent) < most:
            sent.append(at_s)
            return None
        return max(1.0, sent[0] - since_s)

    def note(self, line: CallLine) -> None:
        """Keep what a call was and did."""
        self.calls.append(line)
        self.counts[f"{line.kind}_calls"] += 1
        self.counts[f"status_{line.status}"] += 1
        if line.effect:
            self.counts[f"writes_{line.effect}"] += 1

    def show(self, what: str) -> Any:  # noqa: ANN401 - JSON
        """`state`, `calls` or `knobs`, as JSON values; None for anything else."""
        if what == "knobs":
            return asdict(self.knobs)
        if what == "calls":
            return [{**asdict(each), "at": each.at.isoformat().replace("+00:00", "Z")} for each in self.calls]
        if what != "state":
            return None
        return {
            "counts": dict(sorted(self.counts.items())),
            "mails_sent": list(self.mails),
            "users": _values(self.users),
            "values": {axis: _values(entries) for axis, entries in self.values.items()},
            "companies": [{**each, "axes": self.axes(each["uuid"])} for each in self.companies],
        }

    def order(self, what: str, order: Mapping[str, Any], now: datetime) -> None:
        """Turn `knobs`, or have somebody else change `records`: {"users": [...], "values": {"UUID/AXIS": [...]}}.

        Raises: KnobError.
        """
        if what == "knobs":
            self.knobs = self.knobs.turned(order)
            return
        if what != "records":
            raise KnobError("Orders go to `knobs` or `records`.")
        try:
            for user in order.get("users", ()):
                self.users[user["mail"].lower()] = Entry(dict(user), None, now)
            for axis, values in order.get("values", {}).items():
                self.values.setdefault(axis, {}).update({each["code"]: Entry(dict(each), None, now) for each in values})
        except (LookupError, TypeError, AttributeError) as wrong:
            raise KnobError(f"Records are users with a mail, and values with a code: {wrong!r}.") from None

    def dump(self) -> Record:
        """What outlives the process: the records, and who was written to."""
        return {
            "users": _values(self.users),
            "values": {axis: _values(entries) for axis, entries in self.values.items()},
            "mails": list(self.mails),
        }

    def load(self, kept: Mapping[str, Any], now: datetime) -> None:
        """Take in what `dump` gave. Raises: KnobError."""
        self.order("records", kept, now)
        self.mails = [str(each) for each in kept.get("mails", ())]


def _values(entries: Mapping[str, Entry]) -> list[Record]:
    return [each.value for each in entries.values() if each.value is not None]
