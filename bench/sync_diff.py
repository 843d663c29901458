"""`sync-diff`: what differs between a target's pages and a source's rows, beside data frames and beside a loop over rows.

20 columns, keys like mail addresses; 1 % changed, 0.5 % new, 0.5 % gone; the target keeps no order. The clock runs from
the bytes of the pages and the rows of the source to the list of operations with the fields that changed. Each contender
has a process of its own, rounds are interleaved, ratios are medians of those of each round. Lane `rules`: two fields in
any case, two in which blank is nothing, one day out of an instant, two flags as words. `plan` is the whole command, from
SQLite to a file. polars comes with the extra `predict`; pandas, and with it the loops, where `setup` installed it.
"""

import os
import sqlite3
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import orjson

from bench import sync_records

PEER = Path.home() / ".cache" / "ossature-bench" / "sync-peers"
PEER_PACKAGES = ("pandas==3.0.1",)
_HERE = Path(__file__)
_LANES = ("exact", "rules")
_OF_PEER = ("pandas", "loop", "compare", "manager")
_ROUNDS, _LOOPED_MOST = 3, 100_000
_CPU_MOST = {10_000: 0.15, 100_000: 1.0, 1_000_000: 8.0}
_RSS_MOST_MB = {100_000: 120, 1_000_000: 600}
_WORDS = {10_000: "10k", 100_000: "100k", 1_000_000: "1m"}
_PIPELINE = """
schema = "ossature.sync/1"
name = "people"
key = ["mail"]
[source]
connection = "hr"
query = "SELECT * FROM people"
[map]
{map}
[target]
connection = "files"
collection = "people"
"""


def setup() -> None:
    """Install pandas in an environment of its own."""
    venv.create(PEER, with_pip=True)
    subprocess.run([PEER / "bin" / "pip", "install", "--quiet", *PEER_PACKAGES], check=True, timeout=600)


def run(*, quick: bool) -> dict[str, Any]:
    """The result of the bench, as `bench.result` wants it; what was not measured counts as missed."""
    sizes = (10_000,) if quick else tuple(_WORDS)
    metrics: dict[str, float] = {}
    agreed = True
    for count in sizes:
        for lane in _LANES:
            with TemporaryDirectory() as folder:
                sync_records.write(Path(folder), count, lane=lane)
                rounds = [_round(Path(folder), lane, count, number) for number in range(_ROUNDS)]
            found = {taken["digest"] for each in rounds for name, taken in each.items() if name != "manager"}
            agreed = agreed and len(found) == 1
            metrics |= _figures(rounds, f"{_WORDS[count]}_{lane}")
    metrics |= _whole_plan(10_000 if quick else 100_000)
    return {
        "agreed": agreed,
        "metrics": metrics,
        "targets": dict(_targets(sizes)),
        "environment": {"versions": dict(one.split("==") for one in PEER_PACKAGES)},
    }


def _targets(sizes: tuple[int, ...]) -> Iterator[tuple[str, dict[str, float]]]:
    for count in sizes:
        for lane in _LANES:
            name = f"{_WORDS[count]}_{lane}"
            yield f"{name}_cpu_s", {"most": _CPU_MOST[count]}
            yield f"{name}_times_polars_cpu", {"least": 1.0}
            yield f"{name}_times_polars_wall", {"least": 1.0}
            yield f"{name}_rss_of_polars", {"most": 0.3}
            if count <= _LOOPED_MOST:
                yield f"{name}_times_pandas_cpu", {"least": 2.0}
            if count in _RSS_MOST_MB:
                yield f"{name}_rss_mb", {"most": _RSS_MOST_MB[count]}
    if _LOOPED_MOST in sizes:
        yield "100k_exact_times_loop", {"least": 50.0}
        yield "100k_exact_times_compare", {"least": 15.0}
        yield "plan_cpu_s", {"most": 5.0}
        yield "plan_rss_mb", {"most": 250.0}
    if max(sizes) > _LOOPED_MOST:
        yield "ordered_1m_cpu_s", {"most": 4.0}
        yield "ordered_1m_rss_mb", {"most": 120.0}
        yield "spilled_1m_cpu_s", {"most": 12.0}
        yield "spilled_1m_rss_mb", {"most": 350.0}
    yield "start_cpu_s", {"most": 0.5}


def _round(folder: Path, lane: str, count: int, number: int) -> dict[str, dict[str, Any]]:
    """What every contender took, one after the other. The loops, which take minutes, run in the first round only."""
    names = ["ours", "polars", "polars_rows", *(["spilled"] if count > _LOOPED_MOST and lane == "exact" else ())]
    if count <= _LOOPED_MOST:
        names += ["pandas", *(("loop", "compare", "manager") if number == 0 and lane == "exact" else ())]
    taken = {}
    for name in names:
        python = PEER / "bin" / "python" if name in _OF_PEER else Path(sys.executable)
        if python.exists():
            command = [str(python), str(_HERE.with_name("sync_contenders.py")), name, str(folder), lane]
            done = subprocess.run(command, capture_output=True, check=True)
            taken[name] = orjson.loads(done.stdout)
    return taken


def _figures(rounds: list[dict[str, dict[str, Any]]], name: str) -> dict[str, float]:
    def of(kind: str) -> float:
        return float(median(each["ours"][kind] for each in rounds))

    def times(peer: str, kind: str) -> float:
        return float(median(each[peer][kind] / each["ours"][kind] for each in rounds if peer in each))

    best = [{**each, "polars": min((each["polars"], each["polars_rows"]), key=_cpu_s)} for each in rounds]
    figures = {
        f"{name}_cpu_s": round(of("cpu_s"), 3),
        f"{name}_wall_s": round(of("wall_s"), 3),
        f"{name}_rss_mb": round(of("rss_mb"), 1),
    }
    for kind, word in (("cpu_s", "cpu"), ("wall_s", "wall")):
        ratio = median(each["polars"][kind] / each["ours"][kind] for each in best)
        figures[f"{name}_times_polars_{word}"] = round(ratio, 2)
    figures[f"{name}_rss_of_polars"] = round(median(e["ours"]["rss_mb"] / e["polars"]["rss_mb"] for e in best), 2)
    for peer, metric in (("pandas", "times_pandas_cpu"), ("loop", "times_loop"), ("compare", "times_compare")):
        if any(peer in each for each in rounds):
            figures[f"{name}_{metric}"] = round(times(peer, "cpu_s"), 1)
    if "spilled" in rounds[0]:
        for kind in ("cpu_s", "rss_mb"):
            figures[f"spilled_1m_{kind}"] = round(median(each["spilled"][kind] for each in rounds), 1)
    if "manager" in rounds[0]:
        figures[f"{name}_manager_scan_ms_a_row"] = round(rounds[0]["manager"]["cpu_s"] / 300 * 1000, 3)
    return figures


def _cpu_s(taken: Mapping[str, Any]) -> float:
    return float(taken["cpu_s"])


def _whole_plan(count: int) -> dict[str, float]:
    """CPU and memory of `ossature sync plan` over so many records that are there already, and of a start alone."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        environ = {**os.environ, "OSSATURE_VAR_DIR": name, "OSSATURE_SYNC_FILES_DIR": str(folder / "files")}
        environ["OSSATURE_DATABASE_URL"] = f"sqlite:///{folder}/ossature.db"

        def ossature(*arguments: str) -> dict[str, float]:
            return _measured([sys.executable, "-m", "ossature.app", *arguments], environ)

        ossature("migrate", "up")
        ossature("admin-key")
        (tenant,) = _tenants(folder)
        _sides(folder / "files" / tenant, count)
        lines = "\n".join(f'{field} = {{ column = "{field}" }}' for field in sync_records.FIELDS)
        (folder / "people.toml").write_text(_PIPELINE.format(map=lines))
        ossature("sync", "connections", "save", "files", "file")
        ossature("sync", "connections", "save", "hr", "sql", "file=hr.db")
        ossature("sync", "pipelines", "save", str(folder / "people.toml"))
        planned = ossature("sync", "plan")
        started = ossature("sync", "pipelines", "schema")
    return {"plan_cpu_s": planned["cpu_s"], "plan_rss_mb": planned["rss_mb"], "start_cpu_s": started["cpu_s"]}


def _tenants(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "ossature.db") as connection:
        found = connection.execute("SELECT id FROM tenants_tenant WHERE slug <> 'system'").fetchall()
    return [f"{one[:8]}-{one[8:12]}-{one[12:16]}-{one[16:20]}-{one[20:]}" for (one,) in found]


def _sides(folder: Path, count: int) -> None:
    """The source as a table of SQLite, the target as a file."""
    folder.mkdir(parents=True)
    sync_records.write(folder, count, lane="exact")
    with sqlite3.connect(folder / "hr.db") as connection:
        connection.execute(f"CREATE TABLE people ({', '.join(sync_records.FIELDS)})")
        marks = ", ".join("?" * len(sync_records.FIELDS))
        for batch in sync_records.batches(folder):
            rows = [tuple("true" if v is True else "false" if v is False else v for v in row) for row in batch]
            connection.executemany(f"INSERT INTO people VALUES ({marks})", rows)  # noqa: S608 - our own names
    with (folder / "people.csv").open("w") as file:
        file.write(",".join(sync_records.FIELDS) + "\n")
        for page in sync_records.pages(folder):
            for one in orjson.loads(page)["data"]:
                cells = [
                    "" if v is None else "true" if v is True else "false" if v is False else v for v in one.values()
                ]
                file.write(",".join(cells) + "\n")


def _measured(command: list[str], environ: Mapping[str, str]) -> dict[str, float]:
    """CPU seconds and the largest memory of a process. Exit codes of `sync plan` say what it found, and are no failure."""
    with TemporaryFile() as said:
        process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in {0, 2, 3}:
            said.seek(0)
            raise RuntimeError(f"{command[3:]} ended with {process.returncode}: {said.read()[-500:].decode()}")
    return {
        "cpu_s": round(used.ru_utime + used.ru_stime, 3),
        "rss_mb": round(used.ru_maxrss / 1024, 1),
    }
