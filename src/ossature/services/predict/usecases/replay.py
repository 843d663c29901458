"""Replay the past: what every model would have said before each match, as one chained file."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ossature.kernel.errors import InvalidInput
from ossature.services.predict.domain.history import History, know
from ossature.services.predict.domain.proof import chained
from ossature.services.predict.domain.replaying import COLUMNS, Request, asks_for, in_order, rows_of, stretches

if TYPE_CHECKING:
    import polars as pl

VERSION: Final = "1"
FORMATS: Final = (".parquet", ".csv", ".jsonl")
_REAL: Final = frozenset({*COLUMNS[13:21], "dispersion"})


def replay(histories: Sequence[History], request: Request, out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write `out` (.parquet, .csv or .jsonl, by its name); the summary of the run, and its rows.

    histories: worlds that do not meet, such as clubs and nations; each has models of its own, and all are in one chain.
    Raises: ImportInvalid when no match is in the window; InvalidInput for another ending, or no folder. A file is there whole or not
    at all.
    """
    if out.suffix not in FORMATS:
        raise InvalidInput(f"{out.name}: a file of predictions ends with one of {', '.join(FORMATS)}")
    if not out.parent.is_dir():
        raise InvalidInput(f"{out.parent}: there is no such folder")
    started_s = time.perf_counter()
    bare: list[dict[str, Any]] = []
    fits, fit_s, matches = 0, 0.0, 0
    for history in [one for one in histories if asks_for(request, one)] or histories[:1]:
        known, before_s = know(history), time.perf_counter()
        for stretch in stretches(history, request, known):
            fits, fit_s = fits + 1, fit_s + time.perf_counter() - before_s
            matches += len(stretch.rows)
            bare += rows_of(history, known, stretch, request)
            before_s = time.perf_counter()
    rows = list(chained(in_order(bare)))
    with _whole(out) as unfinished:
        write(rows, unfinished, out.suffix)
    summary = {
        "rows": len(rows),
        "matches": matches,
        "days": len({row["date"] for row in rows}),
        "from": str(request.first),
        "to": str(request.last),
        "models": list(request.models),
        "fits": fits,
        "fit_s": round(fit_s, 3),
        "wall_s": round(time.perf_counter() - started_s, 3),
        "file_sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "chain_head": rows[-1]["hash"],
        "version": VERSION,
    }
    return summary, rows


def schema() -> "dict[str, type[pl.DataType]]":
    """The type of each column of a file of predictions."""
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    special = {"abstained": pl.Boolean, "seq": pl.Int64, **dict.fromkeys(_REAL, pl.Float64)}
    return {name: special.get(name, pl.String) for name in COLUMNS}


def write(rows: list[dict[str, Any]], path: Path, ending: str) -> None:
    """Rows as a file of the format that `ending` names."""
    if ending == ".jsonl":
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
        return
    table = _table(rows)
    if ending == ".parquet":
        table.write_parquet(path, compression="zstd", statistics=False)
    else:
        table.write_csv(path)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place at the end, and is gone when something fails."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def _table(rows: list[dict[str, Any]]) -> "pl.DataFrame":
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    kinds = schema()
    return pl.DataFrame({name: pl.Series(name, [row[name] for row in rows], dtype=kinds[name]) for name in COLUMNS})
