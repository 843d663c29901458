"""What must not happen unseen: limits on a plan. Each is evaluated in every plan, also in one that nobody will apply."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ossature.services.sync.domain.config import Guards, Limit
from ossature.services.sync.domain.problems import ApprovalMismatch

DOUBT_THE_READ = frozenset(
    {"source_empty", "source_shrunk", "target_shrunk", "schema_changed", "duplicate_target_key", "unreadable_key"}
)
"""Guards that say that what was read may not be all there is: what is absent from it is not counted as missing."""
_ENOUGH = 20
"""Below so many records a share says nothing."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A limit that was passed. quantity, measured: what an approval must repeat exactly. level: a `warn` blocks nothing."""

    name: str
    pipeline: str
    quantity: str
    measured: int
    limit: float
    level: Literal["block", "warn"] = "block"

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the plan."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """How much there was at the last good run; None for each at the first one."""

    source_rows: int | None = None
    target_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one pipeline's reading and comparing gave. owned: records that are ours; matched: found on both sides."""

    source_rows: int
    target_rows: int
    owned: int = 0
    matched: int = 0
    creates: int = 0
    updates: int = 0
    deletes: int = 0
    duplicate_source_keys: int = 0
    duplicate_target_keys: int = 0
    keyless_rows: int = 0
    lookup_misses: int = 0
    invalid_rows: int = 0
    missing_columns: int = 0
    protected: int = 0


def guard(pipeline: str, counts: Counts, baseline: Baseline, limits: Guards) -> list[Guard]:
    """The limits that this plan of one pipeline passes."""
    passed: list[Guard] = []

    def hold(name: str, quantity: str, measured: int, limit: float) -> None:
        passed.append(Guard(name, pipeline, quantity, measured, limit))

    _reading(counts, baseline, limits, hold)
    _writing(counts, baseline, limits, hold)
    return passed


def _reading(counts: Counts, baseline: Baseline, limits: Guards, hold: Any) -> None:  # noqa: ANN401 - a local function
    rows, before = counts.source_rows, baseline.source_rows or 0
    if before and not rows:
        hold("source_empty", "source_rows", rows, 1)
    elif before >= _ENOUGH and rows < before * limits.source_shrunk:
        hold("source_shrunk", "source_rows", rows, before * limits.source_shrunk)
    had = baseline.target_rows or 0
    if had and counts.target_rows < had * limits.target_shrunk:
        hold("target_shrunk", "target_rows", counts.target_rows, had * limits.target_shrunk)
    if counts.missing_columns:
        hold("schema_changed", "missing_columns", counts.missing_columns, 0)
    if counts.duplicate_source_keys:
        hold("duplicate_source_key", "duplicate_source_keys", counts.duplicate_source_keys, 0)
    if counts.duplicate_target_keys:
        hold("duplicate_target_key", "duplicate_target_keys", counts.duplicate_target_keys, 0)
    for name, quantity, measured, ratio in (
        ("unreadable_key", "keyless_rows", counts.keyless_rows, limits.unreadable_key),
        ("lookup_misses", "lookup_misses", counts.lookup_misses, limits.lookup_misses),
        ("invalid_rows", "invalid_rows", counts.invalid_rows, limits.invalid_rows),
    ):
        if measured > rows * ratio:
            hold(name, quantity, measured, rows * ratio)


def _writing(counts: Counts, baseline: Baseline, limits: Guards, hold: Any) -> None:  # noqa: ANN401 - a local function
    if counts.deletes > (most := _most(limits.too_many_deletes, counts.owned)):
        hold("too_many_deletes", "deletes", counts.deletes, most)
    updates = limits.too_many_updates
    if counts.matched >= updates.min and counts.updates > (most := counts.matched * updates.ratio):
        hold("too_many_updates", "updates", counts.updates, most)
    # Creating a person may send him a mail: nobody is surprised by the first run.
    first = baseline.source_rows is None
    most = 0 if first else _most(limits.too_many_creates, counts.target_rows)
    if counts.creates > most:
        hold("too_many_creates", "creates", counts.creates, most)
    if counts.protected and limits.protected_policy == "block":
        hold("protected", "protected", counts.protected, 0)


def _most(limit: Limit, of: int) -> float:
    return max(limit.min, of * limit.ratio)


def demanded(guards: Sequence[Guard]) -> dict[str, int]:
    """The numbers that an approval must repeat: quantity -> count, over all pipelines of a plan."""
    numbers: dict[str, int] = {}
    for one in guards:
        if one.level == "block":
            numbers[one.quantity] = numbers.get(one.quantity, 0) + one.measured
    return numbers


def check_approval(guards: Sequence[Guard], allow: Mapping[str, int]) -> None:
    """Refuse an approval whose numbers are not exactly the plan's. Raises: ApprovalMismatch."""
    wanted = demanded(guards)
    if dict(allow) != wanted:
        said = ", ".join(f"{name}={number}" for name, number in sorted(wanted.items())) or "no numbers"
        raise ApprovalMismatch(f"This plan is approved with {said}.", expected=wanted, given=dict(allow))
