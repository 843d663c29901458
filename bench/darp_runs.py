"""The single runs that `bench.darp_quality` is made of: each in a process of its pool, each limited in CPU time."""

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass
from functools import singledispatch
from importlib import import_module
from pathlib import Path

import darp
from darp.cordeau_plan import timed
from darp.synthetic import clinic_day

PEER = Path.home() / ".cache" / "ossature-bench" / "darp-peers"
PEER_PACKAGES = ("ortools==9.15.6755",)
PEER_S = 20.0
# The peer is asked for its CPU time so often that asking takes 6 to 7 % of it: it may compute so much longer.
ASKING = 1.1
CONTROL_ITERATIONS = 5000


@dataclass(frozen=True, slots=True)
class File:
    """A benchmark file."""

    path: str

    @property
    def name(self) -> str:
        """Of the instance."""
        return Path(self.path).stem

    def problem(self) -> darp.Problem:
        """What stands in it."""
        return darp.read_cordeau(self.path)


@dataclass(frozen=True, slots=True)
class Day:
    """A made-up day, of seed 7."""

    requests: int
    vehicles: int

    @property
    def name(self) -> str:
        """Of the instance."""
        return f"day_{self.requests}_{self.vehicles}"

    def problem(self) -> darp.Problem:
        """The day."""
        return clinic_day(self.requests, self.vehicles, 7)


@dataclass(frozen=True, slots=True)
class Ours:
    """This solver within so many seconds. reference: the Python kernel."""

    of: File | Day
    seconds: float
    seed: int
    reference: bool = False


@dataclass(frozen=True, slots=True)
class Peer:
    """OR-Tools within `PEER_S` seconds."""

    of: File


@dataclass(frozen=True, slots=True)
class Control:
    """The same piece of search each time."""

    number: int


Run = Ours | Peer | Control


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run ended with. seconds: of CPU time."""

    cost: float
    unserved: int
    violations: int
    seconds: float


class Kept:
    """Outcomes on disk, of one solver and one machine: a run that was interrupted need not be made again."""

    def __init__(self, *, quick: bool) -> None:
        package = Path(darp.__file__).parent
        files = [*package.rglob("*.py"), *package.glob("_kernel*"), Path(__file__)]
        if darp.KERNEL == "cpp":
            files.append(Path(import_module("darp._kernel").__file__ or ""))
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(set(files))))
        self._path = PEER.parent / f"darp-quality{'-quick' if quick else ''}-{digest.hexdigest()[:16]}.jsonl"
        lines = self._path.read_text().splitlines() if self._path.is_file() else []
        rows = (json.loads(line) for line in lines if line.endswith("}"))  # the last one may be cut off
        self.known = {row["run"]: Outcome(**row["outcome"]) for row in rows}

    def add(self, one: Run, outcome: Outcome) -> None:
        """Remember what a run ended with."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({"run": repr(one), "outcome": asdict(outcome)}) + "\n")

    def forget(self) -> None:
        """The next time, all are made anew."""
        self._path.unlink(missing_ok=True)


@singledispatch
def done(one: Run) -> Outcome:
    """Make a run."""
    raise TypeError(one)


@done.register
def _(one: Ours) -> Outcome:
    problem = one.of.problem()
    plan = darp.solve(problem, one.seconds, one.seed, clock="cpu", reference=one.reference)
    return _judged(problem, plan, plan.seconds)


@done.register
def _(_: Control) -> Outcome:
    problem = clinic_day(100, 15, 7)
    plan = darp.solve(problem, float("inf"), 1, max_iterations=CONTROL_ITERATIONS, clock="cpu")
    return _judged(problem, plan, plan.seconds)


@done.register
def _(one: Peer) -> Outcome:
    problem = one.of.problem()
    command = [str(PEER / "bin" / "python"), str(Path(__file__).with_name("darp_peers.py")), str(PEER_S * ASKING)]
    asked = json.dumps(_stated(problem))
    # On a busy machine 20 s of CPU time take many minutes.
    answer = subprocess.run(command, input=asked, capture_output=True, text=True, check=True, timeout=7200)
    found = json.loads(answer.stdout.splitlines()[-1])
    return _judged(problem, timed(problem, found["routes"]), found["cpu_s"])


def _judged(problem: darp.Problem, plan: darp.Plan, seconds: float) -> Outcome:
    return Outcome(
        cost=plan.cost,
        unserved=len(plan.unserved),
        violations=len(darp.check(problem, plan)),
        seconds=round(seconds, 3),
    )


def _stated(problem: darp.Problem) -> dict[str, object]:
    """The instance as `darp_peers.py` reads it."""
    vehicle = problem.vehicles[0]
    stops = [
        vehicle.start,
        *(one.pickup for one in problem.requests),
        *(one.dropoff for one in problem.requests),
        vehicle.end,
    ]
    loads = [one.load[0] for one in problem.requests]
    places = [stop.place for stop in stops]
    return {
        "vehicles": len(problem.vehicles),
        "travel": [[float(problem.durations[a, b]) for b in places] for a in places],
        "service": [stop.service for stop in stops],
        "earliest": [stop.earliest for stop in stops],
        "latest": [stop.latest for stop in stops],
        "load": [0, *loads, *(-load for load in loads), 0],
        "capacity": vehicle.layouts[0][0],
        "max_duration": vehicle.max_duration,
        "max_ride": problem.requests[0].max_ride,
    }
