"""Facts about matches as sources tell them, and when they were known.

Every fact has two clocks: when it holds, and when it was seen. History that is imported later was not seen when it happened;
the rule `assumed` says when it would have been.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from ossature.kernel.errors import Conflict, InvalidInput
from ossature.services.predict.domain.proof import canonical

SPORT: Final = "football"
MOST_GOALS: Final = 40
_FILES_ZONE: Final = ZoneInfo("Europe/London")
_HOUR: Final = re.compile(r"\d{2}:\d{2}")
_MATCH_TAKES: Final = timedelta(minutes=150)
_EARLY_HOUR: Final = timedelta(hours=6)
_LAST_SECOND: Final = timedelta(seconds=1)


class ImportInvalid(InvalidInput):
    """A file does not have the columns or the values of its format: the detail names file and column, `errors` the rows.

    Nothing of the file was stored.
    """

    title = "Import invalid"


class NothingToLearn(ImportInvalid):
    """Before the first day that was asked for there are too few matches to fit a model on."""

    title = "Nothing to learn from"


class MatchContradicted(ImportInvalid):
    """A file gives the name of a known match to a match of other teams, or of another division. Nothing of it was stored."""

    title = "Match contradicted"


class SimulatedMixed(Conflict):
    """Simulated and real matches are never in one tenant: nobody could tell what a figure is about."""

    title = "Simulated and real matches mixed"


class MatchStatus(StrEnum):
    """Where a match stands. A result comes only with an explicit final status of its source."""

    SCHEDULED = "scheduled"
    FINISHED = "finished"


class Phase(StrEnum):
    """When a price was quoted."""

    EARLY = "early"
    CLOSING = "closing"


class Basis(StrEnum):
    """Whether we saw a fact when it says so, or assume that we would have."""

    OBSERVED = "observed"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Score:
    """Goals of both teams after 90 minutes, and at half-time where that is known."""

    home: int
    away: int
    half_home: int | None = None
    half_away: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """All prices of one book for one market, in the order of its outcomes; None where it had none.

    market: `1x2` (home, draw, away) or `total` (over, under the line).
    """

    book: str
    market: str
    line: float
    phase: Phase
    prices: tuple[float | None, ...]

    @property
    def key(self) -> tuple[str, str, float, str]:
        """What there is one present quote of."""
        return self.book, self.market, self.line, self.phase.value


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchFacts:
    """What one source says of one match. code: its name in files. counts: shots, cards and the like, by their columns."""

    code: str
    competition: str
    kind: str
    season: str
    day: date
    kickoff_at: datetime
    kickoff_is_exact: bool
    home: str
    away: str
    neutral: bool = False
    status: MatchStatus = MatchStatus.SCHEDULED
    score: Score | None = None
    counts: Mapping[str, float] = field(default_factory=dict)
    quotes: tuple[Quote, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of what an observation holds: status, score, counts and kick-off."""
        score = {} if self.score is None else asdict(self.score)
        fields = {"status": self.status.value, "kickoff": self.kickoff_at.isoformat(), **score, **self.counts}
        return hashlib.sha256(canonical(fields).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MatchFile:
    """What a file says of matches, each of them once, and whether they were simulated."""

    facts: tuple[MatchFacts, ...]
    simulated: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """When a fact became known, and how we know that."""

    at: datetime
    basis: Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMatch:
    """A match with everything that was known of it at a moment."""

    id: UUID
    code: str
    competition: str
    kind: str
    season: str
    day: date
    kickoff_at: datetime
    home: str
    away: str
    neutral: bool
    score: Score | None
    counts: Mapping[str, float]
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class SeenQuote:
    """A quote of a match, and when it was seen. number: 1 for the first quote of its kind."""

    match_id: UUID
    quote: Quote
    number: int
    event_at: datetime
    seen: Seen


def kickoff_of(day: date, clock_text: str | None) -> tuple[datetime, bool]:
    """When a match begins, and whether the hour is known.

    Without an hour it is the first moment of its day: nothing of that day may be known to a forecast. Files give the hour in
    the time of London. Raises: ValueError for what is no `HH:MM`.
    """
    if not clock_text:
        return datetime.combine(day, time(), UTC), False
    if not _HOUR.fullmatch(clock_text):
        raise ValueError(clock_text)
    return datetime.combine(day, time.fromisoformat(clock_text), _FILES_ZONE).astimezone(UTC), True


def day_of(kickoff_at: datetime) -> date:
    """The day of a match by its kick-off, as files have it: what `kickoff_of` was given."""
    return kickoff_at.astimezone(_FILES_ZONE).date()


def early_seen(facts: MatchFacts, now: datetime) -> Seen:
    """When early prices were seen: at 18:00 of the day before, unless they came before that."""
    return _assumed(datetime.combine(facts.day, time(), UTC) - _EARLY_HOUR, now)


def closing_seen(facts: MatchFacts, now: datetime) -> Seen:
    """When closing prices were seen: at kick-off, or at the end of a day without an hour."""
    return _assumed(facts.kickoff_at if facts.kickoff_is_exact else _end_of(facts.day), now)


def result_seen(facts: MatchFacts, now: datetime) -> Seen:
    """When a result was seen: 150 minutes after kick-off, or at the end of a day without an hour."""
    return _assumed(facts.kickoff_at + _MATCH_TAKES if facts.kickoff_is_exact else _end_of(facts.day), now)


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(days=1) - _LAST_SECOND


def _assumed(at: datetime, now: datetime) -> Seen:
    return Seen(at, Basis.ASSUMED) if at < now else Seen(now, Basis.OBSERVED)


def country_of(competition: str) -> str:
    """The country of a division: its teams stay the same teams when they change division."""
    if competition == "EC":
        return "E"
    return competition[:-1] if competition[-1:].isdigit() else competition
