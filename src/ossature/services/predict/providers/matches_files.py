"""Single files of the format `matches_odds`, row by row: what is wrong with one is said by row and column.

Rows count from 1, without a header. Prices not above 1 are none. A file with true probabilities was simulated.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from io import BytesIO
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from ossature.kernel.errors import FieldError
from ossature.services.predict.domain.extras import needed
from ossature.services.predict.domain.facts import (
    MOST_GOALS,
    ImportInvalid,
    MatchFacts,
    MatchFile,
    MatchStatus,
    Phase,
    Quote,
    Score,
    kickoff_of,
)

if TYPE_CHECKING:
    import polars as pl

IDENTITY: Final = ("match_id", "div", "season", "date", "home", "away", "kind")
KINDS: Final = ("main", "extra")
_GOALS: Final = ("FTHG", "FTAG", "HTHG", "HTAG")
_COUNTS: Final = ("HS", "AS", "HST", "AST", "HF", "AF", "HC", "AC", "HY", "AY", "HR", "AR")
_SIMULATED: Final = "true_home"
_OUTCOMES: Final = "B365 PS Max Avg BbMx BbAv WH GB IW BW PSC B365C MaxC AvgC BFEC".split()  # noqa: SIM905 - reads as the notes do
_TOTALS: Final = "B365 P Avg BbAv Max PC AvgC B365C MaxC".split()  # noqa: SIM905 - likewise
_QUOTES: Final = (
    *((book, "1x2", 0.0, tuple(f"{book}{side}" for side in "HDA")) for book in _OUTCOMES),
    *((book, "total", 2.5, tuple(f"{book}{side}2.5" for side in "><")) for book in _TOTALS),
)
_MOST_FAULTS: Final = 50
_MOST_ROWS: Final = 500_000
_YEARS: Final = range(1850, 2200)
_LONGEST: Final = {"match_id": 40, "div": 20, "season": 20, "home": 100, "away": 100, "kind": 20}


class ParquetFiles:
    """Reads Parquet files of the format, and rows as they stand in them."""

    def read(self, content: bytes, name: str) -> MatchFile:
        """All matches of a file, in the order of days; equal rows count once.

        Raises: ImportInvalid for bytes of another format, columns that are missing, and rows with faults, each named;
        Misconfigured without the extra `predict`.
        """
        needed("polars")
        return self.of_rows(_table(content, name).iter_rows(named=True), name)

    def of_rows(self, rows: Iterable[Mapping[str, Any]], name: str) -> MatchFile:
        """The same, of rows by the names of their columns. Raises: ImportInvalid."""
        faults: list[FieldError] = []
        facts: dict[str, MatchFacts] = {}
        simulated = False
        for number, row in enumerate(rows, 1):
            simulated = simulated or _SIMULATED in row
            try:
                _take(_facts(row), facts)
            except _FaultError as fault:
                faults.append(FieldError(f"row/{number}/{fault.column}", fault.message, fault.code))
        if faults:
            raise _refused(name, faults)
        order = sorted(facts.values(), key=lambda one: (one.day, one.competition, one.home, one.away))
        return MatchFile(tuple(order), simulated=simulated)


def _take(one: MatchFacts, facts: dict[str, MatchFacts]) -> None:
    if facts.setdefault(one.code, one) != one:
        raise _FaultError("match_id", "The match is there twice, with different content.", "twice")


class _FaultError(Exception):
    """One value that a row cannot have."""

    def __init__(self, column: str, message: str, code: str) -> None:
        super().__init__(message)
        self.column, self.message, self.code = column, message, code


def _refused(name: str, faults: list[FieldError]) -> ImportInvalid:
    first = faults[0]
    _, row, column = first.pointer.split("/", 2)
    more = f" ({len(faults)} rows have faults)" if len(faults) > 1 else ""
    said = f"{name}, row {row}, {column}: {first.message}{more}"
    return ImportInvalid(said, errors=faults[:_MOST_FAULTS], file=name, row=int(row), column=column)


def _table(content: bytes, name: str) -> "pl.DataFrame":
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    try:
        found = pl.read_parquet_schema(BytesIO(content))
        missing = [column for column in IDENTITY if column not in found]
        if missing:
            raise ImportInvalid(f"{name}: column {missing[0]} is missing", file=name, column=missing[0])
        prices = (column for _, _, _, columns in _QUOTES for column in columns)
        wanted = [one for one in (*IDENTITY, "time", "neutral", *_GOALS, *_COUNTS, *prices, _SIMULATED) if one in found]
        # A small file can hold any number of equal rows.
        rows = int(pl.scan_parquet(BytesIO(content)).select(pl.len()).collect().item())
        if rows > _MOST_ROWS:
            raise ImportInvalid(f"{name} has {rows} rows; give at most {_MOST_ROWS} at once.", file=name)
        return pl.read_parquet(BytesIO(content), columns=wanted)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise ImportInvalid(f"{name} is no Parquet file.", file=name) from error


def _facts(row: Mapping[str, Any]) -> MatchFacts:
    texts = {column: _short(row, column) for column in IDENTITY if column != "date"}
    if texts["kind"] not in KINDS:
        raise _FaultError("kind", f"Write one of {', '.join(KINDS)}.", "enum")
    if texts["home"] == texts["away"]:
        raise _FaultError("away", "A team does not play against itself.", "same_team")
    day = _day(row["date"])
    try:
        kickoff_at, exact = kickoff_of(day, row.get("time"))
    except (ValueError, TypeError):
        raise _FaultError("time", "Write the hour as HH:MM.", "time_parsing") from None
    score = _score(row)
    return MatchFacts(
        code=texts["match_id"],
        competition=texts["div"],
        kind=texts["kind"],
        season=texts["season"],
        day=day,
        kickoff_at=kickoff_at,
        kickoff_is_exact=exact,
        home=texts["home"],
        away=texts["away"],
        neutral=_number(row, "neutral", flag=True) == 1.0,
        status=MatchStatus.SCHEDULED if score is None else MatchStatus.FINISHED,
        score=score,
        counts={} if score is None else dict(_counted(row)),
        quotes=tuple(_quotes(row, finished=score is not None)),
    )


def _short(row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    if not isinstance(value, str) or not value.strip():
        raise _FaultError(column, "The row has no text here.", "missing")
    if len(value) > _LONGEST[column] or not value.isprintable():
        raise _FaultError(column, f"Give at most {_LONGEST[column]} printable characters.", "too_long")
    return value


def _day(value: object) -> date:
    if not isinstance(value, date):
        raise _FaultError("date", "The row has no date.", "missing")
    if value.year not in _YEARS:
        raise _FaultError("date", f"A match is in the years {_YEARS[0]} to {_YEARS[-1]}.", "out_of_range")
    return value.date() if isinstance(value, datetime) else value


def _score(row: Mapping[str, Any]) -> Score | None:
    home, away, half_home, half_away = (_goals(row, column) for column in _GOALS)
    if (home is None) != (away is None):
        raise _FaultError("FTAG" if away is None else "FTHG", "A result has the goals of both teams.", "incomplete")
    if home is None or away is None:
        return None
    if half_home is None or half_away is None:
        return Score(home, away)
    if half_home > home or half_away > away:
        raise _FaultError(
            "HTHG" if half_home > home else "HTAG", "More goals at half-time than at the end.", "half_time"
        )
    return Score(home, away, half_home, half_away)


def _goals(row: Mapping[str, Any], column: str) -> int | None:
    value = _number(row, column)
    if value is None:
        return None
    if value != int(value) or not 0 <= value <= MOST_GOALS:
        raise _FaultError(column, f"Goals are whole numbers from 0 to {MOST_GOALS}.", "out_of_range")
    return int(value)


def _counted(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for column in _COUNTS:
        value = _number(row, column)
        if value is not None and value < 0:
            raise _FaultError(column, "A count is not below 0.", "out_of_range")
        if value is not None:
            yield column, value


def _quotes(row: Mapping[str, Any], *, finished: bool) -> Iterator[Quote]:
    for book, market, line, columns in _QUOTES:
        closing = book.endswith("C")
        if closing and not finished:
            continue  # closing prices are known when the match begins
        prices = tuple(_price(row, column) for column in columns)
        if any(price is not None for price in prices):
            phase = Phase.CLOSING if closing else Phase.EARLY
            yield Quote(
                book=book.removesuffix("C") if closing else book, market=market, line=line, phase=phase, prices=prices
            )


def _price(row: Mapping[str, Any], column: str) -> float | None:
    value = _number(row, column)
    return value if value is not None and value > 1.0 else None


def _number(row: Mapping[str, Any], column: str, *, flag: bool = False) -> float | None:
    """A cell as a finite number. flag: true and false will do as well."""
    value = row.get(column)
    if value is None:
        return None
    if (isinstance(value, bool) and not flag) or not isinstance(value, (int, float)):
        raise _FaultError(column, "This is no number.", "float_parsing")
    number = float(value)
    return number if isfinite(number) else None
