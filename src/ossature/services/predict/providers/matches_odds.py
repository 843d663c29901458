"""Files of the format `matches_odds`: one row for each match, columns named after football-data.co.uk's notes.

A folder is read recursively: `matches_odds_*.parquet`, `fixtures_*.parquet` for matches that have no result yet, and when they
are asked for `international_cc0_*.parquet`, results of nations.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ossature.services.predict.domain.facts import ImportInvalid
from ossature.services.predict.domain.history import IDENTITY, RESULTS, History, after_the_match
from ossature.services.predict.domain.native import Floats
from ossature.services.predict.domain.simulate import match_id

if TYPE_CHECKING:
    import polars as pl

_BOOKS: Final = "B365 PS Max Avg BbMx BbAv WH GB IW BW PSC B365C MaxC AvgC BFEC".split()  # noqa: SIM905 - likewise
_TOTALS: Final = "B365 P Avg BbAv Max PC AvgC B365C MaxC".split()  # noqa: SIM905 - likewise
_NATIONS: Final = {
    "date": "date",
    "home_team": "home",
    "away_team": "away",
    "home_score": "FTHG",
    "away_score": "FTAG",
    "neutral": "neutral",
}
PRICES: Final = (
    *(f"{book}{side}" for book in _BOOKS for side in "HDA"),
    *(f"{book}{side}2.5" for book in _TOTALS for side in "><"),
)


def read_folder(folder: Path) -> History:
    """All matches of a folder in the order of their days; equal rows count once.

    Raises: ImportInvalid when there is no file, a column of the identity is missing, or one match has two contents.
    """
    paths = sorted(folder.rglob("matches_odds_*.parquet")) if folder.is_dir() else []
    if not paths:
        raise ImportInvalid(f"{folder}: no file matches_odds_*.parquet")
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    tables = [*_tables(paths), *_tables(sorted(folder.rglob("fixtures_*.parquet")), played=False)]
    table = pl.concat(tables, how="diagonal_relaxed").unique(maintain_order=True)
    twice = table.filter(pl.col("match_id").is_duplicated())
    if len(twice):
        table = _settled(table)
    return history_of(table)


def history_of(table: "pl.DataFrame") -> History:
    """A history from a table with the columns of the format, in whatever order of rows."""
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    table = table.sort("date", "div", "home", "away", "match_id")
    texts = {name: table[name].cast(pl.String).fill_null("").to_numpy().astype(np.str_) for name in IDENTITY}
    days = table["date"].cast(pl.Date).to_physical().to_numpy().astype(np.int64)
    numbers = {name: _number(table[name], name) for name in table.columns if name not in IDENTITY and name != "time"}
    return History(
        texts["match_id"], texts["div"], texts["season"], days, texts["home"], texts["away"], texts["kind"], numbers
    )


def read_internationals(folder: Path) -> History:
    """Matches of nations from `international_cc0_*.parquet`: kind `international`, division `INT`, no prices.

    Raises: ImportInvalid as `read_folder` does.
    """
    paths = sorted(folder.rglob("international_cc0_*.parquet"))
    if not paths:
        raise ImportInvalid(f"{folder}: no file international_cc0_*.parquet")
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    tables = []
    for path in paths:
        _columns(path, _NATIONS)
        with _readable(path):
            table = pl.read_parquet(path, columns=list(_NATIONS)).rename(_NATIONS)
            day = pl.col("date").cast(pl.Date)
            tables.append(table.with_columns(day, pl.col("FTHG", "FTAG", "neutral").cast(pl.Float64)))
    whole = (
        pl.concat(tables)
        .unique(maintain_order=True)
        .with_columns(
            pl.lit("INT").alias("div"),
            pl.lit("international").alias("kind"),
            pl.col("date").dt.year().cast(pl.String).alias("season"),
        )
    )
    names = [match_id("INT", day, home, away) for day, home, away in whole.select("date", "home", "away").iter_rows()]
    return history_of(whole.with_columns(pl.Series("match_id", names)))


def write_folder(rows: Sequence[Mapping[str, Any]], folder: Path, *, name: str) -> Path:
    """Rows with the columns of the format as a file of that folder; where it is."""
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"matches_odds_{name}.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


def write_fixtures(rows: Sequence[Mapping[str, Any]], folder: Path, *, name: str) -> Path:
    """The same rows as they are known before their matches, as a file of fixtures of that folder; where it is."""
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"fixtures_{name}.parquet"
    before = [{column: value for column, value in row.items() if not after_the_match(column)} for row in rows]
    pl.DataFrame(before).write_parquet(path)
    return path


def _tables(paths: list[Path], *, played: bool = True) -> Iterator["pl.DataFrame"]:
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    for path in paths:
        names = _columns(path, IDENTITY)
        known = [*IDENTITY, *(name for name in (*RESULTS, "neutral", *PRICES) if name in names)]
        if not played:
            known = [name for name in known if not after_the_match(name)]
        with _readable(path):
            numeric = [pl.col(name).cast(pl.Float64) for name in known if name not in IDENTITY]
            table = pl.read_parquet(path, columns=known).with_columns(pl.col("date").cast(pl.Date), *numeric)
        empty = [name for name in ("match_id", "date", "home", "away") if table[name].null_count()]
        if empty:
            raise ImportInvalid(f"{path.name}: column {empty[0]} has rows without a value", column=empty[0])
        yield table


def _columns(path: Path, needed: Collection[str]) -> list[str]:
    """The columns of a file. Raises: ImportInvalid when one of the needed ones is missing, or it is no Parquet file."""
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    with _readable(path):
        names = pl.scan_parquet(path).collect_schema().names()
    missing = [name for name in needed if name not in names]
    if missing:
        raise ImportInvalid(f"{path.name}: column {missing[0]} is missing", file=path.name, column=missing[0])
    return names


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raises: ImportInvalid where the block finds that a file is no Parquet file, or has a column of another type."""
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        said = str(error).partition("\n")[0][:200]
        raise ImportInvalid(f"{path.name} cannot be read: {said}", file=path.name) from error


def _settled(table: "pl.DataFrame") -> "pl.DataFrame":
    """One row for each match. A fixture gives way to the same match with its result; other differences are refused."""
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    played = table.filter(pl.col("FTHG").is_not_null()) if "FTHG" in table.columns else table
    double = played.filter(pl.col("match_id").is_duplicated())
    if len(double):
        raise ImportInvalid(f"match {double['match_id'][0]} is there twice with different content", column="match_id")
    waiting = table.join(played.select("match_id"), on="match_id", how="anti")
    return pl.concat([played, waiting.unique("match_id", maintain_order=True)])


def _number(column: "pl.Series", name: str) -> Floats:
    values: Floats = column.fill_null(float("nan")).to_numpy().astype(np.float64)
    return np.where(values > 1.0, values, np.nan) if name in PRICES else values
