"""How far plans of a folder of benchmark files are from the best known ones, as a dated table."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from darp.checking import check
from darp.engine import KERNEL
from darp.errors import FormatError
from darp.formats import read_cordeau
from darp.model import Clock
from darp.planning import solve

BEGIN, END = "<!-- gaps -->", "<!-- end of gaps -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One instance, solved with several seeds. unserved, violations: of all its plans together."""

    instance: str
    requests: int
    vehicles: int
    costs: tuple[float, ...]
    best_known: float | None
    unserved: int
    violations: int

    @property
    def cost(self) -> float:
        """Mean of the seeds."""
        return fmean(self.costs)

    @property
    def percent(self) -> float | None:
        """Mean cost above the best known one, `None` where none is known or somebody stays unserved."""
        if self.best_known is None or self.unserved:
            return None
        return 100 * (self.cost / self.best_known - 1)


def best_known(path: str | Path) -> dict[str, float]:
    """Instance -> cost, from a file with the columns `instance, best_known`; raises `FormatError`."""
    try:
        with Path(path).open(newline="") as file:
            return {row["instance"]: float(row["best_known"]) for row in csv.DictReader(file)}
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise FormatError(f"{path}: {error!r}") from None


def measured(
    folder: str | Path, seconds: float, seeds: Sequence[int], *, clock: Clock, known: dict[str, float]
) -> Iterator[Gap]:
    """Every `*.txt` of the folder and of those in it, by name, each plan limited in `seconds`; raises `FormatError`."""
    files = sorted(Path(folder).rglob("*.txt"), key=lambda path: path.stem)
    if not files:
        raise FormatError(f"{folder}: there is no *.txt in it")
    for path in files:
        problem = read_cordeau(path)
        plans = [solve(problem, seconds, seed, clock=clock) for seed in seeds]
        yield Gap(
            instance=path.stem,
            requests=len(problem.requests),
            vehicles=len(problem.vehicles),
            costs=tuple(plan.cost for plan in plans),
            best_known=known.get(path.stem),
            unserved=sum(len(plan.unserved) for plan in plans),
            violations=sum(len(check(problem, plan)) for plan in plans),
        )


def table(found: Sequence[Gap], *, seconds: float, seeds: int, clock: Clock, version: str) -> str:
    """A Markdown table, with the day, what was measured and the mean gap above it."""
    gaps = [gap.percent for gap in found if gap.percent is not None]
    mean = f"mean gap {fmean(gaps):.2f} %, worst {max(gaps):.2f} %" if gaps else "no best known value"
    limit = f"{seconds:g} s of {'CPU time' if clock is Clock.CPU else 'time'}, one thread, mean of {seeds} seed(s)"
    wrong = f"{sum(gap.unserved for gap in found)} unserved, {sum(gap.violations for gap in found)} violations"
    lines = [
        f"{datetime.now(UTC).date()}, darp {version} ({KERNEL}), {limit}: {mean}, {wrong}.",
        "",
        "| instance | requests | vehicles | cost | best known | gap % | unserved |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for gap in found:
        best = "" if gap.best_known is None else f"{gap.best_known:.2f}"
        percent = "" if gap.percent is None else f"{gap.percent:.2f}"
        lines.append(
            f"| {gap.instance} | {gap.requests} | {gap.vehicles} | {gap.cost:.2f} | {best} | {percent} | {gap.unserved} |"
        )
    return "\n".join(lines)


def write_into(path: str | Path, text: str) -> None:
    """Put a table between the two marks of a file, in place of what stands there; raises `FormatError`."""
    try:
        before = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: {error}") from None
    after, marks = re.subn(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{text}\n{END}", before, flags=re.DOTALL)
    if marks != 1:
        raise FormatError(f"{path}: must have `{BEGIN}` and `{END}` once")
    Path(path).write_text(after)
