"""Gaps of the dial-a-ride solver to the best known plans, beside OR-Tools in the same run; every plan is checked.

`DARP_DATA` names a folder with files in the format of Cordeau and Laporte (`a/*.txt`, `R/*.txt`) and `best_known.csv`
(`instance, best_known`): any such folder will do. One thread, gaps are means over seeds. A plan below a best known value is
told as improved, never clipped.

Every limit is CPU time, of this solver (`clock="cpu"`) and of OR-Tools: a second here is a second of an idle core, and who
else uses the machine takes no search away. What they still do is to share its caches, so a control is measured between the
instances: the CPU time of the same piece of search. `DARP_JOBS` runs may go on at once (1 unless it says otherwise). It is
more than an hour of computing: what was interrupted is taken up where it stood, as long as the solver is the same.
"""

import csv
import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import darp
from bench import darp_runs
from bench.darp_runs import PEER, PEER_PACKAGES, Control, Day, File, Ours, Outcome, Peer, Run

SAME = 1e-4  # the share within which two costs are equal
GAPS = {1.0: 1.0, 5.0: 0.5, 20.0: 0.25}  # seconds -> the mean gap in percent that is asked for on set a
HARD_S, HARD_GAP = 30.0, 1.5
FALLBACK_S, FALLBACK_GAP = 10.0, 3.0
DAY, LARGE_DAY = Day(200, 30), Day(500, 80)
STEADY = 1.5  # how much longer the slowest control may take than the quickest


def setup() -> None:
    """Install OR-Tools in an environment of its own."""
    venv.create(PEER, with_pip=True)
    subprocess.run([PEER / "bin" / "pip", "install", "--quiet", *PEER_PACKAGES], check=True, timeout=600)


def run(*, quick: bool) -> dict[str, Any]:
    """The figures; without files only those of made-up days."""
    bench = _Bench(os.environ.get("DARP_DATA"), quick=quick)
    jobs = int(os.environ.get("DARP_JOBS", "1"))
    for miss in bench.missed:  # before an hour of computing, not after it
        print(miss, file=sys.stderr, flush=True)
    runs, kept = list(bench.runs()), darp_runs.Kept(quick=quick)
    bench.found = {one: kept.known[repr(one)] for one in runs if repr(one) in kept.known}
    left = [one for one in runs if one not in bench.found]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(darp_runs.done, one): one for one in left}
        for future in as_completed(waiting):
            one = waiting[future]
            bench.found[one] = future.result()
            kept.add(one, bench.found[one])
            print(f"{len(bench.found)}/{len(runs)} {one}: {bench.found[one]}", file=sys.stderr, flush=True)
    bench.figures()
    kept.forget()
    slow, quickest = bench.control()
    return {
        "metrics": bench.metrics,
        "targets": bench.targets,
        "missed": bench.missed,
        "environment": {
            "valid": slow <= STEADY * quickest,
            "clock": "cpu",
            "jobs": jobs,
            "control_cpu_s": [quickest, slow],
            "kernel": darp.KERNEL,
            "instances": bench.instances,
            "versions": {"ossature-darp": darp.__version__, "ortools": PEER_PACKAGES[0].partition("==")[2]},
        },
    }


class _Bench:
    """Which runs are made, and what follows from their outcomes."""

    def __init__(self, folder: str | None, *, quick: bool) -> None:
        self.quick = quick
        self.seeds = (1,) if quick else (1, 2, 3)
        self.best_s = 20.0 if quick else 60.0
        self.hard_s = 10.0 if quick else HARD_S
        self.limits = [limit for limit in GAPS if limit <= 5.0 or not quick]
        self.peer = (PEER / "bin" / "python").exists()
        self.known: dict[str, float] = {}
        self.soft: list[File] = []
        self.hard: list[File] = []
        self.fallback: list[File] = []
        self.found: dict[Run, Outcome] = {}
        self.metrics: dict[str, Any] = {}
        self.targets: dict[str, Any] = {}
        self.missed: list[str] = []
        self.instances: dict[str, dict[str, Any]] = {}
        if folder:
            self._look_into(Path(folder))
        else:
            self.missed.append("DARP_DATA names no folder with benchmark files: no gap was measured")
        if folder and not self.peer:
            self.missed.append("OR-Tools is not installed: `python -m bench setup darp-quality`")

    def _look_into(self, folder: Path) -> None:
        self.known = dict(_best_known(folder / "best_known.csv"))
        self.soft, self.hard = (
            [File(str(path)) for path in sorted(folder.glob(f"{name}/*.txt")) if path.stem in self.known]
            for name in ("a", "R")
        )
        slow = {"a4-48"} if self.quick else {"a2-16", "a3-30", "a4-48"}
        self.fallback = [file for file in self.soft if file.name in slow]
        if self.quick:
            self.soft = [file for file in self.soft if file.name in {"a2-16", "a4-48", "a6-72", "a8-96"}]
            self.hard = [file for file in self.hard if file.name in {"R1a", "R7a"}]

    def runs(self) -> Iterator[Run]:
        """Every run in its order, the rival's beside ours."""
        yield Control(0)
        for file in self.soft:
            yield from (Ours(file, limit, seed) for limit in self.limits for seed in self.seeds)
            if self.peer:
                yield Peer(file)
        yield Control(1)
        for file in self.hard:
            yield from (Ours(file, self.hard_s, seed) for seed in self.seeds)
        yield Control(2)
        yield Ours(DAY, self.best_s, 1)
        yield from (Ours(DAY, 2.0, seed) for seed in self.seeds)
        if not self.quick:
            yield Ours(LARGE_DAY, 10.0, 1)
        yield from (Ours(file, FALLBACK_S, seed, reference=True) for file in self.fallback for seed in self.seeds)
        yield Control(3)

    def control(self) -> tuple[float, float]:
        """Most and least CPU time of the same piece of search."""
        times = [outcome.seconds for one, outcome in self.found.items() if isinstance(one, Control)]
        return max(times), min(times)

    def note(self, name: str, value: float | None, **target: float) -> None:
        """A figure, and what is asked of it."""
        self.metrics[name] = round(value, 4) if isinstance(value, float) else value
        if target:
            self.targets[name] = target

    def figures(self) -> None:
        """What all outcomes say together."""
        if self.soft:
            self._soft()
        if self.soft and self.peer:
            self._against_peer()
        if self.hard:
            gaps = [self._gap(file, self.hard_s) for file in self.hard]
            self.note(f"R_gap_{self.hard_s:g}s_percent", fmean(gaps), most=HARD_GAP)
            self.note(f"R_worst_gap_{self.hard_s:g}s_percent", max(gaps))
        if self.fallback:
            gaps = [self._gap(file, FALLBACK_S, reference=True) for file in self.fallback]
            self.note("python_gap_10s_percent", max(gaps), most=FALLBACK_GAP)
        self._made_up()
        ours = {one: outcome for one, outcome in self.found.items() if isinstance(one, Ours)}
        self.note("unserved", sum(outcome.unserved for outcome in ours.values()), equals=0)
        self.note("violations", sum(outcome.violations for outcome in ours.values()), equals=0)

    def _soft(self) -> None:
        for limit in self.limits:
            gaps = [self._gap(file, limit) for file in self.soft]
            # A few hard instances are no mean of the set: the quick run only tells it.
            target = {} if self.quick else {"most": GAPS[limit]}
            self.note(f"a_gap_{limit:g}s_percent", fmean(gaps), **target)
            self.note(f"a_worst_gap_{limit:g}s_percent", max(gaps))

    def _gap(self, file: File, limit_s: float, *, reference: bool = False) -> float:
        """Mean gap in percent over the seeds."""
        costs = [self.found[Ours(file, limit_s, seed, reference=reference)].cost for seed in self.seeds]
        best = self.known[file.name]
        gap = 100 * (fmean(costs) / best - 1)
        told = self.instances.setdefault(file.name, {})
        told[f"gap_{limit_s:g}s{'_python' if reference else ''}"] = round(gap, 4)
        # Published values have two decimals.
        if min(costs) < best - 0.005:
            told["improved"] = round(min(costs), 4)
        return gap

    def _against_peer(self) -> None:
        """OR-Tools for 20 s, and this solver for 1 s: who serves more, then who is cheaper."""
        compared = []
        for file in self.soft:
            ours, theirs = self.found[Ours(file, 1.0, 1)], self.found[Peer(file)]
            self.instances[file.name]["or_tools"] = {
                "unserved": [ours.unserved, theirs.unserved],
                "cost": [round(ours.cost, 3), round(theirs.cost, 3)],
                "cpu_s": round(theirs.seconds, 2),
            }
            compared.append((ours, theirs))
        as_many = [ours.cost / theirs.cost for ours, theirs in compared if ours.unserved == theirs.unserved]
        self.note("or_tools_20s_better_than_1s", sum(_worse(*pair) for pair in compared), equals=0)
        self.note("or_tools_unserved", sum(theirs.unserved for _, theirs in compared))
        self.note("or_tools_worst_cost_ratio", max(as_many, default=None))

    def _made_up(self) -> None:
        """A day of 200 rides against a longer run of its own, and one of 500."""
        best = self.found[Ours(DAY, self.best_s, 1)]
        plans = [self.found[Ours(DAY, 2.0, seed)] for seed in self.seeds]
        self.note("day_200_30_unserved_2s", max(plan.unserved for plan in plans), equals=0)
        self.note("day_200_30_gap_2s_percent", 100 * (fmean(plan.cost for plan in plans) / best.cost - 1), most=1.5)
        if not self.quick:
            self.note("day_500_80_unserved_10s", self.found[Ours(LARGE_DAY, 10.0, 1)].unserved, equals=0)


def _worse(one: Outcome, other: Outcome) -> bool:
    """Whether the first of two serves fewer, or as many at a higher cost."""
    if one.unserved != other.unserved:
        return one.unserved > other.unserved
    return one.cost > other.cost * (1 + SAME)


def _best_known(path: Path) -> Iterator[tuple[str, float]]:
    with path.open(newline="") as file:
        rows: Iterator[Mapping[str, str]] = csv.DictReader(file)
        for row in rows:
            yield row["instance"], float(row["best_known"])
