"""One contender of `bench.sync_diff`, in a process of its own: `sync_contenders.py NAME FOLDER LANE`.

It prints what it took and the digest of what it found: every operation with its key and the names of the fields that
differ. The time in which the source's rows are produced does not count. `loop`, `compare` and `manager` restate, in words
of our own, how a row loop over data frames does it: a payload for each row, its company looked up by a filter of a frame,
each field compared. Run by the interpreter that has what it needs.
"""

import hashlib
import importlib
import io
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

if __package__ in {None, ""}:  # a script of the peers' interpreter
    sys.path.insert(0, str(Path(__file__).parents[1]))
from bench import sync_records as data

Found = list[tuple[str, str, tuple[str, ...]]]
_OTHERS = data.FIELDS[1:]
_SCANNED = 300
_SPILLS_AT_MB = 150


class Watch:
    """CPU and wall time of this process, but for what is left out."""

    def __init__(self) -> None:
        self.cpu_s = self.wall_s = 0.0
        self._on = (0.0, 0.0)

    def go(self) -> None:
        """Measure from here."""
        self._on = (_cpu_s(), time.perf_counter())

    def stop(self) -> None:
        """Measure up to here."""
        self.cpu_s += _cpu_s() - self._on[0]
        self.wall_s += time.perf_counter() - self._on[1]

    def left_out(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches, whose production is not measured."""
        while True:
            self.stop()
            batch = next(batches, None)
            self.go()
            if batch is None:
                return
            yield batch


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Rule(NamedTuple):
    """A rule of one field, as a pipeline file would say it."""

    rules: tuple[str, ...]
    options: Mapping[str, Any] = MappingProxyType({})


_RULES = {
    **dict.fromkeys(data.CI, Rule(("ci",))),
    **dict.fromkeys(data.BLANK, Rule(("null_as_empty",))),
    data.DAY: Rule(("day",)),
    **dict.fromkeys(data.WORDS, Rule(("bool",))),
}


def ours(folder: Path, lane: str, watch: Watch, *, limit_mb: int = 512) -> Found:
    """The comparison of the product. limit_mb: of memory, as a pipeline has it without saying so."""
    import msgspec  # noqa: PLC0415 - of one contender

    from ossature.services.sync.domain.difference import Index, Spill  # noqa: PLC0415 - as above
    from ossature.services.sync.domain.layout import Layout  # noqa: PLC0415 - as above

    def spill() -> Spill:
        from ossature.services.sync.store.spill import SpillFile  # noqa: PLC0415 - as above

        return SpillFile(folder)

    layout = Layout(data.FIELDS, ["mail"], _RULES if lane == "rules" else {})
    decode = msgspec.json.Decoder().decode
    watch.go()
    index, found = Index(layout, limit_bytes=limit_mb * 1024 * 1024, spill=spill), Found()
    for page in data.pages(folder):
        index.add(layout.records(decode(page)["data"]))
    for batch in watch.left_out(data.batches(folder)):
        _, differences = index.compare([key for key in layout.keys_of(batch) if key], batch)
        found += [(one.kind, one.key, one.fields) for one in differences]
    found += [(one.kind, one.key, one.fields) for one in index.rest()]
    watch.stop()
    return found


def polars(folder: Path, lane: str, watch: Watch, how: str = "ndjson") -> Found:
    """One join of two frames. how: which of its readers the target goes through."""
    import polars as pl  # noqa: PLC0415 - of one contender

    schema: dict[str, Any] = {name: pl.Boolean if name in data.FLAGS else pl.String for name in data.FIELDS}
    theirs = schema | (dict.fromkeys(data.WORDS, pl.String) if lane == "rules" else {})
    watch.go()
    if how == "ndjson":
        lines = b"\n".join(page[9:-3].replace(b"},{", b"}\n{") for page in data.pages(folder))
        target = pl.read_ndjson(io.BytesIO(lines), schema=theirs)
    else:
        import msgspec  # noqa: PLC0415 - of one contender

        decode = msgspec.json.Decoder().decode
        target = pl.from_dicts([one for page in data.pages(folder) for one in decode(page)["data"]], schema=theirs)
    frames = [pl.DataFrame(one, schema=schema, orient="row") for one in watch.left_out(data.batches(folder))]
    source = pl.concat(frames)
    if lane == "rules":
        target = target.with_columns(pl.col(list(data.WORDS)) == "oui")
        folded = pl.col(list(data.CI)).str.normalize("NFC").str.strip_chars().str.to_lowercase()
        blank = pl.col(list(data.BLANK)).str.strip_chars().replace("", None)
        target, source = (
            one.with_columns(folded, blank, pl.col(data.DAY).str.slice(0, 10)) for one in (target, source)
        )
    both = source.with_columns(pl.lit(1).alias("_s")).join(
        target.with_columns(pl.lit(1).alias("_t")), on="mail", how="full", suffix="_t", coalesce=True
    )
    differ = [pl.col(name).ne_missing(pl.col(f"{name}_t")).alias(f"_{name}") for name in _OTHERS]
    rows = both.select("mail", "_s", "_t", *differ)
    rows = rows.filter(pl.col("_s").is_null() | pl.col("_t").is_null() | pl.any_horizontal([f"_{n}" for n in _OTHERS]))
    found = [_as_found(*row) for row in rows.rows()]
    watch.stop()
    return found


def _as_found(
    mail: str, in_source: int | None, in_target: int | None, *differ: bool
) -> tuple[str, str, tuple[str, ...]]:
    if in_target is None:
        return "new", mail.lower(), ()
    if in_source is None:
        return "gone", mail.lower(), ()
    return "changed", mail.lower(), tuple(name for name, one in zip(_OTHERS, differ, strict=True) if one)


def pandas(folder: Path, lane: str, watch: Watch) -> Found:
    """One merge of two frames, and one comparison for each column."""
    watch.go()
    target, source = _frames(folder, lane, watch)
    both = source.merge(target, on="mail", how="outer", suffixes=("", "_t"), indicator="side")
    alone = both[both["side"] != "both"]
    kinds = alone["side"].map({"left_only": "new", "right_only": "gone"})
    found: Found = [(kind, mail, ()) for kind, mail in zip(kinds, alone["mail"], strict=True)]
    both = both[both["side"] == "both"]
    differ = {
        name: ((both[name] != both[f"{name}_t"]) & ~(both[name].isna() & both[f"{name}_t"].isna())).to_numpy()
        for name in _OTHERS
    }
    any_differs = sum(differ.values()) > 0
    found += [
        ("changed", both["mail"].iloc[place], tuple(name for name in _OTHERS if differ[name][place]))
        for place in any_differs.nonzero()[0]
    ]
    watch.stop()
    return found


def loop(folder: Path, lane: str, watch: Watch, *, payloads: bool = True) -> Found:
    """A loop over the rows of a frame. payloads: also what would be sent is put together, companies looked up."""
    pd = importlib.import_module("pandas")  # of the peers' environment

    watch.go()
    target, source = _frames(folder, lane, watch)
    companies = pd.DataFrame(data.COMPANIES, columns=["code", "uuid"])
    there = target.set_index("mail").to_dict("index")
    known = source["mail"].isin(target["mail"])
    found: Found = [("new", mail, ()) for mail in source[~known]["mail"]]
    found += [("gone", mail, ()) for mail in target[~target["mail"].isin(source["mail"])]["mail"]]
    for _, row in source[known].iterrows():
        wanted = {name: row[name] for name in _OTHERS}
        if payloads:
            found_company = companies[companies["code"] == row["company"]]
            wanted["_uuid"] = found_company.iloc[0]["uuid"] if not found_company.empty else ""
        actual = there[row["mail"]]
        differ = tuple(
            name
            for name in _OTHERS
            if wanted[name] != actual[name] and not (pd.isna(wanted[name]) and pd.isna(actual[name]))
        )
        if differ:
            found.append(("changed", row["mail"], differ))
    watch.stop()
    return found


def compare(folder: Path, lane: str, watch: Watch) -> Found:
    """The loop without its payloads."""
    return loop(folder, lane, watch, payloads=False)


def manager(folder: Path, lane: str, watch: Watch) -> Found:
    """The scan of all addresses for the manager of a row, of some rows only; `cpu_s` is that of them together."""
    aside = Watch()
    aside.go()
    _, source = _frames(folder, lane, aside)
    watch.go()
    found: Found = [
        ("manager", row["mail"], ())
        for _, row in islice(source.iterrows(), _SCANNED)
        if row["manager"] in source["mail"].values
    ]
    watch.stop()
    return found


def _frames(folder: Path, lane: str, watch: Watch) -> tuple[Any, Any]:
    pd = importlib.import_module("pandas")  # of the peers' environment

    target = pd.DataFrame([one for page in data.pages(folder) for one in json.loads(page)["data"]])
    batches = list(watch.left_out(data.batches(folder)))
    source = pd.DataFrame([row for batch in batches for row in batch], columns=data.FIELDS)
    if lane == "rules":
        for name in data.WORDS:
            target[name] = target[name] == "oui"
        for one in (target, source):
            for name in data.CI:
                one[name] = one[name].str.normalize("NFC").str.strip().str.lower()
            for name in data.BLANK:
                one[name] = one[name].str.strip().replace("", None)
            one[data.DAY] = one[data.DAY].str[:10]
    return target, source


CONTENDERS: dict[str, Callable[[Path, str, Watch], Found]] = {
    "ours": ours,
    "spilled": lambda folder, lane, watch: ours(folder, lane, watch, limit_mb=_SPILLS_AT_MB),
    "polars": polars,
    "polars_rows": lambda folder, lane, watch: polars(folder, lane, watch, "rows"),
    "pandas": pandas,
    "loop": loop,
    "compare": compare,
    "manager": manager,
}


def main(name: str, folder: str, lane: str) -> None:
    """Print what a contender took, and the digest of what it found."""
    watch = Watch()
    found = CONTENDERS[name](Path(folder), lane, watch)
    lines = "\n".join(sorted(f"{kind} {key} {','.join(fields)}" for kind, key, fields in found))
    taken = {
        "cpu_s": watch.cpu_s,
        "wall_s": watch.wall_s,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "operations": len(found),
        "digest": hashlib.sha256(lines.encode()).hexdigest(),
    }
    print(json.dumps(taken))


if __name__ == "__main__":
    main(*sys.argv[1:])
